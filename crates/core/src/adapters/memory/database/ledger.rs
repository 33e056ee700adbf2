//! What is shadowed, in memory.

use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryDatabase, Tables, Tenant, page};
use driftline_model::{
    BucketId, Digest, Entry, Halt, PerStream, Seq, Stream, TenantId, Timestamp, genesis,
};
use driftline_ports::{
    AtRisk, Backlog, HaltGuard, Lease, LeaseRequest, Mark, ShadowFailure, ShadowLedger,
    StoreResult, TenantStatus, Work, WorkerId,
};

impl Tenant {
    /// The entries that are not proven to be in the bucket.
    fn unproven(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flat_map(|(stream, entries)| {
            entries
                .range(self.shadowing.watermarks[stream].next()..)
                .map(|(_, entry)| entry)
        })
    }

    fn waiting_since(&self) -> Option<Timestamp> {
        self.unproven()
            .map(|entry| entry.meta.committed_at)
            .min()
            .or(self.state.last_committed_at)
    }

    fn holds(&self, (stream, seq, chain): (Stream, Seq, Option<Digest>)) -> bool {
        self.chain(stream, seq) == chain
    }

    fn status(&self, now: Timestamp) -> TenantStatus {
        let at_risk = self
            .unproven()
            .fold(AtRisk::default(), |risk, entry| AtRisk {
                entries: risk.entries + 1,
                bytes: risk.bytes + entry.meta.content_bytes,
                oldest_at: Some(risk.oldest_at.map_or(entry.meta.committed_at, |at| {
                    at.min(entry.meta.committed_at)
                })),
            });
        TenantStatus {
            state: self.state.clone(),
            watermarks: self.shadowing.watermarks,
            at_risk,
            halted: self.shadowing.halted.clone(),
            last_error: self.shadowing.last_error.clone(),
            fault: self.shadowing.fault.clone(),
            failed_at: self.shadowing.failed_at,
            retry_at: self.shadowing.told_retry_at(now),
            proof: self.shadowing.proof,
            failed_drill: self.shadowing.failed_drill.clone(),
        }
    }
}

impl Tables {
    fn lease(&mut self, request: &LeaseRequest, now: Timestamp) -> Vec<Work> {
        let mut free: Vec<&mut Tenant> = self
            .tenants
            .values_mut()
            .filter(|tenant| tenant.shadowing.is_free_for(request, &tenant.state, now))
            .collect();
        free.sort_by_key(|tenant| tenant.waiting_since());
        free.truncate(request.limit as usize);
        free.into_iter()
            .map(|tenant| {
                tenant
                    .shadowing
                    .lease(request.worker, now, request.duration);
                Work {
                    state: tenant.state.clone(),
                    watermarks: tenant.shadowing.watermarks,
                    attempts: tenant.shadowing.attempts,
                }
            })
            .collect()
    }

    /// The tenant, if the watermarks are those of `bucket`.
    fn in_bucket(&mut self, tenant: &TenantId, bucket: BucketId) -> Option<&mut Tenant> {
        if self.identity.bucket_id != Some(bucket) {
            return None;
        }
        self.tenants.get_mut(tenant)
    }
}

#[async_trait]
impl ShadowLedger for MemoryDatabase {
    async fn lease(&self, request: &LeaseRequest) -> StoreResult<Lease> {
        let now = self.clock.now();
        let mut tables = self.tables();
        Ok(Lease {
            identity: tables.identity(),
            work: tables.lease(request, now),
        })
    }

    async fn release(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
    ) -> StoreResult<()> {
        let now = self.clock.now();
        if let Some(tenant) = self.tables().tenants.get_mut(tenant) {
            tenant.shadowing.release(worker, failure, now);
        }
        Ok(())
    }

    async fn hand_back(&self, tenant: &TenantId, worker: WorkerId) -> StoreResult<()> {
        if let Some(tenant) = self.tables().tenants.get_mut(tenant) {
            tenant.shadowing.hand_back(worker);
        }
        Ok(())
    }

    async fn renew(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        duration: Duration,
    ) -> StoreResult<bool> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let tenant = tables.tenants.get_mut(tenant);
        Ok(tenant.is_some_and(|tenant| tenant.shadowing.renew(worker, now, duration)))
    }

    async fn pending(
        &self,
        tenant: &TenantId,
        stream: Stream,
        after: Seq,
        limit: u32,
        max_bytes: u64,
    ) -> StoreResult<Vec<Entry>> {
        let tables = self.tables();
        let Some(tenant) = tables.tenants.get(tenant) else {
            return Ok(Vec::new());
        };
        let (mut run, mut bytes, mut seq) = (Vec::new(), 0, after.next());
        while run.len() < limit as usize
            && bytes <= max_bytes
            && let Some(entry) = tenant.get(stream, seq)
        {
            bytes += entry.meta.content_bytes;
            run.push(entry.clone());
            seq = seq.next();
        }
        Ok(run)
    }

    async fn advance_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        mark: &Mark,
    ) -> StoreResult<bool> {
        let mut tables = self.tables();
        tables.here()?;
        let Some(row) = tables.in_bucket(tenant, bucket) else {
            return Ok(false);
        };
        let known = if mark.seq == Seq::default() {
            Some(genesis(tenant, mark.stream))
        } else {
            row.chain(mark.stream, mark.seq)
        };
        if known != Some(mark.chain) {
            return Ok(false);
        }
        let watermark = &mut row.shadowing.watermarks[mark.stream];
        *watermark = mark.seq.max(*watermark);
        Ok(true)
    }

    async fn lower_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        stream: Stream,
        to: Seq,
    ) -> StoreResult<()> {
        let mut tables = self.tables();
        tables.here()?;
        if let Some(row) = tables.in_bucket(tenant, bucket) {
            let watermark = &mut row.shadowing.watermarks[stream];
            *watermark = to.min(*watermark);
        }
        Ok(())
    }

    async fn watermarks(&self, tenant: &TenantId) -> StoreResult<PerStream<Seq>> {
        Ok(self
            .tables()
            .tenants
            .get(tenant)
            .map(|tenant| tenant.shadowing.watermarks)
            .unwrap_or_default())
    }

    async fn halt(&self, tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> StoreResult<bool> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.here()?;
        let database = tables.identity.id;
        let Some(row) = tables.tenants.get_mut(tenant) else {
            return Ok(false);
        };
        let unmoved = database == guard.database
            && row.state.epoch == guard.epoch
            && guard.compared.iter().all(|compared| row.holds(*compared));
        if unmoved {
            row.shadowing.halted = Some(Halt {
                at: now,
                ..halt.clone()
            });
        }
        Ok(unmoved)
    }

    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantStatus>> {
        let now = self.clock.now();
        let tables = self.tables();
        Ok(match tenant {
            Some(tenant) => tables
                .tenants
                .get(tenant)
                .map(|tenant| tenant.status(now))
                .into_iter()
                .collect(),
            None => page(&tables.tenants, after, limit)
                .map(|tenant| tenant.status(now))
                .collect(),
        })
    }

    async fn backlog(&self) -> StoreResult<Backlog> {
        let now = self.clock.now();
        let mut backlog = Backlog::default();
        for tenant in self.tables().tenants.values() {
            backlog.count(tenant.shadowing.standing(&tenant.state, now));
        }
        Ok(backlog)
    }

    async fn probe_passed(&self, bucket: BucketId) -> StoreResult<bool> {
        Ok(self.tables().probed.contains(&bucket))
    }

    async fn record_probe(&self, bucket: BucketId) -> StoreResult<()> {
        self.tables().probed.insert(bucket);
        Ok(())
    }
}
