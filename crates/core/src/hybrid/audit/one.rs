//! One tenant: observed, compared, judged, and made a report of.

use std::time::Duration;

use super::Auditor;
use crate::hybrid::drift;
use crate::hybrid::inspection::{Inspected, Question};
use driftline_model::drift::{
    AUDIT_SCHEMA, AuditReport, Memory, Proof, Status, Timeliness, ToTell, Verdict,
};
use driftline_model::{ReportId, json};
use driftline_ports::{AuditClaim, AuditOutcome, Error, ErrorKind, NewReport, Result};

/// How long drifts that ended are remembered where reports are kept for ever.
const REMEMBERED: Duration = Duration::from_hours(24 * 90);

impl Auditor {
    /// Audits one tenant.
    pub(super) async fn audit(
        &self,
        claim: AuditClaim,
        inspected: Option<Result<Inspected>>,
        proof: &Proof,
    ) -> (AuditOutcome, Result<Option<AuditReport>>) {
        let started_at = self.clock.now();
        let plan = self.plan.of(&claim.tenant);
        let is_retired = matches!(&inspected, Some(Ok(inspected)) if inspected.is_retired);
        let report = match inspected {
            Some(Ok(_)) if is_retired => Ok(None),
            Some(Ok(inspected)) => {
                let compared = self.compare(&claim, &inspected, proof, started_at).await;
                compared.map(Some)
            }
            Some(Err(error)) => Err(error),
            None => drift::known(&claim.tenant, None),
        };
        let at = self.clock.now();
        let mut outcome = AuditOutcome {
            tenant: claim.tenant.clone(),
            fence: claim.fence,
            at,
            report: None,
            memory: None,
            error: None,
            next_at: Some(plan.schedule.next_after(&claim.tenant, at)),
            events: Vec::new(),
        };
        let (report, memory, to_tell) = match report {
            Ok(Some(report)) => report,
            Ok(None) => return (outcome, Ok(None)),
            Err(error) => {
                outcome.error = Some(error.to_string());
                return (outcome, Err(error));
            }
        };
        let drift = &report.drift;
        outcome.error = Self::shortcoming(&report);
        outcome.events = self.events_of(&report, &to_tell, claim.stale && outcome.error.is_none());
        let differences = Verdict::ALL
            .into_iter()
            .filter(|verdict| verdict.is_difference());
        let stored = serde_json::to_string(&report).and_then(|body| {
            outcome.memory = Some(serde_json::to_string(&memory)?);
            Ok(NewReport {
                id: report.id,
                at: report.finished_at,
                has_drift: drift.has_drift,
                differences: differences.map(|verdict| drift.count(verdict)).sum(),
                unknown: drift.count(Verdict::Unknown),
                timeliness: Timeliness::of(drift),
                body,
            })
        });
        match stored {
            Ok(stored) => outcome.report = Some(stored),
            Err(error) => {
                let error = Error::new(
                    ErrorKind::Internal,
                    format!("write the report of {}: {error}", claim.tenant),
                );
                outcome.error = Some(error.to_string());
                return (outcome, Err(error));
            }
        }
        (outcome, Ok(Some(report)))
    }

    /// Why an audit that has a report does not count as a success: it did not see what is live, or not as it is now.
    fn shortcoming(report: &AuditReport) -> Option<String> {
        let (drift, source) = (&report.drift, report.source.as_ref()?);
        let compared = Verdict::ALL.into_iter().filter(|verdict| {
            // What is live and not managed was compared with nothing.
            !matches!(verdict, Verdict::Unknown | Verdict::Unmanaged)
        });
        let compared: u64 = compared.map(|verdict| drift.count(verdict)).sum();
        let saw_nothing = drift.status == Status::NotObserved
            || (drift.count(Verdict::Unknown) > 0 && compared == 0);
        let first = drift.errors.first();
        if saw_nothing {
            let reason = first.map_or("nothing of the tenant could be seen", |error| {
                &error.message
            });
            return Some(format!("{source}: {reason}"));
        }
        let reason = drift.untimely_words()?;
        Some(format!("{source}: {reason}"))
    }

    async fn compare(
        &self,
        claim: &AuditClaim,
        inspected: &Inspected,
        proof: &Proof,
        started_at: driftline_model::Timestamp,
    ) -> Result<(AuditReport, Memory, ToTell)> {
        let plan = self.plan.of(&claim.tenant);
        let actual = match &plan.source {
            Some(source) => {
                let deadline = self.settings.deadline.min(self.settings.lease / 3);
                let observed = self.inspector.observe(inspected, source.as_ref());
                let observed = tokio::time::timeout(deadline, observed).await;
                Some(observed.unwrap_or_else(|_| {
                    let seconds = deadline.as_secs_f64();
                    let message = format!("no answer within {seconds} seconds");
                    driftline_model::drift::ActualState::failed(message)
                }))
            }
            None => None,
        };
        let question = Question::default();
        let mut drift = self
            .inspector
            .compare(inspected, actual.as_ref(), question)
            .await?;
        let mut memory = match claim.memory.as_deref().map(serde_json::from_str::<Memory>) {
            Some(Ok(memory)) => memory,
            Some(Err(error)) => {
                // Onsets begin anew; nothing that is live depends on them.
                let error = json::words(&error);
                tracing::warn!(tenant = %claim.tenant, %error, "what audits remembered cannot be read");
                Memory::default()
            }
            None => Memory::default(),
        };
        drift.cut(&inspected.rules.policy);
        let finished_at = self.clock.now();
        drift.untimely = plan
            .schedule
            .judge(
                &claim.tenant,
                drift.observed_at,
                finished_at,
                self.settings.stale_after,
            )
            .filter(|_| actual.is_some());
        // Onsets go by when the live system was seen, which the end of the audit may be long after.
        let seen_at = drift.observed_at.unwrap_or(started_at).min(finished_at);
        let has_listeners = !plan.receivers.is_empty();
        let changes = memory.observe(&mut drift, seen_at, has_listeners);
        let remembered = self.settings.keep_for.unwrap_or(REMEMBERED);
        memory.forget(finished_at.saturating_sub(remembered));
        let report = AuditReport {
            schema: AUDIT_SCHEMA.to_owned(),
            id: ReportId(self.entropy.uuid()),
            tenant: claim.tenant.clone(),
            started_at,
            finished_at,
            source: plan.source.as_ref().map(|source| source.name()),
            proof: Proof {
                requests: self.inspector.requests(),
                ..proof.clone()
            },
            new: changes.new,
            continuing: changes.continuing,
            resolved: changes.resolved,
            drift,
        };
        Ok((report, memory, changes.to_tell))
    }
}
