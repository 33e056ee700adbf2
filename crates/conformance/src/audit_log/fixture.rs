//! Results to keep and shorthands to keep them with.

use std::sync::Arc;
use std::time::Duration;

use driftline_model::drift::EventKind;
use driftline_model::{EventId, ReportId, Timestamp};
use driftline_ports::{
    AuditClaim, AuditLog, AuditOutcome, AuditScope, AuditedTenant, NewEvent, NewReport,
    ReportFilter, ReportSummary, WorkerId,
};

pub use crate::fixture::{fault, fresh, tenant, worker};

pub type Log = Arc<dyn AuditLog>;

pub const LONG: Duration = Duration::from_mins(10);
pub const SHORT: Duration = Duration::from_millis(100);

/// So many seconds after an hour that has nothing to do with the database's clock.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_007 + seconds * 1_000_000).expect("a time")
}

pub async fn enroll(log: &Log, slots: &[(&str, i64)]) {
    let slots: Vec<_> = slots
        .iter()
        .map(|(name, slot)| (tenant(name), at(*slot)))
        .collect();
    log.enroll(at(0), &slots).await.expect("enroll");
}

/// Claims what is due at `due`.
pub async fn claim_due(log: &Log, worker: WorkerId, due: i64, limit: u32) -> Vec<AuditClaim> {
    log.claim(worker, AuditScope::Due(at(due)), limit, LONG)
        .await
        .expect("claim")
}

/// Claims these.
pub async fn claim_these(log: &Log, worker: WorkerId, names: &[&str]) -> Vec<AuditClaim> {
    claim_these_for(log, worker, names, LONG).await
}

pub async fn claim_these_for(
    log: &Log,
    worker: WorkerId,
    names: &[&str],
    duration: Duration,
) -> Vec<AuditClaim> {
    let tenants: Vec<_> = names.iter().map(|name| tenant(name)).collect();
    log.claim(worker, AuditScope::These(&tenants), 1000, duration)
        .await
        .expect("claim")
}

/// The claim of one tenant that nobody else has.
pub async fn claim_one(log: &Log, name: &str) -> AuditClaim {
    let mut claims = claim_these(log, worker(), &[name]).await;
    assert_eq!(claims.len(), 1, "{name} is free");
    claims.remove(0)
}

pub fn names(claims: &[AuditClaim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.tenant.as_str()).collect()
}

/// A report of an audit that took place then.
pub fn report(seconds: i64) -> NewReport {
    NewReport {
        id: ReportId(fresh()),
        at: at(seconds),
        has_drift: false,
        differences: 0,
        unknown: 0,
        timeliness: None,
        body: "{}".to_owned(),
    }
}

/// An event of a tenant from then.
pub fn event(name: &str, seconds: i64) -> NewEvent {
    NewEvent {
        id: EventId(fresh()),
        kind: EventKind::DriftNew,
        tenant: tenant(name),
        at: at(seconds),
        receiver: "ops".to_owned(),
        body: "{}".to_owned(),
    }
}

/// A success then, with a report and nothing else.
pub fn success(claim: &AuditClaim, seconds: i64) -> AuditOutcome {
    AuditOutcome {
        tenant: claim.tenant.clone(),
        fence: claim.fence,
        at: at(seconds),
        report: Some(report(seconds)),
        memory: None,
        error: None,
        next_at: None,
        events: Vec::new(),
    }
}

/// A failure then, without a report.
pub fn failure(claim: &AuditClaim, seconds: i64, error: &str) -> AuditOutcome {
    AuditOutcome {
        report: None,
        error: Some(error.to_owned()),
        ..success(claim, seconds)
    }
}

pub async fn finish(log: &Log, outcome: AuditOutcome) -> bool {
    log.finish(&[outcome]).await.expect("finish")[0]
}

/// Audits a tenant then, and keeps this report.
pub async fn keep(log: &Log, name: &str, report: NewReport) -> ReportSummary {
    let claim = claim_one(log, name).await;
    let summary = ReportSummary {
        id: report.id,
        tenant: tenant(name),
        at: report.at,
        has_drift: report.has_drift,
        differences: report.differences,
        unknown: report.unknown,
        timeliness: report.timeliness,
    };
    let outcome = AuditOutcome {
        report: Some(report),
        ..success(&claim, 0)
    };
    assert!(finish(log, outcome).await);
    summary
}

/// Audits a tenant and tells these events.
pub async fn tell(log: &Log, name: &str, events: &[NewEvent]) {
    let claim = claim_one(log, name).await;
    let outcome = AuditOutcome {
        report: None,
        events: events.to_vec(),
        ..success(&claim, 0)
    };
    assert!(finish(log, outcome).await);
}

/// What the schedule knows of a tenant.
pub async fn seen(log: &Log, name: &str) -> AuditedTenant {
    let all = log.audited(None, 10_000).await.expect("audited");
    let found = all
        .into_iter()
        .find(|audited| audited.tenant == tenant(name));
    found.expect("it is known")
}

/// All reports, newest first.
pub async fn all_reports(log: &Log) -> Vec<ReportSummary> {
    let filter = ReportFilter {
        limit: 10_000,
        ..ReportFilter::default()
    };
    log.reports(&filter).await.expect("reports")
}
