//! Which calls go wrong, and how.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::intercept::{Args, Call};

/// A method of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes.
    Put,
    /// Lists objects, or folders.
    List,
    /// Removes.
    Delete,
    /// Asks what the store is.
    Ping,
    /// Asks what the store keeps.
    Inspect,
}

impl Method {
    /// The method of a bucket's call.
    pub(super) fn of(call: &Call<'_>) -> Option<Self> {
        Some(match call.args {
            Args::Get(_) => Self::Get,
            Args::Put(..) => Self::Put,
            Args::List(..) | Args::Folders => Self::List,
            Args::Delete(_) => Self::Delete,
            Args::Bucket(None) => Self::Ping,
            Args::Bucket(Some(_)) => Self::Inspect,
            _ => return None,
        })
    }
}

/// What goes wrong with a call. A flaw that makes no sense for a method leaves the call alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Not done, and reported so.
    Unavailable,
    /// Not done, and will not be, however often it is tried.
    Refused,
    /// PUT, DELETE: done, reported as a time-out.
    AppliedUnknown,
    /// PUT, DELETE: not done, reported as a time-out.
    DroppedUnknown,
    /// PUT: not done, reported as a time-out; happens when the test calls [`FaultyStore::apply_deferred`](super::FaultyStore::apply_deferred).
    DeferredUnknown,
    /// PUT: not done, reported as a 409.
    Conflict,
    /// PUT: done, reported as a 412, as when a retry below meets the request that it repeats.
    AppliedPreconditionFailed,
    /// GET: only the first half of the object arrives.
    TornBody,
    /// LIST: the second half of the objects is not shown yet.
    StaleList,
    /// Done after this long, on tokio's clock.
    Slow(Duration),
}

/// Which calls a rule is about.
#[derive(Debug, Clone)]
pub struct On {
    method: Option<Method>,
    key: String,
    skip: usize,
    times: usize,
}

impl On {
    /// Every call.
    pub fn any() -> Self {
        Self {
            method: None,
            key: String::new(),
            skip: 0,
            times: usize::MAX,
        }
    }

    /// GETs whose key contains `key`.
    pub fn get(key: &str) -> Self {
        Self::method(Method::Get, key)
    }

    /// PUTs whose key contains `key`.
    pub fn put(key: &str) -> Self {
        Self::method(Method::Put, key)
    }

    /// Lists whose prefix contains `prefix`.
    pub fn list(prefix: &str) -> Self {
        Self::method(Method::List, prefix)
    }

    /// Calls of `method` whose key contains `key`.
    pub fn method(method: Method, key: &str) -> Self {
        Self {
            method: Some(method),
            key: key.to_owned(),
            ..Self::any()
        }
    }

    /// Leaves the first `calls` that fit alone.
    #[must_use]
    pub fn skip(self, calls: usize) -> Self {
        Self {
            skip: calls,
            ..self
        }
    }

    /// Ends after this many calls.
    #[must_use]
    pub fn times(self, calls: usize) -> Self {
        Self {
            times: calls,
            ..self
        }
    }

    /// Whether the rule acts on this call; counts it if it fits.
    pub(super) fn takes(&mut self, method: Method, key: &str) -> bool {
        if self.method.is_some_and(|wanted| wanted != method)
            || !key.contains(&self.key)
            || self.times == 0
        {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// Whether a held call has been applied yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Not yet.
    Before,
    /// It has.
    After,
}

/// Holds calls until it is released.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(super) moment: Moment,
    reached: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn new(moment: Moment) -> Self {
        Self {
            moment,
            reached: watch::Sender::new(0),
            open: watch::Sender::new(false),
        }
    }

    /// Waits until a call is held.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until so many calls are held, or were.
    pub async fn reached_by(&self, calls: usize) {
        let mut watch = self.reached.subscribe();
        let reached = watch.wait_for(|reached| *reached >= calls);
        let reached = tokio::time::timeout(Duration::from_mins(5), reached).await;
        let reached = reached.unwrap_or_else(|_| panic!("{calls} held calls did not come about"));
        reached.expect("the gate holds its own sender");
    }

    /// Lets the held calls go on, and every later one pass.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        self.reached.send_modify(|reached| *reached += 1);
        let opened = self
            .open
            .subscribe()
            .wait_for(|open| *open)
            .await
            .map(|_| ());
        opened.expect("the gate holds its own sender");
    }
}

/// How often random flaws come, each in `0.0..=1.0`; they add up to at most 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chances {
    /// [`Flaw::Unavailable`].
    pub unavailable: f64,
    /// [`Flaw::AppliedUnknown`].
    pub applied_unknown: f64,
    /// [`Flaw::DroppedUnknown`].
    pub dropped_unknown: f64,
    /// [`Flaw::Conflict`].
    pub conflict: f64,
    /// [`Flaw::AppliedPreconditionFailed`].
    pub applied_precondition_failed: f64,
    /// [`Flaw::TornBody`].
    pub torn_body: f64,
    /// [`Flaw::Slow`], up to 100 ms.
    pub slow: f64,
}

impl Chances {
    /// Every flaw with the same chance.
    pub fn all(chance: f64) -> Self {
        Self {
            unavailable: chance,
            applied_unknown: chance,
            dropped_unknown: chance,
            conflict: chance,
            applied_precondition_failed: chance,
            torn_body: chance,
            slow: chance,
        }
    }

    pub(super) fn draw(&self, rng: &mut StdRng) -> Option<Flaw> {
        let mut at: f64 = rng.random();
        let slow = Duration::from_millis(rng.random_range(1..=100));
        let flaws = [
            (self.unavailable, Flaw::Unavailable),
            (self.applied_unknown, Flaw::AppliedUnknown),
            (self.dropped_unknown, Flaw::DroppedUnknown),
            (self.conflict, Flaw::Conflict),
            (
                self.applied_precondition_failed,
                Flaw::AppliedPreconditionFailed,
            ),
            (self.torn_body, Flaw::TornBody),
            (self.slow, Flaw::Slow(slow)),
        ];
        flaws.into_iter().find_map(|(chance, flaw)| {
            at -= chance;
            (at < 0.0).then_some(flaw)
        })
    }
}
