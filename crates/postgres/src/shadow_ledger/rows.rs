//! Rows of the ledger, decoded.

use sqlx::postgres::PgRow;

use super::super::rows::{Fields, state, tenant_name, watermarks};
use driftline_model::{Seq, json};
use driftline_ports::rules::fault as stored_fault;
use driftline_ports::{AtRisk, FailedDrill, RestoreProof, StoreResult, TenantStatus, Work};

pub(super) fn leased(row: &PgRow) -> StoreResult<Work> {
    let state = state(row)?;
    let watermarks = watermarks(row, &state.tenant)?;
    let attempts = Fields::of(row, "shadowing", &state.tenant).get::<i32>("attempts")?;
    let attempts = u32::try_from(attempts).unwrap_or(0);
    Ok(Work {
        state,
        watermarks,
        attempts,
    })
}

pub(super) fn status(row: &PgRow) -> StoreResult<TenantStatus> {
    let tenant = tenant_name(row, "tenant")?;
    let fields = Fields::of(row, "shadowing", &tenant);
    let halted = fields
        .get::<Option<&str>>("halted")?
        .map(|text| {
            serde_json::from_str(text).map_err(|error| json::explain(text.as_bytes(), &error))
        })
        .transpose();
    let version = fields.optional_number::<Seq>("proven_version")?;
    Ok(TenantStatus {
        state: state(row)?,
        watermarks: watermarks(row, &tenant)?,
        at_risk: AtRisk {
            entries: fields.number("entries")?,
            bytes: fields.number("bytes")?,
            oldest_at: fields.optional_time("oldest_at")?,
        },
        halted: halted.map_err(|error| fields.corrupt("halted").because(error))?,
        fault: stored_fault::of_text(fields.get("last_error")?, fields.get("fault")?),
        last_error: fields.get("last_error")?,
        failed_at: fields.optional_time("failed_at")?,
        retry_at: fields.optional_time("retry_at")?,
        proof: version
            .zip(fields.optional_time("proven_at")?)
            .map(|(version, at)| RestoreProof { version, at }),
        failed_drill: match fields.optional_time("drill_failed_at")? {
            Some(at) => Some(FailedDrill {
                at,
                reason: fields
                    .get::<Option<String>>("drill_failure")?
                    .unwrap_or_default(),
                refutes: fields.get("drill_refuted")?,
            }),
            None => None,
        },
    })
}
