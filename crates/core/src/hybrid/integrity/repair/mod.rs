//! Repair: what a verification found, mended by plan.
//!
//! A plan names every object and row that it would touch, with the digests that were seen. Applying it plans anew first and
//! refuses if anything comes out differently; then each step checks once more what it is about to change. Nothing valid is
//! overwritten, and nothing is removed that was not copied to the quarantine and read back there. A run that is cut off is
//! repeated with a new plan.

mod apply;
mod plan;

use serde::{Deserialize, Serialize};

use driftline_model::integrity::{BucketFinding, Finding};
use driftline_model::{BucketId, DatabaseId, Digest, Epoch, Seq, Stream, TenantId};

pub use self::apply::RepairReport;
pub(crate) use self::apply::apply;
pub(crate) use self::plan::make;

/// The tag of a [`RepairPlan`].
pub const REPAIR_PLAN_SCHEMA: &str = "driftline.repair-plan.v1";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Action {
    /// Copy the object to the quarantine, and remove it.
    Quarantine {
        /// Its key.
        object: String,
        /// The digest of its bytes.
        sha256: Digest,
    },
    /// Write the snapshot from the row.
    Reshadow {
        /// In which stream.
        stream: Stream,
        /// The entry's number.
        seq: Seq,
        /// The snapshot's key.
        object: String,
        /// The digest of the bytes to write.
        sha256: Digest,
    },
    /// Insert the row from the snapshot, in place of a damaged one if there is one.
    RestoreRow {
        /// In which stream.
        stream: Stream,
        /// The entry's number.
        seq: Seq,
        /// The snapshot's key.
        object: String,
        /// The checksum of its content.
        checksum: Digest,
        /// Its chain.
        chain: Digest,
        /// There is a damaged row.
        replaces: bool,
    },
    /// Write the page from the rows and the snapshots.
    RebuildPage {
        /// In which stream.
        stream: Stream,
        /// Which page.
        page: u64,
        /// Its key.
        object: String,
        /// The chain at its newest entry.
        chain: Digest,
    },
    /// Begin the index anew from rows and their snapshots, with a copy of a damaged one in the quarantine, and let shadowing add
    /// the rest.
    RebuildIndex {
        /// In which stream.
        stream: Stream,
        /// Its key.
        object: String,
        /// The digest of the damaged index; `null` when there is none.
        sha256: Option<Digest>,
    },
}

/// What is to be done for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantRepair {
    /// Whose.
    pub tenant: TenantId,
    /// Its epoch when the plan was made.
    pub epoch: Epoch,
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// What no repair mends, each with what does.
    pub left: Vec<Finding>,
}

/// Moves a damaged `bucket.json` to the quarantine, and writes it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketRepair {
    /// Its key.
    pub object: String,
    /// The digest of what is there.
    pub sha256: Digest,
    /// What it will say: the bucket, and the database that owns it, as the database's record has them.
    pub bucket_id: BucketId,
    /// The owner.
    pub database_id: DatabaseId,
    /// The newest generation that anything proves.
    pub generation: Epoch,
}

/// What a repair would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepairPlan {
    /// [`REPAIR_PLAN_SCHEMA`].
    pub schema: String,
    /// The bucket that was looked at.
    pub bucket_id: Option<BucketId>,
    /// The database that was looked at.
    pub database_id: DatabaseId,
    /// What is to be done for the bucket itself, before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketRepair>,
    /// What no repair mends of what belongs to no tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bucket_left: Vec<BucketFinding>,
    /// Tenants for which there is something to do, or something left.
    pub tenants: Vec<TenantRepair>,
    /// Tenants that could not be looked at, and why. Such a plan is applied to the others.
    pub unseen: Vec<(TenantId, String)>,
}

impl RepairPlan {
    /// How many things there are to do.
    pub fn actions(&self) -> usize {
        let tenants = self.tenants.iter().map(|it| it.actions.len());
        tenants.sum::<usize>() + usize::from(self.bucket.is_some())
    }

    /// What no repair mends.
    pub fn left(&self) -> impl Iterator<Item = &Finding> {
        self.tenants.iter().flat_map(|it| &it.left)
    }
}
