//! One stream of both histories, and which of its entries is where afterwards.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};

use super::super::Context;
use super::super::inventory::Inventory;
use super::super::plan::{Plan, place, read};
use crate::hybrid::bucket::BucketError;
use crate::hybrid::{history, proven};
use driftline_model::format::{Damage, Problem};
use driftline_model::{
    AcceptedLosses, Entry, EntryMeta, Epoch, Head, Seq, Stream, TenantState, Timestamp,
};
use driftline_ports::{Error, ErrorKind, Hint, Result};

/// Lost rows of one run that are taken for that.
const LOST_AT_MOST: u64 = 100_000;

/// One stream of both histories.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Entries of the bucket that the database lacks.
    pub(super) restore: Vec<Seq>,
    /// The database's entries that move, with their new numbers and chains.
    pub(super) moved: Vec<(EntryMeta, EntryMeta)>,
    /// Entries of the bucket's history that neither side holds any more. They stay lost.
    pub(super) lost: BTreeMap<Seq, Damage>,
    /// Entries of the database's own history that are lost: what follows them moves up.
    pub(super) gone: Vec<Seq>,
    /// The stream afterwards.
    pub(super) head: Option<Head>,
    pub(super) last_committed_at: Option<Timestamp>,
}

impl Merge {
    /// Entries of the bucket come back, but for those that nothing holds any more: they stand in nobody's way. Which those are
    /// is found out once.
    async fn take_back(
        &mut self,
        context: &Context<'_>,
        inventory: &Inventory,
        wanted: impl Iterator<Item = Seq> + Send,
        known: Option<&BTreeMap<Seq, Damage>>,
    ) -> Result<()> {
        if let Some(known) = known {
            for seq in wanted {
                match known.get(&seq) {
                    Some(damage) => {
                        self.lost.insert(seq, damage.clone());
                    }
                    None => self.restore.push(seq),
                }
            }
            return Ok(());
        }
        let mut reads = stream::iter(wanted)
            .map(|seq| async move { (seq, read(context, &inventory.entries[place(seq)]).await) })
            .buffered(context.settings.concurrent_requests);
        while let Some((seq, read)) = reads.next().await {
            match read {
                Ok(entry) => {
                    context.progress.entry(entry.meta.content_bytes);
                    self.restore.push(seq);
                }
                Err(BucketError::Damage(damage)) => {
                    self.lost.insert(seq, damage);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What neither side holds any more, of either history.
    pub(super) fn losses(&self, stream: Stream) -> impl Iterator<Item = Damage> {
        let gone = self
            .gone
            .iter()
            .map(move |seq| Damage::new(&format!("row {stream}/{seq}"), Problem::RowLost));
        self.lost.values().cloned().chain(gone)
    }
}

/// What the merge of one stream is made from.
pub(super) struct Merging<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) plan: &'a Plan,
    pub(super) seen: &'a TenantState,
    pub(super) stream: Stream,
    pub(super) epoch: Epoch,
    /// Losses that somebody accepted.
    pub(super) accepted: &'a BTreeSet<(Stream, Seq)>,
    /// What of the bucket's history is known to be lost, if somebody looked.
    pub(super) known: Option<&'a BTreeMap<Seq, Damage>>,
}

impl Merging<'_> {
    pub(super) async fn run(&self) -> Result<Merge> {
        let &Self {
            context,
            plan,
            stream,
            ..
        } = self;
        let inventory = &plan.streams[stream];
        let ours = self.seen.heads[stream];
        let rows = rows(context, plan, stream, ours.seq).await?;
        let mut merge = Merge {
            last_committed_at: inventory
                .entries
                .last()
                .map(|it| it.named.meta.committed_at),
            ..Merge::default()
        };
        let has_row = |seq: Seq| rows.binary_search_by_key(&seq, |row| row.seq).is_ok();
        let bucket_head = inventory.head(&plan.tenant, stream);
        let Some(split) = Split::of(inventory, &rows) else {
            let lacks = |seq: &Seq| !has_row(*seq);
            let lacking = (1..=bucket_head.seq.get()).map(Seq::new).filter(lacks);
            merge
                .take_back(context, inventory, lacking, self.known)
                .await?;
            // A lost row at the head was another entry than the bucket's: the lock row still has its chain.
            if inventory
                .chain_at(ours.seq)
                .is_some_and(|chain| chain != ours.chain)
            {
                merge.gone.push(ours.seq);
            }
            merge.head = Some(if ours.seq > bucket_head.seq {
                ours
            } else {
                bucket_head
            });
            return Ok(merge);
        };
        let first = split.first;
        merge.gone.extend(split.lost);
        let lacking = (1..first.get()).map(Seq::new).filter(|seq| !has_row(*seq));
        let theirs = (first.get()..=bucket_head.seq.get()).map(Seq::new);
        merge
            .take_back(context, inventory, lacking.chain(theirs), self.known)
            .await?;
        let own = rows.iter().filter(|row| row.seq >= first);
        self.move_up(&mut merge, own, first, bucket_head).await?;
        Ok(merge)
    }

    /// The database's entries come after the bucket's. One that is lost leaves no hole.
    async fn move_up(
        &self,
        merge: &mut Merge,
        own: impl Iterator<Item = &EntryMeta> + Send,
        first: Seq,
        after: Head,
    ) -> Result<()> {
        let Head { mut seq, mut chain } = after;
        let mut at = merge.last_committed_at;
        let mut expected = first;
        for row in own {
            self.lose(merge, expected, row.seq)?;
            expected = row.seq.next();
            if self.is_given_up(row).await? {
                merge.gone.push(row.seq);
                continue;
            }
            let mut new = row.clone();
            seq = seq.next();
            new.seq = seq;
            new.epoch = self.epoch;
            new.committed_at = at.map_or(row.committed_at, |at| at.max(row.committed_at));
            new.chain = new.expected_chain(chain);
            (chain, at) = (new.chain, Some(new.committed_at));
            merge.moved.push((row.clone(), new));
        }
        let head = self.seen.heads[self.stream].seq;
        self.lose(merge, expected, head.next())?;
        merge.last_committed_at = at;
        merge.head = Some(Head { seq, chain });
        Ok(())
    }

    /// There is no row of these. A number that is damaged itself would make up any number of them.
    fn lose(&self, merge: &mut Merge, from: Seq, end: Seq) -> Result<()> {
        if end.get().saturating_sub(from.get()) > LOST_AT_MOST {
            let tenant = &self.plan.tenant;
            let message = format!(
                "recover {tenant}: the rows of {}/{from} to {} are lost; so many make it likely that a number is damaged",
                self.stream,
                end.get() - 1
            );
            return Err(
                Error::new(ErrorKind::Damaged, message).hint(Hint::RestoreBackup {
                    nothing_changed: true,
                }),
            );
        }
        merge.gone.extend((from.get()..end.get()).map(Seq::new));
        Ok(())
    }

    /// A row that is damaged, and that somebody accepted as lost.
    async fn is_given_up(&self, row: &EntryMeta) -> Result<bool> {
        if !self.accepted.contains(&(row.stream, row.seq)) {
            return Ok(false);
        }
        let database = &self.context.sides.database;
        let stored = database.entry(&row.tenant, row.stream, row.seq).await?;
        let Some(stored) = stored else {
            return Ok(true);
        };
        Ok(proven::damage_of(&stored.entry).await.is_some())
    }
}

/// The losses that decisions of the database accept, and that still count.
pub(super) async fn accepted(
    context: &Context<'_>,
    plan: &Plan,
) -> Result<BTreeSet<(Stream, Seq)>> {
    let mut losses = AcceptedLosses::default();
    let head = each_decision(context, plan, |decision| losses.decide(decision)).await?;
    Ok(losses.up_to(head).into_keys().collect())
}

/// The database's decisions, oldest first.
pub(super) async fn decisions(context: &Context<'_>, plan: &Plan) -> Result<Vec<Entry>> {
    let mut decisions = Vec::new();
    each_decision(context, plan, |decision| decisions.push(decision)).await?;
    Ok(decisions)
}

/// Takes the database's decisions, oldest first; their head.
async fn each_decision(
    context: &Context<'_>,
    plan: &Plan,
    take: impl FnMut(Entry) + Send,
) -> Result<Seq> {
    let seen = plan.seen.as_ref();
    let head = seen.map_or(Seq::default(), |seen| seen.heads[Stream::Decisions].seq);
    let there = rows(context, plan, Stream::Decisions, head).await?;
    let there = there.into_iter().map(|row| row.seq);
    let (database, tenant) = (context.sides.database.as_ref(), &plan.tenant);
    history::each_row(database, tenant, Stream::Decisions, there, take).await?;
    Ok(head)
}

/// Where a history stops being the bucket's.
struct Split {
    /// The first row that is not.
    first: Seq,
    /// The lost one before it, if that was not the bucket's either.
    lost: Option<Seq>,
}

impl Split {
    /// The bucket has another entry than the row, or the row before is lost and the bucket's is not the one that this row
    /// follows.
    fn of(inventory: &Inventory, rows: &[EntryMeta]) -> Option<Self> {
        let theirs = |seq: Seq| inventory.chain_at(seq);
        let mut before = Seq::default();
        for row in rows {
            let is_after_a_gap = before.next() != row.seq;
            before = row.seq;
            let left = Seq::new(row.seq.get() - 1);
            let follows = |it| row.expected_chain(it) == row.chain;
            let lost =
                (is_after_a_gap && theirs(left).is_some_and(|it| !follows(it))).then_some(left);
            let differs = match theirs(row.seq) {
                Some(chain) => chain != row.chain,
                None => inventory.unfollowed(row).is_some(),
            };
            if differs || lost.is_some() {
                let first = row.seq;
                return Some(Self { first, lost });
            }
        }
        None
    }
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
