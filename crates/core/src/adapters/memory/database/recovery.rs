//! Ownership and restores, in memory.
//!
//! A restore is staged and applied at its commit, which fails when the tenant changed since the restore began: what a lock
//! would have held back has defeated it instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryDatabase, Tables, Tenant, error, lock};
use driftline_model::{BucketId, Entry, Epoch, PerStream, Seq, Stream, TenantId, TenantState};
use driftline_ports::{
    DatabaseIdentity, FailedDrill, Fault, Ownership, RecoveryStore, Restore, RestoreProof,
    StoreResult,
};

impl Tables {
    /// Makes `bucket` the current one, with at least this generation. Another bucket has proven nothing yet.
    fn take(&mut self, bucket: BucketId, generation: Epoch) {
        if self.identity.bucket_id != Some(bucket) {
            for tenant in self.tenants.values_mut() {
                tenant.shadowing.watermarks = PerStream::default();
                tenant.shadowing.forget_drills();
            }
        }
        self.identity.bucket_id = Some(bucket);
        self.identity.generation = self.identity.generation.max(generation);
    }

    /// Whether the database is as it was `seen`, if that matters.
    fn is_as(&self, seen: Option<&DatabaseIdentity>) -> bool {
        seen.is_none_or(|seen| self.identity() == *seen)
    }

    fn await_recovery(&mut self, tenant: Option<&TenantId>) {
        if let Some(tenant) = tenant {
            let generation = self.identity.generation;
            let row = self
                .tenants
                .entry(tenant.clone())
                .or_insert_with(|| Tenant::new(TenantState::new(tenant.clone(), generation)));
            row.state.awaiting_recovery = true;
            return;
        }
        self.identity.ownership = Ownership::AwaitingRecovery;
        for tenant in self.tenants.values_mut() {
            tenant.state.awaiting_recovery = true;
        }
    }

    /// Whether this is the server, and the timeline, of `at`.
    pub(super) fn is_at(&self, at: &DatabaseIdentity) -> bool {
        (self.identity.server, self.identity.id.timeline) == (at.server, at.id.timeline)
    }
}

#[async_trait]
impl RecoveryStore for MemoryDatabase {
    async fn identity(&self) -> StoreResult<DatabaseIdentity> {
        Ok(self.tables().identity())
    }

    async fn claim(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
    ) -> StoreResult<bool> {
        let mut tables = self.tables();
        let is_due = tables.is_as(seen);
        if is_due {
            tables.take(bucket, generation);
            tables.identity.ownership = Ownership::Claimed;
        }
        Ok(is_due)
    }

    async fn await_recovery(
        &self,
        seen: Option<&DatabaseIdentity>,
        tenant: Option<&TenantId>,
    ) -> StoreResult<bool> {
        let mut tables = self.tables();
        let is_due = tables.is_as(seen);
        if is_due {
            tables.await_recovery(tenant);
        }
        Ok(is_due)
    }

    async fn settle(&self, at: &DatabaseIdentity, id: Option<Uuid>) -> StoreResult<bool> {
        let mut tables = self.tables();
        if !tables.is_at(at) || tables.identity.id.id != at.id.id {
            return Ok(false);
        }
        tables.allowed = (at.server, at.id.timeline);
        tables.identity.id.id = id.unwrap_or(tables.identity.id.id);
        Ok(true)
    }

    async fn take_generation(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()> {
        self.tables().take(bucket, generation);
        Ok(())
    }

    async fn record_proofs(
        &self,
        bucket: BucketId,
        proofs: &[(TenantId, RestoreProof)],
    ) -> StoreResult<()> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.identity.bucket_id == Some(bucket) {
            for (tenant, proof) in proofs {
                if let Some(row) = tables.tenants.get_mut(tenant) {
                    row.shadowing.prove(*proof, now);
                }
            }
        }
        Ok(())
    }

    async fn record_failed_drills(
        &self,
        bucket: BucketId,
        failed: &[(TenantId, FailedDrill)],
    ) -> StoreResult<()> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.identity.bucket_id == Some(bucket) {
            for (tenant, failed) in failed {
                if let Some(row) = tables.tenants.get_mut(tenant) {
                    row.shadowing.fail_drill(failed, now);
                }
            }
        }
        Ok(())
    }

    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>> {
        let tables = self.tables();
        tables.here()?;
        let begun = tables
            .tenants
            .get(tenant)
            .map(|tenant| tenant.state.clone());
        let watermarks = tables.watermarks(tenant);
        drop(tables);
        Ok(Box::new(MemoryRestore {
            tables: Arc::clone(&self.tables),
            tenant: tenant.clone(),
            begun,
            watermarks,
            staged: BTreeMap::new(),
            removed: BTreeSet::new(),
            failed: false,
        }))
    }
}

