//! What there is to tell after an audit.

use super::Auditor;
use driftline_model::drift::{AuditReport, EVENT_SCHEMA, Event, EventKind, Subject, ToTell, name};
use driftline_model::{EventId, ReportId, TenantId, Timestamp};
use driftline_ports::NewEvent;

impl Auditor {
    /// The events that an audit gives rise to; `has_recovered` when its tenant had no success for too long until now.
    pub(super) fn events_of(
        &self,
        report: &AuditReport,
        to_tell: &ToTell,
        has_recovered: bool,
    ) -> Vec<NewEvent> {
        let (tenant, at) = (&report.tenant, report.finished_at);
        let mut events = Vec::new();
        if has_recovered {
            let message = format!("audits of {tenant} succeed again");
            events.extend(self.events(
                EventKind::AuditRecovered,
                tenant,
                at,
                Some(report.id),
                &[],
                &message,
            ));
        }
        for (kind, drifts, what) in [
            (EventKind::DriftNew, &to_tell.new, "drifted"),
            (
                EventKind::DriftResolved,
                &to_tell.resolved,
                "no longer raise an alarm",
            ),
        ] {
            if !drifts.is_empty() {
                let message = format!("{} of {tenant} {what}", resources(drifts));
                events.extend(self.events(kind, tenant, at, Some(report.id), drifts, &message));
            }
        }
        events
    }

    /// One event for each of the tenant's receivers.
    pub(super) fn events(
        &self,
        kind: EventKind,
        tenant: &TenantId,
        at: Timestamp,
        report: Option<ReportId>,
        drifts: &[Subject],
        message: &str,
    ) -> Vec<NewEvent> {
        let receivers = &self.plan.of(tenant).receivers;
        let event = |receiver: &String| {
            let id = EventId(self.entropy.uuid());
            let event = Event {
                schema: EVENT_SCHEMA.to_owned(),
                id,
                kind,
                tenant: tenant.clone(),
                at,
                report,
                drifts: drifts.to_vec(),
                message: message.to_owned(),
            };
            NewEvent {
                id,
                kind,
                tenant: tenant.clone(),
                at,
                receiver: receiver.clone(),
                // Plain data with text keys always has a JSON form.
                body: serde_json::to_string(&event).unwrap_or_default(),
            }
        };
        receivers.iter().map(event).collect()
    }
}

fn resources(drifts: &[Subject]) -> String {
    let named = drifts
        .iter()
        .take(3)
        .map(|drift| name(&drift.resource_type, &drift.manifest_id));
    let named: Vec<String> = named.collect();
    match drifts.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
