//! A snapshot: one entry as an object. One member a line, and the canonical content verbatim on a line of its own, so that
//! `sed` and `sha256sum` can check it.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Damage, check_format, snapshot_key};
use crate::content::Content;
use crate::json::{explain, unlike};
use crate::{
    Digest, Entry, EntryId, EntryMeta, Epoch, Seq, ShortText, Stream, TenantId, Timestamp,
};

const FORMAT: &str = "driftline.snapshot.v1";

/// Everything behind the content.
const TAIL: &[u8] = b"\n}\n";

/// An entry as it lies in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The entry, its content verified against its checksum.
    pub entry: Entry,
    /// The digest of the object's bytes.
    pub object_sha256: Digest,
    /// The object's length in bytes.
    pub object_size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    id: EntryId,
    community_id: TenantId,
    version: Seq,
    epoch: Epoch,
    checksum: Digest,
    chain: Digest,
    created_at: Timestamp,
    committed_at: Timestamp,
    created_by: Option<ShortText>,
    message: Option<ShortText>,
    format: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Snapshot {
    /// Writes the entry's object: a function of the entry.
    pub fn write(entry: &Entry) -> Bytes {
        let content = entry.content.as_bytes();
        let mut bytes = Self::head(&entry.meta, content.len()).into_bytes();
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(TAIL);
        bytes.into()
    }

    /// The bytes of the object that are not its content.
    pub(super) fn overhead(meta: &EntryMeta) -> u64 {
        (Self::head(meta, 0).len() + TAIL.len()) as u64
    }

    /// Everything before the content.
    fn head(meta: &EntryMeta, more: usize) -> String {
        let EntryMeta {
            tenant,
            seq,
            id,
            epoch,
            checksum,
            chain,
            created_at,
            committed_at,
            created_by,
            message,
            ..
        } = meta;
        let mut head = String::with_capacity(768 + more);
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "{{\n\"id\":\"{id}\",\n\"communityId\":\"{tenant}\",\n\"version\":{seq},\n\"epoch\":{epoch},\n\
             \"checksum\":\"{checksum}\",\n\"chain\":\"{chain}\",\n\"createdAt\":\"{created_at}\",\n\
             \"synthesizedAt\":\"{created_at}\",\n\"committedAt\":\"{committed_at}\",\n\"createdBy\":{},\n\
             \"message\":{},\n\"format\":\"{FORMAT}\",\n\"content\":\n",
            json(created_by),
            json(message),
        );
        head
    }

    /// The chain that an object states, however damaged the rest of it is. It proves nothing by itself.
    pub fn stated_chain(bytes: &[u8]) -> Option<Digest> {
        const MEMBER: &[u8] = b"\"chain\":\"";
        let start = bytes.windows(MEMBER.len()).position(|it| it == MEMBER)? + MEMBER.len();
        let stated = bytes.get(start..start + 64)?;
        std::str::from_utf8(stated).ok()?.parse().ok()
    }

    /// Reads the object at `key`, and verifies that its content has its checksum, that it is the entry that the key names,
    /// and that it is the very bytes that the entry makes. The chain is the caller's to check: it takes the entry before.
    pub fn parse(
        tenant: &TenantId,
        stream: Stream,
        key: &str,
        bytes: &Bytes,
    ) -> Result<Self, Damage> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let end = error.valid_up_to() + 1;
            let what = unlike(bytes).unwrap_or_else(|| format!("it is not UTF-8 at byte {end}"));
            Damage::malformed(key, what)
        })?;
        let document: Document<'_> = serde_json::from_str(text)
            .map_err(|error| Damage::malformed(key, explain(bytes, &error)))?;
        check_format(key, FORMAT, &document.format)?;
        let content = Content::from_stored(bytes.slice_ref(document.content.get().as_bytes()));
        Damage::check(
            key,
            "the content's SHA-256",
            document.checksum,
            content.checksum(),
        )?;
        if document.community_id != *tenant {
            return Err(Damage::misplaced(
                key,
                tenant.as_str(),
                document.community_id.as_str(),
            ));
        }
        let named = snapshot_key(tenant, stream, document.version, document.epoch);
        if named != key {
            return Err(Damage::misplaced(key, key, named));
        }
        let meta = EntryMeta {
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
            content_bytes: content.len() as u64,
        };
        let head = Self::head(&meta, 0);
        let made = bytes
            .strip_prefix(head.as_bytes())
            .and_then(|rest| rest.strip_suffix(TAIL));
        Damage::check_bytes(key, content.as_bytes(), made.unwrap_or_default())?;
        let (object_sha256, object_size) = (Digest::of(bytes), bytes.len() as u64);
        Ok(Self {
            entry: Entry { meta, content },
            object_sha256,
            object_size,
        })
    }
}

/// A value as JSON text; `null` for nothing.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
