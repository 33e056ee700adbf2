//! When a tenant is due.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;

use driftline_model::drift::Untimely;
use driftline_model::{Digest, TenantId, Timestamp};

/// When audits take place: on a cron expression in a time zone, or every so often; each tenant a little later than the slot,
/// always the same little.
#[derive(Debug, Clone)]
pub struct Schedule {
    slots: Slots,
    jitter: Duration,
}

#[derive(Debug, Clone)]
enum Slots {
    Every(Duration),
    Cron(Box<Cron>, TimeZone),
}

/// A schedule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSchedule(String);

impl Default for Schedule {
    /// Every 15 minutes, spread over one.
    fn default() -> Self {
        Self::every(Duration::from_mins(15)).with_jitter(Duration::from_mins(1))
    }
}

impl Schedule {
    /// The shortest interval.
    pub const SHORTEST: Duration = Duration::from_secs(1);

    /// Every `interval`, counted from 1970 on, so that all processes agree on the slots; at least one second.
    pub fn every(interval: Duration) -> Self {
        Self {
            slots: Slots::Every(interval.max(Self::SHORTEST)),
            jitter: Duration::ZERO,
        }
    }

    /// At the times of a cron expression (five fields, or six with seconds first) in an IANA time zone.
    ///
    /// When clocks go forward, a daily time that does not exist moves to the first one after it; when they go back, it takes
    /// place once. What repeats within the hour goes by the clock on the wall.
    pub fn cron(expression: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let cron = Cron::from_str(expression).map_err(|error| {
            InvalidSchedule(format!(
                "the cron expression `{expression}` will not do: {error}"
            ))
        })?;
        let zone = TimeZone::get(zone).map_err(|_| {
            let expected = "an IANA name like Europe/Berlin or UTC is expected";
            InvalidSchedule(format!("the time zone `{zone}` is not known: {expected}"))
        })?;
        let schedule = Self {
            slots: Slots::Cron(Box::new(cron), zone),
            jitter: Duration::ZERO,
        };
        match schedule.slot_after(Timestamp::EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(InvalidSchedule(format!(
                "the cron expression `{expression}` names no time at all"
            ))),
        }
    }

    /// Spreads tenants over this long after each slot.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// The tenant's first slot after `time`; the end of time when there is none.
    pub fn next_after(&self, tenant: &TenantId, time: Timestamp) -> Timestamp {
        let delay = self.delay(tenant);
        let slot = self.slot_after(time.saturating_sub(delay));
        slot.unwrap_or(Timestamp::MAX).saturating_add(delay)
    }

    /// The end of the tenant's `count`th slot after `time`: so many were missed by then.
    pub fn nth_after(&self, tenant: &TenantId, time: Timestamp, count: u32) -> Timestamp {
        (0..count).fold(time, |time, _| self.next_after(tenant, time))
    }

    /// Judges when a tenant was seen: so many of its slots after that, it has to be seen anew.
    pub fn judge(
        &self,
        tenant: &TenantId,
        observed_at: Option<Timestamp>,
        now: Timestamp,
        stale_after: u32,
    ) -> Option<Untimely> {
        let observed_at = observed_at?;
        let until = self.nth_after(tenant, observed_at, stale_after);
        Untimely::judge(observed_at, until, now)
    }

    fn delay(&self, tenant: &TenantId) -> Duration {
        let digest = Digest::of(tenant.as_str().as_bytes());
        let mut first = [0; 4];
        first.copy_from_slice(&digest.as_bytes()[..4]);
        let share = f64::from(u32::from_be_bytes(first)) / f64::from(u32::MAX);
        self.jitter.mul_f64(share)
    }

    fn slot_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.slots {
            Slots::Every(interval) => {
                let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
                let passed = time.as_micros().div_euclid(interval);
                Timestamp::from_micros(passed.checked_add(1)?.checked_mul(interval)?)
            }
            Slots::Cron(cron, zone) => {
                let time = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?;
                let next = cron
                    .find_next_occurrence(&time.to_zoned(zone.clone()), false)
                    .ok()?;
                Timestamp::from_micros(next.timestamp().as_microsecond())
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.slots {
            Slots::Every(interval) => write!(f, "every {} s", interval.as_secs()),
            Slots::Cron(cron, zone) => {
                let zone = zone.iana_name().unwrap_or("UTC");
                write!(f, "{} ({zone})", cron.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
        let tenant: TenantId = "acme".parse().unwrap();
        let mut time: Timestamp = from.parse().unwrap();
        (0..count)
            .map(|_| {
                time = schedule.next_after(&tenant, time);
                time.to_string().replace(".000000Z", "Z")
            })
            .collect()
    }

    #[test]
    fn a_daily_time_that_the_clocks_skip_moves_behind_the_gap() {
        let daily = Schedule::cron("30 2 * * *", "Europe/Berlin").unwrap();
        // On 29 March 2026 clocks go from 02:00 to 03:00.
        let wanted = [
            "2026-03-28T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-30T00:30:00Z",
        ];
        assert_eq!(slots(&daily, "2026-03-27T12:00:00Z", 3), wanted);
    }

    #[test]
    fn a_daily_time_that_the_clocks_repeat_takes_place_once() {
        let daily = Schedule::cron("30 2 * * *", "Europe/Berlin").unwrap();
        // On 25 October 2026 clocks go from 03:00 back to 02:00.
        let wanted = ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        assert_eq!(slots(&daily, "2026-10-24T12:00:00Z", 2), wanted);
    }

    #[test]
    fn what_repeats_within_the_hour_goes_on_through_both() {
        let quarters = Schedule::cron("*/30 * * * *", "Europe/Berlin").unwrap();
        let wanted = [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z",
        ];
        assert_eq!(slots(&quarters, "2026-10-24T23:45:00Z", 5), wanted);
        let wanted = [
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z",
        ];
        assert_eq!(slots(&quarters, "2026-03-29T00:15:00Z", 3), wanted);
    }

    #[test]
    fn an_interval_counts_from_1970_whatever_the_clocks_do() {
        let quarter = Schedule::every(Duration::from_mins(15));
        let wanted = [
            "2026-03-29T00:45:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:15:00Z",
        ];
        assert_eq!(slots(&quarter, "2026-03-29T00:30:00Z", 3), wanted);
    }

    #[test]
    fn jitter_is_the_same_for_a_tenant_every_time() {
        let schedule = Schedule::every(Duration::from_mins(15)).with_jitter(Duration::from_mins(5));
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let first = schedule.next_after(&tenant("a"), time);
        let second = schedule.next_after(&tenant("a"), first);
        assert_eq!(second.since(first), Duration::from_mins(15));
        assert_ne!(first, schedule.next_after(&tenant("b"), time));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (expression, zone, message) in [
            (
                "61 * * * *",
                "UTC",
                "the cron expression `61 * * * *` will not do",
            ),
            (
                "* * * * *",
                "Mars/Base",
                "the time zone `Mars/Base` is not known",
            ),
            ("0 0 30 2 *", "UTC", "names no time at all"),
        ] {
            let error = Schedule::cron(expression, zone).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
