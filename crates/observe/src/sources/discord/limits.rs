//! Discord's rate limits: <https://docs.discord.com/developers/topics/rate-limits>.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::{Instant, sleep_until};

use crate::http::{Failure, seconds};

/// Until when requests have to wait.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// After a global limit all wait.
    global: Option<Instant>,
    /// Route → the bucket that it draws from. Several may share one.
    buckets: HashMap<String, String>,
    /// Bucket → when it has room again, if it has none now.
    free: HashMap<String, Instant>,
}

impl Known {
    fn bucket<'a>(&'a self, route: &'a str) -> &'a str {
        self.buckets.get(route).map_or(route, String::as_str)
    }
}

impl Limits {
    /// Waits until a request may be sent; fails at once when that is not within `timeout`.
    pub(super) async fn wait(&self, route: &str, timeout: Duration) -> Result<(), Failure> {
        // While one waits another may be told to wait longer.
        loop {
            let free = self.with(|known| {
                let free = known.free.get(known.bucket(route)).copied();
                free.max(known.global)
            });
            let now = Instant::now();
            let Some(free) = free.filter(|free| *free > now) else {
                return Ok(());
            };
            if free - now >= timeout {
                return Err(Failure {
                    transient: true,
                    retry_after: Some(free - now),
                    ..Failure::new("the rate limit leaves no room in time")
                });
            }
            sleep_until(free).await;
        }
    }

    /// Keeps what the headers of an answer say about the bucket.
    pub(super) fn learn(&self, route: &str, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        if let Some(bucket) = text("x-ratelimit-bucket") {
            // It counts for each guild apart, and the guild stands in the route.
            let guild = route.rsplit_once('/').map_or("", |(guild, _)| guild);
            let bucket = format!("{guild} {bucket}");
            self.with(|known| known.buckets.insert(route.to_owned(), bucket));
        }
        let reset = text("x-ratelimit-reset-after").and_then(seconds);
        if let (Some("0"), Some(reset)) = (text("x-ratelimit-remaining"), reset) {
            self.refused(route, reset, false);
        }
    }

    /// There is no room for `wait`: in the route's bucket, or at all.
    pub(super) fn refused(&self, route: &str, wait: Duration, global: bool) {
        let now = Instant::now();
        let until = now + wait;
        self.with(|known| {
            if global {
                known.global = known.global.max(Some(until));
                return;
            }
            let bucket = known.bucket(route).to_owned();
            known.free.retain(|_, free| *free > now);
            let free = known.free.entry(bucket).or_insert(until);
            *free = until.max(*free);
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    async fn waited(limits: &Limits, route: &str) -> Duration {
        let begun = Instant::now();
        limits.wait(route, LONG).await.unwrap();
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_bucket_holds_up_its_routes_and_no_others() {
        let limits = Limits::default();
        let bucket = ("x-ratelimit-bucket", "b");
        let some = headers(&[bucket, ("x-ratelimit-remaining", "3")]);
        let none = headers(&[
            bucket,
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "1.5"),
        ]);
        limits.learn("guilds/1/roles", &some);
        limits.learn("guilds/2/roles", &some);
        assert_eq!(waited(&limits, "guilds/1/roles").await, Duration::ZERO);
        limits.learn("guilds/1/channels", &none);
        assert_eq!(waited(&limits, "guilds/2/roles").await, Duration::ZERO);
        let held = waited(&limits, "guilds/1/roles").await;
        assert!(held >= Duration::from_millis(1500), "{held:?}");
        assert_eq!(waited(&limits, "guilds/1/channels").await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_global_limit_holds_up_everything() {
        let limits = Limits::default();
        limits.refused("guilds/1/roles", Duration::from_secs(2), true);
        let held = waited(&limits, "guilds/9/channels").await;
        assert!(held >= Duration::from_secs(2), "{held:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_hope_is_not_begun() {
        let limits = Limits::default();
        limits.refused("r", LONG, false);
        let begun = Instant::now();
        let failure = limits.wait("r", LONG).await.unwrap_err();
        assert!(failure.transient && begun.elapsed().is_zero());
    }
}
