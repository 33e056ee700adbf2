//! What a control plane calls.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{Expectation, Reason, Result};
use driftline_model::content::Content;
use driftline_model::drift::{Acknowledgement, ActualState, DriftReport, DriftRules, Policy};
use driftline_model::format::Damage;
use driftline_model::integrity::RowDamage;
use driftline_model::{
    Digest, Entry, EntryMeta, Moved, Resources, Seq, ShortText, Stream, TenantId, Timestamp,
};

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

/// What became of [`ManifestProvider::create_manifest`].
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

/// What was made live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordApply {
    /// The version that was applied.
    pub version: Seq,
    /// Per resource type and manifest id, the external id.
    pub resources: Resources,
    /// Take types and ids that the version does not have: what was live before it, and is to be deleted. A record that names
    /// them by mistake would have the next plan delete what is live.
    pub allow_unknown: bool,
    /// Who.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
    /// How far the record has to get.
    pub durability: Durability,
}

/// What we believe is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowState {
    /// The entry of the stream `applies`.
    pub meta: EntryMeta,
    /// The version last applied.
    pub version: Seq,
    /// The chain of that version when it was applied.
    pub chain: Digest,
    /// The reference resolves: the tenant still has this very version. A void one is kept and shown.
    pub resolves: bool,
    /// Per resource type and manifest id, the external id.
    pub resources: Resources,
    /// The database's row is not what was committed; what is here is the bucket's proven copy.
    pub damaged_row: Option<RowDamage>,
}

/// What is decided about a tenant's drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftDecision {
    /// This is the policy from now on.
    Policy(Policy),
    /// This live value is accepted. Its author is the decision's.
    Acknowledge(Acknowledgement),
}

/// A decision about a tenant's drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecideDrift {
    /// What.
    pub decision: DriftDecision,
    /// Who.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
    /// How far the record has to get.
    pub durability: Durability,
}

/// Which version recovery makes active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecoverTarget {
    /// The newest; recovery restores what is lost and decides nothing.
    #[default]
    Newest,
    /// This version.
    Version(Seq),
    /// The version that was active at this instant, by `committed_at`.
    At(Timestamp),
}

/// What to recover, and how.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own, and none excludes another"
)]
pub struct RecoveryRequest {
    /// Which version becomes active.
    pub target: RecoverTarget,
    /// Append the target's content as a new version instead of activating it in place.
    pub as_new_version: bool,
    /// Also restore versions of the older layout that nothing proves: their stored digest is not that of their content.
    pub accept_unverified: bool,
    /// Open tenants of the older layout without the versions that nothing proves, for good. Without this or
    /// `accept_unverified` such a tenant goes on awaiting recovery: what comes after them would take their place.
    pub leave_out: bool,
    /// Only plan: nothing is changed on either side.
    pub dry_run: bool,
    /// Where two valid histories disagree keep both: the bucket's numbers stand, and the database's entries come after them.
    /// Without this such a tenant fails, and is left as it is.
    pub resolve_divergence: bool,
    /// Who recovers.
    pub by: Option<ShortText>,
}

/// How a tenant's database compares with its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryState {
    /// Neither side knows the tenant.
    Nothing,
    /// The database does not know it.
    Empty,
    /// The bucket has entries that the database lacks.
    Behind,
    /// Both hold the same.
    Equal,
    /// The database has entries that the bucket lacks; the replicator brings them.
    Ahead,
    /// Two valid histories disagree. Nothing is changed.
    Diverged,
}

impl RecoveryState {
    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty",
            Self::Behind => "behind",
            Self::Equal => "equal",
            Self::Ahead => "ahead",
            Self::Diverged => "diverged",
        }
    }
}

impl fmt::Display for RecoveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What recovery did for one tenant, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whose.
    pub tenant: TenantId,
    /// How the two sides compared before.
    pub state: RecoveryState,
    /// Entries restored to the database, over all streams.
    pub restored: u64,
    /// The newest version afterwards.
    pub head: Seq,
    /// The active version afterwards; 0 when there is none.
    pub active_version: Seq,
    /// The version that `as_new_version` appended.
    pub new_version: Option<Seq>,
    /// The epoch of the tenant's next entry.
    pub epoch: driftline_model::Epoch,
    /// What could not be restored, and why.
    pub failures: Vec<Damage>,
    /// Versions of the older layout that wait for a decision: those that nothing proves, and those after them. While there are
    /// any the tenant awaits recovery.
    pub held: u64,
    /// Damaged indexes and pages whose entries were found all the same.
    pub worked_around: Vec<Damage>,
    /// Objects beyond the index that fit nowhere, left as they are.
    pub orphans: Vec<String>,
    /// Entries whose reference to a version resolves no longer; kept, without effect.
    pub void_references: Vec<(Stream, Seq)>,
    /// The database's entries that got other numbers, because the bucket's history stood.
    pub renumbered: Vec<Moved>,
    /// No version was active at the time asked for: what is active was left as it is.
    pub inactive_then: bool,
    /// What came from the older layout in this recovery: old numbers and digests beside the new ones, oldest first.
    pub legacy: Vec<LegacyMapping>,
}

