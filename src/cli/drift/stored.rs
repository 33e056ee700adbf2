//! What audits left.

use driftline::domain::drift::AuditReport;
use driftline::domain::{ReportId, TenantId, json};
use driftline::ports::{AuditLog, Error, ErrorKind, Hint, ReportFilter, ReportSummary};

/// A tenant's reports without their bodies, newest first.
pub async fn list(
    audits: &dyn AuditLog,
    tenant: &TenantId,
    limit: u32,
) -> Result<Vec<ReportSummary>, Error> {
    let filter = ReportFilter {
        tenant: Some(tenant.clone()),
        limit,
        ..ReportFilter::default()
    };
    Ok(audits.reports(&filter).await?)
}

/// One report; `None` when there is none, or none any more.
pub async fn read(audits: &dyn AuditLog, id: ReportId) -> Result<Option<AuditReport>, Error> {
    let Some(stored) = audits.report(id).await? else {
        return Ok(None);
    };
    serde_json::from_str(&stored.body)
        .map(Some)
        .map_err(|error| {
            let tenant = &stored.summary.tenant;
            let said = json::explain(stored.body.as_bytes(), &error);
            let message = format!("read the report {id} of {tenant}: {said}");
            Error::new(ErrorKind::Damaged, message).hint(Hint::AuditAgain {
                tenant: tenant.clone(),
            })
        })
}
