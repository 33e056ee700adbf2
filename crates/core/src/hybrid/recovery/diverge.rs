//! Two histories become one: the bucket's numbers stand, and what only the database has comes after them.
//!
//! Per stream, up to the last number at which both chains agree nothing changes. Behind it the bucket's entries are restored
//! as they are, and the database's get new numbers, chains and the new epoch; id, content, author and times stay (a commit time
//! never goes back). What moved is a decision of its own, so that whoever recovers later follows the references too.

mod merge;

use std::collections::BTreeMap;

use self::merge::{Merge, Merging, accepted, decisions};
use driftline_model::content::Content;
use driftline_model::format::{Damage, Problem, parse_snapshot_key};
use driftline_model::{
    Decision, Entry, EntryId, EntryMeta, Epoch, Moved, PerStream, Seq, ShortText, Stream,
    TenantState, genesis,
};
use driftline_ports::{Error, ErrorKind, Hint, Restore, Result};

use super::Context;
use super::plan::{Plan, place, read};
use super::restore::{fence, unmoved};
use super::target::RECOVERER;
use crate::hybrid::bucket::BucketError;
use crate::hybrid::crash;
use crate::hybrid::history::{BYTES, ROWS};
use crate::hybrid::proven::Guard;

/// What one decision names at most: it has to stay a document of sensible size.
const MOVED_AT_ONCE: usize = 10_000;

/// What became of two histories, or would.
pub(super) struct Resolved {
    /// The tenant's state afterwards.
    pub(super) state: TenantState,
    /// The database's entries under their new numbers.
    pub(super) moved: Vec<Moved>,
    /// Entries of the bucket that the database lacked.
    pub(super) rows: PerStream<Vec<Seq>>,
    /// Entries of either history that neither side holds any more.
    pub(super) lost: Vec<Damage>,
    /// Those of the bucket's.
    unreadable: PerStream<BTreeMap<Seq, Damage>>,
}

impl Resolved {
    /// How many entries of the bucket the database lacked.
    pub(super) fn restored(&self) -> u64 {
        self.rows.iter().map(|(_, rows)| rows.len() as u64).sum()
    }
}

/// Everything that a resolution in some epoch would do.
struct Sketch {
    merges: PerStream<Merge>,
    moved: Vec<Moved>,
    state: TenantState,
    decisions: Vec<Entry>,
}

impl Sketch {
    async fn make(
        context: &Context<'_>,
        plan: &Plan,
        seen: &TenantState,
        epoch: Epoch,
        known: Option<&Resolved>,
    ) -> Result<Self> {
        let mut merges = PerStream::from_fn(|_| Merge::default());
        let accepted = accepted(context, plan).await?;
        for stream in Stream::ALL {
            let merging = Merging {
                context,
                plan,
                seen,
                stream,
                epoch,
                accepted: &accepted,
                known: known.map(|known| &known.unreadable[stream]),
            };
            merges[stream] = merging.run().await?;
        }
        let moved: Vec<Moved> = merges
            .iter()
            .flat_map(|(_, merge)| merge.moved.iter().map(moved_of))
            .collect();
        let (state, decisions) = after(context, plan, seen, epoch, &merges, &moved).await?;
        Ok(Self {
            merges,
            moved,
            state,
            decisions,
        })
    }

    fn resolved(self) -> Resolved {
        let mut merges = self.merges;
        Resolved {
            state: self.state,
            moved: self.moved,
            lost: (merges.iter())
                .flat_map(|(stream, merge)| merge.losses(stream))
                .collect(),
            unreadable: PerStream::from_fn(|stream| std::mem::take(&mut merges[stream].lost)),
            rows: PerStream::from_fn(|stream| std::mem::take(&mut merges[stream].restore)),
        }
    }
}

/// What a resolution would do. All that it would restore or move is read and verified: damage ends here, before anything is
/// changed and while the tenant still takes writes.
pub(super) async fn preview(context: &Context<'_>, plan: &Plan) -> Result<Resolved> {
    let seen = seen(plan)?;
    if let Some(damage) = plan.failures.iter().find(|it| hides_history(plan, it)) {
        return Err(Error::from(damage.clone()).hint(Hint::PutBackOrGiveUp {
            object: damage.object.clone(),
        }));
    }
    refuse_to_give_up(context, plan).await?;
    let sketch = Sketch::make(context, plan, seen, plan.epoch().next(), None).await?;
    for (_, merge) in sketch.merges.iter() {
        walk_moved(context, None, &merge.moved).await?;
    }
    Ok(sketch.resolved())
}

