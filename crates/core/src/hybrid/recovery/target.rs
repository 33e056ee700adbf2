//! Which version is active after a recovery.

use super::Context;
use super::plan::{Plan, place, read};
use crate::hybrid::blocking::digest_of;
use crate::hybrid::bucket::BucketError;
use crate::hybrid::history;
use crate::hybrid::proven::Guard;
use driftline_model::content::Content;
use driftline_model::format::snapshot_key;
use driftline_model::{
    Activation, Decision, Entry, EntryId, EntryMeta, Renumbering, Seq, ShortText, Stream, TenantId,
    Timestamp, VersionRef,
};
use driftline_ports::{
    Appended, Error, ErrorKind, Expectation, Hint, NewEntry, RecoverTarget, Recovery, Result,
};

/// Who recovers when nobody says.
pub(super) const RECOVERER: &str = "disaster-recovery";

/// What is to be done once everything is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing: the newest decisions stand.
    Keep,
    /// This version.
    Version(Seq),
    /// Nothing, because no version was active at the time asked for.
    Inactive,
}

/// Checks the target before anything moves. A version that the bucket names is read and verified there, even if the database
/// has it too.
pub(super) async fn find(context: &Context<'_>, plan: &Plan) -> Result<Target> {
    let version = match context.request.target {
        RecoverTarget::Version(version) => version,
        RecoverTarget::At(at) => match active_at(context, plan, at).await? {
            Some(version) => version,
            None if context.is_all => return Ok(Target::Inactive),
            None => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("recover {}: no version was active at {at}", plan.tenant),
                )
                .hint(Hint::ListCommitTimes));
            }
        },
        RecoverTarget::Newest if context.request.as_new_version => {
            plan.outcome(plan.epoch()).active_version()
        }
        RecoverTarget::Newest => return Ok(Target::Keep),
    };
    if plan.outcome(plan.epoch()).retired.is_some() {
        if context.is_all {
            return Ok(Target::Keep);
        }
        return Err(Error::new(
            ErrorKind::Refused,
            format!(
                "recover {}: the tenant is retired, and takes no decision",
                plan.tenant
            ),
        )
        .hint(Hint::RecoverWithoutTarget {
            tenant: plan.tenant.clone(),
        }));
    }
    let missing = || {
        Error::new(
            ErrorKind::NotFound,
            format!("recover {}: there is no version {version}", plan.tenant),
        )
        .hint(Hint::ListVersions { tenant: None })
    };
    if version == Seq::default() {
        return Err(missing());
    }
    if let Some(entry) = plan.streams[Stream::Manifests].entries.get(place(version)) {
        read(context, entry).await?;
    } else {
        let database = &context.sides.database;
        let stored = database.entry(&plan.tenant, Stream::Manifests, version);
        let row = stored.await?.ok_or_else(missing)?.entry;
        if context.request.as_new_version {
            proven(context, row).await?;
        }
    }
    Ok(Target::Version(version))
}

/// The version that was active at an instant, over both sides: the head then, unless the last activation until then was made
/// for it.
async fn active_at(context: &Context<'_>, plan: &Plan, at: Timestamp) -> Result<Option<Seq>> {
    let Some(head) = latest(context, plan, Stream::Manifests, at).await? else {
        return Ok(None);
    };
    let newest = latest(context, plan, Stream::Decisions, at).await?;
    let mut seq = newest.map_or(Seq::default(), |newest| newest.seq);
    while seq > Seq::default() {
        let decision = decision(context, plan, seq).await?;
        if let Some(activation) = decision.as_ref().and_then(Activation::of) {
            let target = history::held(&activation, &head);
            if target.is_some() || !history::may_have_moved(&head) {
                return Ok(Some(target.unwrap_or(head.seq)));
            }
            let now = renumbering(context, plan, seq).await?;
            let target = history::held(&now.follow_activation(activation), &head);
            return Ok(Some(target.unwrap_or(head.seq)));
        }
        seq = Seq::new(seq.get() - 1);
    }
    Ok(Some(head.seq))
}

