//! What must be true, at each step and at the end.
//!
//! The model sees what really happened, whatever the callers were told: every append that a database took and every object
//! that the bucket took, in their order.

mod bucket;
mod decay;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::domain::format::Snapshot;
use driftline::domain::{
    Digest, Entry, EntryId, EntryMeta, Epoch, Halt, PerStream, Seq, Stream, TenantId,
};
use driftline::ports::{Appended, Manifest, NewEntry, Source};

pub use self::rows::{all_rows, rows, state, stopped};
use crate::world::Node;

/// What was violated, in words.
#[derive(Debug)]
pub struct Broken(pub String);

pub type Checked = Result<(), Broken>;

pub fn broken<T>(what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken(what.into()))
}

/// What the bucket's index of one stream names now, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    pub epoch: Epoch,
    pub sealed: u64,
    pub entries: Vec<(EntryId, Digest)>,
}

impl Named {
    pub fn chain_at(&self, seq: Seq) -> Option<Digest> {
        let place = usize::try_from(seq.get().checked_sub(1)?).ok()?;
        self.entries.get(place).map(|(_, chain)| *chain)
    }
}

/// What each index names.
pub type AllNamed = BTreeMap<(TenantId, Stream), Named>;

#[derive(Debug, Default)]
pub struct Model {
    /// Every entry that some database ever committed.
    entries: BTreeMap<EntryId, Entry>,
    /// Those that no loss excuses: a surviving side took them.
    must: BTreeSet<EntryId>,
    /// What each index names.
    named: AllNamed,
    /// The bytes of the newest index of each stream: they were parsed once.
    parsed: BTreeMap<(TenantId, Stream), Bytes>,
    /// What an index of this bucket named at any time.
    once_named: BTreeSet<EntryId>,
    /// Which entry an idempotency key made.
    keyed: BTreeMap<(TenantId, String), EntryId>,
    /// Entries whose keys were lost with their database.
    restored: BTreeSet<EntryId>,
    /// What entries were before they moved behind another history.
    moved: BTreeMap<EntryId, Vec<Entry>>,
    /// Rows, snapshots and indexes or pages that rotted at any time.
    rotten_rows: BTreeSet<(TenantId, Stream, Seq)>,
    rotten_objects: BTreeSet<(TenantId, Stream, Seq)>,
    rotten_indexes: BTreeSet<(TenantId, Stream)>,
    /// Numbers whose row some database lost, or did not get back.
    holes: BTreeSet<(TenantId, Stream, Seq)>,
}

impl Model {
    /// A database takes no write before it has seen its bucket, and none of a tenant of which the bucket may know more
    /// (invariant 10).
    pub fn allowed(node: &Node, stopped: Option<&'static str>, told: &Appended) -> Checked {
        match (told, stopped) {
            (Appended::Committed { meta, .. }, Some(why)) => broken(format!(
                "{} {} of {} was taken by {}, which {why}",
                meta.stream, meta.seq, meta.tenant, node.name
            )),
            _ => Ok(()),
        }
    }

    /// A database took an append, or did not.
    pub fn appended(
        &mut self,
        node: &Node,
        surviving: bool,
        entry: &NewEntry,
        told: &Appended,
    ) -> Checked {
        let Appended::Committed { meta, .. } = told else {
            return Ok(());
        };
        let made = Entry {
            meta: meta.clone(),
            content: entry.content.clone(),
        };
        if let Some(key) = &entry.idempotency_key {
            let key = (meta.tenant.clone(), key.as_str().to_owned());
            if let Some(first) = self.keyed.insert(key.clone(), meta.id)
                && !self.restored.contains(&first)
                && rows(node, &meta.tenant, meta.stream)
                    .iter()
                    .any(|row| row.meta.id == first)
            {
                return broken(format!(
                    "the key {} made a second entry, {}",
                    key.1, meta.seq
                ));
            }
        }
        if surviving {
            self.must.insert(meta.id);
        }
        self.entries.insert(meta.id, made);
        Ok(())
    }

    /// A watermark moved forward: the index names that entry, and the row there is that entry (invariant 5).
    pub fn marked(&self, node: &Node, tenant: &TenantId, stream: Stream, seq: Seq) -> Checked {
        if seq == Seq::default() {
            return Ok(());
        }
        let named = self.named(tenant, stream).chain_at(seq);
        let row = rows::chain_at(node, tenant, stream, seq);
        match (named, row) {
            (Some(named), Some(row)) if named == row => Ok(()),
            // What rotted meanwhile is nobody's fault: a verification tells, and a repair mends it.
            (None, _) if self.rotten_indexes.contains(&(tenant.clone(), stream)) => Ok(()),
            (_, None) if self.is_rotten(tenant, stream, seq) => Ok(()),
            (None, _) => broken(format!(
                "the watermark of {tenant}'s {stream} on {} moved to {seq}, which the index does not name",
                node.name
            )),
            (Some(_), row) => broken(format!(
                "the watermark of {tenant}'s {stream} on {} moved to {seq}, where the database has {} and the index another entry",
                node.name,
                row.map_or("nothing", |_| "one")
            )),
        }
    }

