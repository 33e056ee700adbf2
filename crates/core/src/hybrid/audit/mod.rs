//! Audits: reads of tenants that end as stored reports.
//!
//! What is audited is read through an [`Inspector`], which cannot write; results go through the [`AuditLog`], a handle of
//! its own. Any number of processes may audit: a claim with a fencing number in the log keeps them apart, and what a claim
//! that was taken over found is not kept. A process that dies leaves claims that expire. Slots live in the log: one that was
//! missed is due until it ran, once, and the next slot is the first after the audit's end, so that nothing piles up.

mod deliver;
mod events;
mod one;
mod pass;
mod schedule;
mod serve;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::pass::{AuditResult, Audited};
pub use self::schedule::{InvalidSchedule, Schedule};
use super::inspection::Inspector;
use driftline_model::TenantId;
use driftline_ports::{ActualStateSource, AuditLog, Clock, Entropy, Notifier};

/// How one tenant is audited; by default nothing is observed, and nobody told.
#[derive(Debug, Clone, Default)]
pub struct TenantPlan {
    /// What is observed; without it desired and recorded are compared alone.
    pub source: Option<Arc<dyn ActualStateSource>>,
    /// When.
    pub schedule: Schedule,
    /// Who is told, by name.
    pub receivers: Vec<String>,
}

/// How tenants are audited.
#[derive(Debug, Clone, Default)]
pub struct AuditPlan {
    /// Those that are not named.
    pub default: TenantPlan,
    /// Those that are.
    pub tenants: BTreeMap<TenantId, TenantPlan>,
    /// Who can be told, by name.
    pub receivers: BTreeMap<String, Arc<dyn Notifier>>,
}

impl AuditPlan {
    /// How this tenant is audited.
    pub fn of(&self, tenant: &TenantId) -> &TenantPlan {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }
}

/// How an auditor behaves.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// Tenants that are observed at once.
    pub parallelism: usize,
    /// How long observing one tenant may take.
    pub deadline: Duration,
    /// How long a tenant is kept from other processes.
    pub lease: Duration,
    /// How often the schedule is looked at.
    pub poll_interval: Duration,
    /// So many missed slots make a tenant stale.
    pub stale_after: u32,
    /// Reports older than this are removed.
    pub keep_for: Option<Duration>,
    /// Of each tenant at most so many reports are kept.
    pub keep_newest: Option<u32>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            parallelism: 8,
            deadline: Duration::from_mins(1),
            lease: Duration::from_mins(3),
            poll_interval: Duration::from_secs(5),
            stale_after: 3,
            keep_for: Some(Duration::from_hours(24 * 90)),
            keep_newest: Some(1000),
        }
    }
}

/// Audits tenants. Cheap to clone.
#[derive(Clone)]
pub struct Auditor {
    inspector: Inspector,
    log: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    plan: Arc<AuditPlan>,
    settings: Arc<AuditSettings>,
}

impl Auditor {
    /// An auditor that reads through `inspector` and keeps its results in `log`.
    pub fn new(
        inspector: Inspector,
        log: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        plan: AuditPlan,
        settings: AuditSettings,
    ) -> Self {
        Self {
            inspector,
            log,
            clock,
            entropy,
            plan: Arc::new(plan),
            settings: Arc::new(settings),
        }
    }
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor")
            .field("plan", &self.plan)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
