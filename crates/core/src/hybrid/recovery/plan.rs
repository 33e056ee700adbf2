//! What recovery of one tenant would do: the database compared with what the bucket proves, before anything moves.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures::future::{join, join_all};
use futures::stream::{self, StreamExt};

use super::Context;
use super::inventory::{self, Inventory};
use super::legacy::{self, Legacy};
use super::listing::Lister;
use crate::hybrid::bucket::BucketError;
use driftline_model::format::{Damage, Problem};
use driftline_model::{
    Entry, EntryMeta, Epoch, PerStream, Renumbering, Seq, Stream, TenantId, TenantState, Timestamp,
    VersionRef,
};
use driftline_ports::{Error, ErrorKind, Hint, RecoveryState};

/// One tenant's recovery, fetched and verified.
pub(super) struct Plan {
    pub(super) tenant: TenantId,
    /// The database's state that was compared.
    pub(super) seen: Option<TenantState>,
    pub(super) state: RecoveryState,
    pub(super) streams: PerStream<Inventory>,
    /// The numbers to restore, verified.
    pub(super) restore: PerStream<Vec<Seq>>,
    /// What cannot be restored.
    pub(super) failures: Vec<Damage>,
    pub(super) void_references: Vec<(Stream, Seq)>,
    /// The decisions among what is restored, beyond those that the database knows.
    decided: Vec<Entry>,
    /// What the older layout has to do with it, if anything.
    pub(super) legacy: Option<Legacy>,
    newest_commit: Option<Timestamp>,
}

/// Rows of the database by number.
type Rows = BTreeMap<Seq, EntryMeta>;

/// Tries of a listing that changes each time.
const LISTINGS: u32 = 4;

/// What the database and the bucket say of each stream.
async fn stock(
    context: &Context<'_>,
    tenant: &TenantId,
    keys: &[String],
) -> Result<(Option<TenantState>, PerStream<Inventory>), Error> {
    let bucket = context.sides.bucket();
    let todays = legacy::todays(tenant, keys, context.taken_over.contains(tenant));
    let inventories = join_all(Stream::ALL.into_iter().map(|stream| {
        inventory::take(
            &bucket,
            Some(context.sides.database.as_ref()),
            tenant,
            stream,
            &todays,
            context.settings.recovery_memory,
        )
    }));
    // Neither side waits for the other; what moves meanwhile is found before anything is committed.
    let (seen, inventories) = join(context.sides.database.tenant(tenant), inventories).await;
    let seen = seen?;
    let inventories = inventories.into_iter().collect::<Result<Vec<_>, _>>()?;
    let inventories: [Inventory; Stream::COUNT] = inventories
        .try_into()
        .map_err(|_| Error::new(ErrorKind::Internal, "take stock of every stream"))?;
    Ok((seen, inventories.into()))
}

impl Plan {
    /// Takes stock of both sides and verifies every object that would be restored.
    pub(super) async fn make(
        context: &Context<'_>,
        tenant: &TenantId,
        keys: &[String],
    ) -> Result<Self, Error> {
        let mut keys = Cow::Borrowed(keys);
        let (mut seen, mut streams) = stock(context, tenant, &keys).await?;
        // What no index names is known by the listing alone. One from before the look at the index may lack what was named
        // there until the index was lost, and nothing would tell that: it has to be as new as the look.
        for listings in 0.. {
            if !streams.iter().any(|(_, stream)| stream.rests_on_listing()) {
                break;
            }
            let listed = Lister::of(context.sides.snapshots.as_ref(), tenant).await?;
            if listed == *keys {
                break;
            }
            if listings == LISTINGS {
                let message = format!("recover {tenant}: objects come and go in the bucket");
                return Err(Error::new(ErrorKind::Stale, message).hint(Hint::WaitForOthers));
            }
            keys = Cow::Owned(listed);
            (seen, streams) = stock(context, tenant, &keys).await?;
        }
        let mut plan = Self {
            tenant: tenant.clone(),
            seen,
            state: RecoveryState::Nothing,
            restore: PerStream::from_fn(|_| Vec::new()),
            failures: streams
                .iter()
                .flat_map(|(_, inventory)| inventory.failures.clone())
                .collect(),
            streams,
            void_references: Vec::new(),
            decided: Vec::new(),
            legacy: None,
            newest_commit: None,
        };
        legacy::take_in(context, &mut plan, &keys).await?;
        if plan.state != RecoveryState::Diverged {
            plan.compare(context).await?;
        }
        if plan.state != RecoveryState::Diverged {
            plan.verify(context).await?;
        }
        Ok(plan)
    }

