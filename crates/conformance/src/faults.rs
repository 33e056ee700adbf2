//! A bucket that misbehaves when a test says so, and remembers every call.
//!
//! ```
//! # use driftline_conformance::faults::{FaultyStore, Flaw, Moment, On};
//! # use driftline_core::adapters::memory::MemorySnapshotStore;
//! # use driftline_ports::{Precondition, SnapshotStore};
//! # driftline_conformance::run(async {
//! let store = FaultyStore::over(MemorySnapshotStore::new());
//! store.fail(On::put("index.json").skip(2).times(1), Flaw::AppliedUnknown);
//! let gate = store.hold(On::put("versions/").times(1), Moment::After);
//! let written = tokio::spawn({
//!     let store = store.clone();
//!     async move { store.put("a/versions/1", "{}".into(), Precondition::Absent).await }
//! });
//! gate.reached().await;
//! gate.release();
//! written.await.unwrap().unwrap();
//! assert_eq!(store.counts().puts, 1);
//! # });
//! ```
//!
//! Of several rules that fit a call, the one added first acts, and only that one counts the call. Random flaws
//! ([`FaultyStore::randomly`]) come from a seed, two draws a call, so the same calls in the same order meet the same flaws.

mod rules;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use driftline_ports::{
    Fault, Folders, Listing, Object, Precondition, PutOutcome, Side, SnapshotStore, StoreError,
    StoreResult,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::intercept::{Answer, Args, Call, Hook, Intercepted, Work};

pub use self::rules::{Chances, Flaw, Gate, Method, Moment, On};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// GET: there is no such object.
    Absent,
    /// PUT: 412.
    PreconditionFailed,
    /// PUT: 409.
    Conflict,
    /// With an error.
    Failed(Fault),
}

/// A call that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The method.
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
    /// Reads.
    pub gets: usize,
    /// Writes.
    pub puts: usize,
    /// Listings, of folders included.
    pub lists: usize,
    /// Removals.
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
pub type FaultyStore = Intercepted<dyn SnapshotStore, Faults>;

/// What goes wrong with a bucket's calls, and which there were.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    down: bool,
    flaws: Vec<(On, Flaw)>,
    gates: Vec<(On, Gate)>,
    random: Option<(StdRng, Chances)>,
    deferred: VecDeque<(String, Bytes, Precondition)>,
    calls: Vec<Ended>,
}

impl Intercepted<dyn SnapshotStore, Faults> {
    /// A decorator of `store` without flaws yet.
    pub fn around(store: Arc<dyn SnapshotStore>) -> Self {
        Self::new(store, Faults::default())
    }

    /// The same of a store that nobody else holds.
    pub fn over(store: impl SnapshotStore + 'static) -> Self {
        Self::around(Arc::new(store))
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
        Some(self.inner().put(&key, bytes, condition).await)
    }

    /// The calls that have ended, in that order.
    pub fn calls(&self) -> Vec<Ended> {
        self.state().calls.clone()
    }

    /// As [`Self::calls`], and forgets them.
    pub fn take_calls(&self) -> Vec<Ended> {
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
        self.hook().state()
    }
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0
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

    /// What the backend makes of a call that may go wrong.
    async fn carry_out(
        &self,
        call: Call<'_>,
        flaw: Option<Flaw>,
        work: Work<'_>,
    ) -> StoreResult<Answer> {
        self.arrive(flaw)?;
        match (call.args, flaw) {
            (Args::Put(..) | Args::Delete(_), Some(Flaw::DroppedUnknown)) => {
                return Err(timed_out());
            }
            (Args::Put(key, bytes, condition), Some(Flaw::DeferredUnknown)) => {
                let put = (key.to_owned(), bytes.clone(), condition.clone());
                self.state().deferred.push_back(put);
                return Err(timed_out());
            }
            (Args::Put(..), Some(Flaw::Conflict)) => return Ok(Answer::of(PutOutcome::Conflict)),
            _ => {}
        }
        let mut answer = work.await?;
        match (call.args, flaw) {
            (Args::Put(..) | Args::Delete(_), Some(Flaw::AppliedUnknown)) => Err(timed_out()),
            (Args::Put(..), Some(Flaw::AppliedPreconditionFailed)) => {
                Ok(Answer::of(PutOutcome::PreconditionFailed))
            }
            (_, Some(Flaw::TornBody)) => {
                if let Some(Some(object)) = answer.get_mut::<Option<Object>>() {
                    object.bytes.truncate(object.bytes.len() / 2);
                }
                Ok(answer)
            }
            (_, Some(Flaw::StaleList)) => {
                if let Some(listing) = answer.get_mut::<Listing>() {
                    listing.objects.truncate(listing.objects.len() / 2);
                    listing.more = false;
                }
                if let Some(folders) = answer.get_mut::<Folders>() {
                    folders.names.truncate(folders.names.len() / 2);
                    folders.next = None;
                }
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    fn record(&self, method: Method, call: Call<'_>, result: &StoreResult<Answer>) {
        let (bytes, outcome) = match result {
            Err(error) => (0, Outcome::Failed(error.fault())),
            Ok(answer) => match (call.args, answer.get(), answer.get::<Option<Object>>()) {
                (Args::Put(_, bytes, _), Some(outcome), _) => (
                    bytes.len(),
                    match outcome {
                        PutOutcome::Written(_) => Outcome::Ok,
                        PutOutcome::PreconditionFailed => Outcome::PreconditionFailed,
                        PutOutcome::Conflict => Outcome::Conflict,
                    },
                ),
                (_, _, Some(Some(object))) => (object.bytes.len(), Outcome::Ok),
                (_, _, Some(None)) => (0, Outcome::Absent),
                _ => (0, Outcome::Ok),
            },
        };
        self.state().calls.push(Ended {
            method,
            key: call.key().to_owned(),
            bytes,
            outcome,
        });
    }
}

impl Hook for Faults {
    fn around<'a>(&'a self, call: Call<'a>, work: Work<'a>) -> Work<'a> {
        Box::pin(async move {
            let Some(method) = Method::of(&call) else {
                return work.await;
            };
            let plan = self.plan(method, call.key());
            plan.at(Moment::Before).await;
            let result = self.carry_out(call, plan.flaw, work).await;
            plan.at(Moment::After).await;
            self.record(method, call, &result);
            result
        })
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
