//! Reads that are tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use super::Failure;

/// Delays between the attempts at a read: five attempts, further and further apart.
fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(4)
        .with_jitter()
        .build()
}

/// Carries out an idempotent request until it succeeds, fails for good, or `timeout` is over. A wait that the server asks for
/// is kept; one that would outlast the time is not begun.
pub(crate) async fn repeat<T, F>(
    timeout: Duration,
    mut once: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let now = Instant::now();
    let deadline = now.checked_add(timeout);
    let deadline = deadline.unwrap_or(now + Duration::from_hours(24));
    let mut delays = delays();
    let mut last = None;
    loop {
        let failure = match timeout_at(deadline, once()).await {
            Ok(Err(failure)) if failure.transient => failure,
            Ok(done) => return done,
            Err(_) => return Err(last.unwrap_or_else(|| Failure::late(timeout))),
        };
        let Some(delay) = delays.next() else {
            return Err(failure);
        };
        let delay = failure.retry_after.map_or(delay, |asked| asked.max(delay));
        if delay >= deadline.saturating_duration_since(Instant::now()) {
            return Err(failure);
        }
        tracing::debug!(reason = failure.reason, ?delay, "a request is repeated");
        last = Some(failure);
        sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn transient(retry_after: Option<Duration>) -> Failure {
        Failure {
            transient: true,
            retry_after,
            ..Failure::new("busy")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_the_server_asks_for_is_kept() {
        let calls = Cell::new(0);
        let begun = Instant::now();
        let answer = repeat(Duration::from_secs(30), async || {
            calls.set(calls.get() + 1);
            match calls.get() {
                1 => Err(transient(Some(Duration::from_secs(7)))),
                _ => Ok(calls.get()),
            }
        });
        assert_eq!(answer.await, Ok(2));
        assert!(begun.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_would_outlast_the_time_is_not_begun() {
        let begun = Instant::now();
        let failure = transient(Some(Duration::from_secs(31)));
        let answer = repeat::<(), _>(Duration::from_secs(30), async || Err(failure.clone()));
        assert_eq!(answer.await, Err(failure.clone()));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_few_and_end_in_time() {
        let calls = Cell::new(0);
        let answer = repeat::<(), _>(Duration::MAX, async || {
            calls.set(calls.get() + 1);
            Err(transient(None))
        });
        assert_eq!(answer.await, Err(transient(None)));
        assert_eq!(calls.get(), 5);
        let silent = repeat::<(), _>(Duration::from_secs(1), std::future::pending);
        assert_eq!(silent.await, Err(Failure::late(Duration::from_secs(1))));
    }
}