    /// A restore was committed.
    pub fn restored(
        &mut self,
        node: &Node,
        tenant: &TenantId,
        (removed, inserted): (&[Entry], &[Entry]),
        (before, marks): (&PerStream<Seq>, &PerStream<Seq>),
    ) -> Checked {
        self.replaced(node, removed, inserted)?;
        self.restored
            .extend(inserted.iter().map(|entry| entry.meta.id));
        for stream in Stream::ALL {
            self.left_out(node, tenant, stream)?;
            if marks[stream] > before[stream] {
                self.marked(node, tenant, stream, marks[stream])?;
            }
        }
        Ok(())
    }

    /// A restore leaves no number out whose entry nothing befell.
    fn left_out(&mut self, node: &Node, tenant: &TenantId, stream: Stream) -> Checked {
        let there: BTreeSet<Seq> = (all_rows(node, tenant, stream).iter())
            .map(|row| row.meta.seq)
            .collect();
        let head = state(node, tenant).map_or(0, |status| status.state.heads[stream].seq.get());
        for seq in (1..=head).map(Seq::new).filter(|seq| !there.contains(seq)) {
            if !self.is_rotten(tenant, stream, seq) {
                return broken(format!(
                    "{stream} {seq} of {tenant} did not come back, and nothing befell it"
                ));
            }
            self.holes.insert((tenant.clone(), stream, seq));
        }
        Ok(())
    }

    /// Shadowing was halted: the two sides do disagree (invariant 7).
    pub fn halted(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        tenant: &TenantId,
        halt: &Halt,
    ) -> Checked {
        match self.divergence(bucket, node, tenant) {
            Some(_) => Ok(()),
            // They did when it was found, and what told rotted or was moved away before it was put on record.
            None if self.was_told(tenant, halt)
                || self.was_moved_away(bucket, node, tenant, halt) =>
            {
                Ok(())
            }
            None => broken(format!(
                "{tenant} was halted on {} ({}), but the two sides do not disagree",
                node.name, halt.reason
            )),
        }
    }

    /// An index that rotted named what the halt says of the bucket.
    fn was_told(&self, tenant: &TenantId, halt: &Halt) -> bool {
        let is_it = |id: &EntryId| {
            let meta = &self.entries[id].meta;
            (&meta.tenant, meta.stream, meta.chain) == (tenant, halt.stream, halt.bucket)
        };
        let is_rotten = self.rotten_indexes.contains(&(tenant.clone(), halt.stream));
        is_rotten && self.once_named.iter().any(is_it)
    }

    /// The database still has what was compared, and what the halt says of the bucket lies in the quarantine: what rotted where
    /// the entry's object belongs, or another history's entry of that number.
    fn was_moved_away(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        tenant: &TenantId,
        halt: &Halt,
    ) -> bool {
        let (stream, seq) = (halt.stream, halt.seq);
        let row = rows::row(node, tenant, stream, seq);
        if row.is_none_or(|row| row.meta.chain != halt.database) {
            return false;
        }
        let rotted = (self.rotten_objects).contains(&(tenant.clone(), stream, seq));
        let is_it = |bytes: &Bytes| {
            let other = (self.entries.values()).find(|it| it.meta.chain == halt.bucket);
            let other = other.filter(|it| (it.meta.stream, it.meta.seq) == (stream, seq));
            (rotted && Digest::of(bytes) == halt.bucket)
                || other.is_some_and(|it| Snapshot::write(it) == *bytes)
        };
        let copies = bucket::quarantined(bucket, tenant, stream, seq);
        copies.iter().any(is_it)
    }

    /// A reader was served: these very bytes were written under this number.
    pub fn served(&self, manifest: &Manifest) -> Checked {
        let Manifest { entry, source, .. } = manifest;
        self.known(&entry.meta)?;
        let written = &self.entries[&entry.meta.id];
        let meta = &entry.meta;
        // A database is believed until somebody verifies it: `verify` reads every row.
        let place = (meta.tenant.clone(), meta.stream, meta.seq);
        let is_rotten = *source == Source::Database && self.rotten_rows.contains(&place);
        if written.content.as_bytes() != entry.content.as_bytes() && !is_rotten {
            return broken(format!(
                "version {} of {} was served from {source:?} with other bytes than were written",
                entry.meta.seq, entry.meta.tenant
            ));
        }
        Ok(())
    }

