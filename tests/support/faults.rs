//! A bucket that misbehaves when a test says so, and remembers every call.
//!
//! ```ignore
//! let store = FaultyStore::over(MemorySnapshotStore::new());
//! store.fail(On::put("index.json").skip(2).times(1), Flaw::AppliedUnknown);
//! let gate = store.hold(On::put("versions/").times(1), Moment::After);
//! // … start what calls it …
//! gate.reached().await;
//! gate.release();
//! assert_eq!(store.counts().puts, 3);
//! ```
//!
//! Of several rules that fit a call, the one added first acts, and only that one counts the call. Random flaws
//! ([`FaultyStore::randomly`]) come from a seed, two draws a call, so the same calls in the same order meet the same flaws.

mod rules;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use driftline::ports::{
    BackendInfo, Fault, Inspection, Listing, Object, Precondition, PutOutcome, Side, SnapshotStore,
    StoreError, StoreResult,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use self::rules::{Chances, Flaw, Gate, Method, Moment, On};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// GET: there is no such object.
    Absent,
    PreconditionFailed,
    Conflict,
    Failed(Fault),
}

/// A call that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub method: Method,
    /// The key, or the prefix of a list.
    pub key: String,
    /// How many bytes of objects were sent or received.
    pub bytes: usize,
    /// What the caller was told.
    pub outcome: Outcome,
}

/// How many calls there were, failed ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub gets: usize,
    pub puts: usize,
    pub lists: usize,
    pub deletes: usize,
    /// Bytes of objects received.
    pub bytes_in: usize,
    /// Bytes of objects sent.
    pub bytes_out: usize,
}

impl Counts {
    /// Requests of all kinds.
    pub fn total(&self) -> usize {
        self.gets + self.puts + self.lists + self.deletes
    }
}

/// A bucket with flaws. Clones share everything.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn SnapshotStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    down: bool,
    flaws: Vec<(On, Flaw)>,
    gates: Vec<(On, Gate)>,
    random: Option<(StdRng, Chances)>,
    deferred: VecDeque<(String, Bytes, Precondition)>,
    calls: Vec<Call>,
}

impl FaultyStore {
    /// A decorator of `store` without flaws yet.
    pub fn new(store: Arc<dyn SnapshotStore>) -> Self {
        Self {
            inner: store,
            state: Arc::default(),
        }
    }

    /// As [`Self::new`], for a store that nobody else holds.
    pub fn over(store: impl SnapshotStore + 'static) -> Self {
        Self::new(Arc::new(store))
    }

    /// The store behind it.
    pub fn inner(&self) -> &Arc<dyn SnapshotStore> {
        &self.inner
    }

    /// Fails the calls that fit.
    pub fn fail(&self, on: On, flaw: Flaw) {
        self.state().flaws.push((on, flaw));
    }

    /// Holds the calls that fit, before or after they are applied.
    pub fn hold(&self, on: On, moment: Moment) -> Gate {
        let gate = Gate::new(moment);
        self.state().gates.push((on, gate.clone()));
        gate
    }

    /// Fails calls at random, from `seed`, where no rule fits.
    pub fn randomly(&self, seed: u64, chances: Chances) {
        self.state().random = Some((StdRng::seed_from_u64(seed), chances));
    }

    /// Takes the bucket away, or gives it back.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Forgets all rules, random flaws and gates (which are released), and gives the bucket back.
    pub fn heal(&self) {
        let mut state = self.state();
        state.down = false;
        state.flaws.clear();
        state.random = None;
        for (_, gate) in state.gates.drain(..) {
            gate.release();
        }
    }

    /// Carries out the oldest PUT that [`Flaw::DeferredUnknown`] kept back, as a request that arrives late; `None` without
    /// one.
    pub async fn apply_deferred(&self) -> Option<StoreResult<PutOutcome>> {
        let (key, bytes, condition) = self.state().deferred.pop_front()?;
        Some(self.inner.put(&key, bytes, condition).await)
    }

    /// The calls that have ended, in that order.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// As [`Self::calls`], and forgets them.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// How many calls there were since the last [`Self::take_calls`].
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for call in &self.state().calls {
            match call.method {
                Method::Get => counts.gets += 1,
                Method::Put => counts.puts += 1,
                Method::List => counts.lists += 1,
                Method::Delete => counts.deletes += 1,
                Method::Ping | Method::Inspect => {}
            }
            match call.method {
                Method::Put => counts.bytes_out += call.bytes,
                _ => counts.bytes_in += call.bytes,
            }
        }
        counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no call panics while it holds the state")
    }

    /// Decides about a call that begins.
    fn plan(&self, method: Method, key: &str) -> Plan {
        let mut state = self.state();
        let gate = state
            .gates
            .iter_mut()
            .find_map(|(on, gate)| on.takes(method, key).then(|| gate.clone()));
        let scripted = state
            .flaws
            .iter_mut()
            .find_map(|(on, flaw)| on.takes(method, key).then_some(*flaw));
        let random = state
            .random
            .as_mut()
            .and_then(|(rng, chances)| chances.draw(rng));
        Plan {
            gate,
            flaw: scripted.or(random),
        }
    }

    /// Whether the bucket is there; asked when the request would arrive.
    fn arrive(&self, flaw: Option<Flaw>) -> StoreResult<()> {
        match flaw {
            _ if self.state().down => Err(error(Fault::Unavailable, "the bucket is down")),
            Some(Flaw::Unavailable) => Err(error(Fault::Unavailable, "injected: unavailable")),
            Some(Flaw::Refused) => Err(error(Fault::Refused, "injected: refused")),
            _ => Ok(()),
        }
    }

    fn record<T>(
        &self,
        method: Method,
        key: &str,
        result: &StoreResult<T>,
        answer: impl FnOnce(&T) -> (usize, Outcome),
    ) {
        let (bytes, outcome) = result
            .as_ref()
            .map_or_else(|error| (0, Outcome::Failed(error.fault())), answer);
        self.state().calls.push(Call {
            method,
            key: key.to_owned(),
            bytes,
            outcome,
        });
    }
}

