//! Questions about the past that take more than one look, and what a refused append says.

use std::sync::Arc;

use super::projection::{CatchUp, CaughtUp, Projections, UnprovenRow};
use super::proven::Guard;
use super::repository::HybridManifestRepository;
use super::settings::Sides;
use driftline_model::{
    Activation, Entry, EntryMeta, Epoch, Fold, Projection, Seq, Stream, TenantId, Timestamp,
    VersionRef,
};
use driftline_ports::{Appended, Database, Error, ErrorKind, Hint, Refusal, Result, StoreResult};

/// Rows that are asked for at once, and their content in bytes.
pub(crate) const ROWS: u32 = 512;
pub(crate) const BYTES: u64 = 8 * 1024 * 1024;

/// The version that was active at an instant: the head then, unless the last activation until then was made for it.
pub(crate) async fn active_at(
    repository: &HybridManifestRepository,
    tenant: &TenantId,
    at: Timestamp,
) -> Result<Option<Seq>> {
    let database = &repository.sides.database;
    let head = database.latest(tenant, Stream::Manifests, Some(at)).await?;
    let Some(head) = head.map(|head| head.meta) else {
        return Ok(None);
    };
    let Some(decided) = repository.decided(tenant).await? else {
        return Ok(Some(head.seq));
    };
    let moved = &decided.projection.fold().renumbering;
    let activation = decided.projection.fold().activation_at(at);
    let since = activation.map_or(Seq::default(), |activation| activation.decision);
    let target = activation.and_then(|activation| {
        // It may name what it was made for as that was called then.
        let now = || held(&moved.follow_activation(activation), &head);
        held(&activation, &head).or_else(|| may_have_moved(&head).then(now).flatten())
    });
    // A later one that nobody can read may have been another activation, or have moved what this one names.
    let mut unproven = decided.unproven.into_iter();
    let in_doubt = |it: &UnprovenRow| {
        it.seq > since && (it.committed_at <= at || (target.is_none() && may_have_moved(&head)))
    };
    match unproven.find(in_doubt) {
        Some(unproven) => Err(unproven.error),
        None => Ok(Some(target.unwrap_or(head.seq))),
    }
}

/// The version that an activation makes the active one while this is the head.
pub(crate) fn held(activation: &Activation, head: &EntryMeta) -> Option<Seq> {
    let holds = activation.head_chain == head.chain && activation.target.version <= head.seq;
    holds.then_some(activation.target.version)
}

/// What got another number is in a later epoch than the first.
pub(crate) fn may_have_moved(head: &EntryMeta) -> bool {
    head.epoch > Epoch::FIRST
}

/// Whether the tenant still has this very version.
pub(crate) async fn holds(sides: &Sides, tenant: &TenantId, named: VersionRef) -> Result<bool> {
    let before = Some(named.version.next());
    let rows = sides
        .database
        .history(tenant, Stream::Manifests, before, 1)
        .await?;
    let row = rows.first();
    Ok(row.is_some_and(|row| (row.seq, row.chain) == (named.version, named.chain)))
}

/// What a stream of the tenant amounts to, from what is known of it on; `None` when the database does not know the tenant.
pub(crate) async fn projected<F: Fold>(
    sides: &Sides,
    guard: &Guard,
    tenant: &TenantId,
    projections: &Projections<F>,
) -> Result<Option<CaughtUp<F>>> {
    let Some(state) = sides.database.tenant(tenant).await? else {
        return Ok(None);
    };
    let head = state.heads[F::STREAM];
    let known = projections.of(tenant);
    let mut after = known.end().seq;
    let mut caught_up = CatchUp::from(known);
    let mut is_first = true;
    loop {
        let run = if after < head.seq {
            let database = &sides.database;
            database
                .pending(tenant, F::STREAM, after, ROWS, BYTES)
                .await?
        } else {
            Vec::new()
        };
        if std::mem::take(&mut is_first) && !caught_up.fits(head, run.first()) {
            projections.forget(tenant);
            caught_up = CatchUp::from(Arc::new(Projection::new(tenant)));
            after = Seq::default();
            continue;
        }
        if after >= head.seq {
            return Ok(Some(caught_up.finish(tenant, head, projections)));
        }
        // A run ends before a row that is lost: it goes on behind that.
        after = run.last().map_or(after.next(), |last| last.meta.seq);
        for row in run {
            caught_up.add(guard, row).await?;
        }
    }
}

/// Takes the rows with these numbers, which ascend, in as few questions as it takes: a run of rows ends before one that is
/// lost, and goes on behind it.
pub(crate) async fn each_row(
    database: &dyn Database,
    tenant: &TenantId,
    stream: Stream,
    numbers: impl Iterator<Item = Seq> + Send,
    mut take: impl FnMut(Entry) + Send,
) -> StoreResult<()> {
    let mut read = Seq::default();
    for seq in numbers {
        if seq > read {
            let before = Seq::new(seq.get() - 1);
            let run = database
                .pending(tenant, stream, before, ROWS, BYTES)
                .await?;
            read = run.last().map_or(seq, |last| last.meta.seq);
            run.into_iter().for_each(&mut take);
        }
    }
    Ok(())
}

/// An append that did not commit, as an error.
pub(crate) fn refused(tenant: &TenantId, appended: &Appended) -> Error {
    match appended {
        Appended::Conflict { head, checksum } => {
            let kind = ErrorKind::VersionConflict { head: head.seq, checksum: *checksum, chain: head.chain };
            let now = match head.seq.get() {
                0 => "there is no version yet".to_owned(),
                version => format!("the newest version is {version} with chain {}", head.chain),
            };
            Error::new(kind, format!("write {tenant}: the expectation does not hold: {now}"))
                .hint(Hint::ReadAndDecideAgain)
        }
        Appended::KeyReused { seq } => {
            Error::new(ErrorKind::IdempotencyConflict, format!("write {tenant}: the idempotency key was used for other content, which is number {seq}"))
                .hint(Hint::UseNewKey)
        }
        Appended::NoSuchVersion => Error::new(ErrorKind::NotFound, format!("write {tenant}: there is no such version"))
            .hint(Hint::ListVersions { tenant: None }),
        Appended::Refused(Refusal::Unclaimed) => {
            Error::new(ErrorKind::Refused, format!("write {tenant}: this database has not seen its bucket yet"))
                .hint(Hint::ReachBucketFirst)
        }
        Appended::Refused(Refusal::AwaitingRecovery) => {
            Error::new(ErrorKind::Refused, format!("write {tenant}: it awaits recovery; the bucket knows more than this database"))
                .hint(Hint::Recover { tenant: None, dry_run: false })
        }
        Appended::Refused(Refusal::Retired) => {
            Error::new(ErrorKind::Refused, format!("write {tenant}: the tenant is retired"))
                .hint(Hint::Reinstate { tenant: tenant.clone(), again: false })
        }
        Appended::Committed { .. } | Appended::Replayed { .. } | Appended::Unchanged { .. } => {
            Error::new(ErrorKind::Internal, format!("write {tenant}: a committed entry was taken for a refusal"))
        }
    }
}