/// A damaged object beyond the index, with later ones behind it: they would be given up without a word.
fn hides_history(plan: &Plan, damage: &Damage) -> bool {
    let Some((stream, seq, _)) = parse_snapshot_key(&damage.object) else {
        return false;
    };
    let mut orphans = plan.streams[stream].orphans.iter();
    !is_divergence(damage)
        && orphans.any(|key| parse_snapshot_key(key).is_some_and(|(_, later, _)| later > seq))
}

/// Without an index the bucket's history ends where an object is lost, and later ones would be given up without a word.
pub(super) async fn refuse_to_give_up(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let bucket = context.sides.bucket();
    for (stream, inventory) in plan.streams.iter() {
        let head = inventory.head(&plan.tenant, stream).seq;
        for key in &inventory.orphans {
            let beyond = parse_snapshot_key(key).filter(|(_, seq, _)| *seq > head);
            let (Some((_, seq, _)), None) = (beyond, &inventory.index) else {
                continue;
            };
            let there = match bucket.unnamed_snapshot(&plan.tenant, stream, key).await {
                Ok(Some(there)) => there.entry.meta,
                Ok(None) | Err(BucketError::Damage(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let database = &context.sides.database;
            let row = database.entry(&plan.tenant, stream, seq).await?;
            if row.is_some_and(|row| there.is_copy_of(&row.entry.meta)) {
                continue;
            }
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "recover {}: {key} is valid, and cannot be reached: the index and an object before it are lost",
                    plan.tenant
                ),
            )
            .hint(Hint::RepairOrGiveUp {
                tenant: plan.tenant.clone(),
                object: key.clone(),
            }));
        }
    }
    Ok(())
}

fn seen(plan: &Plan) -> Result<&TenantState> {
    plan.seen.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("recover {}: the database does not know it", plan.tenant),
        )
    })
}

/// That two histories disagree is what is resolved; every other damage is in the way.
pub(super) fn is_divergence(damage: &Damage) -> bool {
    matches!(
        damage.problem,
        Problem::Diverged { .. } | Problem::Unfollowed { .. }
    )
}

/// Resolves a divergence, or with a dry run tells what would move.
pub(super) async fn resolve(context: &Context<'_>, plan: &mut Plan) -> Result<Resolved> {
    let previewed = preview(context, plan).await?;
    plan.failures.retain(|damage| !is_divergence(damage));
    if context.request.dry_run {
        plan.failures.extend(previewed.lost.iter().cloned());
        return Ok(previewed);
    }
    let seen = seen(plan)?.clone();
    let tenant = Some(&plan.tenant);
    let epoch = context.takeover.epoch(tenant, plan.epoch()).await?;
    let sketch = Sketch::make(context, plan, &seen, epoch, Some(&previewed)).await?;
    for (stream, merge) in sketch.merges.iter() {
        plan.failures.extend(merge.losses(stream));
    }
    let named = fence(context, plan, epoch).await?;
    crash::point("diverge-fenced");
    let mut restore = context.sides.database.begin_restore(&plan.tenant).await?;
    if !unmoved(Some(&seen), restore.state()) {
        return Err(Error::new(
            ErrorKind::Stale,
            format!("recover {}: it was written to meanwhile", plan.tenant),
        )
        .hint(Hint::RecoverAgain));
    }
    for (stream, merge) in sketch.merges.iter() {
        // The lost ones too: a key that names one of them must not come to name the bucket's entry.
        let moved = merge.moved.iter().map(|(old, _)| old.seq);
        let seqs: Vec<_> = moved.chain(merge.gone.iter().copied()).collect();
        if !seqs.is_empty() {
            restore.remove(stream, &seqs).await?;
        }
    }
    for (stream, merge) in sketch.merges.iter() {
        for seq in &merge.restore {
            let entry = read(context, &plan.streams[stream].entries[place(*seq)]).await?;
            restore.insert(std::slice::from_ref(&entry)).await?;
        }
        walk_moved(context, Some(restore.as_mut()), &merge.moved).await?;
    }
    restore.insert(&sketch.decisions).await?;
    let bucket = context.takeover.bucket().await.ok_or_else(|| {
        Error::new(
            ErrorKind::Stale,
            format!("recover {}: the bucket is nobody's", plan.tenant),
        )
    })?;
    restore.commit(&sketch.state, bucket, &named).await?;
    crash::point("diverge-committed");
    Ok(sketch.resolved())
}

fn moved_of((old, new): &(EntryMeta, EntryMeta)) -> Moved {
    Moved {
        stream: old.stream,
        from: old.seq,
        from_chain: old.chain,
        to: new.seq,
        to_chain: new.chain,
    }
}

