//! Whether both sides are what they should be.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Reason, Result, TenantStatus};
use driftline_model::{EntryMeta, Seq, ShortText, Stream, TenantId};

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

/// What a check-up found; nothing stands for "well".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckUp {
    /// Why the bucket takes no writes.
    pub bucket: Option<String>,
    /// Why the database takes no writes.
    pub database: Option<String>,
    /// Tenants of whom the bucket shows something else than the database has on record, and what is wrong.
    pub tenants: Vec<(TenantId, Reason)>,
    /// Tenants that were not looked at, because there are too many.
    pub unseen: usize,
    /// Why it could not be found out which tenants the bucket has beside those that the database knows.
    pub unlisted: Option<String>,
}

impl CheckUp {
    /// Whether all is well.
    pub fn is_well(&self) -> bool {
        self.bucket.is_none()
            && self.database.is_none()
            && self.tenants.is_empty()
            && self.unlisted.is_none()
    }
}

/// Proves what is stored, and tells what is wrong.
#[async_trait]
pub trait Integrity: Send + Sync {
    /// Recomputes a version's checksum from the database's bytes. `false` when it differs, or when there is no such version.
    async fn validate_checksum(&self, tenant: &TenantId, version: Seq) -> Result<bool>;

    /// Reaches both sides and reports each apart; it fails for no side's sake.
    async fn health_check(&self) -> Health;

    /// Tries whether both sides can be written to, and compares the indexes of `known` tenants with the database's record of
    /// them. What it writes it takes back. With `writes_to_bucket` not set, for a bucket in other hands, only the database is
    /// tried.
    async fn check_up(&self, known: &[TenantStatus], writes_to_bucket: bool) -> CheckUp;

    /// Accepts that an entry is lost on both sides: a decision. Refused while a repair could bring it back.
    async fn accept_loss(
        &self,
        tenant: &TenantId,
        lost: (Stream, Seq),
        by: Option<ShortText>,
        reason: ShortText,
    ) -> Result<EntryMeta>;
}
