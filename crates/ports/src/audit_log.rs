//! Where audits keep their results: reports, who audits which tenant, and what is to be told. Apart from everything that is
//! audited, and lost with the database.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{StoreResult, WorkerId};
use driftline_model::drift::{EventKind, Timeliness};
use driftline_model::{EventId, ReportId, TenantId, Timestamp};

/// The longest time that a tenant is claimed, or an event left alone after an attempt: whoever asks for more is given this.
///
/// A time on record that is further ahead than that was put there by a clock that has been set back since. It keeps nobody.
pub const LONGEST_CLAIM: Duration = Duration::from_hours(24);

/// Which tenants an auditor asks for.
#[derive(Debug, Clone, Copy)]
pub enum AuditScope<'a> {
    /// Those whose slot is at or before this time, the longest overdue first. None that has a live claim, not even the
    /// worker's own: it may ask for more while it works.
    Due(Timestamp),
    /// These, in their order, due or not, and known or not. Those that the worker itself has a live claim on it is given
    /// again.
    These(&'a [TenantId]),
}

/// A tenant to audit, and what earlier audits left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditClaim {
    /// Whose.
    pub tenant: TenantId,
    /// Which claim this is: one more than the tenant's last. A result under an older number is refused.
    pub fence: u64,
    /// What the last audit left to remember, as it was given; `None` before the first.
    pub memory: Option<String>,
    /// No audit succeeded for too long, and that was told.
    pub stale: bool,
}

/// A report to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReport {
    /// Its identifier, chosen by the caller.
    pub id: ReportId,
    /// When the audit took place.
    pub at: Timestamp,
    /// It raises an alarm.
    pub has_drift: bool,
    /// Resources with a difference.
    pub differences: u64,
    /// Resources that could not be seen.
    pub unknown: u64,
    /// Whether what was seen is what is live now; `None` where that is not known.
    pub timeliness: Option<Timeliness>,
    /// The whole report as JSON text.
    pub body: String,
}

/// Something to tell to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its identifier, chosen by the caller; one event for several receivers has one identifier for each.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Whose.
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// The receiver's name in the configuration.
    pub receiver: String,
    /// What is sent, as JSON text.
    pub body: String,
}

/// How the audit of one tenant ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOutcome {
    /// Whose.
    pub tenant: TenantId,
    /// The claim that it was made under.
    pub fence: u64,
    /// When it ended, by the auditor's clock.
    pub at: Timestamp,
    /// Its report; `None` when it failed before there was one.
    pub report: Option<NewReport>,
    /// What the next audit is to remember; `None` leaves what is there.
    pub memory: Option<String>,
    /// Why it does not count as a success: an error, or nothing seen. It is shown until the next success.
    pub error: Option<String>,
    /// When the tenant is due again; `None` leaves the slot as it is.
    pub next_at: Option<Timestamp>,
    /// What is to be told.
    pub events: Vec<NewEvent>,
}

/// A tenant as the schedule sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedTenant {
    /// Whose.
    pub tenant: TenantId,
    /// When a schedule first named it: the start of the wait for a first success. Until then, when it was first claimed, by the
    /// database's clock.
    pub enrolled_at: Timestamp,
    /// When it is due; `None` when no schedule ever named it.
    pub next_at: Option<Timestamp>,
    /// The last audit that succeeded.
    pub last_success_at: Option<Timestamp>,
    /// The last audit.
    pub last_attempt_at: Option<Timestamp>,
    /// Why the last audit did not succeed.
    pub last_error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// No audit succeeded for too long, and that was told.
    pub stale: bool,
}

/// Which reports to list.
#[derive(Debug, Clone, Default)]
pub struct ReportFilter {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only those that raise an alarm.
    pub only_drift: bool,
    /// Only those before this one in the list: pass the last of the page before.
    pub before: Option<(Timestamp, ReportId)>,
    /// At most so many.
    pub limit: u32,
}

/// A stored report without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSummary {
    /// Its identifier.
    pub id: ReportId,
    /// Whose.
    pub tenant: TenantId,
    /// When the audit took place.
    pub at: Timestamp,
    /// It raises an alarm.
    pub has_drift: bool,
    /// Resources with a difference.
    pub differences: u64,
    /// Resources that could not be seen.
    pub unknown: u64,
    /// Whether what was seen is what is live now; `None` where that is not known.
    pub timeliness: Option<Timeliness>,
}

