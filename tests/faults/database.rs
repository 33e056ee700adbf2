//! The database's calls, counted.

use std::sync::Arc;

use std::time::Duration;

use async_trait::async_trait;
use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::{
    BucketId, Entry, EntryMeta, Epoch, Halt, PerStream, Seq, Stream, TenantId, TenantState,
    Timestamp,
};
use driftline::ports::{
    Appended, Asked, BackendInfo, Backlog, DatabaseIdentity, FailedDrill, HaltGuard, Lease,
    LeaseRequest, ManifestStore, Mark, NewEntry, ReadSession, RecoveryStore, Restore, RestoreProof,
    ShadowFailure, ShadowLedger, Side, StateReader, StoreResult, Stored, TenantDocuments,
    TenantStatus, WorkerId,
};

use crate::calls::{Calls, Class};

/// A database of which one call goes wrong.
#[derive(Debug)]
pub struct SpoiltDatabase {
    pub inner: Arc<MemoryDatabase>,
    pub calls: Calls,
}

impl SpoiltDatabase {
    async fn read<T>(
        &self,
        what: &str,
        work: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        self.calls
            .call(Side::Database, Class::Read, what.to_owned(), work)
            .await
    }

    async fn write<T>(
        &self,
        what: &str,
        work: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        self.calls
            .call(Side::Database, Class::Write, what.to_owned(), work)
            .await
    }
}

#[async_trait]
impl ManifestStore for SpoiltDatabase {
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        self.write(
            "append",
            ManifestStore::append(self.inner.as_ref(), tenant, entry),
        )
        .await
    }

    async fn append_at(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: &DatabaseIdentity,
    ) -> StoreResult<Appended> {
        self.write(
            "append_at",
            ManifestStore::append_at(self.inner.as_ref(), tenant, entry, at),
        )
        .await
    }

    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        self.read("tenant", ManifestStore::tenant(self.inner.as_ref(), tenant))
            .await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>> {
        self.read(
            "tenants",
            ManifestStore::tenants(self.inner.as_ref(), after, limit),
        )
        .await
    }

    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>> {
        self.read(
            "active_manifest",
            ManifestStore::active_manifest(self.inner.as_ref(), tenant),
        )
        .await
    }

    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>> {
        self.read(
            "entry",
            ManifestStore::entry(self.inner.as_ref(), tenant, stream, seq),
        )
        .await
    }

    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>> {
        self.read(
            "latest",
            ManifestStore::latest(self.inner.as_ref(), tenant, stream, until),
        )
        .await
    }

    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>> {
        self.read(
            "latest_apply_of",
            ManifestStore::latest_apply_of(self.inner.as_ref(), tenant, version),
        )
        .await
    }

    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>> {
        self.read(
            "history",
            ManifestStore::history(self.inner.as_ref(), tenant, stream, before, limit),
        )
        .await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.read("ping", ManifestStore::ping(self.inner.as_ref()))
            .await
    }

    async fn migrate(&self) -> StoreResult<()> {
        self.write("migrate", ManifestStore::migrate(self.inner.as_ref()))
            .await
    }
}

#[async_trait]
impl ShadowLedger for SpoiltDatabase {
    async fn lease(&self, request: &LeaseRequest) -> StoreResult<Lease> {
        self.write("lease", ShadowLedger::lease(self.inner.as_ref(), request))
            .await
    }

    async fn release(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
    ) -> StoreResult<()> {
        self.write(
            "release",
            ShadowLedger::release(self.inner.as_ref(), tenant, worker, failure),
        )
        .await
    }

    async fn hand_back(&self, tenant: &TenantId, worker: WorkerId) -> StoreResult<()> {
        self.write(
            "hand_back",
            ShadowLedger::hand_back(self.inner.as_ref(), tenant, worker),
        )
        .await
    }

    async fn renew(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        duration: Duration,
    ) -> StoreResult<bool> {
        self.write(
            "renew",
            ShadowLedger::renew(self.inner.as_ref(), tenant, worker, duration),
        )
        .await
    }

    async fn pending(
        &self,
        tenant: &TenantId,
        stream: Stream,
        after: Seq,
        limit: u32,
        max_bytes: u64,
    ) -> StoreResult<Vec<Entry>> {
        self.read(
            "pending",
            ShadowLedger::pending(self.inner.as_ref(), tenant, stream, after, limit, max_bytes),
        )
        .await
    }

