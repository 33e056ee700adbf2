//! The bytes of an index or a page: a line for each member and each entry, and `selfSha256` over all before it.

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::IndexEntry;
use crate::format::extras::Extras;
use crate::format::snapshot::json;
use crate::format::{Damage, Snapshot, check_format};
use crate::json::{explain, unlike};
use crate::{
    Digest, EntryId, EntryMeta, Epoch, InvalidDigest, Seq, ShortText, Stream, TenantId, Timestamp,
};

/// More pages than any history can have: numbers stay below 2^56.
const MAX_PAGES: u64 = 1 << 49;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryDocument {
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
pub(super) struct Document {
    community_id: TenantId,
    pub(super) latest_version: Seq,
    #[serde(default)]
    pub(super) total_versions: Option<u64>,
    #[serde(default)]
    pub(super) total_size_bytes: Option<u64>,
    #[serde(default)]
    pub(super) updated_at: Option<Timestamp>,
    format: String,
    pub(super) epoch: Epoch,
    pub(super) sealed_pages: u64,
    pub(super) prev_chain: Digest,
    pub(super) versions: Vec<EntryDocument>,
}

impl IndexEntry {
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

pub(super) fn entries(stream: Stream, newest_first: Vec<EntryDocument>) -> Vec<IndexEntry> {
    newest_first
        .into_iter()
        .rev()
        .map(|document| IndexEntry::from_document(stream, document))
        .collect()
}

pub(super) fn check_entries(
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
pub(super) type Member<'a> = (&'static str, &'a dyn Display);

pub(super) fn quoted(value: &dyn Display) -> String {
    format!("\"{value}\"")
}

pub(super) fn write(members: &[Member<'_>], entries: &[IndexEntry], extras: &Extras) -> Bytes {
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
pub(super) fn extras(bytes: &[u8], entries: &mut [IndexEntry]) -> Extras {
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

pub(super) fn open(
    key: &str,
    format: &str,
    tenant: &TenantId,
    bytes: &[u8],
) -> Result<Document, Damage> {
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
