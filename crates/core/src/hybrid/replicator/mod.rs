//! The replicator: shadows what is pending, for as long as it runs.
//!
//! Any number of them may run, in any number of processes. A lease keeps them apart in normal times, and the
//! compare-and-set on the index keeps a stalled one harmless. Waking one up is a hint; polling the database is the
//! guarantee. A tenant that fails backs off by itself, with its error on record, while the others go on. An idle replicator
//! sends no request to the bucket.

mod batch;
mod lease;
mod pool;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::join;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::field::{DisplayValue, display};

use self::batch::{Batch, BatchError, Progress, fault_of};
use self::lease::Hold;
use self::pool::Until;
use super::bucket::BucketError;
use super::handbook;
use super::ownership::{self, Standing};
use super::probe::{self, ProbeLevel, ProbeProgress};
use super::recovery;
use super::settings::{Settings, Sides};
use driftline_model::format::BucketIdentity;
use driftline_ports::{
    Backlog, DatabaseIdentity, Error, ErrorKind, Hint, Reason, ShadowFailure, ShadowFault, Side,
    StoreError, Work,
};

/// The code of what may be done, for a line of the log.
fn code(fault: &ShadowFault) -> Option<DisplayValue<Value>> {
    fault.hint.as_ref().map(|hint| display(hint.parts().0))
}

/// Shadows pending entries.
#[derive(Debug)]
pub struct Replicator {
    sides: Sides,
    settings: Settings,
    requests: Arc<Semaphore>,
    wake: Arc<Notify>,
    moved: Arc<Notify>,
    probed: AtomicBool,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Entries that were shadowed on the way.
    pub shadowed: u64,
    /// What is left: nothing, or only tenants that cannot move now.
    pub left: Backlog,
}

impl Replicator {
    /// A replicator that is not running yet.
    pub fn new(sides: Sides, settings: Settings) -> Self {
        let requests = Arc::new(Semaphore::new(settings.concurrent_requests));
        let (wake, moved) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        Self {
            sides,
            settings,
            requests,
            wake,
            moved,
            probed: AtomicBool::new(false),
        }
    }

    /// Hints that something is pending.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for the next time that entries were shadowed.
    pub(crate) async fn shadowed(&self) {
        self.moved.notified().await;
    }

    /// Shadows until `stop` is cancelled; the batches under way are finished.
    ///
    /// Dropping the future abandons them instead, which loses nothing.
    pub async fn run(&self, stop: CancellationToken) {
        // What fails is logged and tried again: only a drain ends with it.
        drop(self.work(&stop, Until::Stopped).await);
    }

    /// Shadows until nothing is left that can move now. What other replicators hold is waited for.
    pub async fn drain(&self, stop: CancellationToken) -> Result<Drained, Error> {
        self.work(&stop, Until::Drained).await
    }

    /// Whether this database owns the bucket and the store keeps its promises. `false` asks for a new look: the database was
    /// recovered on the way.
    async fn prepare(&self) -> Result<bool, Error> {
        if self.probed.load(Ordering::Relaxed) {
            return Ok(true);
        }
        match ownership::check(&self.sides, &self.settings).await? {
            Standing::Owner(owned) => self.begin(owned).await,
            Standing::FailedOver => {
                recovery::after_failover(&self.sides, &self.settings).await?;
                Ok(false)
            }
            Standing::Undecided(reason) => Err(Error::refused(reason)),
            Standing::Refused(reason) => match ownership::taken_over(&self.sides).await? {
                Some(owned) => self.begin(owned).await,
                None => Err(Error::refused(reason)),
            },
        }
    }

