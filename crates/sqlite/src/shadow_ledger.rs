//! What is shadowed, what is pending, who works on it.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tracing::instrument;

use super::error::failed;
use super::pending::{PENDING, at_risk, free, save_lease};
use super::queries::{identity, meta};
use super::rows::TenantRow;
use super::writes::execute;
use super::{SqliteDatabase, commit, pending, queries, rows, whereabouts};
use driftline_model::{BucketId, Entry, Halt, PerStream, Seq, Stream, TenantId, genesis};
use driftline_ports::{
    Backlog, HaltGuard, Lease, LeaseRequest, Mark, ShadowFailure, ShadowLedger, StoreResult,
    TenantStatus, Work, WorkerId,
};

/// Whether the row at `mark` has its chain.
async fn proven(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    mark: &Mark,
    action: impl Fn() -> String,
) -> StoreResult<bool> {
    if mark.seq == Seq::default() {
        return Ok(mark.chain == genesis(tenant, mark.stream));
    }
    let row = meta(connection, tenant, mark.stream, mark.seq, action).await?;
    Ok(row.is_some_and(|meta| meta.chain == mark.chain))
}

#[async_trait]
impl ShadowLedger for SqliteDatabase {
    #[instrument(name = "db.tenant.lease", skip_all, fields(worker = %request.worker.0), err(level = "debug"))]
    async fn lease(&self, request: &LeaseRequest) -> StoreResult<Lease> {
        let action = || "lease tenants".to_owned();
        let mut snapshot = self.snapshot(action).await?;
        // Whoever polls an idle database must not take the write lock for it.
        if free(&mut snapshot, request, self.clock.now(), action)
            .await?
            .is_empty()
        {
            return Ok(Lease {
                identity: identity(&mut snapshot, self.server, action).await?,
                work: Vec::new(),
            });
        }
        drop(snapshot);
        let mut transaction = self.begin(action).await?;
        let now = self.clock.now();
        let identity = identity(&mut transaction, self.server, action).await?;
        let mut work = Vec::new();
        for mut row in free(&mut transaction, request, now, action).await? {
            row.shadowing.lease(request.worker, now, request.duration);
            save_lease(&mut transaction, &row, action).await?;
            let TenantRow { state, shadowing } = row;
            work.push(Work {
                state,
                watermarks: shadowing.watermarks,
                attempts: shadowing.attempts,
            });
        }
        commit(transaction, action).await?;
        Ok(Lease { identity, work })
    }

    #[instrument(name = "db.tenant.release", skip_all, fields(%tenant), err(level = "debug"))]
    async fn release(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
    ) -> StoreResult<()> {
        let action = || format!("release tenant {tenant}");
        let mut transaction = self.begin(action).await?;
        let Some(mut row) = queries::tenant(&mut transaction, tenant, action).await? else {
            return Ok(());
        };
        if !row.shadowing.release(worker, failure, self.clock.now()) {
            return Ok(());
        }
        save_lease(&mut transaction, &row, action).await?;
        commit(transaction, action).await
    }

    #[instrument(name = "db.tenant.hand_back", skip_all, fields(%tenant), err(level = "debug"))]
    async fn hand_back(&self, tenant: &TenantId, worker: WorkerId) -> StoreResult<()> {
        let action = || format!("hand tenant {tenant} back");
        let mut transaction = self.begin(action).await?;
        let Some(mut row) = queries::tenant(&mut transaction, tenant, action).await? else {
            return Ok(());
        };
        if !row.shadowing.hand_back(worker) {
            return Ok(());
        }
        save_lease(&mut transaction, &row, action).await?;
        commit(transaction, action).await
    }

    #[instrument(name = "db.tenant.renew", skip_all, fields(%tenant), err(level = "debug"))]
    async fn renew(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        duration: Duration,
    ) -> StoreResult<bool> {
        let action = || format!("renew the lease of tenant {tenant}");
        let mut transaction = self.begin(action).await?;
        let Some(mut row) = queries::tenant(&mut transaction, tenant, action).await? else {
            return Ok(false);
        };
        if !row.shadowing.renew(worker, self.clock.now(), duration) {
            return Ok(false);
        }
        save_lease(&mut transaction, &row, action).await?;
        commit(transaction, action).await?;
        Ok(true)
    }

    #[instrument(name = "db.entry.pending", skip_all, fields(%tenant, %stream, %after))]
    async fn pending(
        &self,
        tenant: &TenantId,
        stream: Stream,
        after: Seq,
        limit: u32,
        max_bytes: u64,
    ) -> StoreResult<Vec<Entry>> {
        pending::run(self, tenant, stream, after, limit, max_bytes).await
    }