    async fn advance_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        mark: &Mark,
    ) -> StoreResult<bool> {
        self.write(
            "advance_watermark",
            ShadowLedger::advance_watermark(self.inner.as_ref(), tenant, bucket, mark),
        )
        .await
    }

    async fn lower_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        stream: Stream,
        to: Seq,
    ) -> StoreResult<()> {
        self.write(
            "lower_watermark",
            ShadowLedger::lower_watermark(self.inner.as_ref(), tenant, bucket, stream, to),
        )
        .await
    }

    async fn watermarks(&self, tenant: &TenantId) -> StoreResult<PerStream<Seq>> {
        self.read(
            "watermarks",
            ShadowLedger::watermarks(self.inner.as_ref(), tenant),
        )
        .await
    }

    async fn halt(&self, tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> StoreResult<bool> {
        self.write(
            "halt",
            ShadowLedger::halt(self.inner.as_ref(), tenant, halt, guard),
        )
        .await
    }

    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantStatus>> {
        self.read(
            "status",
            ShadowLedger::status(self.inner.as_ref(), tenant, after, limit),
        )
        .await
    }

    async fn backlog(&self) -> StoreResult<Backlog> {
        self.read("backlog", ShadowLedger::backlog(self.inner.as_ref()))
            .await
    }

    async fn probe_passed(&self, bucket: BucketId) -> StoreResult<bool> {
        self.read(
            "probe_passed",
            ShadowLedger::probe_passed(self.inner.as_ref(), bucket),
        )
        .await
    }

    async fn record_probe(&self, bucket: BucketId) -> StoreResult<()> {
        self.write(
            "record_probe",
            ShadowLedger::record_probe(self.inner.as_ref(), bucket),
        )
        .await
    }
}

#[async_trait]
impl RecoveryStore for SpoiltDatabase {
    async fn identity(&self) -> StoreResult<DatabaseIdentity> {
        self.read("identity", RecoveryStore::identity(self.inner.as_ref()))
            .await
    }

    async fn claim(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
    ) -> StoreResult<bool> {
        self.write(
            "claim",
            RecoveryStore::claim(self.inner.as_ref(), seen, bucket, generation),
        )
        .await
    }

    async fn await_recovery(
        &self,
        seen: Option<&DatabaseIdentity>,
        tenant: Option<&TenantId>,
    ) -> StoreResult<bool> {
        self.write(
            "await_recovery",
            RecoveryStore::await_recovery(self.inner.as_ref(), seen, tenant),
        )
        .await
    }

    async fn settle(&self, at: &DatabaseIdentity, id: Option<uuid::Uuid>) -> StoreResult<bool> {
        self.write("settle", RecoveryStore::settle(self.inner.as_ref(), at, id))
            .await
    }

    async fn take_generation(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()> {
        self.write(
            "take_generation",
            RecoveryStore::take_generation(self.inner.as_ref(), bucket, generation),
        )
        .await
    }

    async fn record_proofs(
        &self,
        bucket: BucketId,
        proofs: &[(TenantId, RestoreProof)],
    ) -> StoreResult<()> {
        self.write(
            "record_proofs",
            RecoveryStore::record_proofs(self.inner.as_ref(), bucket, proofs),
        )
        .await
    }

    async fn record_failed_drills(
        &self,
        bucket: BucketId,
        failed: &[(TenantId, FailedDrill)],
    ) -> StoreResult<()> {
        self.write(
            "record_failed_drills",
            RecoveryStore::record_failed_drills(self.inner.as_ref(), bucket, failed),
        )
        .await
    }

    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>> {
        let work = self.inner.begin_restore(tenant);
        let inner = self.read("begin_restore", work).await?;
        let calls = self.calls.clone();
        Ok(Box::new(SpoiltRestore { inner, calls }))
    }
}

#[async_trait]
impl StateReader for SpoiltDatabase {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        self.read(
            "tenant_names",
            StateReader::tenant_names(self.inner.as_ref(), after, limit),
        )
        .await
    }

    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        self.read(
            "documents",
            StateReader::documents(self.inner.as_ref(), tenants, max_bytes),
        )
        .await
    }

    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        self.read(
            "stored_entry",
            StateReader::stored_entry(self.inner.as_ref(), tenant, stream, seq),
        )
        .await
    }

    async fn session(&self) -> StoreResult<ReadSession> {
        self.read("session", StateReader::session(self.inner.as_ref()))
            .await
    }
}

/// A restore of which one call goes wrong.
struct SpoiltRestore {
    inner: Box<dyn Restore>,
    calls: Calls,
}

#[async_trait]
impl Restore for SpoiltRestore {
    fn state(&self) -> Option<&TenantState> {
        self.inner.state()
    }

    fn watermarks(&self) -> PerStream<Seq> {
        self.inner.watermarks()
    }

    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        let work = self.inner.insert(entries);
        self.calls
            .call(Side::Database, Class::Write, "insert".to_owned(), work)
            .await
    }

    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()> {
        let work = self.inner.remove(stream, seqs);
        self.calls
            .call(Side::Database, Class::Write, "remove".to_owned(), work)
            .await
    }

    async fn commit(
        self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()> {
        let work = self.inner.commit(state, bucket, watermarks);
        self.calls
            .call(Side::Database, Class::Write, "commit".to_owned(), work)
            .await
    }
}
