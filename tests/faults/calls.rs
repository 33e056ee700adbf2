//! The calls of an operation, in order, and the one that goes wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use driftline::ports::{Fault, Object, Precondition, PutOutcome, Side, StoreError, StoreResult};
use driftline_conformance::{Answer, Args, Call, Hook, Work};
use tokio::sync::Notify;

/// What a call can do, and so what can go wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Read,
    Get,
    Write,
    Put,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Not done, and reported so.
    Unavailable,
    /// Not done, and reported as something that will not be.
    Refused,
    /// Not done, reported as a time-out.
    Dropped,
    /// Done, reported as a time-out: a lost answer, or a server error after the write.
    Applied,
    /// Not done, reported as a 409.
    Conflict,
    /// Done, reported as a 412: a retry below met the request that it repeats.
    OwnPrecondition,
    /// Not done, reported as a time-out, and done as soon as the operation has ended.
    Late,
    /// The same, done only after the operation was run once more.
    VeryLate,
    /// Half of the object arrives.
    Torn,
    /// Done, after more time than a lease has.
    Slow,
    /// The process dies before it is done.
    CrashBefore,
    /// The process dies after it is done, before it knows.
    CrashAfter,
}

impl Class {
    fn of(call: &Call<'_>) -> Self {
        match call.args {
            Args::Get(_) => Self::Get,
            Args::Put(..) => Self::Put,
            _ if call.writes() => Self::Write,
            _ => Self::Read,
        }
    }

    /// Every flaw that a call of this class can have.
    pub fn flaws(self) -> &'static [Flaw] {
        use Flaw::{
            Applied, Conflict, CrashAfter, CrashBefore, Dropped, Late, OwnPrecondition, Refused,
            Slow, Torn, Unavailable, VeryLate,
        };
        match self {
            Self::Read => &[Unavailable, Refused, Slow, CrashBefore],
            Self::Get => &[Unavailable, Refused, Slow, CrashBefore, Torn],
            Self::Write => &[
                Unavailable,
                Refused,
                Dropped,
                Applied,
                Slow,
                CrashBefore,
                CrashAfter,
            ],
            Self::Put => &[
                Unavailable,
                Refused,
                Dropped,
                Applied,
                Slow,
                CrashBefore,
                CrashAfter,
                Conflict,
                OwnPrecondition,
                Late,
                VeryLate,
            ],
        }
    }
}

/// A PUT that is still under way.
pub type LatePut = (String, Bytes, Precondition);

/// Counts calls and spoils one. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<(Class, String)>,
    spoil: Option<(usize, Flaw)>,
    late: VecDeque<LatePut>,
}

impl Calls {
    /// Spoils the call with this place in the order, counted from 0.
    pub fn spoiling(place: usize, flaw: Flaw) -> Self {
        let calls = Self::default();
        calls.state().spoil = Some((place, flaw));
        calls
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<(Class, String)> {
        self.state().seen.clone()
    }

    /// Returns when a call has crashed the process.
    pub async fn crashed(&self) {
        self.0.crashed.notified().await;
    }

    /// What arrives late.
    pub fn late(&self) -> Vec<LatePut> {
        self.state().late.drain(..).collect()
    }

    /// Counts a call that begins, and says what goes wrong with it.
    fn begin(&self, call: &Call<'_>) -> Option<Flaw> {
        let what = match call.side() {
            Side::Bucket => format!("{} {}", call.method, call.key()),
            Side::Database => call.method.to_owned(),
        };
        let mut state = self.state();
        let place = state.seen.len();
        state.seen.push((Class::of(call), what));
        state
            .spoil
            .filter(|(at, _)| *at == place)
            .map(|(_, flaw)| flaw)
    }

    /// Carries a call out as the flaw has it.
    async fn meet(
        &self,
        call: Call<'_>,
        flaw: Option<Flaw>,
        work: Work<'_>,
    ) -> StoreResult<Answer> {
        let error = |fault| StoreError::new(call.side(), fault, format!("injected: {fault:?}"));
        match flaw {
            Some(Flaw::Unavailable) => Err(error(Fault::Unavailable)),
            Some(Flaw::Refused) => Err(error(Fault::Refused)),
            Some(Flaw::Dropped) => Err(error(Fault::OutcomeUnknown)),
            Some(Flaw::Applied) => {
                work.await?;
                Err(error(Fault::OutcomeUnknown))
            }
            Some(Flaw::Slow) => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                work.await
            }
            Some(Flaw::CrashBefore) => self.crash().await,
            Some(Flaw::CrashAfter) => {
                drop(work.await);
                self.crash().await
            }
            Some(Flaw::Conflict) => Ok(Answer::of(PutOutcome::Conflict)),
            Some(Flaw::OwnPrecondition) => {
                work.await?;
                Ok(Answer::of(PutOutcome::PreconditionFailed))
            }
            Some(Flaw::Late | Flaw::VeryLate) => {
                if let Args::Put(key, bytes, condition) = call.args {
                    let put = (key.to_owned(), bytes.clone(), condition.clone());
                    self.state().late.push_back(put);
                }
                Err(error(Fault::OutcomeUnknown))
            }
            Some(Flaw::Torn) => {
                let mut answer = work.await?;
                if let Some(Some(object)) = answer.get_mut::<Option<Object>>() {
                    object.bytes.truncate(object.bytes.len() / 2);
                }
                Ok(answer)
            }
            None => work.await,
        }
    }

    /// Never returns: whoever waits is dropped.
    async fn crash<T>(&self) -> T {
        self.0.crashed.notify_one();
        std::future::pending().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("no call panics while it holds the state")
    }
}

impl Hook for Calls {
    fn around<'a>(&'a self, call: Call<'a>, work: Work<'a>) -> Work<'a> {
        Box::pin(async move {
            let flaw = self.begin(&call);
            self.meet(call, flaw, work).await
        })
    }
}
