//! The record of audits.

mod results;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use self::rows::{audited, claim, delivery, event, report, summary};
use super::PostgresDatabase;
use super::error::Action;
use super::session::{Scope, Statement, query};
use super::types::{PgTime, PgUuid, micros};
use driftline_model::{EventId, ReportId, TenantId, Timestamp};
use driftline_ports::{
    AuditClaim, AuditLog, AuditOutcome, AuditScope, AuditedTenant, Delivery, DeliveryOutcome,
    EventStatus, LONGEST_CLAIM, NewEvent, ReportFilter, ReportSummary, Retention, StoreResult,
    StoredReport, WorkerId,
};

/// Who names the same slots again writes nothing. Rows are locked in the order of their names wherever one waits for another.
const ENROLL: &str = "INSERT INTO driftline.audited AS a (tenant, enrolled_at, next_at)
    SELECT s.tenant, $3, s.slot FROM unnest($1::text[], $2::timestamptz[]) AS s(tenant, slot)
    WHERE NOT EXISTS (SELECT FROM driftline.audited o WHERE o.tenant = s.tenant AND o.next_at <= s.slot)
    ORDER BY s.tenant COLLATE \"C\"
    ON CONFLICT (tenant) DO UPDATE SET next_at = excluded.next_at,
        enrolled_at = CASE WHEN a.next_at IS NULL THEN excluded.enrolled_at ELSE a.enrolled_at END
    WHERE a.next_at IS NULL OR a.next_at > excluded.next_at";

/// No longer than anybody believes, in microseconds.
fn hold(duration: Duration) -> i64 {
    micros(duration.min(LONGEST_CLAIM))
}

const CLAIM_DUE: &str = "WITH due AS (
        SELECT a.tenant FROM driftline.audited a
        WHERE a.next_at <= $1 AND (a.claim_until IS NULL OR a.claim_until <= clock_timestamp()
                OR a.claim_until > clock_timestamp() + $5 * interval '1 microsecond')
        ORDER BY a.next_at, a.tenant LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE driftline.audited a
        SET fence = a.fence + 1, claim_owner = $3, claim_until = clock_timestamp() + $4 * interval '1 microsecond'
        FROM due WHERE a.tenant = due.tenant
        RETURNING a.tenant, a.fence, a.memory, a.stale, a.next_at
    )
    SELECT c.* FROM claimed c ORDER BY c.next_at, c.tenant";

/// Those that are taken while this looks are left out.
const CLAIM_THESE: &str = "WITH free AS (
        SELECT t.tenant FROM unnest($1::text[]) WITH ORDINALITY AS t(tenant, nth)
        LEFT JOIN driftline.audited a ON a.tenant = t.tenant
        WHERE a.claim_until IS NULL OR a.claim_until <= clock_timestamp() OR a.claim_owner = $3
            OR a.claim_until > clock_timestamp() + $5 * interval '1 microsecond'
        ORDER BY t.nth LIMIT $2
    )
    INSERT INTO driftline.audited AS a (tenant, enrolled_at, fence, claim_owner, claim_until)
    SELECT f.tenant, clock_timestamp(), 1, $3, clock_timestamp() + $4 * interval '1 microsecond'
    FROM free f ORDER BY f.tenant COLLATE \"C\"
    ON CONFLICT (tenant) DO UPDATE
    SET fence = a.fence + 1, claim_owner = excluded.claim_owner, claim_until = excluded.claim_until
    WHERE a.claim_until IS NULL OR a.claim_until <= clock_timestamp() OR a.claim_owner = excluded.claim_owner
        OR a.claim_until > clock_timestamp() + $5 * interval '1 microsecond'
    RETURNING a.tenant, a.fence, a.memory, a.stale";

const AUDITED: &str = "SELECT a.tenant, a.enrolled_at, a.next_at, a.last_success_at, a.last_attempt_at, a.last_error, a.failures,
        a.stale
    FROM driftline.audited a WHERE $1::text IS NULL OR a.tenant > $1 ORDER BY a.tenant LIMIT $2";

const MARK_STALE: &str = "UPDATE driftline.audited a SET stale = true
    WHERE a.tenant = $1 AND NOT a.stale AND (a.last_success_at IS NULL OR a.last_success_at <= $2)";

const REPORTS: &str =
    "SELECT r.id, r.tenant, r.at, r.has_drift, r.differences, r.unknown, r.timeliness
    FROM driftline.report r
    WHERE ($1::text IS NULL OR r.tenant = $1) AND (NOT $2 OR r.has_drift)
        AND ($3::timestamptz IS NULL OR (r.at, r.id) < ($3, $4))
    ORDER BY r.at DESC, r.id DESC LIMIT $5";

const REPORT: &str = "SELECT r.* FROM driftline.report r WHERE r.id = $1";

