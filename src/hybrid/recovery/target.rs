//! Which version is active after a recovery.

use super::Context;
use super::plan::{Plan, place, read};
use crate::domain::content::Content;
use crate::domain::{
    Activation, Decision, Entry, EntryId, Seq, ShortText, Stream, TenantId, VersionRef,
};
use crate::hybrid::history;
use crate::ports::{
    Appended, Error, ErrorKind, Expectation, NewEntry, RecoverTarget, Recovery, Result,
};

/// Who recovers when nobody says.
pub(super) const RECOVERER: &str = "disaster-recovery";

/// What is to be done once everything is restored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// Nothing: the newest decisions stand.
    Keep,
    /// This version.
    Version(Seq),
    /// The version that was active then.
    At(crate::domain::Timestamp),
}

/// Checks the target before anything moves. A version that the bucket names is read and verified there, even if the database
/// has it too.
pub(super) async fn find(context: &Context<'_>, plan: &Plan) -> Result<Target> {
    let version = match context.request.target {
        RecoverTarget::Version(version) => version,
        RecoverTarget::At(at) => return Ok(Target::At(at)),
        RecoverTarget::Newest if context.request.as_new_version => {
            plan.outcome(plan.epoch()).active_version()
        }
        RecoverTarget::Newest => return Ok(Target::Keep),
    };
    let missing = || {
        Error::new(
            ErrorKind::NotFound,
            format!("recover {}: there is no version {version}", plan.tenant),
        )
        .hint("`driftline manifest history` shows the versions")
    };
    if version == Seq::default() {
        return Err(missing());
    }
    match plan.streams[Stream::Manifests].entries.get(place(version)) {
        Some(entry) => {
            read(context, entry).await?;
        }
        None if context
            .sides
            .database
            .entry(&plan.tenant, Stream::Manifests, version)
            .await?
            .is_some() => {}
        None => return Err(missing()),
    }
    Ok(Target::Version(version))
}

/// Makes the target active, in place by a decision or as a new version, and completes the report.
pub(super) async fn reach(
    context: &Context<'_>,
    tenant: &TenantId,
    target: Target,
    recovery: &mut Recovery,
) -> Result<()> {
    let version = match target {
        Target::Keep => return Ok(()),
        Target::Version(version) => version,
        Target::At(at) => {
            let at_time = history::active_at(context.sides, tenant, at).await?;
            // Before a dry run's rows are there, what was active then can only be told from the database as it is.
            match at_time {
                Some(version) => version,
                None if context.request.dry_run => return Ok(()),
                None => {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("recover {tenant}: no version was active at {at}"),
                    )
                    .hint("times mean committedAt; `driftline manifest history` shows them"));
                }
            }
        }
    };
    if context.request.dry_run {
        recovery.active_version = version;
        if context.request.as_new_version {
            recovery.new_version = Some(recovery.head.next());
            recovery.active_version = recovery.head.next();
        }
        return Ok(());
    }
    if recovery.active_version == version && !context.request.as_new_version {
        return Ok(());
    }
    let stored = context
        .sides
        .database
        .entry(tenant, Stream::Manifests, version)
        .await?;
    let source = stored.map(|stored| stored.entry).ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("recover {tenant}: version {version} is lost on both sides"),
        )
    })?;
    let appended = if context.request.as_new_version {
        append_copy(context, tenant, &source).await?
    } else {
        activate(context, tenant, &source).await?
    };
    match appended {
        Appended::Committed { meta, active } => {
            recovery.active_version = active;
            if meta.stream == Stream::Manifests {
                recovery.new_version = Some(meta.seq);
                recovery.head = meta.seq;
            }
            Ok(())
        }
        Appended::Conflict { head, .. } => Err(Error::new(
            ErrorKind::Stale,
            format!(
                "recover {tenant}: version {} was created meanwhile",
                head.seq
            ),
        )
        .hint("everything is restored; run the recovery again to choose the active version")),
        other => Err(history::refused(tenant, &other)),
    }
}

/// Decides for the head as it is now: others may have written since the recovery looked.
async fn activate(context: &Context<'_>, tenant: &TenantId, target: &Entry) -> Result<Appended> {
    let state = context.sides.database.tenant(tenant).await?;
    let state = state
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("recover {tenant}: it is gone")))?;
    let head = state.heads[Stream::Manifests];
    let chosen = VersionRef {
        version: target.meta.seq,
        chain: target.meta.chain,
    };
    let decision = Decision::Activate {
        version: chosen.version,
        chain: chosen.chain,
        head_version: head.seq,
        head_chain: head.chain,
    };
    let activation = Activation {
        decision: Seq::default(),
        target: chosen,
        head_chain: head.chain,
    };
    let message = format!(
        "activate version {} in place of {}",
        chosen.version, head.seq
    );
    let entry = NewEntry {
        expect: Some(Expectation::Chain(head.chain)),
        refers_to: Some(chosen),
        activation: Some(activation),
        ..new_entry(context, Stream::Decisions, decision.to_content()?, &message)?
    };
    Ok(context.sides.database.append(tenant, &entry).await?)
}

async fn append_copy(context: &Context<'_>, tenant: &TenantId, source: &Entry) -> Result<Appended> {
    let message = format!(
        "recovered from version {} with chain {}",
        source.meta.seq, source.meta.chain
    );
    let entry = new_entry(context, Stream::Manifests, source.content.clone(), &message)?;
    Ok(context.sides.database.append(tenant, &entry).await?)
}

fn new_entry(
    context: &Context<'_>,
    stream: Stream,
    body: Content,
    message: &str,
) -> Result<NewEntry> {
    let text = |text: &str| {
        text.parse::<ShortText>()
            .map_err(|error| Error::new(ErrorKind::InvalidInput, error.to_string()))
    };
    let created_by = context
        .request
        .by
        .clone()
        .map_or_else(|| text(RECOVERER), Ok)?;
    Ok(NewEntry {
        stream,
        id: EntryId(context.sides.entropy.uuid()),
        content: body,
        created_at: context.sides.now(),
        created_by: Some(created_by),
        message: Some(text(message)?),
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    })
}
