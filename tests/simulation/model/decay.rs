//! What rots, what repair may remove, and what both sides lost.

use std::collections::BTreeSet;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::domain::format::{
    Index, Page, Snapshot, index_key, page_key, parse_snapshot_key, snapshot_key, stream_of,
    tenant_of,
};
use driftline::domain::integrity::Finding;
use driftline::domain::{
    Decision, Digest, Entry, EntryId, EntryMeta, Seq, Stream, TenantId, genesis,
};
use driftline::ports::SnapshotStore as _;

use super::bucket::object;
use super::rows::{all_rows, chain_at, is_intact};
use super::{Checked, Model, broken};
use crate::world::{Node, now};

impl Model {
    /// A row was lost or damaged, on nobody's account.
    pub fn row_rotten(
        &mut self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) {
        let place = (tenant.clone(), stream, seq);
        if super::rows::row(node, tenant, stream, seq).is_none() {
            self.holes.insert(place.clone());
        }
        self.rotten_rows.insert(place);
        self.forgive(bucket, node);
    }

    /// An object was lost or damaged.
    pub fn object_rotten(&mut self, bucket: &MemorySnapshotStore, node: &Node, key: &str) {
        if let (Some(tenant), Some(stream)) = (tenant_of(key), stream_of(key)) {
            match parse_snapshot_key(key) {
                Some((_, seq, _)) => {
                    self.rotten_objects.insert((tenant, stream, seq));
                }
                None => {
                    self.rotten_indexes.insert((tenant, stream));
                }
            }
        }
        self.forgive(bucket, node);
    }

    /// Its row or its snapshot rotted at any time.
    pub fn is_rotten(&self, tenant: &TenantId, stream: Stream, seq: Seq) -> bool {
        let place = (tenant.clone(), stream, seq);
        self.rotten_rows.contains(&place) || self.rotten_objects.contains(&place)
    }

    pub fn has_rotten_object(&self, meta: &EntryMeta) -> bool {
        let place = (meta.tenant.clone(), meta.stream, meta.seq);
        self.rotten_objects.contains(&place)
    }

    /// An object is deleted: only a copy of what is in the quarantine, byte by byte, and nothing that an index names and that is
    /// well.
    pub fn deleted(bucket: &MemorySnapshotStore, key: &str) -> Checked {
        if key.starts_with("_driftline/probe/") {
            return Ok(());
        }
        let Some(bytes) = object(bucket, key) else {
            return Ok(());
        };
        let place = format!("_driftline/quarantine/{key}.");
        let copies = now(bucket.list(&place, None, 1000)).expect("a bucket in memory never fails");
        let is_copy = |copy: &str| object(bucket, copy).is_some_and(|there| there == bytes);
        if !copies.objects.iter().any(|copy| is_copy(&copy.key)) {
            return broken(format!("{key} was deleted, and no copy of it was kept"));
        }
        let (Some(tenant), Some(stream)) = (tenant_of(key), stream_of(key)) else {
            return Ok(());
        };
        if key == index_key(&tenant, stream) {
            return broken(format!("{key}, an index, was deleted"));
        }
        let Some(index) = object(bucket, &index_key(&tenant, stream)) else {
            return Ok(());
        };
        let Ok(index) = Index::parse(&tenant, stream, &index) else {
            return Ok(());
        };
        let mut named = index.entries.clone();
        for number in 1..=index.sealed_pages {
            let there = object(bucket, &page_key(&tenant, stream, number));
            let page = there.and_then(|there| Page::parse(&tenant, stream, number, &there).ok());
            let Some(page) = page else { continue };
            if page_key(&tenant, stream, number) == key {
                return broken(format!("{key}, a page that is well, was deleted"));
            }
            named.extend(page.entries);
        }
        let digest = Digest::of(&bytes);
        if named
            .iter()
            .any(|it| it.key() == key && it.object_sha256 == digest)
        {
            return broken(format!("{key} was deleted, and the index names it just so"));
        }
        Ok(())
    }

    /// The entry follows what stands before its number now, in the database or in the index.
    fn follows(&self, node: &Node, meta: &EntryMeta) -> bool {
        let before = Seq::new(meta.seq.get() - 1);
        let chain = if before == Seq::default() {
            Some(genesis(&meta.tenant, meta.stream))
        } else {
            let row = chain_at(node, &meta.tenant, meta.stream, before);
            row.or_else(|| self.named(&meta.tenant, meta.stream).chain_at(before))
        };
        chain.is_none_or(|chain| meta.expected_chain(chain) == meta.chain)
    }

    /// Rows that a transaction removed and inserted: what is well only moves, and comes back as it was.
    pub fn replaced(&mut self, node: &Node, removed: &[Entry], inserted: &[Entry]) -> Checked {
        for row in removed {
            let meta = &row.meta;
            let again = inserted.iter().find(|entry| entry.meta.id == meta.id);
            let (is_well, what) = (is_intact(row), format!("{} {}", meta.stream, meta.seq));
            match again {
                None if is_well => return broken(format!("{what} was well, and was removed")),
                // It keeps its number behind another history's entry, where the one that it followed was lost.
                Some(again)
                    if is_well && again.meta.seq == meta.seq && self.follows(node, meta) =>
                {
                    return broken(format!("{what} was well, and was replaced"));
                }
                Some(again) if is_well && again.content != row.content => {
                    return broken(format!("{what} came back with other content"));
                }
                _ => {}
            }
        }
        for entry in inserted {
            let id = entry.meta.id;
            if self.known(&entry.meta).is_ok() {
                continue;
            }
            let was = removed.iter().find(|row| row.meta.id == id);
            if let Some(was) = was.filter(|was| was.content == entry.content) {
                let moved = self.entries.insert(id, entry.clone());
                self.moved.entry(id).or_default().extend(moved);
                self.moved.entry(id).or_default().push((*was).clone());
                continue;
            }
            let is_renumbering = entry.meta.stream == Stream::Decisions
                && matches!(
                    serde_json::from_slice(entry.content.as_bytes()),
                    Ok(Decision::Renumber { .. })
                );
            if is_renumbering && !self.entries.contains_key(&id) {
                self.entries.insert(id, entry.clone());
                self.must.insert(id);
                continue;
            }
            self.known(&entry.meta)?;
        }
        Ok(())
    }

