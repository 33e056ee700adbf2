//! The record of audits, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryDatabase, error};
use driftline_model::{EventId, ReportId, TenantId, Timestamp};
use driftline_ports::rules::audit::{Audited, Told, stored};
use driftline_ports::{
    AuditClaim, AuditLog, AuditOutcome, AuditScope, AuditedTenant, Delivery, DeliveryOutcome,
    EventStatus, Fault, NewEvent, ReportFilter, ReportSummary, Retention, StoreResult,
    StoredReport, WorkerId,
};

/// The tables, apart from those of what is audited.
#[derive(Debug, Clone, Default)]
pub(super) struct Audits {
    tenants: BTreeMap<TenantId, Audited>,
    reports: BTreeMap<ReportId, StoredReport>,
    /// The reports in the order of a list, the oldest first.
    order: BTreeSet<(Timestamp, ReportId)>,
    events: BTreeMap<EventId, Told>,
}

impl Audits {
    /// The tenants that are due and free, the longest overdue first.
    fn due(&self, at: Timestamp, now: Timestamp) -> Vec<TenantId> {
        let mut due: Vec<(Timestamp, &TenantId)> = self
            .tenants
            .iter()
            .filter(|(_, audited)| audited.is_free(now))
            .filter_map(|(tenant, audited)| Some((audited.tenant.next_at?, tenant)))
            .filter(|(next_at, _)| *next_at <= at)
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, tenant)| tenant.clone()).collect()
    }

    /// Those of `tenants` that `worker` may claim, each once, known or not.
    fn free(&self, tenants: &[TenantId], worker: WorkerId, now: Timestamp) -> Vec<TenantId> {
        let mut seen = BTreeSet::new();
        tenants
            .iter()
            .filter(|tenant| {
                let audited = self.tenants.get(*tenant);
                seen.insert(*tenant) && audited.is_none_or(|it| it.is_free_for(worker, now))
            })
            .cloned()
            .collect()
    }

    /// Whether these claims can be ended without giving an identifier twice.
    fn check(&self, outcomes: &[&AuditOutcome]) -> StoreResult<()> {
        let (mut reports, mut events) = (BTreeSet::new(), BTreeSet::new());
        for outcome in outcomes {
            if let Some(report) = &outcome.report
                && (self.reports.contains_key(&report.id) || !reports.insert(report.id))
            {
                return Err(taken("report", &report.id));
            }
            self.check_events(&outcome.events, &mut events)?;
        }
        Ok(())
    }

    fn check_events(&self, new: &[NewEvent], seen: &mut BTreeSet<EventId>) -> StoreResult<()> {
        for event in new {
            if self.events.contains_key(&event.id) || !seen.insert(event.id) {
                return Err(taken("event", &event.id));
            }
        }
        Ok(())
    }

    fn tell(&mut self, events: &[NewEvent], now: Timestamp) {
        for event in events {
            self.events.insert(event.id, Told::new(event.clone(), now));
        }
    }

    /// Events in the order of a list, the oldest first.
    fn oldest_first(&mut self, chosen: impl Fn(&Told) -> bool) -> Vec<&mut Told> {
        let mut events: Vec<&mut Told> = self
            .events
            .values_mut()
            .filter(|told| chosen(told))
            .collect();
        events.sort_by_key(|told| (told.status.event.at, told.status.event.id));
        events
    }

    fn prune(&mut self, retention: Retention) -> u64 {
        let most = retention.newest.map(|newest| newest.max(1));
        let mut seen: BTreeMap<TenantId, u32> = BTreeMap::new();
        let mut gone = Vec::new();
        for (at, id) in self.order.iter().rev() {
            let Some(report) = self.reports.get(id) else {
                continue;
            };
            let nth = seen.entry(report.summary.tenant.clone()).or_default();
            *nth += 1;
            let late = retention.before.is_some_and(|before| *at < before);
            if *nth > 1 && (late || most.is_some_and(|most| *nth > most)) {
                gone.push((*at, *id));
            }
        }
        for key in &gone {
            self.order.remove(key);
            self.reports.remove(&key.1);
        }
        if let Some(before) = retention.before {
            self.events
                .retain(|_, told| !told.is_settled() || told.status.event.at >= before);
        }
        gone.len() as u64
    }
}

fn taken(what: &str, id: &dyn std::fmt::Display) -> driftline_ports::StoreError {
    error(
        Fault::Refused,
        format!("keep {what} {id}: there is one with this identifier"),
    )
}

#[async_trait]
impl AuditLog for MemoryDatabase {
    async fn enroll(&self, now: Timestamp, slots: &[(TenantId, Timestamp)]) -> StoreResult<()> {
        let audits = &mut self.tables().audits;
        for (tenant, slot) in slots {
            audits
                .tenants
                .entry(tenant.clone())
                .or_insert_with(|| Audited::new(tenant.clone(), now))
                .enroll(now, *slot);
        }
        Ok(())
    }

