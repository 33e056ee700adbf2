//! Rows into the record's types.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use sqlx::postgres::PgRow;

use super::super::rows::{Fields, tenant_name};
use super::super::types::PgUuid;
use driftline_model::drift::{EventKind, Timeliness};
use driftline_model::{EventId, ReportId};
use driftline_ports::{
    AuditClaim, AuditedTenant, Delivery, EventStatus, NewEvent, ReportSummary, StoreResult,
    StoredReport,
};

/// A claim of a tenant.
pub(super) fn claim(row: &PgRow) -> StoreResult<AuditClaim> {
    let tenant = tenant_name(row, "audited")?;
    let fields = Fields::of(row, "audited", &tenant);
    Ok(AuditClaim {
        fence: fields.number("fence")?,
        memory: fields.get("memory")?,
        stale: fields.get("stale")?,
        tenant: tenant.clone(),
    })
}

/// A row of `audited`.
pub(super) fn audited(row: &PgRow) -> StoreResult<AuditedTenant> {
    let tenant = tenant_name(row, "audited")?;
    let fields = Fields::of(row, "audited", &tenant);
    Ok(AuditedTenant {
        enrolled_at: fields.time("enrolled_at")?,
        next_at: fields.optional_time("next_at")?,
        last_success_at: fields.optional_time("last_success_at")?,
        last_attempt_at: fields.optional_time("last_attempt_at")?,
        last_error: fields.get("last_error")?,
        failures: count(&fields, "failures")?,
        stale: fields.get("stale")?,
        tenant: tenant.clone(),
    })
}

/// A row of `report` without its body.
pub(super) fn summary(row: &PgRow) -> StoreResult<ReportSummary> {
    let tenant = tenant_name(row, "report")?;
    let fields = Fields::of(row, "report", &tenant);
    Ok(ReportSummary {
        id: ReportId(fields.get::<PgUuid>("id")?.0),
        at: fields.time("at")?,
        has_drift: fields.get("has_drift")?,
        differences: fields.number("differences")?,
        unknown: fields.number("unknown")?,
        timeliness: fields
            .get::<Option<&str>>("timeliness")?
            .and_then(Timeliness::named),
        tenant: tenant.clone(),
    })
}

/// A row of `report`.
pub(super) fn report(row: &PgRow) -> StoreResult<StoredReport> {
    let summary = summary(row)?;
    let body = Fields::of(row, "report", &summary.id).get("body")?;
    Ok(StoredReport { summary, body })
}

/// A row of `event`.
pub(super) fn event(row: &PgRow) -> StoreResult<EventStatus> {
    let tenant = tenant_name(row, "event")?;
    let id = EventId(Fields::of(row, "event", &tenant).get::<PgUuid>("id")?.0);
    let fields = Fields::of(row, "event", &id);
    let kind: StrDeserializer<'_, Error> = fields.get::<&str>("kind")?.into_deserializer();
    let event = NewEvent {
        id,
        kind: EventKind::deserialize(kind)
            .map_err(|error| fields.corrupt("kind").because(error))?,
        tenant,
        at: fields.time("at")?,
        receiver: fields.get("receiver")?,
        body: fields.get("body")?,
    };
    Ok(EventStatus {
        event,
        attempts: count(&fields, "attempts")?,
        delivered_at: fields.optional_time("delivered_at")?,
        given_up: fields.get("given_up")?,
        last_error: fields.get("last_error")?,
    })
}

/// An attempt at an event, from its row after the claim.
pub(super) fn delivery(row: &PgRow) -> StoreResult<Delivery> {
    let status = event(row)?;
    Ok(Delivery {
        event: status.event,
        attempt: status.attempts,
    })
}

fn count(fields: &Fields<'_>, column: &'static str) -> StoreResult<u32> {
    u32::try_from(fields.get::<i32>(column)?).map_err(|_| fields.corrupt(column))
}
