//! What was made live, recorded and read.

use async_trait::async_trait;

use crate::hybrid::blocking::off_thread;
use crate::hybrid::repository::HybridManifestRepository;
use crate::hybrid::{drift, history};
use driftline_model::{Apply, EntryId, Seq, Stream, TenantId, VersionRef};
use driftline_ports::{
    Appended, Applies, Manifests as _, NewEntry, RecordApply, Result, ShadowState,
};

#[async_trait]
impl Applies for HybridManifestRepository {
    #[tracing::instrument(name = "apply.record", skip_all, fields(%tenant, version = %request.version))]
    async fn record_apply(&self, tenant: &TenantId, request: RecordApply) -> Result<ShadowState> {
        let version = request.version;
        drift::check_external_ids(tenant, &request.resources)?;
        let rows = self
            .sides
            .database
            .history(tenant, Stream::Manifests, Some(version.next()), 1)
            .await?;
        let applied = rows.into_iter().find(|row| row.seq == version);
        let chain = match applied {
            Some(row) => row.chain,
            None => return Err(history::refused(tenant, &Appended::NoSuchVersion)),
        };
        if !request.allow_unknown && !request.resources.is_empty() {
            let found = self.manifest_by_version(tenant, version).await?;
            let Some(found) = found.filter(|found| found.entry.meta.chain == chain) else {
                return Err(history::refused(tenant, &Appended::NoSuchVersion));
            };
            let (whose, content) = (tenant.clone(), found.entry.content);
            let resources = request.resources.clone();
            let check = move || drift::check_known(&whose, version, &content, &resources);
            off_thread(
                found
                    .entry
                    .meta
                    .content_bytes
                    .try_into()
                    .unwrap_or(usize::MAX),
                check,
            )
            .await?;
        }
        let apply = Apply {
            manifest_version: version,
            manifest_chain: chain,
            resources: request.resources,
        };
        let entry = NewEntry {
            stream: Stream::Applies,
            id: EntryId(self.sides.entropy.uuid()),
            content: apply.to_content()?,
            created_at: self.sides.now(),
            created_by: request.created_by,
            message: request.message,
            expect: None,
            idempotency_key: None,
            skip_unchanged: false,
            refers_to: Some(VersionRef { version, chain }),
            activation: None,
        };
        let meta = match self.append(tenant, &entry).await? {
            Appended::Committed { meta, .. } => meta,
            other => return Err(history::refused(tenant, &other)),
        };
        self.wait_for(&meta, request.durability).await;
        Ok(ShadowState {
            meta,
            version,
            chain,
            resolves: true,
            resources: apply.resources,
            damaged_row: None,
        })
    }

    async fn current_shadow_state(&self, tenant: &TenantId) -> Result<Option<ShadowState>> {
        let entry = self
            .sides
            .database
            .latest(tenant, Stream::Applies, None)
            .await?;
        self.shadow_state(entry).await
    }

    async fn shadow_state_by_version(
        &self,
        tenant: &TenantId,
        version: Seq,
    ) -> Result<Option<ShadowState>> {
        let entry = self.sides.database.latest_apply_of(tenant, version).await?;
        let state = self.shadow_state(entry).await?;
        if state
            .as_ref()
            .is_some_and(|it| it.resolves && it.version == version)
        {
            return Ok(state);
        }
        match self.apply_before_it_moved(tenant, version).await? {
            Some(moved) => self.shadow_state(Some(moved)).await,
            None => Ok(state),
        }
    }
}
