//! The database, brought back from the bucket.

use std::fmt;

use async_trait::async_trait;

use super::HistoryPage;
use crate::{Reason, Result};
use driftline_model::format::Damage;
use driftline_model::{Digest, Moved, Seq, ShortText, Stream, TenantId, Timestamp};

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

/// What became of the decision that the database goes on where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// There was nothing to decide.
    Settled,
    /// It takes the place of the one that it was copied from, once it is recovered.
    Adopted,
    /// It goes on without what the bucket has of these tenants, which await recovery.
    Trusted(Vec<TenantId>),
    /// It would go on without what the bucket has: has to be confirmed, and what that is.
    Unconfirmed(Reason),
}

/// Restores from the bucket, and settles which bucket and which server the database goes on with.
#[async_trait]
pub trait Recoveries: Send + Sync {
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

    /// Brings back what the bucket has of a tenant beyond the database, before its numbers are given twice: an older state of the
    /// database may have been put in its place, and nothing in it tells. Asks for the tenant's indexes, and only if they go on
    /// where the database ends for more. How many entries came back.
    ///
    /// The commands do this before they write for a tenant. No write does it by itself: an append cannot tell that the database
    /// is older than its bucket (nothing in it does), so that each one would have to ask the bucket first, and a slow bucket
    /// would hold writes up. Whoever embeds a repository calls this after its check of the ownership, once for each tenant,
    /// before the first write of it and within a time limit of their own. A server that is promoted while the process runs is
    /// another matter: the append itself meets that, has the check made anew and what is missing brought back, and is tried
    /// again.
    async fn catch_up(&self, tenant: &TenantId) -> Result<u64>;

    /// Decides that the database goes on where it is now: in the place of the one that it was copied from, which is fenced off
    /// by the recovery that has to follow; or, after a failover that is trusted, without what the bucket has beyond it. The
    /// latter only when it is `confirmed`.
    async fn adopt(&self, confirmed: bool) -> Result<Adoption>;

    /// Makes the place at hand the bucket of a database that shadows to another one: an empty place, or one that names this
    /// database. Everything is shadowed anew. `Refused` where anything else is; nothing happens where it is settled already.
    async fn start_new_bucket(&self) -> Result<()>;
}