struct Plan {
    gate: Option<Gate>,
    flaw: Option<Flaw>,
}

impl Plan {
    async fn at(&self, moment: Moment) {
        if let Some(gate) = self.gate.as_ref().filter(|gate| gate.moment == moment) {
            gate.pass().await;
        }
        if let (Some(Flaw::Slow(pause)), Moment::Before) = (self.flaw, moment) {
            tokio::time::sleep(pause).await;
        }
    }
}

fn error(fault: Fault, message: &str) -> StoreError {
    StoreError::new(Side::Bucket, fault, message)
}

fn timed_out() -> StoreError {
    error(Fault::OutcomeUnknown, "injected: timed out")
}

#[async_trait]
impl SnapshotStore for FaultyStore {
    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let plan = self.plan(Method::Get, key);
        plan.at(Moment::Before).await;
        let mut result = match self.arrive(plan.flaw) {
            Ok(()) => self.inner.get(key, most).await,
            Err(error) => Err(error),
        };
        if let (Some(Flaw::TornBody), Ok(Some(object))) = (plan.flaw, &mut result) {
            object.bytes.truncate(object.bytes.len() / 2);
        }
        plan.at(Moment::After).await;
        self.record(Method::Get, key, &result, |object| match object {
            Some(object) => (object.bytes.len(), Outcome::Ok),
            None => (0, Outcome::Absent),
        });
        result
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let plan = self.plan(Method::Put, key);
        plan.at(Moment::Before).await;
        let size = bytes.len();
        let result = match (self.arrive(plan.flaw), plan.flaw) {
            (Err(error), _) => Err(error),
            (_, Some(Flaw::DroppedUnknown)) => Err(timed_out()),
            (_, Some(Flaw::DeferredUnknown)) => {
                self.state()
                    .deferred
                    .push_back((key.to_owned(), bytes, condition));
                Err(timed_out())
            }
            (_, Some(Flaw::Conflict)) => Ok(PutOutcome::Conflict),
            (_, flaw) => match (self.inner.put(key, bytes, condition).await, flaw) {
                (Ok(_), Some(Flaw::AppliedUnknown)) => Err(timed_out()),
                (Ok(_), Some(Flaw::AppliedPreconditionFailed)) => {
                    Ok(PutOutcome::PreconditionFailed)
                }
                (result, _) => result,
            },
        };
        plan.at(Moment::After).await;
        self.record(Method::Put, key, &result, |outcome| match outcome {
            PutOutcome::Written(_) => (size, Outcome::Ok),
            PutOutcome::PreconditionFailed => (size, Outcome::PreconditionFailed),
            PutOutcome::Conflict => (size, Outcome::Conflict),
        });
        result
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let plan = self.plan(Method::List, prefix);
        plan.at(Moment::Before).await;
        let mut result = match self.arrive(plan.flaw) {
            Ok(()) => self.inner.list(prefix, after, limit).await,
            Err(error) => Err(error),
        };
        if let (Some(Flaw::StaleList), Ok(listing)) = (plan.flaw, &mut result) {
            let keep = listing.objects.len() / 2;
            listing.objects.truncate(keep);
            listing.more = false;
        }
        plan.at(Moment::After).await;
        self.record(Method::List, prefix, &result, |_| (0, Outcome::Ok));
        result
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let plan = self.plan(Method::Delete, key);
        plan.at(Moment::Before).await;
        let result = match (self.arrive(plan.flaw), plan.flaw) {
            (Err(error), _) => Err(error),
            (_, Some(Flaw::DroppedUnknown)) => Err(timed_out()),
            (_, flaw) => match (self.inner.delete(key).await, flaw) {
                (Ok(()), Some(Flaw::AppliedUnknown)) => Err(timed_out()),
                (result, _) => result,
            },
        };
        plan.at(Moment::After).await;
        self.record(Method::Delete, key, &result, |()| (0, Outcome::Ok));
        result
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        let plan = self.plan(Method::Ping, "");
        plan.at(Moment::Before).await;
        let result = match self.arrive(plan.flaw) {
            Ok(()) => self.inner.ping().await,
            Err(error) => Err(error),
        };
        plan.at(Moment::After).await;
        self.record(Method::Ping, "", &result, |_| (0, Outcome::Ok));
        result
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        let plan = self.plan(Method::Inspect, scratch);
        plan.at(Moment::Before).await;
        let result = match self.arrive(plan.flaw) {
            Ok(()) => self.inner.inspect(scratch).await,
            Err(error) => Err(error),
        };
        plan.at(Moment::After).await;
        self.record(Method::Inspect, scratch, &result, |_| (0, Outcome::Ok));
        result
    }
}