    /// A page of a history: dense, newest first, each entry once and as it was committed.
    pub fn listed(&self, newest_first: &[EntryMeta]) -> Checked {
        let mut seen = BTreeSet::new();
        for (place, meta) in newest_first.iter().enumerate() {
            self.known(meta)?;
            if !seen.insert(meta.id) {
                return broken(format!("{} {} is listed twice", meta.stream, meta.id));
            }
            let next = meta.seq.next();
            let hole = (meta.tenant.clone(), meta.stream, next);
            if place > 0 && newest_first[place - 1].seq != next && !self.holes.contains(&hole) {
                return broken(format!(
                    "{} {} of {} is left out",
                    meta.stream,
                    meta.seq.next(),
                    meta.tenant
                ));
            }
        }
        Ok(())
    }

    /// A page of what the bucket can bring back. Without an index the objects tell, and nothing proves one that rotted into
    /// something else: it is read and judged before anything is restored.
    pub fn recoverable(&self, bucket: &MemorySnapshotStore, newest_first: &[EntryMeta]) -> Checked {
        let is_proven = |meta: &EntryMeta| {
            bucket::is_readable(bucket, &meta.tenant, meta.stream) || !self.has_rotten_object(meta)
        };
        if newest_first.iter().all(is_proven) {
            return self.listed(newest_first);
        }
        Ok(())
    }

    /// The entry is one that was committed, unchanged.
    pub fn known(&self, meta: &EntryMeta) -> Checked {
        let before = self.moved.get(&meta.id).into_iter().flatten();
        let mut before = before.map(|made| &made.meta);
        if before.any(|made| made.is_same_as(meta) && made.tenant == meta.tenant) {
            return Ok(());
        }
        match self.entries.get(&meta.id) {
            Some(made) if made.meta.is_same_as(meta) && made.meta.tenant == meta.tenant => Ok(()),
            Some(_) => broken(format!(
                "{} {} of {} is not what was committed",
                meta.stream, meta.seq, meta.tenant
            )),
            None => broken(format!(
                "{} {} of {} was never committed",
                meta.stream, meta.seq, meta.tenant
            )),
        }
    }

    /// The row is an entry as it was committed, or as it was moved.
    pub fn is_entry(&self, row: &Entry) -> bool {
        let made = self.entries.get(&row.meta.id);
        made.is_some_and(|made| made == row)
    }

    /// Where the database and the index name two entries, both of them committed. Of an index that nobody can read only what its
    /// objects still tell counts.
    pub fn two_histories(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        tenant: &TenantId,
    ) -> Option<String> {
        for stream in Stream::ALL {
            let named = self.named(tenant, stream);
            let is_readable = bucket::is_readable(bucket, tenant, stream);
            let other = |row: &Entry| {
                let place = usize::try_from(row.meta.seq.get() - 1).expect("small");
                let there = named.entries.get(place);
                there.is_some_and(|(id, chain)| {
                    *chain != row.meta.chain && (is_readable || self.has_object(bucket, *id))
                })
            };
            let mut rows = all_rows(node, tenant, stream).into_iter();
            if let Some(row) = rows.find(other) {
                return Some(format!("two histories meet at {stream} {}", row.meta.seq));
            }
        }
        None
    }

    pub fn all_named(&self) -> AllNamed {
        self.named.clone()
    }

    pub fn named(&self, tenant: &TenantId, stream: Stream) -> Named {
        let named = self.named.get(&(tenant.clone(), stream));
        named.cloned().unwrap_or_default()
    }

    /// What of a tenant must be there.
    pub fn owed(&self, tenant: &TenantId) -> Vec<EntryMeta> {
        let owed = self.must.iter().filter_map(|id| self.entries.get(id));
        let owed = owed.filter(|entry| entry.meta.tenant == *tenant);
        owed.map(|entry| entry.meta.clone()).collect()
    }

    /// The bucket is an older one: it names what it named then.
    pub fn bucket_replaced(&mut self, bucket: &MemorySnapshotStore, node: &Node, named: AllNamed) {
        self.named = named;
        self.once_named = self.named_ids();
        self.forgive(bucket, node);
    }

    fn named_ids(&self) -> BTreeSet<EntryId> {
        let named = self.named.values();
        named
            .flat_map(|named| named.entries.iter().map(|(id, _)| *id))
            .collect()
    }

    /// Another database or another bucket took over: what neither side has any more can no longer be asked for.
    pub fn forgive(&mut self, bucket: &MemorySnapshotStore, node: &Node) {
        let named = self.brought_back(bucket);
        let has = |id: &EntryId| {
            let meta = &self.entries[id].meta;
            let row = rows::row(node, &meta.tenant, meta.stream, meta.seq);
            row.is_some_and(|row| row.meta.chain == meta.chain && rows::is_intact(&row))
        };
        let left: BTreeSet<EntryId> = self
            .must
            .iter()
            .copied()
            .filter(|id| named.contains(id) || has(id))
            .collect();
        self.must = left;
    }
}
