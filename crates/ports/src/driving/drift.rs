//! What is live and not as desired, and what of it matters.

use async_trait::async_trait;

use super::Durability;
use crate::Result;
use driftline_model::drift::{Acknowledgement, ActualState, DriftReport, DriftRules, Policy};
use driftline_model::{EntryMeta, ShortText, TenantId};

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

/// Finds drift, and keeps what is decided about it.
#[async_trait]
pub trait Drift: Send + Sync {
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
}
