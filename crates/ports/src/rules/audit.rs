//! What becomes of the record of audits, as pure functions of its rows: who may claim a tenant, what a result changes, when an
//! event is due. Every adapter that uses them behaves alike.

use std::time::Duration;

use crate::{
    AuditClaim, AuditOutcome, AuditedTenant, Delivery, DeliveryOutcome, EventStatus, LONGEST_CLAIM,
    NewEvent, NewReport, ReportSummary, StoredReport, WorkerId,
};
use driftline_model::{TenantId, Timestamp};

/// The end of what begins now: never further ahead than anybody believes.
fn end(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_add(duration.min(LONGEST_CLAIM))
}

/// Times further ahead than this are of a clock that was set back since, and keep nobody.
pub fn last_believed(now: Timestamp) -> Timestamp {
    end(now, LONGEST_CLAIM)
}

/// Whether a time on record is still to come.
fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now && at <= last_believed(now)
}

/// A tenant on record.
#[derive(Debug, Clone)]
pub struct Audited {
    /// What the schedule sees.
    pub tenant: AuditedTenant,
    /// The last claim's number.
    pub fence: u64,
    /// Who has the tenant, and until when; stays after that time until another claim, or the end of this one.
    pub claim: Option<(WorkerId, Timestamp)>,
    /// What the last audit left to remember.
    pub memory: Option<String>,
}

impl Audited {
    /// A tenant that is new to the record.
    pub fn new(tenant: TenantId, enrolled_at: Timestamp) -> Self {
        Self {
            tenant: AuditedTenant {
                tenant,
                enrolled_at,
                next_at: None,
                last_success_at: None,
                last_attempt_at: None,
                last_error: None,
                failures: 0,
                stale: false,
            },
            fence: 0,
            claim: None,
            memory: None,
        }
    }

    /// Gives the tenant this slot, unless it has an earlier one; the answer tells.
    pub fn enroll(&mut self, now: Timestamp, slot: Timestamp) -> bool {
        match self.tenant.next_at {
            Some(next_at) if next_at <= slot => return false,
            Some(_) => {}
            // An audit that nobody scheduled made it known: the schedule knows it from now on.
            None => self.tenant.enrolled_at = now,
        }
        self.tenant.next_at = Some(slot);
        true
    }

    /// Whether nobody has a live claim on the tenant.
    pub fn is_free(&self, now: Timestamp) -> bool {
        self.claim.is_none_or(|(_, until)| !is_ahead(until, now))
    }

    /// Whether nobody else has one.
    pub fn is_free_for(&self, worker: WorkerId, now: Timestamp) -> bool {
        self.is_free(now) || self.claim.is_some_and(|(holder, _)| holder == worker)
    }

    /// Claims the tenant.
    pub fn claim(&mut self, worker: WorkerId, now: Timestamp, duration: Duration) -> AuditClaim {
        self.fence = self.fence.saturating_add(1);
        self.claim = Some((worker, end(now, duration)));
        AuditClaim {
            tenant: self.tenant.tenant.clone(),
            fence: self.fence,
            memory: self.memory.clone(),
            stale: self.tenant.stale,
        }
    }

    /// Ends the claim with its result, if it is the newest and was not ended; the answer tells.
    pub fn finish(&mut self, outcome: &AuditOutcome) -> bool {
        if self.fence != outcome.fence || self.claim.is_none() {
            return false;
        }
        self.claim = None;
        let tenant = &mut self.tenant;
        tenant.last_attempt_at = Some(outcome.at);
        tenant.last_error.clone_from(&outcome.error);
        if outcome.error.is_some() {
            tenant.failures = tenant.failures.saturating_add(1);
        } else {
            tenant.last_success_at = Some(outcome.at);
            tenant.failures = 0;
            tenant.stale = false;
        }
        tenant.next_at = outcome.next_at.or(tenant.next_at);
        if outcome.memory.is_some() {
            self.memory.clone_from(&outcome.memory);
        }
        true
    }

    /// Marks the tenant as stale, if it is not and no audit succeeded after this one; the answer tells.
    pub fn mark_stale(&mut self, last_success_at: Option<Timestamp>) -> bool {
        let tenant = &mut self.tenant;
        if tenant.stale || tenant.last_success_at > last_success_at {
            return false;
        }
        tenant.stale = true;
        true
    }
}

/// An event on record.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event and what became of it.
    pub status: EventStatus,
    /// When the next attempt may be made.
    pub due_at: Timestamp,
}

impl Told {
    /// An event that is due at once.
    pub fn new(event: NewEvent, now: Timestamp) -> Self {
        Self {
            status: EventStatus {
                event,
                attempts: 0,
                delivered_at: None,
                given_up: false,
                last_error: None,
            },
            due_at: now,
        }
    }

    /// Whether nobody tries again.
    pub fn is_settled(&self) -> bool {
        self.status.delivered_at.is_some() || self.status.given_up
    }

    /// Whether an attempt may be made.
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.is_settled() && !is_ahead(self.due_at, now)
    }

    /// Claims an attempt.
    pub fn claim(&mut self, now: Timestamp, duration: Duration) -> Delivery {
        self.due_at = end(now, duration);
        self.status.attempts = self.status.attempts.saturating_add(1);
        Delivery {
            event: self.status.event.clone(),
            attempt: self.status.attempts,
        }
    }

    /// Puts an attempt's outcome on record, unless the event was delivered.
    pub fn settle(&mut self, outcome: &DeliveryOutcome, now: Timestamp) {
        if self.status.delivered_at.is_some() {
            return;
        }
        match outcome {
            DeliveryOutcome::Delivered => {
                self.status.delivered_at = Some(now);
                self.status.given_up = false;
                self.status.last_error = None;
            }
            DeliveryOutcome::Failed { error, retry_after } => {
                self.status.last_error = Some(error.clone());
                self.due_at = end(now, *retry_after);
            }
            DeliveryOutcome::GivenUp { error } => {
                self.status.last_error = Some(error.clone());
                self.status.given_up = true;
            }
        }
    }
}

/// A report as it is stored.
pub fn stored(tenant: &TenantId, report: &NewReport) -> StoredReport {
    StoredReport {
        summary: ReportSummary {
            id: report.id,
            tenant: tenant.clone(),
            at: report.at,
            has_drift: report.has_drift,
            differences: report.differences,
            unknown: report.unknown,
            timeliness: report.timeliness,
        },
        body: report.body.clone(),
    }
}
