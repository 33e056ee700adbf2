//! The repository: its sides, its background replicator, and what operators ask of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::drill::{self, DrillProgress, DrillReport, DrillScope};
use super::integrity::{self, ReadData, RepairPlan, RepairReport, VerifyProgress, VerifyReport};
use super::ownership::{self, Standing};
use super::probe::{self, ProbeLevel, ProbeProgress, ProbeReport};
use super::projection::Projections;
use super::proven::DamagedReads;
use super::recovery::{self, PlanSink, Progress, RecoveryReport, Whom};
use super::replicator::{Drained, Replicator};
use super::settings::{Settings, Sides};
use driftline_model::recovery::{PlannedTenant, RecoveryPlan};
use driftline_model::{Decided, ShortText, TenantId};
use driftline_ports::{Database, Error, ErrorKind, Reason, RecoveryRequest, Result};

/// A repository of desired state on a database and a bucket. Cheap to share behind an [`Arc`].
///
/// It runs one replicator in the background from [`HybridManifestRepository::start`] until
/// [`HybridManifestRepository::shutdown`]. Dropping it abandons the replicator, which loses nothing: whatever was committed
/// and is not shadowed yet is pending for the next process.
#[derive(Debug)]
pub struct HybridManifestRepository {
    pub(super) sides: Sides,
    pub(super) settings: Settings,
    pub(super) replicator: Arc<Replicator>,
    pub(super) damaged_reads: Arc<DamagedReads>,
    pub(super) decisions: Arc<Projections<Decided>>,
    stop: CancellationToken,
    running: Mutex<Option<JoinHandle<()>>>,
    checking: tokio::sync::Mutex<()>,
}

impl HybridManifestRepository {
    /// A repository without a background replicator: entries stay pending until some replicator runs.
    pub fn new(sides: Sides, settings: Settings) -> Self {
        let replicator = Arc::new(Replicator::new(sides.clone(), settings.clone()));
        Self {
            sides,
            settings,
            replicator,
            damaged_reads: Arc::default(),
            decisions: Arc::default(),
            stop: CancellationToken::new(),
            running: Mutex::new(None),
            checking: tokio::sync::Mutex::default(),
        }
    }

    /// Compares the database with `bucket.json`, as the first thing after opening: a new database takes no writes before.
    ///
    /// After a failover, and unless the settings trust it, this recovers every tenant first. An unreachable bucket is an
    /// error here and refuses nothing: a database that is claimed goes on taking writes.
    pub async fn check_ownership(&self) -> Result<Standing> {
        // Of many writers who find that it failed over, one recovers.
        let _turn = self.checking.lock().await;
        let standing = ownership::check(&self.sides, &self.settings).await?;
        if standing == Standing::FailedOver {
            recovery::after_failover(&self.sides, &self.settings).await?;
            return ownership::check(&self.sides, &self.settings).await;
        }
        Ok(standing)
    }

    /// Why nothing is shadowed until somebody decides, if so. Changes nothing.
    pub async fn undecided(&self) -> Result<Option<Reason>> {
        ownership::undecided(&self.sides).await
    }