    #[instrument(name = "db.watermark.advance", skip_all, fields(%tenant, stream = %mark.stream, seq = %mark.seq), err(level = "debug"))]
    async fn advance_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        mark: &Mark,
    ) -> StoreResult<bool> {
        let action = || {
            format!(
                "advance the watermark of {} of tenant {tenant}",
                mark.stream
            )
        };
        let mut transaction = self.begin(action).await?;
        let identity = identity(&mut transaction, self.server, action).await?;
        whereabouts::here(&identity, action)?;
        let current = identity.bucket_id == Some(bucket);
        let known = queries::tenant(&mut transaction, tenant, action)
            .await?
            .is_some();
        if !current || !known || !proven(&mut transaction, tenant, mark, action).await? {
            return Ok(false);
        }
        let query = sqlx::query(match mark.stream {
            Stream::Manifests => "UPDATE tenant SET manifests_watermark = max(manifests_watermark, ?) WHERE tenant = ?",
            Stream::Applies => "UPDATE tenant SET applies_watermark = max(applies_watermark, ?) WHERE tenant = ?",
            Stream::Decisions => "UPDATE tenant SET decisions_watermark = max(decisions_watermark, ?) WHERE tenant = ?",
        })
        .bind(mark.seq.to_i64())
        .bind(tenant.as_str().to_owned());
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await?;
        Ok(true)
    }

    #[instrument(name = "db.watermark.lower", skip_all, fields(%tenant, %stream, %to), err(level = "debug"))]
    async fn lower_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        stream: Stream,
        to: Seq,
    ) -> StoreResult<()> {
        let action = || format!("lower the watermark of {stream} of tenant {tenant}");
        let mut transaction = self.begin(action).await?;
        let identity = identity(&mut transaction, self.server, action).await?;
        whereabouts::here(&identity, action)?;
        if identity.bucket_id != Some(bucket) {
            return Ok(());
        }
        let query = sqlx::query(match stream {
            Stream::Manifests => "UPDATE tenant SET manifests_watermark = min(manifests_watermark, ?) WHERE tenant = ?",
            Stream::Applies => "UPDATE tenant SET applies_watermark = min(applies_watermark, ?) WHERE tenant = ?",
            Stream::Decisions => "UPDATE tenant SET decisions_watermark = min(decisions_watermark, ?) WHERE tenant = ?",
        })
        .bind(to.to_i64())
        .bind(tenant.as_str().to_owned());
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await
    }

    #[instrument(name = "db.watermark.get", skip_all, fields(%tenant))]
    async fn watermarks(&self, tenant: &TenantId) -> StoreResult<PerStream<Seq>> {
        let action = || format!("read the watermarks of tenant {tenant}");
        let mut transaction = self.snapshot(action).await?;
        let row = queries::tenant(&mut transaction, tenant, action).await?;
        Ok(row.map(|row| row.shadowing.watermarks).unwrap_or_default())
    }

    #[instrument(name = "db.tenant.halt", skip_all, fields(%tenant), err(level = "debug"))]
    async fn halt(&self, tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> StoreResult<bool> {
        let action = || format!("halt tenant {tenant}");
        let mut transaction = self.begin(action).await?;
        let identity = identity(&mut transaction, self.server, action).await?;
        whereabouts::here(&identity, action)?;
        let database = identity.id;
        let row = queries::tenant(&mut transaction, tenant, action).await?;
        if database != guard.database || row.is_none_or(|row| row.state.epoch != guard.epoch) {
            return Ok(false);
        }
        for (stream, seq, chain) in &guard.compared {
            let now = meta(&mut transaction, tenant, *stream, *seq, action)
                .await?
                .map(|meta| meta.chain);
            if now != *chain {
                return Ok(false);
            }
        }
        let halt = Halt {
            at: self.clock.now(),
            ..halt.clone()
        };
        let text = serde_json::to_string(&halt)
            .map_err(|cause| failed(action)(sqlx::Error::Encode(cause.into())))?;
        let query = sqlx::query("UPDATE tenant SET halted = ? WHERE tenant = ?")
            .bind(text)
            .bind(tenant.as_str().to_owned());
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await?;
        Ok(true)
    }

    #[instrument(name = "db.tenant.status", skip_all)]
    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantStatus>> {
        let action = || "read the status of tenants".to_owned();
        let mut transaction = self.snapshot(action).await?;
        let found = match tenant {
            Some(tenant) => sqlx::query("SELECT * FROM tenant WHERE tenant = ?")
                .bind(tenant.as_str().to_owned()),
            None => sqlx::query("SELECT * FROM tenant WHERE tenant > ? ORDER BY tenant LIMIT ?")
                .bind(after.map_or("", TenantId::as_str).to_owned())
                .bind(limit),
        };
        let mut all = Vec::new();
        for row in found
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed(action))?
        {
            let row = rows::tenant(&row)?;
            let at_risk = at_risk(&mut transaction, &row, action).await?;
            let TenantRow { state, shadowing } = row;
            let retry_at = shadowing.told_retry_at(self.clock.now());
            all.push(TenantStatus {
                state,
                watermarks: shadowing.watermarks,
                at_risk,
                halted: shadowing.halted,
                last_error: shadowing.last_error,
                fault: shadowing.fault,
                failed_at: shadowing.failed_at,
                retry_at,
                proof: shadowing.proof,
                failed_drill: shadowing.failed_drill,
            });
        }
        Ok(all)
    }

    #[instrument(name = "db.tenant.backlog", skip_all)]
    async fn backlog(&self) -> StoreResult<Backlog> {
        let action = failed(|| "count the backlog".to_owned());
        let rows = sqlx::query(PENDING)
            .fetch_all(&self.reader)
            .await
            .map_err(action)?;
        let now = self.clock.now();
        let mut backlog = Backlog::default();
        for row in &rows {
            let row = rows::tenant(row)?;
            backlog.count(row.shadowing.standing(&row.state, now));
        }
        Ok(backlog)
    }

    #[instrument(name = "db.probe.get", skip_all, fields(%bucket))]
    async fn probe_passed(&self, bucket: BucketId) -> StoreResult<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM probe WHERE bucket_id = ?)")
            .bind(bucket.0.as_bytes().to_vec())
            .fetch_one(&self.reader)
            .await
            .map_err(failed(|| format!("read the probe of bucket {bucket}")))
    }

    #[instrument(name = "db.probe.record", skip_all, fields(%bucket), err(level = "debug"))]
    async fn record_probe(&self, bucket: BucketId) -> StoreResult<()> {
        let action = || format!("record the probe of bucket {bucket}");
        let mut transaction = self.begin(action).await?;
        let query =
            sqlx::query("INSERT OR REPLACE INTO probe (bucket_id, passed_at) VALUES (?, ?)")
                .bind(bucket.0.as_bytes().to_vec())
                .bind(self.clock.now().as_micros());
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await
    }
}
