//! The driving port on the two sides.

mod append;
mod serve;

use std::future::Future;

use async_trait::async_trait;
use tokio::time::Instant;

use super::blocking::off_thread;
use super::checkup::PATIENCE;
use super::fallback::Found;
use super::inspection::Question;
use super::repository::HybridManifestRepository;
use super::{drift, fallback, history, ownership, proven, recovery};
use driftline_model::content::Content;
use driftline_model::drift::{ActualState, DriftReport, DriftRules};
use driftline_model::format::MAX_CONTENT_BYTES;
use driftline_model::{
    Apply, Entry, EntryId, EntryMeta, Seq, Stream, TenantId, TenantState, Timestamp, VersionRef,
};
use driftline_ports::{
    Appended, BackendInfo, CreateManifest, Created, DecideDrift, Error, ErrorKind, Fault, Health,
    Hint, HistoryPage, Manifest, ManifestProvider, NewEntry, Ownership, RecordApply, Recovery,
    RecoveryRequest, Result, ShadowState, SideHealth, Source, Stats, StoreResult, Stored,
};

/// The largest page of a history.
const MAX_PAGE: u32 = 1000;

#[async_trait]
impl ManifestProvider for HybridManifestRepository {
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
        match history::active_at(&self.sides, &self.guard(), tenant, at).await? {
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

    async fn validate_checksum(&self, tenant: &TenantId, version: Seq) -> Result<bool> {
        let stored = self
            .sides
            .database
            .entry(tenant, Stream::Manifests, version)
            .await?;
        match stored {
            Some(Stored { entry, .. }) => Ok(proven::damage_of(&entry).await.is_none()),
            None => Ok(false),
        }
    }

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

    async fn health_check(&self) -> Health {
        let identity = tokio::time::timeout(PATIENCE, self.sides.database.identity());
        let (database, bucket, identity) = tokio::join!(
            reach(self.sides.database.ping()),
            reach(self.sides.snapshots.ping()),
            identity,
        );
        let ownership = match identity {
            Ok(answer) => answer
                .map(|identity| identity.ownership)
                .map_err(|error| error.report()),
            Err(_) => Err("whose the database is could not be asked: no answer".to_owned()),
        };
        let refusal = match ownership {
            Ok(Ownership::Unclaimed) => {
                Some("the database has not seen its bucket yet".to_owned().into())
            }
            Ok(Ownership::AwaitingRecovery) => {
                Some(ownership::awaiting("the database awaits recovery"))
            }
            Ok(Ownership::Claimed) => None,
            Err(reason) => Some(reason.into()),
        };
        Health {
            database,
            bucket,
            refusal,
        }
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
}

fn check_limit(limit: u32) -> Result<()> {
    if limit <= MAX_PAGE {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("read a history: a limit of 0 to {MAX_PAGE} is expected, not {limit}"),
    ))
}

/// One side's answer and how long it took.
async fn reach(ping: impl Future<Output = StoreResult<BackendInfo>>) -> SideHealth {
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, ping).await;
    let latency = started.elapsed();
    let (version, error) = match answer {
        Ok(Ok(info)) => (Some(info.version), None),
        Ok(Err(error)) => (None, Some(error.report())),
        Err(_) => (None, Some("no answer within 10 seconds".to_owned())),
    };
    SideHealth {
        reachable: error.is_none(),
        latency,
        version,
        error,
    }
}
