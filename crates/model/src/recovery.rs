//! Recovery plans: what a recovery would change, written down so that it can be read, kept, and refused once it is out of date.

use serde::{Deserialize, Serialize};

use super::{BucketId, DatabaseId, Digest, Epoch, Seq, ShortText, Stream, TenantId, Timestamp};

/// The tag of a [`RecoveryPlan`].
pub const RECOVERY_PLAN_SCHEMA: &str = "driftline.recovery-plan.v1";

/// Which version becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlannedTarget {
    /// Whichever the decisions say.
    Newest,
    /// This one.
    Version(Seq),
    /// The one that was active then.
    At(Timestamp),
}

/// A row to insert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedRow {
    /// In which stream.
    pub stream: Stream,
    /// Its number.
    pub seq: Seq,
    /// The object that it comes from.
    pub object: String,
    /// The digest of that object's bytes.
    pub object_sha256: Digest,
    /// The checksum of its content.
    pub checksum: Digest,
}

/// A later version that would no longer be active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deactivated {
    /// Its number; it stays in history.
    pub version: Seq,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
}

/// An entry of the database that would get another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedMove {
    /// In which stream.
    pub stream: Stream,
    /// Its number now.
    pub from: Seq,
    /// Its number then.
    pub to: Seq,
}

/// Something that cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lost {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A stream of both sides as the plan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenStream {
    /// Which.
    pub stream: Stream,
    /// The database's newest number; `null` when it does not know the tenant.
    pub head: Option<Seq>,
    /// The chain there.
    pub chain: Option<Digest>,
    /// The version of the index object; `null` when there is none.
    pub index: Option<String>,
}

/// What would change for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantPlan {
    /// Whose.
    pub tenant: TenantId,
    /// How the two sides compare.
    pub state: String,
    /// The database's epoch for the tenant.
    pub epoch: Option<Epoch>,
    /// What was seen.
    pub seen: Vec<SeenStream>,
    /// Rows to insert.
    pub rows: Vec<PlannedRow>,
    /// The active version afterwards.
    pub active_version: Seq,
    /// No version was active at the time asked for: what is active would be left as it is.
    pub inactive_then: bool,
    /// The version that would be appended.
    pub new_version: Option<Seq>,
    /// Later versions that would no longer be active, newest first.
    pub deactivates: Vec<Deactivated>,
    /// The database's entries that would get other numbers.
    pub renumbers: Vec<PlannedMove>,
    /// What cannot be restored.
    pub lost: Vec<Lost>,
}

/// A tenant for which no plan could be made, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unplanned {
    /// Whose.
    pub tenant: TenantId,
    /// Why.
    pub reason: String,
}

/// A tenant's plan as a digest: it tells whether another one is the same, and is short however many rows there are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "TenantPlan")]
pub struct PlannedTenant {
    /// Whose.
    pub tenant: TenantId,
    /// The digest of all of it.
    pub digest: Digest,
}

impl From<&TenantPlan> for PlannedTenant {
    fn from(plan: &TenantPlan) -> Self {
        Self {
            tenant: plan.tenant.clone(),
            digest: plan.digest(),
        }
    }
}

impl From<TenantPlan> for PlannedTenant {
    fn from(plan: TenantPlan) -> Self {
        Self::from(&plan)
    }
}

impl TenantPlan {
    /// The digest of all of it: equal plans have equal ones.
    pub fn digest(&self) -> Digest {
        // Numbers, digests and texts always make a document.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What a recovery would change. A plan that is only to be applied is read with a [`PlannedTenant`] for each tenant, so that its
/// rows are never all in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what was asked for, flag by flag, as the file names it"
)]
pub struct RecoveryPlan<T = TenantPlan> {
    /// [`RECOVERY_PLAN_SCHEMA`].
    pub schema: String,
    /// The database that was looked at.
    pub database_id: DatabaseId,
    /// The bucket that was looked at; `null` when it is nobody's.
    pub bucket_id: Option<BucketId>,
    /// The database that owned it.
    pub owner: Option<DatabaseId>,
    /// The one tenant to recover; `null` for all.
    pub tenant: Option<TenantId>,
    /// Which version becomes active.
    pub target: PlannedTarget,
    /// Its content is appended as a new version.
    pub as_new_version: bool,
    /// Both of two histories are kept.
    pub resolve_divergence: bool,
    /// What nothing proves is taken from an older layout.
    pub accept_unverified: bool,
    /// Versions of the older layout that nothing proves are left out for good.
    #[serde(default)]
    pub leave_out: bool,
    /// Per tenant, in byte order.
    pub tenants: Vec<T>,
    /// Tenants that would fail.
    pub failed: Vec<Unplanned>,
}

impl RecoveryPlan {
    /// The same plan without its rows.
    pub fn outline(&self) -> RecoveryPlan<PlannedTenant> {
        RecoveryPlan {
            schema: self.schema.clone(),
            database_id: self.database_id,
            bucket_id: self.bucket_id,
            owner: self.owner,
            tenant: self.tenant.clone(),
            target: self.target,
            as_new_version: self.as_new_version,
            resolve_divergence: self.resolve_divergence,
            accept_unverified: self.accept_unverified,
            leave_out: self.leave_out,
            tenants: self.tenants.iter().map(PlannedTenant::from).collect(),
            failed: self.failed.clone(),
        }
    }
}
