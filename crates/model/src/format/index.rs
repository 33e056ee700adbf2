//! A stream's index, and the sealed pages that hold its older entries.
//!
//! Page k holds the entries (k−1)·128+1 … k·128, so that any entry is found by arithmetic. `selfSha256` is the last member
//! and covers every byte before it.

mod document;
mod page;

use bytes::Bytes;

use self::document::{Member, check_entries, entries, extras, open, quoted, write};
use super::extras::Extras;
use super::{Damage, Snapshot, index_key, snapshot_key};
use crate::{Digest, EntryMeta, Epoch, Seq, Stream, TenantId, Timestamp, genesis};

pub use self::page::Page;

const INDEX_FORMAT: &str = "driftline.index.v1";

/// Entries in a sealed page.
pub const PAGE_SIZE: u64 = 128;

/// One entry as the index names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The entry.
    pub meta: EntryMeta,
    /// The object's length in bytes: `sizeBytes` in the index.
    pub object_bytes: u64,
    /// The object's key, with the prefix of the bucket it was written to.
    pub s3_key: String,
    /// The digest of the object's bytes.
    pub object_sha256: Digest,
    /// What a later build says of it.
    pub extras: Extras,
}

/// A stream's index: its newest entries, and how to find the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Whose stream.
    pub tenant: TenantId,
    /// Which stream.
    pub stream: Stream,
    /// The epoch of whoever wrote the index last; older epochs are fenced off.
    pub epoch: Epoch,
    /// The size of all objects that the stream names, in bytes.
    pub total_size_bytes: u64,
    /// When it was written.
    pub updated_at: Timestamp,
    /// How many pages are sealed.
    pub sealed_pages: u64,
    /// The chain before the oldest entry below.
    pub prev_chain: Digest,
    /// The entries that no page holds, oldest first.
    pub entries: Vec<IndexEntry>,
    /// What a later build says of it.
    pub extras: Extras,
}

impl IndexEntry {
    /// The index entry for a snapshot that lies under `prefix`.
    pub fn of(prefix: &str, snapshot: &Snapshot) -> Self {
        Self::new(
            prefix,
            snapshot.entry.meta.clone(),
            snapshot.object_size,
            snapshot.object_sha256,
        )
    }

    /// The index entry for an entry whose object under `prefix` has this size and digest.
    pub fn new(prefix: &str, meta: EntryMeta, object_bytes: u64, object_sha256: Digest) -> Self {
        let s3_key = format!(
            "{prefix}{}",
            snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch)
        );
        Self {
            meta,
            object_bytes,
            s3_key,
            object_sha256,
            extras: Extras::default(),
        }
    }

    /// The object's key, relative to the prefix.
    pub fn key(&self) -> String {
        snapshot_key(
            &self.meta.tenant,
            self.meta.stream,
            self.meta.seq,
            self.meta.epoch,
        )
    }
}

impl Index {
    /// The index of a stream of which nothing is shadowed yet.
    pub fn empty(tenant: &TenantId, stream: Stream, epoch: Epoch, updated_at: Timestamp) -> Self {
        Self {
            tenant: tenant.clone(),
            stream,
            epoch,
            total_size_bytes: 0,
            updated_at,
            sealed_pages: 0,
            prev_chain: genesis(tenant, stream),
            entries: Vec::new(),
            extras: Extras::default(),
        }
    }

    /// The newest number that the index names; 0 when it names none.
    pub fn latest(&self) -> Seq {
        Seq::new(self.sealed_pages * PAGE_SIZE + self.entries.len() as u64)
    }

    /// The chain at the newest number.
    pub fn latest_chain(&self) -> Digest {
        self.entries
            .last()
            .map_or(self.prev_chain, |entry| entry.meta.chain)
    }

