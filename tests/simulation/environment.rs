//! Time and randomness of a seed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use driftline::domain::Timestamp;
use driftline::ports::{Clock, Entropy};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;
use uuid::Uuid;

use crate::world::lock;

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600_000_000;

/// A clock that moves with tokio's timer, is off by some time, and jumps.
#[derive(Debug)]
pub struct SimClock {
    start: Instant,
    offset: AtomicI64,
}

impl SimClock {
    pub fn new(start: Instant, offset: i64) -> Self {
        Self {
            start,
            offset: AtomicI64::new(offset),
        }
    }

    /// Moves the clock by this many microseconds, back or forth.
    pub fn jump(&self, micros: i64) {
        self.offset.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let at = Timestamp::from_micros(EPOCH + self.offset.load(Ordering::Relaxed));
        at.expect("no jump leaves the calendar")
            .saturating_add(self.start.elapsed())
    }
}

/// Draws that follow from the seed.
#[derive(Debug)]
pub struct Draws(Mutex<StdRng>);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    pub fn chance(&self, chance: f64) -> bool {
        lock(&self.0).random::<f64>() < chance
    }

    pub fn below(&self, limit: u64) -> u64 {
        lock(&self.0).random_range(0..limit.max(1))
    }

    pub fn between(&self, least: u64, most: u64) -> u64 {
        lock(&self.0).random_range(least..=most)
    }

    pub fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        let last = u64::try_from(from.len()).expect("a small slice");
        &from[usize::try_from(self.below(last)).expect("a small slice")]
    }
}

impl Entropy for Draws {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(lock(&self.0).random())
    }

    fn fraction(&self) -> f64 {
        lock(&self.0).random()
    }
}
