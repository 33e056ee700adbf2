//! Versions, created and read.

use async_trait::async_trait;

use super::check_limit;
use crate::hybrid::blocking::off_thread;
use crate::hybrid::fallback::Found;
use crate::hybrid::repository::HybridManifestRepository;
use crate::hybrid::{drift, fallback, history};
use driftline_model::content::Content;
use driftline_model::format::MAX_CONTENT_BYTES;
use driftline_model::{Entry, EntryId, Seq, Stream, TenantId, TenantState, Timestamp};
use driftline_ports::{
    Appended, CreateManifest, Created, Error, ErrorKind, Fault, Hint, HistoryPage, Manifest,
    Manifests, NewEntry, Result, Source,
};

#[async_trait]
impl Manifests for HybridManifestRepository {
    #[tracing::instrument(name = "manifest.create", skip_all, fields(%tenant))]
    async fn create_manifest(&self, tenant: &TenantId, request: CreateManifest) -> Result<Created> {
        let limit = self.settings.content_limit.min(MAX_CONTENT_BYTES);
        let raw = request.content;
        let raw_len = raw.len();
        let parse = move || Content::parse_manifest(&raw, limit);
        let content = off_thread(raw_len, parse).await?;
        if let Some(expected) = request.checksum
            && expected != content.checksum()
        {
            let message = format!(
                "create a manifest of {tenant}: the checksum is {}, but the caller says {expected}",
                content.checksum()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message).hint(Hint::ChecksumForm));
        }
        let entry = NewEntry {
            stream: Stream::Manifests,
            id: EntryId(self.sides.entropy.uuid()),
            content,
            created_at: request.created_at.unwrap_or_else(|| self.sides.now()),
            created_by: request.created_by,
            message: request.message,
            expect: request.expect,
            idempotency_key: request.idempotency_key,
            skip_unchanged: request.skip_unchanged,
            refers_to: None,
            activation: None,
        };
        let (meta, active, new) = match self.append(tenant, &entry).await? {
            Appended::Committed { meta, active } => (meta, active, true),
            Appended::Replayed { meta, active } => (meta, active, false),
            Appended::Unchanged { meta } => {
                let active = meta.seq;
                (meta, active, false)
            }
            other => return Err(history::refused(tenant, &other)),
        };
        let shadowed = self.wait_for(&meta, request.durability).await;
        let active = Some(meta.seq == active);
        let entry = Entry {
            meta,
            content: entry.content,
        };
        Ok(Created {
            manifest: Manifest {
                entry,
                active,
                shadowed,
                source: Source::Database,
                retired: Some(false),
                damaged_row: None,
            },
            new,
        })
    }

    #[tracing::instrument(name = "manifest.current", skip_all, fields(%tenant))]
    async fn current_manifest(&self, tenant: &TenantId) -> Result<Option<Manifest>> {
        match self.sides.database.active_manifest(tenant).await {
            Ok(Some(stored)) => return Ok(Some(self.manifest_of(stored).await?)),
            Ok(None) => {}
            // The row by its number has something to fall back on.
            Err(error) if error.fault() == Fault::Corrupt => {}
            Err(error) => return Err(error.into()),
        }
        // No versions, or a row that recovery could not bring back, or that cannot be read.
        match self.sides.database.tenant(tenant).await? {
            Some(state) if state.active_version() > Seq::default() => {
                self.manifest_by_version(tenant, state.active_version())
                    .await
            }
            _ => Ok(None),
        }
    }

    #[tracing::instrument(name = "manifest.get", skip_all, fields(%tenant, %version))]
    async fn manifest_by_version(
        &self,
        tenant: &TenantId,
        version: Seq,
    ) -> Result<Option<Manifest>> {
        let database = &self.sides.database;
        let state = match database.entry(tenant, Stream::Manifests, version).await {
            Ok(Some(stored)) => return Ok(Some(self.manifest_of(stored).await?)),
            Ok(None) => match database.tenant(tenant).await? {
                Some(state)
                    if version > Seq::default()
                        && version <= state.heads[Stream::Manifests].seq =>
                {
                    Some(state)
                }
                _ => return Ok(None),
            },
            Err(error) if error.fault() == Fault::Corrupt => {
                return self.instead_of(tenant, version, error).await.map(Some);
            }
            Err(error) if error.fault() == Fault::Unavailable => {
                tracing::warn!(%tenant, %version, error = %error.report(), "the database is unreachable; asking the bucket");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let found =
            fallback::entry(&self.sides.bucket(), tenant, Stream::Manifests, version).await?;
        let state = state.as_ref();
        Ok(found.map(|Found { entry, end }| Manifest {
            active: state.map(|state| state.active_version() == version),
            retired: state.map(|state| state.retired.is_some()),
            shadowed: entry.meta.seq <= end.0,
            source: Source::Bucket,
            damaged_row: None,
            entry,
        }))
    }

    async fn manifest_at(&self, tenant: &TenantId, at: Timestamp) -> Result<Option<Manifest>> {
        match history::active_at(self, tenant, at).await? {
            Some(version) => self.manifest_by_version(tenant, version).await,
            None => Ok(None),
        }
    }

    async fn version_history(
        &self,
        tenant: &TenantId,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<HistoryPage> {
        check_limit(limit)?;
        let database = &self.sides.database;
        let items = database
            .history(tenant, Stream::Manifests, before, limit)
            .await?;
        let state = database.tenant(tenant).await?;
        let watermark = database.watermarks(tenant).await?[Stream::Manifests];
        let next = items
            .last()
            .map(|meta| meta.seq)
            .filter(|seq| seq.get() > 1);
        Ok(HistoryPage {
            items,
            next,
            active: state.as_ref().map(TenantState::active_version),
            retired: state.map(|state| state.retired.is_some()),
            watermark,
        })
    }

    async fn lost_collections(
        &self,
        tenant: &TenantId,
        version: Seq,
        content: &Content,
    ) -> Result<Vec<String>> {
        drift::lost_collections(self, tenant, version, content).await
    }
}