    /// Starts the background replicator, once.
    pub fn start(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            let (replicator, stop) = (Arc::clone(&self.replicator), self.stop.clone());
            *running = Some(tokio::spawn(async move { replicator.run(stop).await }));
        }
    }

    /// Whether the background replicator is at work. `false` before the start, and after it died.
    pub fn is_shadowing(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(|task| !task.is_finished())
    }

    /// Stops the background replicator: the batches under way are finished, or abandoned at the deadline. Neither loses
    /// anything. `false` when the deadline passed; an error when the replicator had died.
    pub async fn shutdown(&self, deadline: Duration) -> Result<bool> {
        self.stop.cancel();
        let task = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut task) = task else {
            return Ok(true);
        };
        match tokio::time::timeout(deadline, &mut task).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(Error::new(
                ErrorKind::Internal,
                format!("the replicator died: {error}"),
            )),
            Err(_) => {
                task.abort();
                Ok(false)
            }
        }
    }

    /// Shadows everything that is pending and can move, and says what is left.
    pub async fn drain(&self, stop: CancellationToken) -> Result<Drained> {
        self.replicator.drain(stop).await
    }

    /// Shadows in the foreground until `stop` is cancelled. Dropping the future abandons the batches under way.
    pub async fn replicate(&self, stop: CancellationToken) {
        self.replicator.run(stop).await;
    }

    /// Recovers every tenant that either side knows, and keeps the report in the bucket. `progress` can be read while it runs.
    pub async fn recover_all(
        &self,
        request: &RecoveryRequest,
        progress: &Progress,
    ) -> Result<RecoveryReport> {
        recovery::run(&self.sides, &self.settings, Whom::All, request, progress).await
    }

    /// The same for one tenant.
    pub async fn recover_one(
        &self,
        tenant: &TenantId,
        request: &RecoveryRequest,
        progress: &Progress,
    ) -> Result<RecoveryReport> {
        let whom = Whom::One(tenant);
        recovery::run(&self.sides, &self.settings, whom, request, progress).await
    }

    /// Plans a recovery. Changes nothing.
    pub async fn plan_recovery(
        &self,
        whom: Whom<'_>,
        request: &RecoveryRequest,
        progress: &Progress,
    ) -> Result<RecoveryPlan> {
        let plan = recovery::make_whole_plan(&self.sides, &self.settings, whom, request, progress);
        plan.await.map_err(recovery::advised)
    }

    /// The same, with each tenant's plan given to `sink` as soon as it is made, in no order, and none in what is returned: the
    /// rows of all tenants need not fit in memory.
    pub async fn plan_recovery_to(
        &self,
        whom: Whom<'_>,
        request: &RecoveryRequest,
        progress: &Progress,
        sink: &PlanSink<'_>,
    ) -> Result<RecoveryPlan> {
        let plan = recovery::make_plan(&self.sides, &self.settings, whom, request, progress, sink);
        plan.await.map_err(recovery::advised)
    }

    /// Carries a plan out; `Stale`, and nothing changed, when what it rests on has moved.
    pub async fn apply_recovery(
        &self,
        plan: &RecoveryPlan,
        by: Option<ShortText>,
        progress: &Progress,
    ) -> Result<RecoveryReport> {
        self.apply_recovery_outline(&plan.outline(), by, progress)
            .await
    }

    /// The same for a plan without its rows.
    pub async fn apply_recovery_outline(
        &self,
        plan: &RecoveryPlan<PlannedTenant>,
        by: Option<ShortText>,
        progress: &Progress,
    ) -> Result<RecoveryReport> {
        recovery::apply_plan(&self.sides, &self.settings, plan, by, progress).await
    }

    /// Restores tenants from the bucket into `scratch`, an empty database that nobody uses, compares what came back with this
    /// repository's database, and puts on record which were the same. The bucket is only read, and so is the database but
    /// for that record; writers go on. Fails with `Refused` when `scratch` is in use, or the bucket is another one than the
    /// database shadows to. `progress` can be read while it runs.
    pub async fn drill(
        &self,
        scratch: Arc<dyn Database>,
        scope: &DrillScope,
        progress: &DrillProgress,
    ) -> Result<DrillReport> {
        drill::run(&self.sides, &self.settings, scratch, scope, progress).await
    }

    /// Compares the database, the index and the objects of one tenant. Writes nothing.
    pub async fn verify(&self, tenant: &TenantId, read: ReadData) -> Result<VerifyReport> {
        integrity::tenant(&self.sides, &self.settings, tenant, read).await
    }

    /// The same for every tenant that either side knows. `progress` can be read while it runs.
    pub async fn verify_all(
        &self,
        read: ReadData,
        progress: &VerifyProgress,
    ) -> Result<VerifyReport> {
        integrity::all(&self.sides, &self.settings, read, progress).await
    }

    /// Plans what would mend one tenant, or with `None` every tenant. Changes nothing.
    pub async fn plan_repair(&self, tenant: Option<&TenantId>) -> Result<RepairPlan> {
        integrity::plan_repair(&self.sides, &self.settings, tenant).await
    }

    /// Carries a plan out; `Stale`, and nothing changed, when what it rests on has moved.
    pub async fn apply_repair(&self, plan: &RepairPlan) -> Result<RepairReport> {
        integrity::apply_repair(&self.sides, &self.settings, plan).await
    }

    /// Tries whether the bucket keeps the promises that driftline relies on, and removes what it wrote. `progress` can be read
    /// while it runs.
    pub async fn probe(&self, level: ProbeLevel, progress: &ProbeProgress) -> Result<ProbeReport> {
        let Sides {
            snapshots,
            entropy,
            clock,
            ..
        } = &self.sides;
        let (snapshots, clock, entropy) = (snapshots.as_ref(), clock.as_ref(), entropy.as_ref());
        Ok(probe::probe(snapshots, clock, entropy, level, progress).await?)
    }

    /// Creates what the database needs, or brings it up to date.
    pub async fn migrate(&self) -> Result<()> {
        Ok(self.sides.database.migrate().await?)
    }
}

impl Drop for HybridManifestRepository {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
        }
    }
}