    /// The entry with this number, if no page holds it.
    pub fn entry(&self, seq: Seq) -> Option<&IndexEntry> {
        let at = seq.get().checked_sub(self.sealed_pages * PAGE_SIZE + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The page that holds this number, if one is sealed for it.
    pub fn page_of(&self, seq: Seq) -> Option<u64> {
        let page = seq.get().checked_sub(1)? / PAGE_SIZE + 1;
        (page <= self.sealed_pages).then_some(page)
    }

    /// The chain at this number, if no page is needed to tell.
    pub fn chain_at(&self, seq: Seq) -> Option<Digest> {
        if seq.get() == self.sealed_pages * PAGE_SIZE {
            return Some(self.prev_chain);
        }
        self.entry(seq).map(|entry| entry.meta.chain)
    }

    /// Takes the oldest entries out as pages, for as long as the index holds a whole page.
    pub fn seal(&mut self) -> Vec<Page> {
        let mut pages = Vec::new();
        while self.entries.len() as u64 >= PAGE_SIZE {
            let rest = self
                .entries
                .split_off(usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX));
            let entries = std::mem::replace(&mut self.entries, rest);
            self.sealed_pages += 1;
            let prev_chain = self.prev_chain;
            if let Some(newest) = entries.last() {
                self.prev_chain = newest.meta.chain;
            }
            pages.push(Page::new(self.sealed_pages, prev_chain, entries));
        }
        pages
    }

    /// Adds the next entry.
    pub fn push(&mut self, entry: IndexEntry) {
        // The sum is for people to read, and an index that was read may claim any.
        self.total_size_bytes = self.total_size_bytes.saturating_add(entry.object_bytes);
        self.entries.push(entry);
    }

    /// The object's bytes.
    pub fn to_bytes(&self) -> Bytes {
        let latest = self.latest();
        let members: [Member<'_>; 9] = [
            ("communityId", &quoted(&self.tenant)),
            ("latestVersion", &latest),
            ("totalVersions", &latest),
            ("totalSizeBytes", &self.total_size_bytes),
            ("updatedAt", &quoted(&self.updated_at)),
            ("format", &quoted(&INDEX_FORMAT)),
            ("epoch", &self.epoch),
            ("sealedPages", &self.sealed_pages),
            ("prevChain", &quoted(&self.prev_chain)),
        ];
        write(&members, &self.entries, &self.extras)
    }

    /// Reads a stream's index and verifies `selfSha256`, the numbering and the chain.
    pub fn parse(tenant: &TenantId, stream: Stream, bytes: &[u8]) -> Result<Self, Damage> {
        let key = index_key(tenant, stream);
        let document = open(&key, INDEX_FORMAT, tenant, bytes)?;
        let missing = |name| Damage::malformed(&key, format!("`{name}` is missing"));
        let mut index = Self {
            tenant: tenant.clone(),
            stream,
            epoch: document.epoch,
            total_size_bytes: document
                .total_size_bytes
                .ok_or_else(|| missing("totalSizeBytes"))?,
            updated_at: document.updated_at.ok_or_else(|| missing("updatedAt"))?,
            sealed_pages: document.sealed_pages,
            prev_chain: document.prev_chain,
            entries: entries(stream, document.versions),
            extras: Extras::default(),
        };
        if index.sealed_pages == 0 {
            Damage::check(&key, "prevChain", genesis(tenant, stream), index.prev_chain)?;
        }
        let first = index.sealed_pages * PAGE_SIZE + 1;
        check_entries(&key, tenant, first, index.prev_chain, &index.entries)?;
        let total = document
            .total_versions
            .ok_or_else(|| missing("totalVersions"))?;
        if document.latest_version != index.latest() || total != index.latest().get() {
            return Err(Damage::malformed(
                &key,
                "latestVersion or totalVersions is not the number of its entries",
            ));
        }
        if index.to_bytes() != bytes {
            index.extras = extras(bytes, &mut index.entries);
            Damage::check_bytes(&key, &index.to_bytes(), bytes)?;
        }
        Ok(index)
    }
}
