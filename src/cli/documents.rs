//! The JSON documents. Fields are added, never changed.

use driftline::domain::integrity::RowDamage;
use driftline::domain::{Digest, EntryId, EntryMeta, Epoch, Seq, ShortText, TenantId, Timestamp};
use driftline::ports::{Manifest, Source};
use serde::Serialize;

/// A version without its content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestDocument<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    version: Seq,
    id: EntryId,
    epoch: Epoch,
    checksum: Digest,
    chain: Digest,
    created_at: Timestamp,
    committed_at: Timestamp,
    created_by: Option<&'a ShortText>,
    message: Option<&'a ShortText>,
    size_bytes: u64,
    active: Option<bool>,
    /// Told of a tenant that a decision ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<bool>,
    shadowed: bool,
    source: &'static str,
    /// Why the bucket answered, if the database's row is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_row: Option<RowDamage>,
}

impl<'a> ManifestDocument<'a> {
    /// The document of a version with what is known about it.
    pub fn new(meta: &'a EntryMeta, active: Option<bool>, shadowed: bool, source: Source) -> Self {
        Self {
            schema: "driftline.manifest.v1",
            tenant: &meta.tenant,
            version: meta.seq,
            id: meta.id,
            epoch: meta.epoch,
            checksum: meta.checksum,
            chain: meta.chain,
            created_at: meta.created_at,
            committed_at: meta.committed_at,
            created_by: meta.created_by.as_ref(),
            message: meta.message.as_ref(),
            size_bytes: meta.content_bytes,
            active,
            retired: None,
            shadowed,
            source: match source {
                Source::Database => "database",
                Source::Bucket => "bucket",
            },
            damaged_row: None,
        }
    }

    /// The same, of a tenant that a decision ended if this is `Some(true)`.
    pub fn of_retired(self, retired: Option<bool>) -> Self {
        Self {
            retired: retired.filter(|retired| *retired),
            ..self
        }
    }

    /// The document of a version that was read.
    pub fn of(manifest: &'a Manifest) -> Self {
        let document = Self::new(
            &manifest.entry.meta,
            manifest.active,
            manifest.shadowed,
            manifest.source,
        );
        Self {
            damaged_row: manifest.damaged_row,
            ..document.of_retired(manifest.retired)
        }
    }

    /// Which side answered.
    pub fn source(&self) -> &'static str {
        self.source
    }
}

/// A text, or a dash for its absence.
pub fn or_dash(text: Option<&ShortText>) -> &str {
    text.map_or("-", ShortText::as_str)
}

/// The beginning of a digest: enough to tell versions of one tenant apart.
pub fn short(digest: Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
