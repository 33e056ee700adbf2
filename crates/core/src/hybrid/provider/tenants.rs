//! Tenants: listed, counted, ended, and waited for.

use std::time::Duration;

use async_trait::async_trait;

use crate::hybrid::repository::HybridManifestRepository;
use crate::hybrid::{history, retire};
use driftline_model::{EntryMeta, Seq, ShortText, Stream, TenantId, TenantState};
use driftline_ports::{Appended, Result, Stats, TenantStatus, Tenants};

#[async_trait]
impl Tenants for HybridManifestRepository {
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantState>> {
        Ok(self.sides.database.tenants(after, limit).await?)
    }

    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantStatus>> {
        Ok(self.sides.database.status(tenant, after, limit).await?)
    }

    async fn stats(&self, tenant: &TenantId) -> Result<Stats> {
        let state = self.sides.database.tenant(tenant).await?;
        let watermarks = self.sides.database.watermarks(tenant).await?;
        // What is wrong with it is counted, and no reason to tell nothing else.
        if let Ok(Some(active)) = self.sides.database.active_manifest(tenant).await {
            drop(self.guard().entry(active.entry).await);
        }
        let index = self.sides.bucket().index(tenant, Stream::Manifests).await;
        let latest = state
            .as_ref()
            .map_or(Seq::default(), |state| state.heads[Stream::Manifests].seq);
        Ok(Stats {
            total_versions: latest.get(),
            latest_version: latest,
            active_version: state
                .as_ref()
                .map_or(Seq::default(), TenantState::active_version),
            retired: state.is_some_and(|state| state.retired.is_some()),
            shadowed_versions: watermarks[Stream::Manifests].get(),
            damaged_reads: self.damaged_reads.of(tenant),
            bucket_bytes: index
                .ok()
                .map(|index| index.map_or(0, |(index, _)| index.total_size_bytes)),
        })
    }

    async fn set_retired(
        &self,
        tenant: &TenantId,
        retired: bool,
        by: Option<ShortText>,
        reason: ShortText,
    ) -> Result<EntryMeta> {
        let entry = retire::entry(&self.sides, tenant, retired, by, reason).await?;
        match self.append(tenant, &entry).await? {
            Appended::Committed { meta, .. } => Ok(meta),
            other => Err(history::refused(tenant, &other)),
        }
    }

    async fn wait_until_shadowed(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
        longest: Duration,
    ) -> bool {
        self.until_shadowed(tenant, stream, seq, longest).await
    }
}
