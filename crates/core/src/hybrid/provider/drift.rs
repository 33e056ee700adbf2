//! Drift, found and decided about.

use async_trait::async_trait;

use crate::hybrid::inspection::Question;
use crate::hybrid::repository::HybridManifestRepository;
use crate::hybrid::{drift, history};
use driftline_model::drift::{ActualState, DriftReport, DriftRules};
use driftline_model::{EntryMeta, TenantId};
use driftline_ports::{Appended, DecideDrift, Drift, Result};

#[async_trait]
impl Drift for HybridManifestRepository {
    #[tracing::instrument(name = "drift.detect", skip_all, fields(%tenant))]
    async fn detect_drift(
        &self,
        tenant: &TenantId,
        actual: Option<&ActualState>,
    ) -> Result<DriftReport> {
        let inspector = self.inspector();
        let inspected = drift::known(tenant, inspector.read_one(tenant).await?)?;
        let question = Question {
            plan: true,
            ..Question::default()
        };
        inspector.compare(&inspected, actual, question).await
    }

    async fn drift_rules(&self, tenant: &TenantId) -> Result<DriftRules> {
        let inspected = self.inspector().read_one(tenant).await?;
        Ok(drift::known(tenant, inspected)?.rules)
    }

    #[tracing::instrument(name = "drift.decide", skip_all, fields(%tenant))]
    async fn decide_drift(&self, tenant: &TenantId, request: DecideDrift) -> Result<EntryMeta> {
        let durability = request.durability;
        let entry = drift::entry(&self.sides, tenant, request).await?;
        let meta = match self.append(tenant, &entry).await? {
            Appended::Committed { meta, .. } => meta,
            other => return Err(history::refused(tenant, &other)),
        };
        self.wait_for(&meta, durability).await;
        Ok(meta)
    }
}