/// The tenant's state afterwards, and the decisions that say what moved.
async fn after(
    context: &Context<'_>,
    plan: &Plan,
    seen: &TenantState,
    epoch: Epoch,
    merges: &PerStream<Merge>,
    moved: &[Moved],
) -> Result<(TenantState, Vec<Entry>)> {
    let mut state = TenantState::new(plan.tenant.clone(), epoch);
    for (stream, merge) in merges.iter() {
        state.heads[stream] = merge.head.unwrap_or(seen.heads[stream]);
        state.last_committed_at = state.last_committed_at.max(merge.last_committed_at);
    }
    state.last_committed_at = state.last_committed_at.max(seen.last_committed_at);
    // The fold of all decisions in their new order.
    let merge = &merges[Stream::Decisions];
    let renumbered = |meta: &EntryMeta| {
        let found = merge.moved.iter().find(|(old, _)| old.seq == meta.seq);
        found.map(|(_, new)| new.clone())
    };
    let guard = Guard::of(context.sides);
    let mut all = BTreeMap::new();
    for row in decisions(context, plan).await? {
        if merge.gone.contains(&row.meta.seq) {
            continue;
        }
        let mut entry = guard.entry(row).await?.entry;
        entry.meta = renumbered(&entry.meta).unwrap_or(entry.meta);
        all.insert(entry.meta.seq, entry);
    }
    for seq in &merge.restore {
        let entry = &plan.streams[Stream::Decisions].entries[place(*seq)];
        all.insert(*seq, read(context, entry).await?);
    }
    for decision in all.values() {
        state.decide(decision);
    }
    let mut renumberings = Vec::new();
    for moved in moved.chunks(MOVED_AT_ONCE) {
        let decision = renumber(context, &state, moved)?;
        state.decide(&decision);
        state.push(&decision.meta, None, None);
        renumberings.push(decision);
    }
    Ok((state, renumberings))
}

fn renumber(context: &Context<'_>, state: &TenantState, moved: &[Moved]) -> Result<Entry> {
    let text = |text: &str| {
        text.parse::<ShortText>()
            .map_err(|error| Error::new(ErrorKind::InvalidInput, error.to_string()))
    };
    let by = &context.request.by;
    let created_by = by.clone().map_or_else(|| text(RECOVERER), Ok)?;
    let body = Decision::Renumber {
        moved: moved.to_vec(),
    }
    .to_content()?;
    let head = state.heads[Stream::Decisions];
    let now = context.sides.now();
    let message = format!("{} entries moved behind the bucket's history", moved.len());
    let mut meta = EntryMeta {
        tenant: state.tenant.clone(),
        stream: Stream::Decisions,
        seq: head.seq.next(),
        id: EntryId(context.sides.entropy.uuid()),
        epoch: state.epoch,
        checksum: body.checksum(),
        chain: genesis(&state.tenant, Stream::Decisions),
        created_at: now,
        committed_at: state.last_committed_at.map_or(now, |last| last.max(now)),
        created_by: Some(created_by),
        message: Some(text(&message)?),
        content_bytes: body.len() as u64,
    };
    meta.chain = meta.expected_chain(head.chain);
    Ok(Entry {
        meta,
        content: body,
    })
}

/// Inserts the database's own entries under their new numbers, or without a restore only verifies them. They are read as they
/// were committed: the removal is not.
async fn walk_moved(
    context: &Context<'_>,
    mut restore: Option<&mut dyn Restore>,
    moved: &[(EntryMeta, EntryMeta)],
) -> Result<()> {
    let mut rest = moved;
    while let Some((old, _)) = rest.first() {
        let before = Seq::new(old.seq.get() - 1);
        let database = &context.sides.database;
        let run = database
            .pending(&old.tenant, old.stream, before, ROWS, BYTES)
            .await?;
        if run.first().is_none_or(|row| row.meta.seq != old.seq) {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "recover {}: the row of {}/{} is lost",
                    old.tenant, old.stream, old.seq
                ),
            ));
        }
        let mut entries = Vec::with_capacity(run.len());
        for row in run {
            // What was given up is passed over.
            let Some((old, new)) = rest.first().filter(|(old, _)| old.seq == row.meta.seq) else {
                continue;
            };
            rest = &rest[1..];
            let bytes = Content::from_stored(row.content.bytes().clone());
            if row.meta.chain != old.chain || bytes.checksum() != new.checksum {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "recover {}: the row of {}/{} is damaged",
                        old.tenant, old.stream, old.seq
                    ),
                )
                .hint(Hint::RestoreBackupOrAcceptLoss {
                    tenant: old.tenant.clone(),
                    stream: old.stream,
                    seq: old.seq,
                }));
            }
            entries.push(Entry {
                meta: new.clone(),
                content: bytes,
            });
        }
        if let Some(restore) = &mut restore {
            restore.insert(&entries).await?;
        }
    }
    Ok(())
}
