//! Time that a case sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use driftline_model::Timestamp;
use driftline_ports::Clock;

/// A clock that stands still until it is told.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// At the beginning of 2026.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_767_225_600_000_000)))
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            i64::try_from(by.as_micros()).expect("small"),
            Ordering::Relaxed,
        );
    }

    /// Sets it back.
    pub fn go_back(&self, by: Duration) {
        self.0.fetch_sub(
            i64::try_from(by.as_micros()).expect("small"),
            Ordering::Relaxed,
        );
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed)).expect("a time")
    }
}
