//! The database's calls.

use std::time::Duration;

use driftline_model::{
    BucketId, Entry, EntryMeta, Epoch, Halt, PerStream, Seq, Stream, TenantId, TenantState,
    Timestamp,
};
use driftline_ports::{
    Appended, Asked, BackendInfo, Backlog, DatabaseIdentity, FailedDrill, HaltGuard, Lease,
    LeaseRequest, ManifestStore, Mark, NewEntry, ReadSession, RecoveryStore, Restore, RestoreProof,
    ShadowFailure, ShadowLedger, StateReader, StoreResult, Stored, TenantDocuments, TenantStatus,
    WorkerId,
};
use uuid::Uuid;

use super::restore::intercepted;
use super::{Answer, Args, Call, Hook, Intercepted, forward};

forward! { ManifestStore {
    append(tenant: &TenantId, entry: &NewEntry) -> Appended => Args::Append(tenant, entry, None);
    append_at(tenant: &TenantId, entry: &NewEntry, at: &DatabaseIdentity) -> Appended => Args::Append(tenant, entry, Some(at));
    tenant(tenant: &TenantId) -> Option<TenantState> => Args::Read(Some(tenant));
    tenants(after: Option<&TenantId>, limit: u32) -> Vec<TenantState> => Args::Read(None);
    active_manifest(tenant: &TenantId) -> Option<Stored> => Args::Read(Some(tenant));
    entry(tenant: &TenantId, stream: Stream, seq: Seq) -> Option<Stored> => Args::ReadEntry(tenant, stream, seq);
    latest(tenant: &TenantId, stream: Stream, until: Option<Timestamp>) -> Option<Entry> => Args::Read(Some(tenant));
    latest_apply_of(tenant: &TenantId, version: Seq) -> Option<Entry> => Args::Read(Some(tenant));
    history(tenant: &TenantId, stream: Stream, before: Option<Seq>, limit: u32) -> Vec<EntryMeta> => Args::Read(Some(tenant));
    ping() -> BackendInfo => Args::Read(None);
    can_write() -> () => Args::Write(None);
    migrate() -> () => Args::Write(None);
} }

forward! { ShadowLedger {
    lease(request: &LeaseRequest) -> Lease => Args::Write(None);
    release(tenant: &TenantId, worker: WorkerId, failure: Option<&ShadowFailure>) -> () => Args::Write(Some(tenant));
    hand_back(tenant: &TenantId, worker: WorkerId) -> () => Args::Write(Some(tenant));
    renew(tenant: &TenantId, worker: WorkerId, duration: Duration) -> bool => Args::Write(Some(tenant));
    pending(tenant: &TenantId, stream: Stream, after: Seq, limit: u32, max_bytes: u64) -> Vec<Entry> => Args::Read(Some(tenant));
    advance_watermark(tenant: &TenantId, bucket: BucketId, mark: &Mark) -> bool => Args::Advance(tenant, bucket, mark);
    lower_watermark(tenant: &TenantId, bucket: BucketId, stream: Stream, to: Seq) -> () => Args::Write(Some(tenant));
    watermarks(tenant: &TenantId) -> PerStream<Seq> => Args::Read(Some(tenant));
    halt(tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> bool => Args::Halt(tenant, halt);
    status(tenant: Option<&TenantId>, after: Option<&TenantId>, limit: u32) -> Vec<TenantStatus> => Args::Read(tenant);
    backlog() -> Backlog => Args::Read(None);
    probe_passed(bucket: BucketId) -> bool => Args::Read(None);
    record_probe(bucket: BucketId) -> () => Args::Write(None);
} }

forward! { RecoveryStore {
    identity() -> DatabaseIdentity => Args::Read(None);
    claim(seen: Option<&DatabaseIdentity>, bucket: BucketId, generation: Epoch) -> bool => Args::Write(None);
    settle(at: &DatabaseIdentity, id: Option<Uuid>) -> bool => Args::Write(None);
    await_recovery(seen: Option<&DatabaseIdentity>, tenant: Option<&TenantId>) -> bool => Args::Write(tenant);
    take_generation(bucket: BucketId, generation: Epoch) -> () => Args::Write(None);
    record_proofs(bucket: BucketId, proofs: &[(TenantId, RestoreProof)]) -> () => Args::Write(None);
    record_failed_drills(bucket: BucketId, failed: &[(TenantId, FailedDrill)]) -> () => Args::Write(None);
}
    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>> {
        let call = Call {
            method: "begin_restore",
            args: Args::BeginRestore(tenant),
        };
        let work = Box::pin(async move {
            let restore = self.inner().begin_restore(tenant).await?;
            Ok(Answer::of(intercepted(tenant, restore, &self.hook)))
        });
        self.hook.around(call, work).await.map(Answer::value)
    }
}

forward! { StateReader {
    tenant_names(after: Option<&TenantId>, limit: u32) -> Vec<TenantId> => Args::Read(None);
    documents(tenants: &[Asked], max_bytes: u64) -> (Vec<TenantDocuments>, usize) => Args::Documents(tenants);
    stored_entry(tenant: &TenantId, stream: Stream, seq: Seq) -> Option<Entry> => Args::ReadEntry(tenant, stream, seq);
    session() -> ReadSession => Args::Read(None);
} }