/// A stored report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReport {
    /// What a list shows of it.
    pub summary: ReportSummary,
    /// The whole report as JSON text.
    pub body: String,
}

/// How long reports are kept: until one of the two says that they go. The newest of each tenant always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Reports before this time go, and so do events before it that were delivered or given up.
    pub before: Option<Timestamp>,
    /// Of each tenant's reports those go that are not among its newest so many, whatever their time.
    pub newest: Option<u32>,
}

/// An event that is to be delivered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event.
    pub event: NewEvent,
    /// Which claim this is, from 1: the number of the attempt.
    pub attempt: u32,
}

/// What became of an attempt to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has it.
    Delivered,
    /// Not this time.
    Failed {
        /// Why.
        error: String,
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
    /// Never: nobody tries again.
    GivenUp {
        /// Why.
        error: String,
    },
}

/// An event and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStatus {
    /// The event.
    pub event: NewEvent,
    /// Attempts so far.
    pub attempts: u32,
    /// When the receiver had it.
    pub delivered_at: Option<Timestamp>,
    /// Nobody tries again.
    pub given_up: bool,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// The record of audits.
///
/// Leases and the times between attempts go by the database's clock, and none is believed that is further ahead than
/// [`LONGEST_CLAIM`]; slots and the times in reports and events are the
/// caller's.
#[async_trait]
pub trait AuditLog: Send + Sync + fmt::Debug {
    /// Makes tenants known to the schedule with their next slots. A tenant whose slot is later, or that has none, gets this one;
    /// an earlier slot stays (it is due, or nearly). Idempotent.
    async fn enroll(&self, now: Timestamp, slots: &[(TenantId, Timestamp)]) -> StoreResult<()>;

    /// Claims at most `limit` tenants for `duration` (or [`LONGEST_CLAIM`]), none that another worker has a live claim on, and
    /// answers in the order of the scope. Every claim raises the tenant's fence by one.
    async fn claim(
        &self,
        worker: WorkerId,
        scope: AuditScope<'_>,
        limit: u32,
        duration: Duration,
    ) -> StoreResult<Vec<AuditClaim>>;

    /// Keeps the results of those claims that are still the tenant's newest, expired or not, and ends them; the answer says for
    /// each whether it was kept. Of a result that is not kept nothing is. One transaction: after an error nothing was kept,
    /// except that after one with [`super::Fault::OutcomeUnknown`] all may have been; keeping them again then answers `false`.
    /// An identifier of a report or an event that is taken already is such an error.
    async fn finish(&self, outcomes: &[AuditOutcome]) -> StoreResult<Vec<bool>>;

    /// Tenants that a schedule named or an audit claimed, in byte order, after `after`.
    async fn audited(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<AuditedTenant>>;

    /// Puts on record that a tenant is stale, with the events that tell it. `false`, and nothing happens, when that is on record
    /// already, an audit succeeded after `last_success_at`, or nobody knows the tenant. The next success ends it.
    async fn mark_stale(
        &self,
        tenant: &TenantId,
        last_success_at: Option<Timestamp>,
        events: &[NewEvent],
    ) -> StoreResult<bool>;

    /// Reports, newest first (by time, then by identifier).
    async fn reports(&self, filter: &ReportFilter) -> StoreResult<Vec<ReportSummary>>;

    /// One report.
    async fn report(&self, id: ReportId) -> StoreResult<Option<StoredReport>>;

    /// Removes what retention does not keep, and tells how many reports went.
    async fn prune(&self, retention: Retention) -> StoreResult<u64>;

    /// Claims at most `limit` events that are due for delivery, the oldest first, by time and then by identifier. A new event is
    /// due at once, and one whose delivery is never settled again after `duration`.
    async fn claim_events(&self, limit: u32, duration: Duration) -> StoreResult<Vec<Delivery>>;

    /// Puts on record what became of an attempt. Does nothing when the event was delivered meanwhile, or is not there.
    async fn settle_event(&self, id: EventId, outcome: &DeliveryOutcome) -> StoreResult<()>;

    /// Events, newest first (by time, then by identifier), of one tenant or all.
    async fn events(&self, tenant: Option<&TenantId>, limit: u32) -> StoreResult<Vec<EventStatus>>;
}
