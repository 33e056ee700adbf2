//! Questions about the past that take more than one look, and what a refused append says.

use super::proven::Guard;
use super::settings::Sides;
use driftline_model::{
    Activation, Entry, EntryMeta, Epoch, Renumbering, Seq, Stream, TenantId, Timestamp, VersionRef,
};
use driftline_ports::{Appended, Database, Error, ErrorKind, Hint, Refusal, Result, StoreResult};

/// Rows that are asked for at once, and their content in bytes.
pub(crate) const ROWS: u32 = 512;
pub(crate) const BYTES: u64 = 8 * 1024 * 1024;

/// The version that was active at an instant: the head then, unless the last activation until then was made for it.
pub(crate) async fn active_at(
    sides: &Sides,
    guard: &Guard,
    tenant: &TenantId,
    at: Timestamp,
) -> Result<Option<Seq>> {
    let Some(head) = sides
        .database
        .latest(tenant, Stream::Manifests, Some(at))
        .await?
    else {
        return Ok(None);
    };
    let newest = sides
        .database
        .latest(tenant, Stream::Decisions, Some(at))
        .await?;
    let mut seq = newest.map_or(Seq::default(), |newest| newest.meta.seq);
    while seq > Seq::default() {
        let row = sides.database.entry(tenant, Stream::Decisions, seq).await?;
        let entry = guard.optional(row.map(|row| row.entry)).await?;
        let activation = entry.and_then(|found| Activation::of(&found.entry));
        if let Some(activation) = activation {
            let target = held(&activation, &head.meta);
            if target.is_some() || !may_have_moved(&head.meta) {
                return Ok(Some(target.unwrap_or(head.meta.seq)));
            }
            // It names what it was made for as that was called then.
            let now = renumbering(sides, guard, tenant).await?;
            let target = held(&now.follow_activation(activation), &head.meta);
            return Ok(Some(target.unwrap_or(head.meta.seq)));
        }
        seq = Seq::new(seq.get() - 1);
    }
    Ok(Some(head.meta.seq))
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

/// Which versions got other numbers: the fold of the tenant's decisions. For the rare reference that resolves no more.
pub(crate) async fn renumbering(
    sides: &Sides,
    guard: &Guard,
    tenant: &TenantId,
) -> Result<Renumbering> {
    let newest = sides
        .database
        .latest(tenant, Stream::Decisions, None)
        .await?;
    let head = newest.map_or(Seq::default(), |newest| newest.meta.seq);
    let (mut renumbering, mut after) = (Renumbering::default(), Seq::default());
    while after < head {
        let run = sides
            .database
            .pending(tenant, Stream::Decisions, after, ROWS, BYTES)
            .await?;
        // A run ends before a row that is lost: it goes on behind that.
        after = run.last().map_or(after.next(), |last| last.meta.seq);
        for decision in run {
            renumbering.extend(&guard.entry(decision).await?.entry);
        }
    }
    Ok(renumbering)
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
