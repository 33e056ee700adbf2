//! The database as one process reaches it.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use driftline::domain::{
    BucketId, Entry, EntryMeta, Epoch, Halt, PerStream, Seq, Stream, TenantId, TenantState,
    Timestamp,
};
use driftline::ports::{
    Appended, BackendInfo, Backlog, DatabaseIdentity, Fault, HaltGuard, Lease, LeaseRequest,
    ManifestStore, Mark, NewEntry, ReadSession, RecoveryStore, Restore, ShadowFailure,
    ShadowLedger, Side, StateReader, StoreError, StoreResult, Stored, TenantDocuments,
    TenantStatus, WorkerId,
};

use crate::process::Process;
use crate::weather::Flaw;
use crate::world::{Node, now};

#[derive(Debug)]
pub struct SimDatabase(pub Arc<Process>);

fn error(fault: Fault, what: &str) -> StoreError {
    StoreError::new(Side::Database, fault, format!("the database: {what}"))
}

/// One call: the way there, the call at once and whole, and the way back.
async fn call<T>(
    process: &Process,
    what: impl Display,
    writes: bool,
    run: impl FnOnce(&Arc<Node>) -> StoreResult<T>,
) -> StoreResult<T> {
    let course = process.leave().await;
    let node = process.node();
    let answer = match course.flaw {
        Some(Flaw::Unavailable | Flaw::Conflict) => Err(error(Fault::Unavailable, "unavailable")),
        Some(Flaw::DroppedUnknown) if writes => Err(error(Fault::OutcomeUnknown, "timed out")),
        Some(Flaw::AppliedUnknown | Flaw::OwnWrite) if writes => {
            run(&node).and_then(|_| Err(error(Fault::OutcomeUnknown, "the answer was lost")))
        }
        _ => run(&node),
    };
    let outcome = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?} ({:?})", error.fault(), course.flaw),
    };
    process.say(&format!("{} {what}: {outcome}", node.name));
    process.come_back(course).await;
    answer
}

const READS: bool = false;
const WRITES: bool = true;

#[async_trait]
impl ManifestStore for SimDatabase {
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        let what = format!("append {tenant} {} {}", entry.stream, entry.id);
        call(&self.0, what, WRITES, |node| {
            let appended = now(node.database.append(tenant, entry))?;
            self.0.world.appended(&self.0, node, entry, &appended);
            Ok(appended)
        })
        .await
    }

    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        let what = format!("tenant {tenant}");
        call(&self.0, what, READS, |node| {
            now(node.database.tenant(tenant))
        })
        .await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>> {
        call(&self.0, "tenants", READS, |node| {
            now(node.database.tenants(after, limit))
        })
        .await
    }

    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>> {
        let what = format!("active {tenant}");
        call(&self.0, what, READS, |node| {
            now(node.database.active_manifest(tenant))
        })
        .await
    }

    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>> {
        let what = format!("entry {tenant} {stream} {seq}");
        call(&self.0, what, READS, |node| {
            now(node.database.entry(tenant, stream, seq))
        })
        .await
    }

    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>> {
        let what = format!("latest {tenant} {stream}");
        call(&self.0, what, READS, |node| {
            now(node.database.latest(tenant, stream, until))
        })
        .await
    }

    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>> {
        let what = format!("apply of {tenant} {version}");
        call(&self.0, what, READS, |node| {
            now(node.database.latest_apply_of(tenant, version))
        })
        .await
    }

    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>> {
        let what = format!("history {tenant} {stream} {before:?}");
        call(&self.0, what, READS, |node| {
            now(node.database.history(tenant, stream, before, limit))
        })
        .await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        call(&self.0, "ping", READS, |node| now(node.database.ping())).await
    }

    async fn migrate(&self) -> StoreResult<()> {
        call(&self.0, "migrate", WRITES, |node| {
            now(node.database.migrate())
        })
        .await
    }
}

#[async_trait]
impl ShadowLedger for SimDatabase {
    async fn lease(&self, request: &LeaseRequest) -> StoreResult<Lease> {
        call(&self.0, "lease", WRITES, |node| {
            let lease = now(node.database.lease(request))?;
            for work in &lease.work {
                self.0.say(&format!("leases {}", work.state.tenant));
            }
            Ok(lease)
        })
        .await
    }

    async fn release(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
    ) -> StoreResult<()> {
        let why = failure.map_or("done", |failure| &failure.message);
        let what = format!("release {tenant}: {why}");
        call(&self.0, what, WRITES, |node| {
            now(node.database.release(tenant, worker, failure))
        })
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
        let what = format!("pending {tenant} {stream} after {after}");
        call(&self.0, what, READS, |node| {
            now(node
                .database
                .pending(tenant, stream, after, limit, max_bytes))
        })
        .await
    }

