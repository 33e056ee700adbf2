//! A sealed page: entries that an index does not hold any more.

use bytes::Bytes;

use super::document::{EntryDocument, Member, check_entries, entries, extras, open, quoted, write};
use super::{IndexEntry, PAGE_SIZE};
use crate::format::extras::Extras;
use crate::format::{Damage, page_key};
use crate::{Digest, EntryMeta, Seq, Stream, TenantId, genesis};

const PAGE_FORMAT: &str = "driftline.page.v1";

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
