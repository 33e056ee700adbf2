//! The record of audits.

mod rows;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tracing::instrument;

use self::rows::{
    audited, find, insert_events, insert_report, report, save, save_told, summary, told,
};
use super::error::failed;
use super::writes::execute;
use super::{SqliteDatabase, commit};
use driftline_model::{EventId, ReportId, TenantId, Timestamp};
use driftline_ports::rules::audit::{Audited, Told, last_believed};
use driftline_ports::{
    AuditClaim, AuditLog, AuditOutcome, AuditScope, AuditedTenant, Delivery, DeliveryOutcome,
    EventStatus, NewEvent, ReportFilter, ReportSummary, Retention, StoreResult, StoredReport,
    WorkerId,
};

/// Slots, as a JSON array of name and time, that change something.
const NEWS: &str = "SELECT EXISTS (
    SELECT 1 FROM json_each(?) s LEFT JOIN audited a ON a.tenant = s.value ->> 0
    WHERE a.next_at IS NULL OR a.next_at > s.value ->> 1)";

const ENROLL: &str = "INSERT INTO audited (tenant, enrolled_at, next_at)
    SELECT s.value ->> 0, ?, s.value ->> 1 FROM json_each(?) s WHERE true
    ON CONFLICT (tenant) DO UPDATE SET next_at = excluded.next_at,
        enrolled_at = CASE WHEN next_at IS NULL THEN excluded.enrolled_at ELSE enrolled_at END
    WHERE next_at IS NULL OR next_at > excluded.next_at";

const DUE: &str =
    "SELECT * FROM audited WHERE next_at <= ?1 AND (claim_until IS NULL OR claim_until <= ?2 OR claim_until > ?4)
    ORDER BY next_at, tenant LIMIT ?3";

const DUE_EVENTS: &str =
    "SELECT * FROM event WHERE delivered_at IS NULL AND NOT given_up AND (due_at <= ?1 OR due_at > ?3)
    ORDER BY at, id LIMIT ?2";

/// Of each tenant the newest is the first.
const PRUNE: &str = "DELETE FROM report WHERE id IN (
    SELECT id FROM (SELECT id, at, row_number() OVER (PARTITION BY tenant ORDER BY at DESC, id DESC) AS nth FROM report)
    WHERE nth > 1 AND (at < ? OR nth > ?))";

const REPORTS: &str = "SELECT id, tenant, at, has_drift, differences, unknown, timeliness FROM report
    WHERE (?1 IS NULL OR tenant = ?1) AND (NOT ?2 OR has_drift) AND (?3 IS NULL OR (at, id) < (?3, ?4))
    ORDER BY at DESC, id DESC LIMIT ?5";

/// What `worker` may claim of the scope.
async fn free(
    connection: &mut SqliteConnection,
    scope: AuditScope<'_>,
    worker: WorkerId,
    limit: u32,
    now: Timestamp,
    action: impl Fn() -> String + Copy,
) -> StoreResult<Vec<Audited>> {
    match scope {
        AuditScope::Due(at) => {
            let rows = sqlx::query(DUE)
                .bind(at.as_micros())
                .bind(now.as_micros())
                .bind(limit)
                .bind(last_believed(now).as_micros())
                .fetch_all(connection)
                .await
                .map_err(failed(action))?;
            rows.iter().map(audited).collect()
        }
        AuditScope::These(tenants) => {
            let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
            for tenant in tenants {
                if found.len() >= limit as usize {
                    break;
                }
                if seen.insert(tenant) {
                    let known = find(&mut *connection, tenant, action).await?;
                    let audited = known.unwrap_or_else(|| Audited::new(tenant.clone(), now));
                    found.extend(Some(audited).filter(|it| it.is_free_for(worker, now)));
                }
            }
            Ok(found)
        }
    }
}

/// Events that are due, the oldest first.
async fn due_events(
    connection: &mut SqliteConnection,
    limit: u32,
    now: Timestamp,
    action: impl Fn() -> String,
) -> StoreResult<Vec<Told>> {
    let rows = sqlx::query(DUE_EVENTS)
        .bind(now.as_micros())
        .bind(limit)
        .bind(last_believed(now).as_micros())
        .fetch_all(connection)
        .await
        .map_err(failed(action))?;
    rows.iter().map(told).collect()
}