/// Of each tenant the newest is the first.
const PRUNE: &str = "DELETE FROM driftline.report r USING (
        SELECT o.id, o.at, row_number() OVER (PARTITION BY o.tenant ORDER BY o.at DESC, o.id DESC) AS nth
        FROM driftline.report o
    ) o
    WHERE r.id = o.id AND o.nth > 1 AND (o.at < $1 OR o.nth > $2)";

const PRUNE_EVENTS: &str =
    "DELETE FROM driftline.event e WHERE e.at < $1 AND (e.delivered_at IS NOT NULL OR e.given_up)";

const CLAIM_EVENTS: &str = "WITH due AS (
        SELECT e.id FROM driftline.event e
        WHERE e.delivered_at IS NULL AND NOT e.given_up
            AND (e.due_at <= clock_timestamp() OR e.due_at > clock_timestamp() + $3 * interval '1 microsecond')
        ORDER BY e.at, e.id LIMIT $1
        FOR NO KEY UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE driftline.event e
        SET attempts = e.attempts + 1, due_at = clock_timestamp() + $2 * interval '1 microsecond'
        FROM due WHERE e.id = due.id
        RETURNING e.*
    )
    SELECT c.* FROM claimed c ORDER BY c.at, c.id";

const DELIVERED: &str = "UPDATE driftline.event e SET delivered_at = clock_timestamp(), given_up = false, last_error = NULL
    WHERE e.id = $1 AND e.delivered_at IS NULL";

const FAILED: &str = "UPDATE driftline.event e
    SET last_error = $2, due_at = clock_timestamp() + $3 * interval '1 microsecond'
    WHERE e.id = $1 AND e.delivered_at IS NULL";

const GIVEN_UP: &str = "UPDATE driftline.event e SET last_error = $2, given_up = true
    WHERE e.id = $1 AND e.delivered_at IS NULL";

const EVENTS: &str = "SELECT e.* FROM driftline.event e WHERE $1::text IS NULL OR e.tenant = $1
    ORDER BY e.at DESC, e.id DESC LIMIT $2";