/// Which versions got other numbers by decisions after this one, whenever they were made.
async fn renumbering(context: &Context<'_>, plan: &Plan, after: Seq) -> Result<Renumbering> {
    let stream = Stream::Decisions;
    let theirs = plan.streams[stream].head(&plan.tenant, stream).seq;
    let ours = context.sides.database.latest(&plan.tenant, stream, None);
    let ours = ours.await?.map_or(Seq::default(), |row| row.meta.seq);
    let mut renumbering = Renumbering::default();
    for seq in after.next().get()..=theirs.max(ours).get() {
        if let Some(decision) = decision(context, plan, Seq::new(seq)).await? {
            renumbering.extend(&decision);
        }
    }
    Ok(renumbering)
}

/// A decision that either side has; one that is lost decides nothing.
async fn decision(context: &Context<'_>, plan: &Plan, seq: Seq) -> Result<Option<Entry>> {
    let known = plan.streams[Stream::Decisions].entries.get(place(seq));
    if let Some(entry) = known.filter(|entry| entry.unknown.is_none()) {
        return Ok(Some(read(context, entry).await?));
    }
    let database = &context.sides.database;
    let stored = database.entry(&plan.tenant, Stream::Decisions, seq).await?;
    let row = stored.map(|stored| stored.entry);
    let proven = Guard::of(context.sides).optional(row).await?;
    Ok(proven.map(|proven| proven.entry))
}

/// The newest entry of a stream that either side committed until then.
async fn latest(
    context: &Context<'_>,
    plan: &Plan,
    stream: Stream,
    at: Timestamp,
) -> Result<Option<EntryMeta>> {
    let entries = &plan.streams[stream].entries;
    let until = entries.partition_point(|entry| entry.named.meta.committed_at <= at);
    let bucket = until
        .checked_sub(1)
        .map(|last| entries[last].named.meta.clone());
    let database = &context.sides.database;
    let row = match &plan.seen {
        Some(_) => database.latest(&plan.tenant, stream, Some(at)).await?,
        None => None,
    };
    let row = row.map(|row| row.meta);
    Ok(match (bucket, row) {
        (Some(bucket), Some(row)) if row.seq > bucket.seq => Some(row),
        (Some(bucket), _) => Some(bucket),
        (None, row) => row,
    })
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
        Target::Inactive => {
            recovery.inactive_then = true;
            return Ok(());
        }
        Target::Version(version) => version,
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
    let source = Guard::of(context.sides).entry(source).await?.entry;
    let appended = if context.request.as_new_version {
        append_copy(context, tenant, source).await?
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
        .hint(Hint::RecoverAgainToChoose)),
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

/// The entry with the content that was committed: a damaged row's comes from its snapshot.
async fn proven(context: &Context<'_>, row: Entry) -> Result<Entry> {
    let meta = &row.meta;
    if digest_of(&row.content).await == meta.checksum {
        return Ok(row);
    }
    let key = snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch);
    let bucket = context.sides.bucket();
    let found = bucket
        .unnamed_snapshot(&meta.tenant, meta.stream, &key)
        .await;
    match found {
        Ok(Some(found)) if found.entry.meta == *meta => Ok(found.entry),
        Err(BucketError::Store(error)) => Err(error.into()),
        Ok(_) | Err(BucketError::Damage(_)) => Err(Error::new(
            ErrorKind::Damaged,
            format!(
                "recover {}: the row of version {} is damaged, and the bucket has no copy of it",
                meta.tenant, meta.seq
            ),
        )
        .hint(Hint::Verify {
            tenant: meta.tenant.clone(),
        })),
    }
}

async fn append_copy(context: &Context<'_>, tenant: &TenantId, source: Entry) -> Result<Appended> {
    let source = proven(context, source).await?;
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