    async fn advance_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        mark: &Mark,
    ) -> StoreResult<bool> {
        let what = format!("advance {tenant} {} {}", mark.stream, mark.seq);
        call(&self.0, what, WRITES, |node| {
            let moved = now(node.database.advance_watermark(tenant, bucket, mark))?;
            if moved {
                self.0.world.marked(node, tenant, mark.stream, mark.seq);
            }
            Ok(moved)
        })
        .await
    }

    async fn lower_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        stream: Stream,
        to: Seq,
    ) -> StoreResult<()> {
        let what = format!("lower {tenant} {stream} {to}");
        call(&self.0, what, WRITES, |node| {
            now(node.database.lower_watermark(tenant, bucket, stream, to))
        })
        .await
    }

    async fn watermarks(&self, tenant: &TenantId) -> StoreResult<PerStream<Seq>> {
        let what = format!("watermarks {tenant}");
        call(&self.0, what, READS, |node| {
            now(node.database.watermarks(tenant))
        })
        .await
    }

    async fn halt(&self, tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> StoreResult<bool> {
        let what = format!("halt {tenant}: {}", halt.reason);
        call(&self.0, what, WRITES, |node| {
            let halted = now(node.database.halt(tenant, halt, guard))?;
            if halted {
                self.0.world.halted(node, tenant, halt);
            }
            Ok(halted)
        })
        .await
    }

    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantStatus>> {
        call(&self.0, "status", READS, |node| {
            now(node.database.status(tenant, after, limit))
        })
        .await
    }

    async fn backlog(&self) -> StoreResult<Backlog> {
        call(&self.0, "backlog", READS, |node| {
            now(node.database.backlog())
        })
        .await
    }

    async fn probe_passed(&self, bucket: BucketId) -> StoreResult<bool> {
        call(&self.0, "probe passed", READS, |node| {
            now(node.database.probe_passed(bucket))
        })
        .await
    }

    async fn record_probe(&self, bucket: BucketId) -> StoreResult<()> {
        call(&self.0, "record probe", WRITES, |node| {
            now(node.database.record_probe(bucket))
        })
        .await
    }
}

#[async_trait]
impl RecoveryStore for SimDatabase {
    async fn identity(&self) -> StoreResult<DatabaseIdentity> {
        call(&self.0, "identity", READS, |node| {
            now(node.database.identity())
        })
        .await
    }

    async fn claim(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()> {
        let what = format!("claim {bucket} {generation}");
        call(&self.0, what, WRITES, |node| {
            now(node.database.claim(bucket, generation))
        })
        .await
    }

    async fn await_recovery(&self, tenant: Option<&TenantId>) -> StoreResult<()> {
        let what = format!(
            "await recovery of {}",
            tenant.map_or("all", TenantId::as_str)
        );
        call(&self.0, what, WRITES, |node| {
            now(node.database.await_recovery(tenant))
        })
        .await
    }

    async fn take_generation(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()> {
        let what = format!("take generation {generation}");
        call(&self.0, what, WRITES, |node| {
            now(node.database.take_generation(bucket, generation))
        })
        .await
    }

    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>> {
        let what = format!("begin restore {tenant}");
        call(&self.0, what, READS, |node| {
            Ok(Box::new(SimRestore {
                process: Arc::clone(&self.0),
                node: Arc::clone(node),
                tenant: tenant.clone(),
                inner: now(node.database.begin_restore(tenant))?,
                inserted: Vec::new(),
            }) as Box<dyn Restore>)
        })
        .await
    }
}

struct SimRestore {
    process: Arc<Process>,
    node: Arc<Node>,
    tenant: TenantId,
    inner: Box<dyn Restore>,
    inserted: Vec<EntryMeta>,
}

impl SimRestore {
    /// A transaction ends with its connection.
    fn check(process: &Process, begun: &Arc<Node>, node: &Arc<Node>) -> StoreResult<()> {
        if Arc::ptr_eq(begun, node) {
            return Ok(());
        }
        process.say("loses its transaction");
        Err(error(Fault::Unavailable, "the connection is gone"))
    }
}

#[async_trait]
impl Restore for SimRestore {
    fn state(&self) -> Option<&TenantState> {
        self.inner.state()
    }

    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        let what = format!("restore {} entries of {}", entries.len(), self.tenant);
        let (process, begun) = (Arc::clone(&self.process), Arc::clone(&self.node));
        call(&process, what, READS, |node| {
            Self::check(&process, &begun, node)?;
            self.inserted
                .extend(entries.iter().map(|entry| entry.meta.clone()));
            now(self.inner.insert(entries))
        })
        .await
    }

    async fn commit(
        self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()> {
        let Self {
            process,
            node: begun,
            tenant,
            inner,
            inserted,
        } = *self;
        let what = format!("commit restore of {tenant}");
        call(&process, what, WRITES, |node| {
            Self::check(&process, &begun, node)?;
            now(inner.commit(state, bucket, watermarks))?;
            process.world.restored(node, &tenant, &inserted, watermarks);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl StateReader for SimDatabase {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        call(&self.0, "names", READS, |node| {
            now(node.database.tenant_names(after, limit))
        })
        .await
    }

    async fn documents(
        &self,
        tenants: &[TenantId],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        call(&self.0, "documents", READS, |node| {
            now(node.database.documents(tenants, max_bytes))
        })
        .await
    }

    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        let what = format!("stored {tenant} {stream} {seq}");
        call(&self.0, what, READS, |node| {
            now(node.database.stored_entry(tenant, stream, seq))
        })
        .await
    }

    async fn session(&self) -> StoreResult<ReadSession> {
        call(&self.0, "session", READS, |node| {
            now(node.database.session())
        })
        .await
    }
}