    async fn compare(&mut self, context: &Context<'_>) -> Result<(), Error> {
        let (mut ahead, mut behind, mut any) = (false, false, false);
        for stream in Stream::ALL {
            let rows = match &self.seen {
                Some(state) if state.heads[stream].seq > Seq::default() => {
                    rows(context, &self.tenant, stream).await?
                }
                _ => Rows::new(),
            };
            let inventory = &self.streams[stream];
            let head = self
                .seen
                .as_ref()
                .map_or(Seq::default(), |state| state.heads[stream].seq);
            any |= !inventory.entries.is_empty();
            for entry in &inventory.entries {
                let (seq, chain) = (entry.named.meta.seq, entry.chain());
                let other = match (rows.get(&seq), chain) {
                    (Some(row), Some(chain)) if row.chain != chain => {
                        Some(Damage::diverged(&entry.named.key(), row.chain, chain))
                    }
                    // Nothing is known of the bucket's: the one after it tells whether it was this row.
                    (Some(row), None) => inventory.unfollowed(row),
                    // The row is lost: the one after it tells whether it was this entry.
                    (None, Some(chain)) => (rows.get(&seq.next()))
                        .filter(|next| next.expected_chain(chain) != next.chain)
                        .map(|next| {
                            let (next, bucket) = (next.seq, chain);
                            let problem = Problem::Unfollowed { next, bucket };
                            Damage::new(&entry.named.key(), problem)
                        }),
                    _ => None,
                };
                if let Some(damage) = other {
                    self.state = RecoveryState::Diverged;
                    self.failures.push(damage);
                    return Ok(());
                }
                if !rows.contains_key(&seq) {
                    self.restore[stream].push(seq);
                }
            }
            // A gap at the database's head hides its chain from the rows: the lock row still has it.
            if let (Some(state), Some(chain)) = (&self.seen, inventory.chain_at(head))
                && state.heads[stream].chain != chain
            {
                self.state = RecoveryState::Diverged;
                let key = &inventory.entries[usize::try_from(head.get() - 1).unwrap_or_default()]
                    .named
                    .key();
                self.failures
                    .push(Damage::diverged(key, state.heads[stream].chain, chain));
                return Ok(());
            }
            behind |= !self.restore[stream].is_empty();
            ahead |= head > inventory.head(&self.tenant, stream).seq;
        }
        self.state = match (&self.seen, any) {
            (None, false) if self.legacy.is_none() => RecoveryState::Nothing,
            (None, _) => RecoveryState::Empty,
            (Some(_), _) if behind => RecoveryState::Behind,
            (Some(_), _) if ahead => RecoveryState::Ahead,
            (Some(_), _) => RecoveryState::Equal,
        };
        Ok(())
    }

    /// Reads and verifies what is to be restored. A lost or damaged object is a failure of its entry; the others go on.
    async fn verify(&mut self, context: &Context<'_>) -> Result<(), Error> {
        let (mut kept, mut referring) = (0, Vec::new());
        for stream in Stream::ALL {
            let wanted = std::mem::take(&mut self.restore[stream]);
            let mut reads = stream::iter(wanted)
                .map(|seq| {
                    let entry = &self.streams[stream].entries[place(seq)];
                    async move { (seq, read(context, entry).await) }
                })
                .buffered(context.settings.concurrent_requests);
            let (mut good, mut contents) = (Vec::new(), Vec::new());
            let (mut failures, mut read_entries) = (Vec::new(), Vec::new());
            while let Some((seq, read)) = reads.next().await {
                match read {
                    Ok(entry) => {
                        context.progress.entry(entry.meta.content_bytes);
                        self.newest_commit = self.newest_commit.max(Some(entry.meta.committed_at));
                        if stream == Stream::Decisions && self.is_beyond(stream, seq) {
                            self.decided.push(entry.clone());
                        }
                        for reference in stream.references(&entry.content) {
                            read_entries.push((seq, reference));
                        }
                        kept += entry.meta.content_bytes;
                        if kept <= context.settings.recovery_memory {
                            contents.push((seq, entry.content));
                        }
                        good.push(seq);
                    }
                    Err(BucketError::Damage(damage)) => failures.push(damage),
                    Err(error @ BucketError::Store(_)) => return Err(error.into()),
                }
            }
            drop(reads);
            for (seq, content) in contents {
                self.streams[stream].entries[place(seq)].content = Some(content);
            }
            referring.extend(read_entries.into_iter().map(|(seq, to)| (stream, seq, to)));
            self.restore[stream] = good;
            self.failures.extend(failures);
        }
        // What was renumbered is followed to where it is now.
        let mut moved = Renumbering::default();
        for decision in &self.decided {
            moved.extend(decision);
        }
        let void = referring
            .into_iter()
            .filter(|(_, _, to)| !self.resolves(*to) && !self.resolves(moved.follow(*to)))
            .map(|(stream, seq, _)| (stream, seq));
        self.void_references = void.collect();
        self.void_references.dedup();
        Ok(())
    }

