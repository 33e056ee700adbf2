//! Audits on their schedules.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Auditor;
use super::pass::{Listener, Work};
use driftline_model::TenantId;
use driftline_model::drift::EventKind;
use driftline_ports::{AuditedTenant, Result, Retention};

/// How often new tenants are looked for, and slots that are too late.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often old reports are removed.
const PRUNE_EVERY: Duration = Duration::from_hours(1);
/// Tenants in one call.
const PAGE: u32 = 1000;

impl Auditor {
    /// Audits what is due, tells what there is to tell, and removes what is old, until `stop` is cancelled; the batches under
    /// way are finished. Nothing that fails ends it, and none of the three waits for another: a receiver that hangs delays no
    /// audit, and audits that take long delay no event.
    pub async fn serve(&self, listener: Listener<'_>, stop: &CancellationToken) {
        let audits = async {
            let mut said = None;
            while !stop.is_cancelled() {
                let outcome = self.pass(Work::Due, listener, stop).await;
                report("audit", &outcome, &mut said);
                self.pause(stop).await;
            }
        };
        let deliveries = async {
            let mut said = None;
            while !stop.is_cancelled() {
                let outcome = self.deliver(stop).await.map(drop);
                report("deliver events", &outcome, &mut said);
                self.pause(stop).await;
            }
        };
        tokio::join!(audits, deliveries, self.keep_house(stop));
    }

    /// Puts new tenants on the schedule, tells of stale ones and removes what is old.
    async fn keep_house(&self, stop: &CancellationToken) {
        let mut enrolled: Option<Instant> = None;
        let mut looked: Option<Instant> = None;
        let mut pruned: Option<Instant> = None;
        let mut said = [None, None, None];
        let passed = |last: Option<Instant>, interval: Duration| {
            last.is_none_or(|last| last.elapsed() >= interval)
        };
        while !stop.is_cancelled() {
            if passed(enrolled, LOOK_EVERY)
                && report("enroll tenants", &self.enroll().await, &mut said[0])
            {
                enrolled = Some(Instant::now());
            }
            if passed(looked, LOOK_EVERY)
                && report(
                    "look for stale tenants",
                    &self.look_for_stale().await,
                    &mut said[1],
                )
            {
                looked = Some(Instant::now());
            }
            if passed(pruned, PRUNE_EVERY)
                && report(
                    "remove old reports",
                    &self.prune().await.map(drop),
                    &mut said[2],
                )
            {
                pruned = Some(Instant::now());
            }
            self.pause(stop).await;
        }
    }

    async fn pause(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.settings.poll_interval) => {}
        }
    }

    /// Makes every tenant known to the schedule. A slot further away than the next one, as a clock that was set back leaves
    /// it, is moved up.
    pub async fn enroll(&self) -> Result<()> {
        let mut last: Option<TenantId> = None;
        loop {
            let tenants = self.inspector.tenants(last.as_ref(), PAGE).await?;
            let Some(end) = tenants.last().cloned() else {
                return Ok(());
            };
            let now = self.clock.now();
            let slots: Vec<_> = tenants
                .into_iter()
                .map(|tenant| {
                    let slot = self.plan.of(&tenant).schedule.next_after(&tenant, now);
                    (tenant, slot)
                })
                .collect();
            self.log.enroll(now, &slots).await?;
            last = Some(end);
        }
    }

    /// Tells of tenants whose audits did not succeed for too long.
    pub async fn look_for_stale(&self) -> Result<()> {
        let mut last: Option<TenantId> = None;
        loop {
            let page = self.log.audited(last.as_ref(), PAGE).await?;
            let Some(end) = page.last().map(|tenant| tenant.tenant.clone()) else {
                return Ok(());
            };
            for tenant in page {
                if !tenant.stale && self.is_stale(&tenant) {
                    self.tell_stale(&tenant).await?;
                }
            }
            last = Some(end);
        }
    }

    fn is_stale(&self, audited: &AuditedTenant) -> bool {
        // A tenant that came on the schedule later was not expected before; a time to come is the mark of a clock that was wrong.
        let now = self.clock.now();
        let since = audited.last_success_at.max(Some(audited.enrolled_at));
        let since = since.map_or(now, |since| since.min(now));
        let schedule = &self.plan.of(&audited.tenant).schedule;
        let missed = schedule.nth_after(&audited.tenant, since, self.settings.stale_after);
        // The last of those slots gets the time that an audit may take.
        now > missed.saturating_add(self.settings.lease)
    }

    async fn tell_stale(&self, audited: &AuditedTenant) -> Result<()> {
        let tenant = &audited.tenant;
        let since = match audited.last_success_at {
            Some(at) => format!("since {at}"),
            None => "ever".to_owned(),
        };
        let reason = audited
            .last_error
            .as_deref()
            .map_or_else(String::new, |error| format!(": {}", short(error)));
        let message = format!("no audit of {tenant} succeeded {since}{reason}");
        let now = self.clock.now();
        let events = self.events(EventKind::AuditStale, tenant, now, None, &[], &message);
        let told = self
            .log
            .mark_stale(tenant, audited.last_success_at, &events)
            .await?;
        if told {
            tracing::error!(%tenant, "{message}");
        }
        Ok(())
    }

    /// Removes what retention does not keep, and tells how many reports went.
    pub async fn prune(&self) -> Result<u64> {
        let now = self.clock.now();
        let retention = Retention {
            before: self.settings.keep_for.map(|age| now.saturating_sub(age)),
            newest: self.settings.keep_newest,
        };
        Ok(self.log.prune(retention).await?)
    }
}

/// The beginning of an error, on one line: it goes to people, and systems at fault may answer with whole pages.
fn short(error: &str) -> String {
    const LONGEST: usize = 120;
    let line = error.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let cut: String = line.chars().take(LONGEST - 1).collect();
    format!("{cut}…")
}

/// Says what failed, once for each reason, and whether it did not.
fn report(what: &str, outcome: &Result<()>, said: &mut Option<String>) -> bool {
    match outcome {
        Ok(()) => {
            if said.take().is_some() {
                tracing::warn!("{what}: goes on");
            }
        }
        Err(error) => {
            let reason = error.to_string();
            if said.as_ref() != Some(&reason) {
                tracing::error!(%error, "{what}: failed, and is tried again");
            }
            *said = Some(reason);
        }
    }
    outcome.is_ok()
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn an_error_is_told_in_one_short_line() {
        assert_eq!(short("no\nanswer "), "no answer");
        let page = "ü ".repeat(500);
        assert_eq!(short(&page).chars().count(), 120);
    }
}
