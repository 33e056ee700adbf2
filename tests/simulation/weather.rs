//! What goes wrong with one call, drawn from the seed.

use std::time::Duration;

use crate::environment::Draws;

/// What goes wrong with a call. A flaw that makes no sense for a method leaves the call alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Not done, and reported so.
    Unavailable,
    /// Writes: done, and the answer is lost: a time-out, or a 5xx after the object was persisted.
    AppliedUnknown,
    /// Writes: not done, and the answer is lost.
    DroppedUnknown,
    /// PUT: the answer is lost, and the request arrives after this long.
    DeferredUnknown(Duration),
    /// PUT: not done, reported as a 409.
    Conflict,
    /// PUT: done, reported as a 412, as when a retry below meets the request that it repeats.
    OwnWrite,
    /// GET: only a part of the object arrives.
    TornBody,
}

/// How often each of it comes, of 1,000 calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    pub flaws: u64,
    pub slow: u64,
    pub crash: u64,
    /// The process stands still for longer than a lease, and goes on.
    pub partition: u64,
}

/// The course of one call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Course {
    pub before: Duration,
    pub after: Duration,
    pub flaw: Option<Flaw>,
    pub crash_before: bool,
    pub crash_after: bool,
    pub partition: Option<Duration>,
}

impl Weather {
    pub const CALM: Self = Self {
        flaws: 0,
        slow: 0,
        crash: 0,
        partition: 0,
    };

    /// The weather of a seed: one in eight has none, and crashes, partitions and flaws come apart and together.
    pub fn of(draws: &Draws) -> Self {
        if draws.chance(0.12) {
            return Self::CALM;
        }
        Self {
            flaws: *draws.pick(&[0, 10, 40, 120]),
            slow: *draws.pick(&[0, 10, 40]),
            crash: *draws.pick(&[0, 2, 8]),
            partition: *draws.pick(&[0, 1, 5]),
        }
    }

    pub fn course(self, draws: &Draws, lease: Duration) -> Course {
        // Always the same number of draws, so that a call's fate does not depend on the fate of the one before.
        let (kind, moment, flaw) = (draws.below(1000), draws.below(2), draws.below(8));
        let (mut before, mut after) = (draws.below(8), draws.below(4));
        let (long, late) = (draws.between(100, 1500), draws.millis(1, 4000));
        let mut course = Course::default();
        let [flaws, slow, crash, partition] = [self.flaws, self.slow, self.crash, self.partition];
        if kind < flaws {
            course.flaw = Some(match flaw {
                0 => Flaw::Unavailable,
                1 | 2 => Flaw::AppliedUnknown,
                3 => Flaw::DroppedUnknown,
                4 => Flaw::DeferredUnknown(late),
                5 => Flaw::Conflict,
                6 => Flaw::OwnWrite,
                _ => Flaw::TornBody,
            });
        } else if kind < flaws + slow {
            if moment == 0 {
                before += long;
            } else {
                after += long;
            }
        } else if kind < flaws + slow + crash {
            course.crash_before = moment == 0;
            course.crash_after = moment == 1;
        } else if kind < flaws + slow + crash + partition {
            course.partition = Some(lease + Duration::from_millis(long * 3));
        }
        course.before = Duration::from_millis(before);
        course.after = Duration::from_millis(after);
        course
    }
}
