//! Tenants, and how far each is shadowed.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Result, TenantStatus};
use driftline_model::{EntryMeta, Seq, ShortText, Stream, TenantId, TenantState};

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

/// Tells of tenants, and ends them.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// Tenants of the database, in byte order, after `after`, at most `limit`.
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantState>>;

    /// What is shadowed, at risk, failing and halted: one tenant, or all after `after`, at most `limit`.
    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantStatus>>;

    /// The tenant in numbers; zeros for an unknown one.
    async fn stats(&self, tenant: &TenantId) -> Result<Stats>;

    /// Ends a tenant by decision, or takes that back. Its writes are refused from then on, its history stays and can be read.
    /// `NotFound` for an unknown tenant; `Refused` when it is as it should become already, or awaits recovery.
    async fn set_retired(
        &self,
        tenant: &TenantId,
        retired: bool,
        by: Option<ShortText>,
        reason: ShortText,
    ) -> Result<EntryMeta>;

    /// Waits until this entry is proven to be in the bucket; the answer tells. It is `false` at the end of the time, and soon
    /// after it is known that shadowing waits for somebody who decides or changes something. The entry is committed: a database
    /// that fails meanwhile is asked again.
    async fn wait_until_shadowed(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
        longest: Duration,
    ) -> bool;
}