#[async_trait]
impl AuditLog for SqliteDatabase {
    #[instrument(name = "db.audited.enroll", skip_all, fields(tenants = slots.len()), err(level = "debug"))]
    async fn enroll(&self, now: Timestamp, slots: &[(TenantId, Timestamp)]) -> StoreResult<()> {
        let action = || format!("enroll {} tenants for audits", slots.len());
        // A name has no character that JSON escapes.
        let slots: Vec<String> = slots
            .iter()
            .map(|(tenant, slot)| format!("[\"{tenant}\",{}]", slot.as_micros()))
            .collect();
        let slots = format!("[{}]", slots.join(","));
        // Whoever names the same slots again must not take the write lock for it.
        let news: bool = sqlx::query_scalar(NEWS)
            .bind(slots.clone())
            .fetch_one(&self.reader)
            .await
            .map_err(failed(action))?;
        if !news {
            return Ok(());
        }
        let mut transaction = self.begin(action).await?;
        let query = sqlx::query(ENROLL).bind(now.as_micros()).bind(slots);
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await
    }

    #[instrument(name = "db.audited.claim", skip_all, fields(worker = %worker.0), err(level = "debug"))]
    async fn claim(
        &self,
        worker: WorkerId,
        scope: AuditScope<'_>,
        limit: u32,
        duration: Duration,
    ) -> StoreResult<Vec<AuditClaim>> {
        let action = || "claim tenants to audit".to_owned();
        let mut snapshot = self.snapshot(action).await?;
        // Whoever polls an idle database must not take the write lock for it.
        if free(
            &mut snapshot,
            scope,
            worker,
            limit,
            self.clock.now(),
            action,
        )
        .await?
        .is_empty()
        {
            return Ok(Vec::new());
        }
        drop(snapshot);
        let mut transaction = self.begin(action).await?;
        let now = self.clock.now();
        let mut claims = Vec::new();
        for mut audited in free(&mut transaction, scope, worker, limit, now, action).await? {
            claims.push(audited.claim(worker, now, duration));
            save(&mut transaction, &audited, action).await?;
        }
        commit(transaction, action).await?;
        Ok(claims)
    }

