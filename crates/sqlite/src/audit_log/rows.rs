//! Rows to values and back.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::super::error::failed;
use super::super::rows::{Cells, time};
use super::super::writes::execute;
use driftline_model::drift::{EventKind, Timeliness};
use driftline_model::{EventId, ReportId, TenantId, Timestamp};
use driftline_ports::rules::audit::{Audited, Told};
use driftline_ports::{
    AuditedTenant, EventStatus, NewEvent, NewReport, ReportSummary, StoreResult, StoredReport,
    WorkerId,
};

/// Decodes a row of `audited`.
pub(super) fn audited(row: &SqliteRow) -> StoreResult<Audited> {
    let cells = Cells::of(row, "audited");
    let tenant = AuditedTenant {
        tenant: cells.parsed("tenant", |name: &str| name.parse::<TenantId>())?,
        enrolled_at: cells.time("enrolled_at")?,
        next_at: cells.nullable("next_at", time)?,
        last_success_at: cells.nullable("last_success_at", time)?,
        last_attempt_at: cells.nullable("last_attempt_at", time)?,
        last_error: cells.raw("last_error")?,
        failures: cells.parsed("failures", |value: i64| u32::try_from(value))?,
        stale: cells.raw("stale")?,
    };
    let owner = cells.nullable("claim_owner", |bytes: &[u8]| {
        Uuid::from_slice(bytes).map(WorkerId)
    })?;
    Ok(Audited {
        tenant,
        fence: cells.parsed("fence", |value: i64| u64::try_from(value))?,
        claim: owner.zip(cells.nullable("claim_until", time)?),
        memory: cells.raw("memory")?,
    })
}

/// The row of a tenant.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    action: impl Fn() -> String,
) -> StoreResult<Option<Audited>> {
    let row = sqlx::query("SELECT * FROM audited WHERE tenant = ?")
        .bind(tenant.as_str().to_owned())
        .fetch_optional(connection)
        .await
        .map_err(failed(action))?;
    row.as_ref().map(audited).transpose()
}

/// Writes a row of `audited`.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    audited: &Audited,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    let tenant = &audited.tenant;
    let (owner, until) = audited.claim.unzip();
    let query = sqlx::query(
        "INSERT OR REPLACE INTO audited (tenant, enrolled_at, next_at, last_success_at, last_attempt_at, last_error,
             failures, stale, fence, claim_owner, claim_until, memory)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant.tenant.as_str().to_owned())
    .bind(tenant.enrolled_at.as_micros())
    .bind(tenant.next_at.map(Timestamp::as_micros))
    .bind(tenant.last_success_at.map(Timestamp::as_micros))
    .bind(tenant.last_attempt_at.map(Timestamp::as_micros))
    .bind(tenant.last_error.clone())
    .bind(tenant.failures)
    .bind(tenant.stale)
    .bind(number(audited.fence))
    .bind(owner.map(|owner| owner.0.as_bytes().to_vec()))
    .bind(until.map(Timestamp::as_micros))
    .bind(audited.memory.clone());
    execute(connection, query, action).await
}

/// Inserts a report; an identifier that is taken is an error.
pub(super) async fn insert_report(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    report: &NewReport,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    let query = sqlx::query(
        "INSERT INTO report (id, tenant, at, has_drift, differences, unknown, timeliness, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(report.id.0.as_bytes().to_vec())
    .bind(tenant.as_str().to_owned())
    .bind(report.at.as_micros())
    .bind(report.has_drift)
    .bind(number(report.differences))
    .bind(number(report.unknown))
    .bind(report.timeliness.map(Timeliness::name))
    .bind(report.body.clone());
    execute(connection, query, action).await
}

/// Inserts events, due now; an identifier that is taken is an error.
pub(super) async fn insert_events(
    connection: &mut SqliteConnection,
    events: &[NewEvent],
    now: Timestamp,
    action: impl Fn() -> String + Copy,
) -> StoreResult<()> {
    for event in events {
        let query = sqlx::query(
            "INSERT INTO event (id, tenant, kind, at, receiver, due_at, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(event.id.0.as_bytes().to_vec())
        .bind(event.tenant.as_str().to_owned())
        .bind(event.kind.name())
        .bind(event.at.as_micros())
        .bind(event.receiver.clone())
        .bind(now.as_micros())
        .bind(event.body.clone());
        execute(&mut *connection, query, action).await?;
    }
    Ok(())
}

/// Decodes a row of `report`, but its body.
pub(super) fn summary(row: &SqliteRow) -> StoreResult<ReportSummary> {
    let cells = Cells::of(row, "report");
    Ok(ReportSummary {
        id: cells.parsed("id", |bytes: &[u8]| Uuid::from_slice(bytes).map(ReportId))?,
        tenant: cells.parsed("tenant", |name: &str| name.parse::<TenantId>())?,
        at: cells.time("at")?,
        has_drift: cells.raw("has_drift")?,
        differences: cells.parsed("differences", |value: i64| u64::try_from(value))?,
        unknown: cells.parsed("unknown", |value: i64| u64::try_from(value))?,
        timeliness: cells
            .raw::<Option<&str>>("timeliness")?
            .and_then(Timeliness::named),
    })
}

/// Decodes a row of `report`.
pub(super) fn report(row: &SqliteRow) -> StoreResult<StoredReport> {
    Ok(StoredReport {
        summary: summary(row)?,
        body: Cells::of(row, "report").raw("body")?,
    })
}

/// Decodes a row of `event`.
pub(super) fn told(row: &SqliteRow) -> StoreResult<Told> {
    let cells = Cells::of(row, "event");
    let event = NewEvent {
        id: cells.parsed("id", |bytes: &[u8]| Uuid::from_slice(bytes).map(EventId))?,
        kind: cells.parsed("kind", |name: &str| {
            let name: StrDeserializer<'_, Error> = name.into_deserializer();
            EventKind::deserialize(name)
        })?,
        tenant: cells.parsed("tenant", |name: &str| name.parse::<TenantId>())?,
        at: cells.time("at")?,
        receiver: cells.raw("receiver")?,
        body: cells.raw("body")?,
    };
    Ok(Told {
        status: EventStatus {
            event,
            attempts: cells.parsed("attempts", |value: i64| u32::try_from(value))?,
            delivered_at: cells.nullable("delivered_at", time)?,
            given_up: cells.raw("given_up")?,
            last_error: cells.raw("last_error")?,
        },
        due_at: cells.time("due_at")?,
    })
}

/// Writes what became of an event.
pub(super) async fn save_told(
    connection: &mut SqliteConnection,
    told: &Told,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    let status = &told.status;
    let query = sqlx::query(
        "UPDATE event SET attempts = ?, due_at = ?, delivered_at = ?, given_up = ?, last_error = ? WHERE id = ?",
    )
    .bind(status.attempts)
    .bind(told.due_at.as_micros())
    .bind(status.delivered_at.map(Timestamp::as_micros))
    .bind(status.given_up)
    .bind(status.last_error.clone())
    .bind(status.event.id.0.as_bytes().to_vec());
    execute(connection, query, action).await
}

/// A count as SQLite has it; nothing counts beyond.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
