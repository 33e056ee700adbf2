//! Versions of the desired state.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Expectation, Result};
use driftline_model::content::Content;
use driftline_model::integrity::RowDamage;
use driftline_model::{Digest, Entry, EntryMeta, Seq, ShortText, TenantId, Timestamp};

/// How far a write has to get before the call returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Committed to the database.
    #[default]
    Committed,
    /// Also proven to be in the bucket, waiting at most this long, and no longer than it may get there by itself. Past it the
    /// call still succeeds: committed, not yet shadowed.
    Shadowed(Duration),
}

/// A manifest to create.
#[derive(Debug, Clone, Default)]
pub struct CreateManifest {
    /// The content as JSON text; it is checked and brought into canonical form.
    pub content: Vec<u8>,
    /// Who.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
    /// When it was made, if that was not now.
    pub created_at: Option<Timestamp>,
    /// The checksum that the caller computed; another one refuses the write.
    pub checksum: Option<Digest>,
    /// What the caller believes the newest version to be; another one refuses the write.
    pub expect: Option<Expectation>,
    /// The same key and content within a day answers with the same version again; other content is refused.
    pub idempotency_key: Option<ShortText>,
    /// Content that the active version already has makes no new version.
    pub skip_unchanged: bool,
    /// How far the write has to get.
    pub durability: Durability,
}

/// Which side answered a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The database.
    Database,
    /// The bucket: the database lacks the row, its row is damaged, or it could not be reached.
    Bucket,
}

/// A version of the desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The version: number, times, author, digests, content.
    pub entry: Entry,
    /// Whether it is the active version. `None` when the database could not be asked.
    pub active: Option<bool>,
    /// Whether it is proven to be in the bucket.
    pub shadowed: bool,
    /// Which side answered.
    pub source: Source,
    /// Whether a decision ended the tenant. `None` when the database could not be asked.
    pub retired: Option<bool>,
    /// The database's row is not what was committed; what is here is the bucket's proven copy.
    pub damaged_row: Option<RowDamage>,
}

/// What became of [`Manifests::create_manifest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The version.
    pub manifest: Manifest,
    /// Whether this call made it: `false` for a replayed idempotency key and for unchanged content.
    pub new: bool,
}

/// A page of a history, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// Versions without their content.
    pub items: Vec<EntryMeta>,
    /// Pass it as `before` to get the next page; `None` at the end.
    pub next: Option<Seq>,
    /// The active version when the page was read. `None` when the bucket answered.
    pub active: Option<Seq>,
    /// Whether a decision ended the tenant. `None` like the active version, and when the database knows no such tenant.
    pub retired: Option<bool>,
    /// The newest version that is proven to be in the bucket when the page was read.
    pub watermark: Seq,
}

/// Creates versions, and reads them.
#[async_trait]
pub trait Manifests: Send + Sync {
    /// Commits a version. Atomic: numbered, stamped and linked in one transaction of the database; shadowing follows by
    /// itself and never fails the call. Fails with `InvalidInput` (naming a JSON pointer), `VersionConflict` (naming the head),
    /// `IdempotencyConflict`, `Refused`, `Unavailable` or `OutcomeUnknown`.
    async fn create_manifest(&self, tenant: &TenantId, request: CreateManifest) -> Result<Created>;

    /// The active version; `None` when the tenant has none.
    async fn current_manifest(&self, tenant: &TenantId) -> Result<Option<Manifest>>;

    /// One version, from the database, or from the bucket when the database lacks the row or cannot be reached. What comes
    /// from the bucket is verified; `Damaged` names the object.
    async fn manifest_by_version(
        &self,
        tenant: &TenantId,
        version: Seq,
    ) -> Result<Option<Manifest>>;

    /// The version that was active at an instant, by `committed_at`.
    async fn manifest_at(&self, tenant: &TenantId, at: Timestamp) -> Result<Option<Manifest>>;

    /// Versions newest first, below `before`, at most `limit` (1 to 1000). Pages never overlap and miss nothing while versions
    /// are being added.
    async fn version_history(
        &self,
        tenant: &TenantId,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<HistoryPage>;

    /// The members of this content that look like resources and are none, where the last apply or one of the versions before
    /// `version` knows a collection of that name: the next plan would delete what they hold. Asked after a write, for its
    /// author.
    async fn lost_collections(
        &self,
        tenant: &TenantId,
        version: Seq,
        content: &Content,
    ) -> Result<Vec<String>>;
}

impl Manifest {
    /// The version's number.
    pub fn version(&self) -> Seq {
        self.entry.meta.seq
    }

    /// The canonical content.
    pub fn content(&self) -> &Content {
        &self.entry.content
    }
}
