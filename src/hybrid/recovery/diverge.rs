//! Two histories become one: the bucket's numbers stand, and what only the database has comes after them.
//!
//! Per stream, up to the last number at which both chains agree nothing changes. Behind it the bucket's entries are restored
//! as they are, and the database's get new numbers, chains and the new epoch; id, content, author and times stay (a commit time
//! never goes back). What moved is a decision of its own, so that whoever recovers later follows the references too.

use crate::domain::content::Content;
use crate::domain::format::{Damage, Problem, parse_snapshot_key};
use crate::domain::{
    Decision, Entry, EntryId, EntryMeta, Epoch, Head, Moved, PerStream, Seq, ShortText, Stream,
    TenantState, Timestamp, genesis,
};
use crate::ports::{Error, ErrorKind, Hint, Restore, Result};

use super::Context;
use super::inventory::Inventory;
use super::plan::{Plan, place, read};
use super::restore::{fence, unmoved};
use super::target::RECOVERER;
use crate::hybrid::bucket::BucketError;
use crate::hybrid::crash;
use crate::hybrid::proven::Guard;

/// What one decision names at most: it has to stay a document of sensible size.
const MOVED_AT_ONCE: usize = 10_000;
/// Rows read at once, and their content in bytes.
const ROWS: u32 = 512;
const BYTES: u64 = 8 * 1024 * 1024;

/// One stream of both histories.
#[derive(Debug, Default)]
struct Merge {
    /// Entries of the bucket that the database lacks.
    restore: Vec<Seq>,
    /// The database's entries that move, with their new numbers and chains.
    moved: Vec<(EntryMeta, EntryMeta)>,
    /// Entries below the first difference that neither side holds any more. They stay lost.
    lost: Vec<Damage>,
    /// The stream afterwards.
    head: Option<Head>,
    last_committed_at: Option<Timestamp>,
}