    async fn begin(&self, owned: BucketIdentity) -> Result<bool, Error> {
        self.probe(owned).await?;
        self.probed.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Tries the store's conditional writes once in the life of a bucket, and refuses one that does not honour them.
    async fn probe(&self, owned: BucketIdentity) -> Result<(), Error> {
        if self.sides.database.probe_passed(owned.bucket_id).await? {
            return Ok(());
        }
        let Sides {
            snapshots,
            entropy,
            clock,
            ..
        } = &self.sides;
        let report = probe::probe(
            snapshots.as_ref(),
            clock.as_ref(),
            entropy.as_ref(),
            ProbeLevel::Brief,
            &ProbeProgress::default(),
        )
        .await?;
        if !report.passed() {
            let failed: Vec<_> = report
                .failures()
                .map(|check| format!("{}: {}", check.name, check.detail))
                .collect();
            let failed = failed.join("; ");
            let store = self.sides.snapshots.url();
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the store {store} cannot hold snapshots: {failed}"),
            )
            .hint(Hint::ChangeStore));
        }
        if let Some(open) = report.open().next() {
            return Err(Error::new(
                ErrorKind::Unavailable(Side::Bucket),
                format!("try the store's conditional writes: {}", open.detail),
            ));
        }
        // Before the record: whoever dies in between writes them again, where after it nobody would.
        handbook::write(&self.sides.bucket()).await;
        self.sides.database.record_probe(owned.bucket_id).await?;
        Ok(())
    }

    /// Runs a tenant's batch and puts its outcome on record. Only a database that fails is an error.
    async fn work_on(&self, hold: Hold) -> Result<Progress, StoreError> {
        let tenant = &hold.work.state.tenant;
        let idle = Progress {
            shadowed: 0,
            more: false,
        };
        match self.held(&hold).await {
            Ok(progress) => {
                self.give_back(&hold, None).await?;
                Ok(progress)
            }
            Err(BatchError::Divergent(halt, guard)) => {
                let halted = self.sides.database.halt(tenant, &halt, &guard).await?;
                if halted {
                    tracing::error!(%tenant, database = %halt.database, bucket = %halt.bucket, reason = %halt.reason,
                        "shadowing of this tenant is halted: two histories disagree");
                    self.give_back(&hold, None).await?;
                } else {
                    let message = format!(
                        "{}; the database moved meanwhile, comparing again",
                        halt.reason
                    );
                    let failure = (message, ShadowFault::default());
                    self.give_back(&hold, Some(failure)).await?;
                }
                Ok(idle)
            }
            Err(error @ BatchError::Behind { .. }) => self.catch_up(&hold, error).await,
            // Whoever holds it by now goes on from what is there.
            Err(error @ BatchError::LeaseLost) => {
                tracing::warn!(%tenant, %error, "the batch was abandoned");
                Ok(idle)
            }
            Err(error) => {
                let fault = error.fault();
                tracing::warn!(%tenant, %error, hint = code(&fault), "the batch failed; the tenant backs off");
                self.give_back(&hold, Some((error.to_string(), fault)))
                    .await?;
                Ok(idle)
            }
        }
    }

    /// The database lacks entries that the bucket has, and wrote nothing of its own since: they come back without being asked
    /// for.
    async fn catch_up(&self, hold: &Hold, error: BatchError) -> Result<Progress, StoreError> {
        let tenant = &hold.work.state.tenant;
        let idle = Progress {
            shadowed: 0,
            more: false,
        };
        match recovery::behind(&self.sides, &self.settings, tenant).await {
            Ok(restored) => {
                tracing::warn!(%tenant, restored, %error, "brought back what the database lacked");
                self.give_back(hold, None).await?;
                Ok(Progress { more: true, ..idle })
            }
            Err(failure) => {
                let message = format!("{error}; it could not be brought back: {failure}");
                let fault = fault_of(&failure);
                tracing::warn!(%tenant, message, hint = code(&fault), "the tenant backs off");
                self.give_back(hold, Some((message, fault))).await?;
                Ok(idle)
            }
        }
    }

    async fn batch(&self, database: DatabaseIdentity, work: &Work) -> Result<Progress, BatchError> {
        let (sides, settings, requests) = (&self.sides, &self.settings, &self.requests);
        let batch = database.bucket_id.map(|bucket_id| Batch {
            sides,
            settings,
            requests,
            database,
            bucket_id,
            work,
        });
        // Whose bucket it is, what the indexes name and what they lack are asked side by side; nothing is written before
        // all of it is known.
        let opening = async {
            match &batch {
                Some(batch) => Some((batch, batch.open().await)),
                None => None,
            }
        };
        let (read, opening) = join(sides.bucket().identity(), opening).await;
        let found = match read {
            Ok(found) => found.map(|(found, _)| found),
            Err(BucketError::Store(error)) => return Err(error.into()),
            Err(BucketError::Damage(damage)) => {
                self.probed.store(false, Ordering::Relaxed);
                let hint = Error::from(damage.clone()).hinted().cloned();
                let message = damage.to_string();
                return Err(BatchError::NotOwner(Reason { message, hint }));
            }
        };
        match (found, opening) {
            (Some(found), Some((batch, opening)))
                if found.database_id == database.id && found.bucket_id == batch.bucket_id =>
            {
                batch.run(opening).await
            }
            (found, _) => {
                // Another owner, another bucket, or none: the next look settles whose it is before anything is written.
                self.probed.store(false, Ordering::Relaxed);
                let now = found.map_or_else(
                    || "nobody's".to_owned(),
                    |other| format!("that of {}", other.database_id),
                );
                let message = format!(
                    "the bucket is {now} now, not that of {}: looking again",
                    database.id
                );
                Err(BatchError::NotOwner(message.into()))
            }
        }
    }

    /// Ends a lease under which nothing was tried.
    async fn hand_back(&self, hold: &Hold) -> Result<(), StoreError> {
        let tenant = &hold.work.state.tenant;
        self.sides.database.hand_back(tenant, hold.worker).await
    }

    async fn give_back(
        &self,
        hold: &Hold,
        failure: Option<(String, ShadowFault)>,
    ) -> Result<(), StoreError> {
        let failure = failure.map(|(message, fault)| ShadowFailure {
            message,
            fault,
            retry_after: self.backoff(hold.work.attempts.saturating_add(1)),
        });
        self.sides
            .database
            .release(&hold.work.state.tenant, hold.worker, failure.as_ref())
            .await
    }

    /// The wait after this many failures in a row: exponential, capped, and spread by jitter.
    fn backoff(&self, failures: u32) -> Duration {
        let max = self.settings.max_backoff;
        let times = usize::try_from(failures.clamp(1, 16)).unwrap_or(16);
        let full = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(max)
            .with_max_times(times)
            .build()
            .last()
            .unwrap_or(max);
        full.mul_f64(0.5 + self.sides.entropy.fraction() / 2.0)
    }
}
