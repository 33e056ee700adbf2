//! Ownership and restores, as one process asks for them.

use std::sync::Arc;

use async_trait::async_trait;
use driftline::domain::{BucketId, Entry, Epoch, PerStream, Seq, Stream, TenantId, TenantState};
use driftline::ports::{
    DatabaseIdentity, FailedDrill, Fault, ManifestStore as _, RecoveryStore, Restore, RestoreProof,
    ShadowLedger as _, StoreResult,
};

use super::{READS, SimDatabase, WRITES, call, error};
use crate::process::Process;
use crate::world::{Node, now};

fn condition(seen: Option<&DatabaseIdentity>) -> &'static str {
    seen.map_or("", |_| ", if nothing changed")
}

#[async_trait]
impl RecoveryStore for SimDatabase {
    async fn identity(&self) -> StoreResult<DatabaseIdentity> {
        call(&self.0, "identity", READS, |node| {
            now(node.database.identity())
        })
        .await
    }

    async fn claim(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
    ) -> StoreResult<bool> {
        let what = format!("claim {bucket} {generation}{}", condition(seen));
        call(&self.0, what, WRITES, |node| {
            now(node.database.claim(seen, bucket, generation))
        })
        .await
    }

    async fn await_recovery(
        &self,
        seen: Option<&DatabaseIdentity>,
        tenant: Option<&TenantId>,
    ) -> StoreResult<bool> {
        let whose = tenant.map_or("all", TenantId::as_str);
        let what = format!("await recovery of {whose}{}", condition(seen));
        call(&self.0, what, WRITES, |node| {
            now(node.database.await_recovery(seen, tenant))
        })
        .await
    }

    async fn settle(&self, at: &DatabaseIdentity, id: Option<uuid::Uuid>) -> StoreResult<bool> {
        call(&self.0, "settle", WRITES, |node| {
            now(node.database.settle(at, id))
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

    async fn record_proofs(
        &self,
        bucket: BucketId,
        proofs: &[(TenantId, RestoreProof)],
    ) -> StoreResult<()> {
        let what = format!("record {} proofs", proofs.len());
        call(&self.0, what, WRITES, |node| {
            now(node.database.record_proofs(bucket, proofs))
        })
        .await
    }

    async fn record_failed_drills(
        &self,
        bucket: BucketId,
        failed: &[(TenantId, FailedDrill)],
    ) -> StoreResult<()> {
        let what = format!("record {} failed drills", failed.len());
        call(&self.0, what, WRITES, |node| {
            now(node.database.record_failed_drills(bucket, failed))
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
                removed: Vec::new(),
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
    inserted: Vec<Entry>,
    removed: Vec<Entry>,
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

    fn watermarks(&self) -> PerStream<Seq> {
        self.inner.watermarks()
    }

    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        let what = format!("restore {} entries of {}", entries.len(), self.tenant);
        let (process, begun) = (Arc::clone(&self.process), Arc::clone(&self.node));
        call(&process, what, READS, |node| {
            Self::check(&process, &begun, node)?;
            self.inserted.extend(entries.iter().cloned());
            now(self.inner.insert(entries))
        })
        .await
    }

    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()> {
        let what = format!("remove {} entries of {}", seqs.len(), self.tenant);
        let (process, begun) = (Arc::clone(&self.process), Arc::clone(&self.node));
        call(&process, what, READS, |node| {
            Self::check(&process, &begun, node)?;
            let row = |seq| now(node.database.entry(&self.tenant, stream, seq));
            for seq in seqs {
                self.removed.extend(row(*seq)?.map(|stored| stored.entry));
            }
            now(self.inner.remove(stream, seqs))
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
            removed,
        } = *self;
        let what = format!("commit restore of {tenant}");
        call(&process, what, WRITES, |node| {
            Self::check(&process, &begun, node)?;
            let before = now(node.database.watermarks(&tenant))?;
            now(inner.commit(state, bucket, watermarks))?;
            process
                .world
                .restored(node, &tenant, (&removed, &inserted), (&before, watermarks));
            Ok(())
        })
        .await
    }
}