/// A version of the older layout, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyMapping {
    /// Its number there.
    pub old_version: Seq,
    /// Its number here: another one where versions before it are lost or were left out, since numbers are dense.
    pub new_version: Seq,
    /// The digest on record there: SHA-256 of what `JSON.stringify` made of the content.
    pub old_digest: Option<Digest>,
    /// The checksum here: SHA-256 of the canonical content.
    pub new_checksum: Digest,
    /// The digest there is that of the content; if not, it was accepted unverified.
    pub verified: bool,
}

/// One side's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideHealth {
    /// Whether it answered.
    pub reachable: bool,
    /// How long the answer took.
    pub latency: Duration,
    /// Product and version.
    pub version: Option<String>,
    /// What is wrong.
    pub error: Option<String>,
}

/// Both sides' health, each apart, and whether writes are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The database.
    pub database: SideHealth,
    /// The bucket.
    pub bucket: SideHealth,
    /// Why writes are refused, if they are.
    pub refusal: Option<Reason>,
}

/// One tenant in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Versions in the database.
    pub total_versions: u64,
    /// The newest version; 0 when there is none.
    pub latest_version: Seq,
    /// The active version; 0 when there is none.
    pub active_version: Seq,
    /// Whether a decision ended the tenant.
    pub retired: bool,
    /// Versions proven to be in the bucket.
    pub shadowed_versions: u64,
    /// Damaged rows that reads of this process have met, one more for each time. The active version is read for it.
    pub damaged_reads: u64,
    /// The size of the snapshots that the bucket's index names, in bytes; `None` when the bucket could not be asked.
    pub bucket_bytes: Option<u64>,
}

/// A repository of one control plane's desired state, per tenant.
///
/// Cancelling a call (dropping its future) leaves every entry there whole or not at all. Errors say by their kind what to
/// do; see [`super::ErrorKind`].
#[async_trait]
pub trait ManifestProvider: Send + Sync {
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

    /// Records what was made live, under the same lock and rules as a version. `NotFound` when there is no such version.
    async fn record_apply(&self, tenant: &TenantId, request: RecordApply) -> Result<ShadowState>;

    /// What was recorded last; `None` when nothing was.
    async fn current_shadow_state(&self, tenant: &TenantId) -> Result<Option<ShadowState>>;

    /// What was recorded last for a version.
    async fn shadow_state_by_version(
        &self,
        tenant: &TenantId,
        version: Seq,
    ) -> Result<Option<ShadowState>>;

    /// Compares the active version with what was recorded as applied, and with what is live if that is given. Changes nothing.
    /// `NotFound` when there is no such tenant; a tenant without a manifest is a status of the report.
    async fn detect_drift(
        &self,
        tenant: &TenantId,
        actual: Option<&ActualState>,
    ) -> Result<DriftReport>;

    /// The tenant's drift policy and what it accepted.
    async fn drift_rules(&self, tenant: &TenantId) -> Result<DriftRules>;

    /// Decides about the tenant's drift: an entry of the stream `decisions`, under the same lock and rules as a version.
    async fn decide_drift(&self, tenant: &TenantId, request: DecideDrift) -> Result<EntryMeta>;

    /// Recomputes a version's checksum from the database's bytes. `false` when it differs, or when there is no such version.
    async fn validate_checksum(&self, tenant: &TenantId, version: Seq) -> Result<bool>;

    /// Compares the tenant with its bucket, restores what the database lacks, and makes the target active. One transaction
    /// per tenant; safe to repeat.
    async fn recover_from_s3(
        &self,
        tenant: &TenantId,
        request: &RecoveryRequest,
    ) -> Result<Recovery>;

    /// Versions that the bucket can bring back, newest first, below `before`, at most `limit` (1 to 1000).
    async fn recoverable_versions(
        &self,
        tenant: &TenantId,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<HistoryPage>;

    /// Reaches both sides and reports each apart; it fails for no side's sake.
    async fn health_check(&self) -> Health;

    /// The tenant in numbers; zeros for an unknown one.
    async fn stats(&self, tenant: &TenantId) -> Result<Stats>;
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