impl Merge {
    /// Entries below the first difference come back, but for those that nothing holds any more: they stand in nobody's way.
    async fn take_back(
        &mut self,
        context: &Context<'_>,
        inventory: &Inventory,
        lacking: impl Iterator<Item = Seq>,
    ) -> Result<()> {
        for seq in lacking {
            match read(context, &inventory.entries[place(seq)]).await {
                Ok(_) => self.restore.push(seq),
                Err(BucketError::Damage(damage)) => self.lost.push(damage),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What became of two histories, or would.
pub(super) struct Resolved {
    /// The tenant's state afterwards.
    pub(super) state: TenantState,
    /// The database's entries under their new numbers.
    pub(super) moved: Vec<Moved>,
    /// Entries of the bucket that the database lacked.
    pub(super) rows: PerStream<Vec<Seq>>,
    /// Entries of both histories that neither side holds any more.
    pub(super) lost: Vec<Damage>,
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
    ) -> Result<Self> {
        let mut merges = PerStream::from_fn(|_| Merge::default());
        for stream in Stream::ALL {
            merges[stream] = merge(context, plan, seen, stream, epoch).await?;
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
            lost: (Stream::ALL.into_iter())
                .flat_map(|stream| std::mem::take(&mut merges[stream].lost))
                .collect(),
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
    let sketch = Sketch::make(context, plan, seen, plan.epoch().next()).await?;
    for (stream, merge) in sketch.merges.iter() {
        for seq in &merge.restore {
            let entry = read(context, &plan.streams[stream].entries[place(*seq)]).await?;
            context.progress.entry(entry.meta.content_bytes);
        }
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
    let sketch = Sketch::make(context, plan, &seen, epoch).await?;
    for (_, merge) in sketch.merges.iter() {
        plan.failures.extend(merge.lost.iter().cloned());
    }
    fence(context, plan, epoch).await?;
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
        let seqs: Vec<_> = merge.moved.iter().map(|(old, _)| old.seq).collect();
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
    let named = PerStream::from_fn(|stream| plan.streams[stream].head(&plan.tenant, stream).seq);
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

async fn merge(
    context: &Context<'_>,
    plan: &Plan,
    seen: &TenantState,
    stream: Stream,
    epoch: Epoch,
) -> Result<Merge> {
    let inventory = &plan.streams[stream];
    let rows = rows(context, plan, stream, seen.heads[stream].seq).await?;
    // A row below the first difference may be lost, and comes back; one above it would leave a hole in what moves.
    let first = first_difference(inventory, &rows);
    let mut merge = Merge {
        last_committed_at: inventory
            .entries
            .last()
            .map(|it| it.named.meta.committed_at),
        ..Merge::default()
    };
    let has_row = |seq: Seq| rows.binary_search_by_key(&seq, |row| row.seq).is_ok();
    let bucket_head = inventory.head(&plan.tenant, stream);
    let Some(first) = first else {
        let lacks = |seq: &Seq| !has_row(*seq);
        let lacking = (1..=bucket_head.seq.get()).map(Seq::new).filter(lacks);
        merge.take_back(context, inventory, lacking).await?;
        let ours = seen.heads[stream];
        merge.head = Some(if ours.seq > bucket_head.seq {
            ours
        } else {
            bucket_head
        });
        return Ok(merge);
    };
    let lacking = (1..first.get()).map(Seq::new).filter(|seq| !has_row(*seq));
    merge.take_back(context, inventory, lacking).await?;
    let theirs = first.get()..=bucket_head.seq.get();
    merge.restore.extend(theirs.map(Seq::new));
    let (mut seq, mut chain) = (bucket_head.seq, bucket_head.chain);
    let mut at = merge.last_committed_at;
    let mut expected = first;
    for row in rows.iter().filter(|row| row.seq >= first) {
        if row.seq != expected {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "recover {}: the row of {stream}/{expected} is lost, and what follows it cannot be renumbered",
                    plan.tenant
                ),
            )
            .hint(Hint::RestoreBackup { nothing_changed: true }));
        }
        expected = row.seq.next();
        let mut new = row.clone();
        seq = seq.next();
        new.seq = seq;
        new.epoch = epoch;
        new.committed_at = at.map_or(row.committed_at, |at| at.max(row.committed_at));
        new.chain = new.expected_chain(chain);
        (chain, at) = (new.chain, Some(new.committed_at));
        merge.moved.push((row.clone(), new));
    }
    merge.last_committed_at = at;
    merge.head = Some(Head { seq, chain });
    Ok(merge)
}

/// The first row of a history that is not the bucket's: the bucket has another entry there, or the row before is lost and the
/// bucket's is not the one that this row follows.
fn first_difference(inventory: &Inventory, rows: &[EntryMeta]) -> Option<Seq> {
    let theirs = |seq: Seq| inventory.chain_at(seq);
    let mut before = Seq::default();
    for row in rows {
        let is_after_a_gap = before.next() != row.seq;
        before = row.seq;
        let is_other = match theirs(row.seq) {
            Some(chain) => chain != row.chain,
            None => inventory.unfollowed(row).is_some(),
        };
        if is_other {
            return Some(row.seq);
        }
        let left = Seq::new(row.seq.get() - 1);
        if is_after_a_gap && theirs(left).is_some_and(|it| row.expected_chain(it) != row.chain) {
            return Some(row.seq);
        }
    }
    None
}

/// The rows of a stream, oldest first.
async fn rows(
    context: &Context<'_>,
    plan: &Plan,
    stream: Stream,
    head: Seq,
) -> Result<Vec<EntryMeta>> {
    let (mut rows, mut before) = (Vec::new(), Some(head.next()));
    while head > Seq::default() {
        let database = &context.sides.database;
        let page = database.history(&plan.tenant, stream, before, 1000).await?;
        before = page.last().map(|meta| meta.seq);
        let full = page.len() == 1000;
        rows.extend(page);
        if !full {
            break;
        }
    }
    rows.reverse();
    Ok(rows)
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
    let mut all = std::collections::BTreeMap::new();
    let mut from = Seq::default();
    loop {
        let database = &context.sides.database;
        let run = database
            .pending(&plan.tenant, Stream::Decisions, from, ROWS, BYTES)
            .await?;
        let Some(last) = run.last() else { break };
        from = last.meta.seq;
        for row in run {
            let mut entry = guard.entry(row).await?.entry;
            entry.meta = renumbered(&entry.meta).unwrap_or(entry.meta);
            all.insert(entry.meta.seq, entry);
        }
    }
    for seq in &merge.restore {
        let entry = &plan.streams[Stream::Decisions].entries[place(*seq)];
        all.insert(*seq, read(context, entry).await?);
    }
    for decision in all.values() {
        state.decide(decision);
    }
    let mut decisions = Vec::new();
    for moved in moved.chunks(MOVED_AT_ONCE) {
        let decision = renumber(context, &state, moved)?;
        state.decide(&decision);
        state.push(&decision.meta, None, None);
        decisions.push(decision);
    }
    Ok((state, decisions))
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
        let (now, later) = rest.split_at(run.len().min(rest.len()));
        if now.is_empty() {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "recover {}: the row of {}/{} is lost",
                    old.tenant, old.stream, old.seq
                ),
            ));
        }
        let mut entries = Vec::with_capacity(now.len());
        for ((old, new), row) in now.iter().zip(run) {
            let bytes = Content::from_stored(row.content.bytes().clone());
            if row.meta.chain != old.chain || bytes.checksum() != new.checksum {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "recover {}: the row of {}/{} is damaged",
                        old.tenant, old.stream, old.seq
                    ),
                )
                .hint(Hint::RestoreBackup {
                    nothing_changed: false,
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
        rest = later;
    }
    Ok(())
}
