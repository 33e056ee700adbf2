//! The database, brought back from the bucket.

use async_trait::async_trait;

use super::check_limit;
use crate::hybrid::repository::HybridManifestRepository;
use crate::hybrid::{fallback, ownership, recovery};
use driftline_model::{Seq, TenantId};
use driftline_ports::{
    Adoption, Error, ErrorKind, HistoryPage, Recoveries, Recovery, RecoveryRequest, Result,
};

#[async_trait]
impl Recoveries for HybridManifestRepository {
    #[tracing::instrument(name = "recover", skip_all, fields(%tenant))]
    async fn recover_from_s3(
        &self,
        tenant: &TenantId,
        request: &RecoveryRequest,
    ) -> Result<Recovery> {
        let progress = recovery::Progress::default();
        let report = self.recover_one(tenant, request, &progress).await?;
        self.replicator.wake();
        let outcome = report.tenants.into_iter().next();
        outcome.map_or_else(
            || {
                let message = format!("recover {tenant}: it is not in the report");
                Err(Error::new(ErrorKind::Internal, message))
            },
            |(_, outcome)| outcome,
        )
    }

    async fn recoverable_versions(
        &self,
        tenant: &TenantId,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<HistoryPage> {
        check_limit(limit)?;
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let (items, watermark) = fallback::recoverable(&self.sides, tenant, before, size).await?;
        let next = items
            .last()
            .map(|meta| meta.seq)
            .filter(|seq| seq.get() > 1);
        Ok(HistoryPage {
            items,
            next,
            active: None,
            retired: None,
            watermark,
        })
    }

    async fn catch_up(&self, tenant: &TenantId) -> Result<u64> {
        if !ownership::copied::lags(&self.sides, tenant).await? {
            return Ok(0);
        }
        if self.sides.database.tenant(tenant).await?.is_some() {
            return recovery::behind(&self.sides, &self.settings, tenant).await;
        }
        let (request, progress) = (RecoveryRequest::default(), recovery::Progress::default());
        let report = self.recover_one(tenant, &request, &progress).await?;
        let mut restored = 0;
        for (_, outcome) in report.tenants {
            restored += outcome?.restored;
        }
        Ok(restored)
    }

    async fn adopt(&self, confirmed: bool) -> Result<Adoption> {
        ownership::copied::decide(&self.sides, &self.settings, confirmed).await
    }

    async fn start_new_bucket(&self) -> Result<()> {
        ownership::new_bucket(&self.sides).await
    }
}