#[async_trait]
impl AuditLog for PostgresDatabase {
    #[tracing::instrument(name = "db.audited.enroll", skip_all, fields(tenants = slots.len()), err(level = "debug"))]
    async fn enroll(&self, now: Timestamp, slots: &[(TenantId, Timestamp)]) -> StoreResult<()> {
        let action = Action::new("enroll tenants for audits");
        let mut earliest: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for (tenant, slot) in slots {
            let known = earliest.entry(tenant.as_str()).or_insert(*slot);
            *known = (*slot).min(*known);
        }
        if earliest.is_empty() {
            return Ok(());
        }
        let (names, slots): (Vec<&str>, Vec<PgTime>) = earliest
            .into_iter()
            .map(|(name, slot)| (name, PgTime(slot)))
            .unzip();
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(ENROLL).bind(names).bind(slots).bind(PgTime(now));
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.audited.claim", skip_all, fields(worker = %worker.0), err(level = "debug"))]
    async fn claim(
        &self,
        worker: WorkerId,
        scope: AuditScope<'_>,
        limit: u32,
        duration: Duration,
    ) -> StoreResult<Vec<AuditClaim>> {
        let action = Action::new("claim tenants to audit");
        let mut places: BTreeMap<&TenantId, usize> = BTreeMap::new();
        let statement: Statement = match scope {
            AuditScope::Due(at) => query(CLAIM_DUE).bind(PgTime(at)),
            AuditScope::These(tenants) => {
                let mut seen = BTreeSet::new();
                let names = tenants.iter().filter(|tenant| seen.insert(*tenant));
                let names: Vec<&TenantId> = names.collect();
                places.extend(names.iter().copied().zip(0..));
                let names: Vec<&str> = names.into_iter().map(TenantId::as_str).collect();
                query(CLAIM_THESE).bind(names)
            }
        };
        let statement = statement
            .bind(i64::from(limit))
            .bind(PgUuid(worker.0))
            .bind(hold(duration))
            .bind(hold(LONGEST_CLAIM));
        let mut session = self.begin(action, Scope::All).await?;
        let rows = session.all(action, statement).await?;
        let claims: StoreResult<Vec<AuditClaim>> = rows.iter().map(claim).collect();
        let mut claims = claims?;
        session.commit(action).await?;
        claims.sort_by_key(|claim| places.get(&claim.tenant).copied());
        Ok(claims)
    }

    #[tracing::instrument(name = "db.audited.finish", skip_all, fields(tenants = outcomes.len()), err(level = "debug"))]
    async fn finish(&self, outcomes: &[AuditOutcome]) -> StoreResult<Vec<bool>> {
        results::finish(self, outcomes).await
    }

    #[tracing::instrument(name = "db.audited.list", skip_all, err(level = "debug"))]
    async fn audited(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<AuditedTenant>> {
        let action = Action::new("list the audited tenants");
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(AUDITED)
            .bind(after.map(TenantId::as_str))
            .bind(i64::from(limit));
        let rows = session.all(action, statement).await?;
        rows.iter().map(audited).collect()
    }

    #[tracing::instrument(name = "db.audited.mark_stale", skip_all, fields(%tenant), err(level = "debug"))]
    async fn mark_stale(
        &self,
        tenant: &TenantId,
        last_success_at: Option<Timestamp>,
        events: &[NewEvent],
    ) -> StoreResult<bool> {
        let action = Action::on("mark the audits as stale", tenant);
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(MARK_STALE)
            .bind(tenant.as_str())
            .bind(last_success_at.map(PgTime));
        if session.execute(action, statement).await? == 0 {
            return Ok(false);
        }
        let events: Vec<&NewEvent> = events.iter().collect();
        results::insert_events(&mut session, action, &events).await?;
        session.commit(action).await?;
        Ok(true)
    }

    #[tracing::instrument(name = "db.report.list", skip_all, err(level = "debug"))]
    async fn reports(&self, filter: &ReportFilter) -> StoreResult<Vec<ReportSummary>> {
        let action = Action::new("list reports");
        let tenant = filter.tenant.as_ref();
        let (at, id) = filter.before.unzip();
        let mut session = self
            .begin(action, tenant.map_or(Scope::All, Scope::Tenant))
            .await?;
        let statement = query(REPORTS)
            .bind(tenant.map(TenantId::as_str))
            .bind(filter.only_drift)
            .bind(at.map(PgTime))
            .bind(id.map(|id| PgUuid(id.0)))
            .bind(i64::from(filter.limit));
        let rows = session.all(action, statement).await?;
        rows.iter().map(summary).collect()
    }

    #[tracing::instrument(name = "db.report.get", skip_all, fields(report = %id), err(level = "debug"))]
    async fn report(&self, id: ReportId) -> StoreResult<Option<StoredReport>> {
        let action = Action::new("read a report");
        let mut session = self.begin(action, Scope::All).await?;
        let row = session
            .optional(action, query(REPORT).bind(PgUuid(id.0)))
            .await?;
        row.as_ref().map(report).transpose()
    }

    #[tracing::instrument(name = "db.report.prune", skip_all, err(level = "debug"))]
    async fn prune(&self, retention: Retention) -> StoreResult<u64> {
        let action = Action::new("remove old reports");
        let before = retention.before.map(PgTime);
        let newest = retention.newest.map(i64::from);
        let mut session = self.begin_long(action, Scope::All).await?;
        let statement = query(PRUNE).bind(before).bind(newest);
        let gone = session.execute(action, statement).await?;
        session
            .execute(action, query(PRUNE_EVENTS).bind(before))
            .await?;
        session.commit(action).await?;
        Ok(gone)
    }

    #[tracing::instrument(name = "db.event.claim", skip_all, err(level = "debug"))]
    async fn claim_events(&self, limit: u32, duration: Duration) -> StoreResult<Vec<Delivery>> {
        let action = Action::new("claim events to deliver");
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(CLAIM_EVENTS)
            .bind(i64::from(limit))
            .bind(hold(duration))
            .bind(hold(LONGEST_CLAIM));
        let rows = session.all(action, statement).await?;
        let claimed: StoreResult<Vec<Delivery>> = rows.iter().map(delivery).collect();
        let claimed = claimed?;
        session.commit(action).await?;
        Ok(claimed)
    }

    #[tracing::instrument(name = "db.event.settle", skip_all, fields(event = %id), err(level = "debug"))]
    async fn settle_event(&self, id: EventId, outcome: &DeliveryOutcome) -> StoreResult<()> {
        let action = Action::new("record the delivery of an event");
        let id = PgUuid(id.0);
        let statement = match outcome {
            DeliveryOutcome::Delivered => query(DELIVERED).bind(id),
            DeliveryOutcome::Failed { error, retry_after } => query(FAILED)
                .bind(id)
                .bind(results::text(error))
                .bind(hold(*retry_after)),
            DeliveryOutcome::GivenUp { error } => {
                query(GIVEN_UP).bind(id).bind(results::text(error))
            }
        };
        let mut session = self.begin(action, Scope::All).await?;
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.event.list", skip_all, err(level = "debug"))]
    async fn events(&self, tenant: Option<&TenantId>, limit: u32) -> StoreResult<Vec<EventStatus>> {
        let action = Action::new("list events");
        let mut session = self
            .begin(action, tenant.map_or(Scope::All, Scope::Tenant))
            .await?;
        let statement = query(EVENTS)
            .bind(tenant.map(TenantId::as_str))
            .bind(i64::from(limit));
        let rows = session.all(action, statement).await?;
        rows.iter().map(event).collect()
    }
}
