//! Who is worked on: as many tenants as may be at once, each by itself.
//!
//! A tenant that is done makes room for the next at once; nobody waits for the slowest, and a write that comes meanwhile is
//! looked for while there is room. A lease is asked for by a name of its own, so that what is held already is not given out
//! twice.

use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::fault_of;
use super::lease::Hold;
use super::{Drained, Progress, Replicator};
use driftline_model::TenantId;
use driftline_ports::{Backlog, Error, LeaseRequest, StoreError, Whereabouts, WorkerId};

/// How soon a drain looks again for what others hold.
const SOON: Duration = Duration::from_millis(100);

/// What one look at the database led to.
enum Look {
    /// Nothing can be worked on now.
    Nothing,
    /// The database was recovered on the way: what is pending has to be asked anew.
    Again,
    /// These tenants are held.
    Held(Vec<Hold>),
}

/// When the work ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When it is stopped; what fails is logged and tried again.
    Stopped,
    /// When nothing is left that can move now, or a side fails.
    Drained,
}

/// The batches that run, and whose they are.
#[derive(Default)]
struct Running<'a> {
    batches: FuturesUnordered<BoxFuture<'a, (TenantId, Result<Progress, StoreError>)>>,
    tenants: Vec<TenantId>,
}

impl<'a> Running<'a> {
    fn begin(&mut self, replicator: &'a Replicator, held: Vec<Hold>) {
        for hold in held {
            let tenant = hold.work.state.tenant.clone();
            self.tenants.push(tenant.clone());
            let batch = replicator.work_on(hold);
            self.batches.push(batch.map(|done| (tenant, done)).boxed());
        }
    }

    /// How the next one ended; `None` when none runs.
    async fn next(&mut self) -> Option<Result<Progress, StoreError>> {
        let (tenant, done) = self.batches.next().await?;
        self.tenants.retain(|other| *other != tenant);
        Some(done)
    }
}

/// Says that what was said to hold shadowing up is over.
fn goes_on(said: &mut Option<String>) {
    if said.take().is_some() {
        tracing::warn!("shadowing goes on");
    }
}

async fn next<T>(one: &mut Option<BoxFuture<'_, T>>) -> T {
    match one {
        Some(one) => one.await,
        None => pending().await,
    }
}

impl Replicator {
    /// Works until it is stopped, or until nothing is left. What is under way is finished.
    pub(super) async fn work(
        &self,
        stop: &CancellationToken,
        until: Until,
    ) -> Result<Drained, Error> {
        let mut running = Running::default();
        let mut looking: Option<BoxFuture<'_, Result<Look, Error>>> = None;
        let (mut due, mut next_look) = (true, Instant::now());
        let (mut failures, mut shadowed, mut failed) = (0, 0, None);
        let mut said = None;
        loop {
            let stops = stop.is_cancelled() || failed.is_some();
            if stops && looking.is_none() && running.tenants.is_empty() {
                break;
            }
            let room = self.settings.concurrent_tenants.max(1);
            let room = room.saturating_sub(running.tenants.len());
            if due && !stops && room > 0 && looking.is_none() {
                due = false;
                looking = Some(self.look(room, running.tenants.clone()).boxed());
            }
            let error = tokio::select! {
                biased;
                () = stop.cancelled(), if !stops => None,
                look = next(&mut looking), if looking.is_some() => {
                    looking = None;
                    next_look = Instant::now() + self.settings.poll_interval;
                    match look {
                        Ok(Look::Held(held)) if stops => {
                            self.give_all_back(&held).await;
                            None
                        }
                        Ok(Look::Held(held)) => {
                            failures = 0;
                            goes_on(&mut said);
                            running.begin(self, held);
                            None
                        }
                        Ok(Look::Again) => {
                            due = true;
                            None
                        }
                        Ok(Look::Nothing) => {
                            failures = 0;
                            goes_on(&mut said);
                            if until == Until::Drained && running.tenants.is_empty() && !due {
                                let left = self.sides.database.backlog().await?;
                                if left.ready == 0 && left.leased == 0 {
                                    return Ok(Drained { shadowed, left });
                                }
                                next_look = Instant::now() + SOON;
                            }
                            None
                        }
                        Err(error) => Some(error),
                    }
                }
                Some(done) = running.next() => {
                    due = true;
                    match done {
                        Ok(progress) => {
                            shadowed += progress.shadowed;
                            if progress.shadowed > 0 {
                                self.moved.notify_waiters();
                            }
                            None
                        }
                        Err(error) => Some(error.into()),
                    }
                }
                () = self.wake.notified(), if !due && !stops && failures == 0 => {
                    due = true;
                    None
                }
                () = tokio::time::sleep_until(next_look), if !due && !stops && looking.is_none() => {
                    due = true;
                    None
                }
            };
            match (error, until) {
                (None, _) => {}
                (Some(error), Until::Drained) => failed = failed.or(Some(error)),
                (Some(error), Until::Stopped) => {
                    let reason = error.to_string();
                    // Once for each reason, and not each time that it is tried again.
                    if said.as_ref() != Some(&reason) {
                        tracing::warn!(error = %error, hint = error.hinted().map(|hint| tracing::field::display(hint.parts().0)), "shadowing is held up");
                    }
                    said = Some(reason);
                    failures += 1;
                    due = false;
                    let pause = self.backoff(failures).max(self.settings.poll_interval);
                    next_look = Instant::now() + pause;
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let left = match until {
            Until::Stopped => Backlog::default(),
            Until::Drained => self.sides.database.backlog().await?,
        };
        Ok(Drained { shadowed, left })
    }

    /// Gives back what was leased when nothing more is to begin. Whoever comes next waits for the leases to end, at worst.
    async fn give_all_back(&self, held: &[Hold]) {
        for hold in held {
            drop(self.hand_back(hold).await);
        }
    }

    /// Leases what is pending, as much as there is room for, and sees that it may be worked on. A tenant whose lease ended
    /// early is not begun a second time beside itself.
    async fn look(&self, room: usize, under_way: Vec<TenantId>) -> Result<Look, Error> {
        let asked = Instant::now();
        let request = LeaseRequest {
            worker: WorkerId(self.sides.entropy.uuid()),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
            duration: self.lease(),
            except: under_way,
        };
        let lease = self.sides.database.lease(&request).await?;
        if lease.work.is_empty() {
            return Ok(Look::Nothing);
        }
        if lease.identity.whereabouts != Whereabouts::Here {
            // What was found before was found of another server, or another timeline.
            self.probed.store(false, Ordering::Relaxed);
        }
        let (worker, until) = (request.worker, asked + request.duration);
        let held = lease.work.into_iter().map(|work| Hold {
            worker,
            until,
            database: lease.identity,
            work,
        });
        let held: Vec<_> = held.collect();
        match self.prepare().await {
            Ok(true) => Ok(Look::Held(held)),
            Ok(false) => {
                for hold in &held {
                    self.hand_back(hold).await?;
                }
                Ok(Look::Again)
            }
            Err(error) => {
                // Nobody is kept waiting for a replicator that cannot work, and everybody can see why.
                let failure = (error.to_string(), fault_of(&error));
                for hold in &held {
                    self.give_back(hold, Some(failure.clone())).await?;
                }
                Err(error)
            }
        }
    }
}
