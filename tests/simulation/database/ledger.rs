//! What is shadowed, as one process asks for it.

use std::time::Duration;

use async_trait::async_trait;
use driftline::domain::{BucketId, Entry, Halt, PerStream, Seq, Stream, TenantId};
use driftline::ports::{
    Backlog, HaltGuard, Lease, LeaseRequest, Mark, ShadowFailure, ShadowLedger, StoreResult,
    TenantStatus, WorkerId,
};

use super::{READS, SimDatabase, WRITES, call};
use crate::world::now;

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

    async fn hand_back(&self, tenant: &TenantId, worker: WorkerId) -> StoreResult<()> {
        call(&self.0, format!("hand back {tenant}"), WRITES, |node| {
            now(node.database.hand_back(tenant, worker))
        })
        .await
    }

    async fn renew(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        duration: Duration,
    ) -> StoreResult<bool> {
        call(&self.0, format!("renew {tenant}"), WRITES, |node| {
            now(node.database.renew(tenant, worker, duration))
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
        self.0.dawdle().await;
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