    /// What the bucket can bring back by itself: what its index names and what is there. Without a readable index only what the
    /// chain leads to.
    pub fn brought_back(&self, bucket: &MemorySnapshotStore) -> BTreeSet<EntryId> {
        let mut found = BTreeSet::new();
        for ((tenant, stream), named) in &self.named {
            let index = object(bucket, &index_key(tenant, *stream));
            let index = index.and_then(|index| Index::parse(tenant, *stream, &index).ok());
            for (id, _) in &named.entries {
                if self.has_object(bucket, *id) {
                    found.insert(*id);
                } else if index.is_none() {
                    break;
                }
            }
        }
        found
    }

    pub fn has_object(&self, bucket: &MemorySnapshotStore, id: EntryId) -> bool {
        let made = &self.entries[&id];
        let meta = &made.meta;
        let key = snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch);
        object(bucket, &key).is_some_and(|bytes| bytes == Snapshot::write(made))
    }

    /// The index was lost, and made up anew to an earlier end: from there on objects lead to the entry, each following the one
    /// before.
    pub fn leads_to(&self, bucket: &MemorySnapshotStore, meta: &EntryMeta) -> bool {
        let named = self.named(&meta.tenant, meta.stream);
        if !self
            .rotten_indexes
            .contains(&(meta.tenant.clone(), meta.stream))
            || !self.has_object(bucket, meta.id)
            // A recovery follows nothing of an epoch before the index's.
            || meta.epoch < named.epoch
        {
            return false;
        }
        let before = Seq::new(meta.seq.get() - 1);
        let follows = |chain: Digest| meta.expected_chain(chain) == meta.chain;
        if before.get() == named.entries.len() as u64 {
            let chain = named.chain_at(before);
            return follows(chain.unwrap_or_else(|| genesis(&meta.tenant, meta.stream)));
        }
        let all = self.entries.values().map(|made| &made.meta);
        let mut there = all.filter(|it| {
            (&it.tenant, it.stream, it.seq) == (&meta.tenant, meta.stream, before)
                && follows(it.chain)
        });
        there.any(|it| self.leads_to(bucket, it))
    }

    /// The database or the bucket has it, as it was committed.
    pub fn is_held(&self, bucket: &MemorySnapshotStore, node: &Node, id: EntryId) -> bool {
        let meta = &self.entries[&id].meta;
        let rows = all_rows(node, &meta.tenant, meta.stream);
        self.has_object(bucket, id) || rows.iter().any(|row| row.meta.id == id)
    }

    /// Whether a loss that a verification tells is one: neither side has the entry, and something befell both.
    pub fn justifies_loss(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        finding: &Finding,
        of_two: bool,
    ) -> Checked {
        let (Some(stream), Some(seq)) = (finding.stream, finding.seq) else {
            return broken(format!("a loss of nothing: {finding:?}"));
        };
        let tenant = &finding.tenant;
        let place = (tenant.clone(), stream, seq);
        let row = all_rows(node, tenant, stream);
        // Of two histories one has the row of this number, and the other the object.
        let (is_row, is_object) = (finding.object.is_none(), finding.object.is_some());
        if (is_row || !of_two) && row.iter().any(|row| row.meta.seq == seq && is_intact(row)) {
            return broken(format!(
                "told to be lost, and its row is there: {finding:?}"
            ));
        }
        if (is_object || !of_two)
            && let Some((id, _)) = (self.named(tenant, stream).entries)
                .get(usize::try_from(seq.get() - 1).expect("small"))
            && self.has_object(bucket, *id)
            && (of_two || !self.is_unproven(bucket, node, (tenant, stream), seq))
        {
            return broken(format!(
                "told to be lost, and its object is there: {finding:?}"
            ));
        }
        if !self.rotten_rows.contains(&place) && !self.rotten_objects.contains(&place) {
            return broken(format!(
                "told to be lost, and nothing befell it: {finding:?}"
            ));
        }
        Ok(())
    }

    /// The entry before it is lost with everything that tells its chain: then nothing tells either whether an object that is
    /// there was changed.
    fn is_unproven(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        (tenant, stream): (&TenantId, Stream),
        seq: Seq,
    ) -> bool {
        let before = Seq::new(seq.get().saturating_sub(1));
        let named = self.named(tenant, stream).entries;
        let Some((id, chain)) = usize::try_from(before.get())
            .ok()
            .and_then(|nth| named.get(nth.checked_sub(1)?))
        else {
            return false;
        };
        let meta = &self.entries[id].meta;
        let key = snapshot_key(tenant, stream, meta.seq, meta.epoch);
        let stated = object(bucket, &key).and_then(|bytes| Snapshot::stated_chain(&bytes));
        let is_row = |seq| chain_at(node, tenant, stream, seq).is_some();
        self.rotten_indexes.contains(&(tenant.clone(), stream))
            && !is_row(seq)
            && !is_row(before)
            && stated != Some(*chain)
    }
}