    async fn claim(
        &self,
        worker: WorkerId,
        scope: AuditScope<'_>,
        limit: u32,
        duration: Duration,
    ) -> StoreResult<Vec<AuditClaim>> {
        let now = self.clock.now();
        let audits = &mut self.tables().audits;
        let mut free = match scope {
            AuditScope::Due(at) => audits.due(at, now),
            AuditScope::These(tenants) => audits.free(tenants, worker, now),
        };
        free.truncate(limit as usize);
        let claims = free.into_iter().map(|tenant| {
            audits
                .tenants
                .entry(tenant.clone())
                .or_insert_with(|| Audited::new(tenant, now))
                .claim(worker, now, duration)
        });
        Ok(claims.collect())
    }

    async fn finish(&self, outcomes: &[AuditOutcome]) -> StoreResult<Vec<bool>> {
        let now = self.clock.now();
        let audits = &mut self.tables().audits;
        let mut ended = BTreeMap::new();
        let kept: Vec<bool> = outcomes
            .iter()
            .map(|outcome| {
                let known = audits.tenants.get(&outcome.tenant);
                let tenant = ended
                    .entry(outcome.tenant.clone())
                    .or_insert_with(|| known.cloned());
                tenant.as_mut().is_some_and(|tenant| tenant.finish(outcome))
            })
            .collect();
        let whole: Vec<&AuditOutcome> = outcomes
            .iter()
            .zip(&kept)
            .filter_map(|(outcome, kept)| kept.then_some(outcome))
            .collect();
        audits.check(&whole)?;
        for (name, tenant) in ended {
            if let Some(tenant) = tenant {
                audits.tenants.insert(name, tenant);
            }
        }
        for outcome in whole {
            if let Some(report) = &outcome.report {
                audits.order.insert((report.at, report.id));
                audits
                    .reports
                    .insert(report.id, stored(&outcome.tenant, report));
            }
            audits.tell(&outcome.events, now);
        }
        Ok(kept)
    }

    async fn audited(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<AuditedTenant>> {
        let from = after.map_or(Unbounded, |after| Excluded(after.clone()));
        let tables = self.tables();
        let page = tables.audits.tenants.range((from, Unbounded));
        Ok(page
            .take(limit as usize)
            .map(|(_, audited)| audited.tenant.clone())
            .collect())
    }

    async fn mark_stale(
        &self,
        tenant: &TenantId,
        last_success_at: Option<Timestamp>,
        events: &[NewEvent],
    ) -> StoreResult<bool> {
        let now = self.clock.now();
        let audits = &mut self.tables().audits;
        let Some(mut audited) = audits.tenants.get(tenant).cloned() else {
            return Ok(false);
        };
        if !audited.mark_stale(last_success_at) {
            return Ok(false);
        }
        audits.check_events(events, &mut BTreeSet::new())?;
        audits.tenants.insert(tenant.clone(), audited);
        audits.tell(events, now);
        Ok(true)
    }

    async fn reports(&self, filter: &ReportFilter) -> StoreResult<Vec<ReportSummary>> {
        let tables = self.tables();
        let audits = &tables.audits;
        let until = filter.before.map_or(Unbounded, Excluded);
        let newest_first = audits.order.range((Unbounded, until)).rev();
        Ok(newest_first
            .filter_map(|(_, id)| audits.reports.get(id))
            .map(|report| &report.summary)
            .filter(|report| {
                filter
                    .tenant
                    .as_ref()
                    .is_none_or(|tenant| report.tenant == *tenant)
                    && (report.has_drift || !filter.only_drift)
            })
            .take(filter.limit as usize)
            .cloned()
            .collect())
    }

    async fn report(&self, id: ReportId) -> StoreResult<Option<StoredReport>> {
        Ok(self.tables().audits.reports.get(&id).cloned())
    }

    async fn prune(&self, retention: Retention) -> StoreResult<u64> {
        Ok(self.tables().audits.prune(retention))
    }

    async fn claim_events(&self, limit: u32, duration: Duration) -> StoreResult<Vec<Delivery>> {
        let now = self.clock.now();
        let audits = &mut self.tables().audits;
        let due = audits.oldest_first(|told| told.is_due(now));
        Ok(due
            .into_iter()
            .take(limit as usize)
            .map(|told| told.claim(now, duration))
            .collect())
    }

    async fn settle_event(&self, id: EventId, outcome: &DeliveryOutcome) -> StoreResult<()> {
        let now = self.clock.now();
        if let Some(told) = self.tables().audits.events.get_mut(&id) {
            told.settle(outcome, now);
        }
        Ok(())
    }

    async fn events(&self, tenant: Option<&TenantId>, limit: u32) -> StoreResult<Vec<EventStatus>> {
        let audits = &mut self.tables().audits;
        let oldest_first = audits
            .oldest_first(|told| tenant.is_none_or(|tenant| told.status.event.tenant == *tenant));
        Ok(oldest_first
            .into_iter()
            .rev()
            .take(limit as usize)
            .map(|told| told.status.clone())
            .collect())
    }
}
