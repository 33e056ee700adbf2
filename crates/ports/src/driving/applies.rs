//! What was made live.

use async_trait::async_trait;

use super::Durability;
use crate::Result;
use driftline_model::integrity::RowDamage;
use driftline_model::{Digest, EntryMeta, Resources, Seq, ShortText, TenantId};

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

/// Records what was made live, and says what is believed to be.
#[async_trait]
pub trait Applies: Send + Sync {
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
}