    fn resolves(&self, reference: VersionRef) -> bool {
        match self.streams[Stream::Manifests].chain_at(reference.version) {
            Some(chain) => chain == reference.chain,
            // Beyond what the bucket knows only the database can tell; it holds the row or its head does not reach there.
            None => self
                .seen
                .as_ref()
                .is_some_and(|state| state.heads[Stream::Manifests].seq >= reference.version),
        }
    }

    /// The newest epoch on either side.
    pub(super) fn epoch(&self) -> Epoch {
        let bucket = self
            .streams
            .iter()
            .map(|(_, inventory)| inventory.epoch())
            .max()
            .unwrap_or_default();
        // The keys of the first epoch are those of the older layout's objects.
        let taken = self
            .legacy
            .as_ref()
            .map_or(Epoch::default(), |_| Epoch::FIRST);
        bucket.max(taken).max(
            self.seen
                .as_ref()
                .map_or(Epoch::default(), |state| state.epoch),
        )
    }

    /// Whether an index is in a later epoch than the database: a recovery was cut off. An index of the older layout has to be
    /// taken over just so.
    pub(super) fn is_cut_off(&self) -> bool {
        if self.legacy.as_ref().is_some_and(Legacy::is_due) {
            return true;
        }
        let database = self
            .seen
            .as_ref()
            .map_or(Epoch::default(), |state| state.epoch);
        self.streams.iter().any(|(_, inventory)| {
            inventory
                .index
                .as_ref()
                .is_some_and(|index| index.epoch > database)
        })
    }

    /// Something comes back, or a head moves. A hole that nothing fills is no reason for another epoch each time.
    pub(super) fn brings_back(&self) -> bool {
        let advances = self.streams.iter().any(|(stream, inventory)| {
            self.is_beyond(stream, inventory.head(&self.tenant, stream).seq)
        });
        self.restored() > 0 || advances
    }

    /// Entries to restore over all streams.
    pub(super) fn restored(&self) -> u64 {
        self.restore.iter().map(|(_, seqs)| seqs.len() as u64).sum()
    }

    /// The tenant's state once everything is restored.
    pub(super) fn outcome(&self, epoch: Epoch) -> TenantState {
        let mut state = self
            .seen
            .clone()
            .unwrap_or_else(|| TenantState::new(self.tenant.clone(), epoch));
        state.epoch = epoch;
        state.awaiting_recovery = self.legacy.as_ref().is_some_and(|legacy| legacy.held() > 0);
        state.last_committed_at = state.last_committed_at.max(self.newest_commit);
        for (stream, inventory) in self.streams.iter() {
            let head = inventory.head(&self.tenant, stream);
            if head.seq > state.heads[stream].seq {
                state.heads[stream] = head;
            }
        }
        for decision in &self.decided {
            state.decide(decision);
        }
        state
    }

    /// The database's history ends before this number.
    fn is_beyond(&self, stream: Stream, seq: Seq) -> bool {
        let seen = self.seen.as_ref();
        seen.is_none_or(|state| state.heads[stream].seq < seq)
    }
}

/// An entry's place in a dense list from 1.
pub(super) fn place(seq: Seq) -> usize {
    usize::try_from(seq.get().saturating_sub(1)).unwrap_or(usize::MAX)
}

/// The entry, from memory or from the bucket.
pub(super) async fn read(
    context: &Context<'_>,
    entry: &inventory::Recoverable,
) -> Result<Entry, BucketError> {
    if let Some(unknown) = &entry.unknown {
        return Err(unknown.damage.clone().into());
    }
    if let Some(content) = &entry.content {
        let meta = EntryMeta {
            content_bytes: content.len() as u64,
            ..entry.named.meta.clone()
        };
        return Ok(Entry {
            meta,
            content: content.clone(),
        });
    }
    let _permit = context.requests.acquire().await;
    if let Some(key) = &entry.legacy {
        return legacy::read(context, key, &entry.named).await;
    }
    Ok(context.sides.bucket().snapshot(&entry.named).await?.entry)
}

async fn rows(context: &Context<'_>, tenant: &TenantId, stream: Stream) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    let mut before = None;
    loop {
        let page = context
            .sides
            .database
            .history(tenant, stream, before, 1000)
            .await?;
        before = page.last().map(|meta| meta.seq);
        let full = page.len() == 1000;
        rows.extend(page.into_iter().map(|meta| (meta.seq, meta)));
        if !full {
            return Ok(rows);
        }
    }
}