impl Tables {
    fn watermarks(&self, tenant: &TenantId) -> PerStream<Seq> {
        let row = self.tenants.get(tenant);
        row.map(|row| row.shadowing.watermarks).unwrap_or_default()
    }
}

impl Tenant {
    /// Keys of entries that are taken out go where these come back, and end with those that do not.
    fn move_keys(
        &mut self,
        removed: &BTreeSet<(Stream, Seq)>,
        staged: &BTreeMap<(Stream, Seq), Entry>,
    ) {
        let ids = staged
            .iter()
            .map(|(&(stream, seq), entry)| ((stream, entry.meta.id.0), seq));
        let now: BTreeMap<_, _> = ids.collect();
        let entries = &self.entries;
        self.keys.retain(|(stream, _), (seq, _)| {
            if !removed.contains(&(*stream, *seq)) {
                return true;
            }
            let id = entries[*stream].get(seq).map(|entry| entry.meta.id.0);
            let Some(to) = id.and_then(|id| now.get(&(*stream, id))) else {
                return false;
            };
            *seq = *to;
            true
        });
    }
}

struct MemoryRestore {
    tables: Arc<Mutex<Tables>>,
    tenant: TenantId,
    begun: Option<TenantState>,
    watermarks: PerStream<Seq>,
    staged: BTreeMap<(Stream, Seq), Entry>,
    removed: BTreeSet<(Stream, Seq)>,
    failed: bool,
}

#[async_trait]
impl Restore for MemoryRestore {
    fn state(&self) -> Option<&TenantState> {
        self.begun.as_ref()
    }

    fn watermarks(&self) -> PerStream<Seq> {
        self.watermarks
    }

    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        let tables = lock(&self.tables);
        let row = tables.tenants.get(&self.tenant);
        for entry in entries {
            let (stream, seq) = (entry.meta.stream, entry.meta.seq);
            let exists = row.is_some_and(|row| row.get(stream, seq).is_some())
                && !self.removed.contains(&(stream, seq));
            if exists
                || entry.meta.tenant != self.tenant
                || self.staged.contains_key(&(stream, seq))
            {
                self.failed = true;
                let message = format!(
                    "restore {stream} {seq} of tenant {}: the number exists already",
                    self.tenant
                );
                return Err(error(Fault::Refused, message));
            }
            self.staged.insert((stream, seq), entry.clone());
        }
        Ok(())
    }

    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()> {
        self.removed.extend(seqs.iter().map(|seq| (stream, *seq)));
        Ok(())
    }

    async fn commit(
        self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()> {
        let tenant = &self.tenant;
        if self.failed {
            return Err(error(
                Fault::Refused,
                format!("commit restore of tenant {tenant}: an insert had failed"),
            ));
        }
        let mut tables = lock(&self.tables);
        tables.here()?;
        let current = tables.tenants.get(tenant).map(|row| &row.state);
        let marks = tables.watermarks(tenant);
        let is_lowered = Stream::ALL
            .iter()
            .any(|stream| marks[*stream] < self.watermarks[*stream]);
        if current != self.begun.as_ref() || is_lowered {
            return Err(error(
                Fault::Unavailable,
                format!("commit restore of tenant {tenant}: the tenant moved"),
            ));
        }
        if tables.identity.bucket_id != Some(bucket) {
            let message = format!(
                "commit restore of tenant {tenant}: the database has another bucket than {bucket}"
            );
            return Err(error(Fault::Unavailable, message));
        }
        let row = tables
            .tenants
            .entry(tenant.clone())
            .or_insert_with(|| Tenant::new(state.clone()));
        row.state = state.clone();
        row.shadowing.watermarks = *watermarks;
        row.shadowing.halted = None;
        row.shadowing.forget_failures();
        row.move_keys(&self.removed, &self.staged);
        for (stream, seq) in &self.removed {
            row.entries[*stream].remove(seq);
        }
        for ((stream, seq), entry) in self.staged {
            row.entries[stream].insert(seq, entry);
        }
        Ok(())
    }
}