    #[instrument(name = "db.audited.finish", skip_all, fields(tenants = outcomes.len()), err(level = "debug"))]
    async fn finish(&self, outcomes: &[AuditOutcome]) -> StoreResult<Vec<bool>> {
        let action = || format!("keep the results of {} audits", outcomes.len());
        let mut transaction = self.begin(action).await?;
        let now = self.clock.now();
        let mut kept = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let known = find(&mut transaction, &outcome.tenant, action).await?;
            let Some(audited) = known.and_then(|mut it| it.finish(outcome).then_some(it)) else {
                kept.push(false);
                continue;
            };
            save(&mut transaction, &audited, action).await?;
            if let Some(report) = &outcome.report {
                insert_report(&mut transaction, &outcome.tenant, report, action).await?;
            }
            insert_events(&mut transaction, &outcome.events, now, action).await?;
            kept.push(true);
        }
        commit(transaction, action).await?;
        Ok(kept)
    }

    #[instrument(name = "db.audited.list", skip_all)]
    async fn audited(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<AuditedTenant>> {
        let rows = sqlx::query("SELECT * FROM audited WHERE tenant > ? ORDER BY tenant LIMIT ?")
            .bind(after.map_or("", TenantId::as_str).to_owned())
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(failed(|| "list the audited tenants".to_owned()))?;
        rows.iter().map(|row| Ok(audited(row)?.tenant)).collect()
    }

    #[instrument(name = "db.audited.mark_stale", skip_all, fields(%tenant), err(level = "debug"))]
    async fn mark_stale(
        &self,
        tenant: &TenantId,
        last_success_at: Option<Timestamp>,
        events: &[NewEvent],
    ) -> StoreResult<bool> {
        let action = || format!("mark tenant {tenant} as stale");
        let mut transaction = self.begin(action).await?;
        let known = find(&mut transaction, tenant, action).await?;
        let Some(audited) = known.and_then(|mut it| it.mark_stale(last_success_at).then_some(it))
        else {
            return Ok(false);
        };
        save(&mut transaction, &audited, action).await?;
        insert_events(&mut transaction, events, self.clock.now(), action).await?;
        commit(transaction, action).await?;
        Ok(true)
    }

    #[instrument(name = "db.report.list", skip_all)]
    async fn reports(&self, filter: &ReportFilter) -> StoreResult<Vec<ReportSummary>> {
        let tenant = filter.tenant.as_ref();
        let (at, id) = filter.before.unzip();
        let rows = sqlx::query(REPORTS)
            .bind(tenant.map(|tenant| tenant.as_str().to_owned()))
            .bind(filter.only_drift)
            .bind(at.map(Timestamp::as_micros))
            .bind(id.map(|id| id.0.as_bytes().to_vec()))
            .bind(filter.limit)
            .fetch_all(&self.reader)
            .await
            .map_err(failed(|| "list reports".to_owned()))?;
        rows.iter().map(summary).collect()
    }

    #[instrument(name = "db.report.get", skip_all, fields(report = %id))]
    async fn report(&self, id: ReportId) -> StoreResult<Option<StoredReport>> {
        let row = sqlx::query("SELECT * FROM report WHERE id = ?")
            .bind(id.0.as_bytes().to_vec())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed(|| format!("read report {id}")))?;
        row.as_ref().map(report).transpose()
    }

    #[instrument(name = "db.report.prune", skip_all, err(level = "debug"))]
    async fn prune(&self, retention: Retention) -> StoreResult<u64> {
        let action = || "remove old reports".to_owned();
        let before = retention.before.map(Timestamp::as_micros);
        let mut transaction = self.begin(action).await?;
        let gone = sqlx::query(PRUNE)
            .bind(before)
            .bind(retention.newest)
            .execute(&mut *transaction)
            .await
            .map_err(failed(action))?;
        let settled = "DELETE FROM event WHERE at < ? AND (delivered_at IS NOT NULL OR given_up)";
        execute(&mut transaction, sqlx::query(settled).bind(before), action).await?;
        commit(transaction, action).await?;
        Ok(gone.rows_affected())
    }

    #[instrument(name = "db.event.claim", skip_all, err(level = "debug"))]
    async fn claim_events(&self, limit: u32, duration: Duration) -> StoreResult<Vec<Delivery>> {
        let action = || "claim events to deliver".to_owned();
        let mut snapshot = self.snapshot(action).await?;
        let due = due_events(&mut snapshot, limit.min(1), self.clock.now(), action).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        drop(snapshot);
        let mut transaction = self.begin(action).await?;
        let now = self.clock.now();
        let mut claimed = Vec::new();
        for mut told in due_events(&mut transaction, limit, now, action).await? {
            claimed.push(told.claim(now, duration));
            save_told(&mut transaction, &told, action).await?;
        }
        commit(transaction, action).await?;
        Ok(claimed)
    }

    #[instrument(name = "db.event.settle", skip_all, fields(event = %id), err(level = "debug"))]
    async fn settle_event(&self, id: EventId, outcome: &DeliveryOutcome) -> StoreResult<()> {
        let action = || format!("record the delivery of event {id}");
        let mut transaction = self.begin(action).await?;
        let row = sqlx::query("SELECT * FROM event WHERE id = ?")
            .bind(id.0.as_bytes().to_vec())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed(action))?;
        let Some(mut told) = row.as_ref().map(told).transpose()? else {
            return Ok(());
        };
        told.settle(outcome, self.clock.now());
        save_told(&mut transaction, &told, action).await?;
        commit(transaction, action).await
    }

    #[instrument(name = "db.event.list", skip_all)]
    async fn events(&self, tenant: Option<&TenantId>, limit: u32) -> StoreResult<Vec<EventStatus>> {
        let rows = sqlx::query(
            "SELECT * FROM event WHERE ?1 IS NULL OR tenant = ?1 ORDER BY at DESC, id DESC LIMIT ?2",
        )
        .bind(tenant.map(|tenant| tenant.as_str().to_owned()))
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .map_err(failed(|| "list events".to_owned()))?;
        rows.iter().map(|row| Ok(told(row)?.status)).collect()
    }
}
