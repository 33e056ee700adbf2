//! A stream's index, and the sealed pages that hold its older entries.
//!
//! Page k holds the entries (k−1)·128+1 … k·128, so that any entry is found by arithmetic. `selfSha256` is the last member
//! and covers every byte before it.

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::extras::Extras;
use super::snapshot::json;
use super::{Damage, Snapshot, check_format, index_key, page_key, snapshot_key};
use crate::json::{explain, unlike};
use crate::{
    Digest, EntryId, EntryMeta, Epoch, InvalidDigest, Seq, ShortText, Stream, TenantId, Timestamp,
    genesis,
};

const INDEX_FORMAT: &str = "driftline.index.v1";
const PAGE_FORMAT: &str = "driftline.page.v1";

/// Entries in a sealed page.
pub const PAGE_SIZE: u64 = 128;

/// More pages than any history can have: numbers stay below 2^56.
const MAX_PAGES: u64 = 1 << 49;

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

/// An immutable part of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Which page, counted from 1.
    pub number: u64,
    /// The chain before its oldest entry.
    pub prev_chain: Digest,
    /// Its entries, oldest first.
    pub entries: Vec<IndexEntry>,
    extras: Extras,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryDocument {
    id: EntryId,
    community_id: TenantId,
    version: Seq,
    epoch: Epoch,
    checksum: Digest,
    created_at: Timestamp,
    committed_at: Timestamp,
    created_by: Option<ShortText>,
    message: Option<ShortText>,
    s3_key: String,
    size_bytes: u64,
    object_sha256: Digest,
    chain: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    community_id: TenantId,
    latest_version: Seq,
    #[serde(default)]
    total_versions: Option<u64>,
    #[serde(default)]
    total_size_bytes: Option<u64>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
    format: String,
    epoch: Epoch,
    sealed_pages: u64,
    prev_chain: Digest,
    versions: Vec<EntryDocument>,
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

    fn to_document(&self) -> EntryDocument {
        let meta = self.meta.clone();
        EntryDocument {
            id: meta.id,
            community_id: meta.tenant,
            version: meta.seq,
            epoch: meta.epoch,
            checksum: meta.checksum,
            created_at: meta.created_at,
            committed_at: meta.committed_at,
            created_by: meta.created_by,
            message: meta.message,
            s3_key: self.s3_key.clone(),
            size_bytes: self.object_bytes,
            object_sha256: self.object_sha256,
            chain: meta.chain,
        }
    }

    fn from_document(stream: Stream, document: EntryDocument) -> Self {
        let object_bytes = document.size_bytes;
        let mut meta = EntryMeta {
            tenant: document.community_id,
            stream,
            seq: document.version,
            id: document.id,
            epoch: document.epoch,
            checksum: document.checksum,
            chain: document.chain,
            created_at: document.created_at,
            committed_at: document.committed_at,
            created_by: document.created_by,
            message: document.message,
            content_bytes: 0,
        };
        // An object is its content and what follows from the rest.
        meta.content_bytes = object_bytes.saturating_sub(Snapshot::overhead(&meta));
        Self {
            meta,
            object_bytes,
            s3_key: document.s3_key,
            object_sha256: document.object_sha256,
            extras: Extras::default(),
        }
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

impl Page {
    /// A page of these entries.
    pub fn new(number: u64, prev_chain: Digest, entries: Vec<IndexEntry>) -> Self {
        Self {
            number,
            prev_chain,
            entries,
            extras: Extras::default(),
        }
    }

    /// The object's bytes: a function of the entries.
    pub fn to_bytes(&self) -> Bytes {
        let Some(EntryMeta {
            tenant, seq, epoch, ..
        }) = self.entries.last().map(|newest| &newest.meta)
        else {
            return Bytes::new();
        };
        let members: [Member<'_>; 6] = [
            ("communityId", &quoted(tenant)),
            ("latestVersion", seq),
            ("format", &quoted(&PAGE_FORMAT)),
            ("epoch", epoch),
            ("sealedPages", &(self.number - 1)),
            ("prevChain", &quoted(&self.prev_chain)),
        ];
        write(&members, &self.entries, &self.extras)
    }

    /// Reads a page and verifies `selfSha256`, the numbering and the chain within it.
    pub fn parse(
        tenant: &TenantId,
        stream: Stream,
        number: u64,
        bytes: &[u8],
    ) -> Result<Self, Damage> {
        let key = page_key(tenant, stream, number);
        let document = open(&key, PAGE_FORMAT, tenant, bytes)?;
        let first = document.sealed_pages * PAGE_SIZE + 1;
        let mut page = Self::new(
            number,
            document.prev_chain,
            entries(stream, document.versions),
        );
        if page.entries.len() as u64 != PAGE_SIZE
            || document.sealed_pages.checked_add(1) != Some(number)
        {
            return Err(Damage::malformed(
                &key,
                format!("{PAGE_SIZE} entries of page {number} are expected"),
            ));
        }
        if number == 1 {
            Damage::check(&key, "prevChain", genesis(tenant, stream), page.prev_chain)?;
        }
        check_entries(&key, tenant, first, page.prev_chain, &page.entries)?;
        if page.to_bytes() != bytes {
            page.extras = extras(bytes, &mut page.entries);
            Damage::check_bytes(&key, &page.to_bytes(), bytes)?;
        }
        Ok(page)
    }

    /// What can still be read of a damaged page, oldest first. Nothing is verified: whoever follows the chain can tell which of
    /// them are entries.
    pub fn remains(stream: Stream, bytes: &[u8]) -> Vec<IndexEntry> {
        // Each entry has a line of its own.
        let lines = bytes.split(|byte| *byte == b'\n');
        let entry = |line: &[u8]| {
            let line = line.strip_suffix(b",").unwrap_or(line);
            serde_json::from_slice::<EntryDocument>(line).ok()
        };
        let found: Vec<_> = lines.filter_map(entry).collect();
        entries(stream, found)
    }

    /// The entry with this number, if the page holds it.
    pub fn entry(&self, seq: Seq) -> Option<&IndexEntry> {
        let at = seq.get().checked_sub((self.number - 1) * PAGE_SIZE + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The chain at its newest entry.
    pub fn latest_chain(&self) -> Digest {
        self.entries
            .last()
            .map_or(self.prev_chain, |entry| entry.meta.chain)
    }
}

fn entries(stream: Stream, newest_first: Vec<EntryDocument>) -> Vec<IndexEntry> {
    newest_first
        .into_iter()
        .rev()
        .map(|document| IndexEntry::from_document(stream, document))
        .collect()
}

fn check_entries(
    key: &str,
    tenant: &TenantId,
    first: u64,
    mut chain: Digest,
    entries: &[IndexEntry],
) -> Result<(), Damage> {
    for (expected, entry) in (first..).zip(entries) {
        let meta = &entry.meta;
        if meta.seq.get() != expected || meta.tenant != *tenant {
            return Err(Damage::misplaced(
                key,
                format!("number {expected} of {tenant}"),
                format!("number {} of {}", meta.seq, meta.tenant),
            ));
        }
        Damage::check(
            key,
            "a recomputed chain",
            meta.chain,
            meta.expected_chain(chain),
        )?;
        chain = meta.chain;
    }
    Ok(())
}

const SELF: &str = "\"selfSha256\":\"";
const TAIL: usize = SELF.len() + 64 + "\"\n}\n".len();

/// A member with a line of its own.
type Member<'a> = (&'static str, &'a dyn Display);

fn quoted(value: &dyn Display) -> String {
    format!("\"{value}\"")
}

fn write(members: &[Member<'_>], entries: &[IndexEntry], extras: &Extras) -> Bytes {
    let mut text = String::with_capacity(512 + entries.len() * 640);
    text.push_str("{\n");
    for (name, value) in members {
        extras.before(name, ",\n", &mut text);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\"{name}\":{value},");
    }
    extras.before("versions", ",\n", &mut text);
    text.push_str("\"versions\":[");
    for (place, entry) in entries.iter().rev().enumerate() {
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        let known = json(&entry.to_document());
        text.push_str(&entry.extras.within(known));
    }
    text.push_str("\n],\n");
    extras.before("selfSha256", ",\n", &mut text);
    let digest = Digest::of(text.as_bytes());
    // Writing to a String cannot fail.
    let _ = write!(text, "{SELF}{digest}\"\n}}\n");
    text.into()
}

/// What this build does not know, of an index or a page and of its entries.
fn extras(bytes: &[u8], entries: &mut [IndexEntry]) -> Extras {
    #[derive(Deserialize)]
    struct Versions<'a> {
        #[serde(borrow)]
        versions: Vec<&'a RawValue>,
    }
    const MEMBERS: [&str; 11] = [
        "communityId",
        "latestVersion",
        "totalVersions",
        "totalSizeBytes",
        "updatedAt",
        "format",
        "epoch",
        "sealedPages",
        "prevChain",
        "versions",
        "selfSha256",
    ];
    const OF_AN_ENTRY: [&str; 13] = [
        "id",
        "communityId",
        "version",
        "epoch",
        "checksum",
        "createdAt",
        "committedAt",
        "createdBy",
        "message",
        "s3Key",
        "sizeBytes",
        "objectSha256",
        "chain",
    ];
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(Versions { versions }) = serde_json::from_str(text) {
        for (entry, raw) in entries.iter_mut().rev().zip(versions) {
            entry.extras = Extras::of(raw.get(), &OF_AN_ENTRY);
        }
    }
    Extras::of(text, &MEMBERS)
}

fn open(key: &str, format: &str, tenant: &TenantId, bytes: &[u8]) -> Result<Document, Damage> {
    let malformed = |reason: &str| Damage::malformed(key, reason);
    if let Some(what) = unlike(bytes) {
        return Err(malformed(&what));
    }
    let covered = bytes
        .len()
        .checked_sub(TAIL)
        .ok_or_else(|| malformed("it is too short for an index"))?;
    let (body, tail) = bytes.split_at(covered);
    let digest = std::str::from_utf8(tail)
        .ok()
        .and_then(|tail| tail.strip_prefix(SELF)?.strip_suffix("\"\n}\n"))
        .ok_or_else(|| malformed("it does not end with selfSha256"))?;
    let expected: Digest = digest
        .parse()
        .map_err(|error: InvalidDigest| Damage::malformed(key, error.to_string()))?;
    Damage::check(key, "selfSha256", expected, Digest::of(body))?;
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| malformed(&explain(bytes, &error)))?;
    check_format(key, format, &document.format)?;
    if document.sealed_pages > MAX_PAGES {
        return Err(malformed("sealedPages is beyond every history"));
    }
    if document.community_id != *tenant {
        return Err(Damage::misplaced(
            key,
            tenant.as_str(),
            document.community_id.as_str(),
        ));
    }
    Ok(document)
}
