//! The repository: its sides, its background replicator, and what operators ask of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::checkup::{self, CheckUp};
use super::drill::{self, DrillProgress, DrillReport, DrillScope};
use super::integrity::{self, ReadData, RepairPlan, RepairReport, VerifyProgress, VerifyReport};
use super::ownership::copied::Adoption;
use super::ownership::{self, Standing};
use super::probe::{self, ProbeLevel, ProbeProgress, ProbeReport};
use super::proven::DamagedReads;
use super::recovery::{self, PlanSink, Progress, RecoveryReport, Whom};
use super::replicator::{Drained, Replicator};
use super::settings::{Settings, Sides};
use driftline_model::recovery::{PlannedTenant, RecoveryPlan};
use driftline_model::{EntryMeta, Seq, ShortText, Stream, TenantId, TenantState};
use driftline_ports::{Database, Error, ErrorKind, Reason, RecoveryRequest, Result, TenantStatus};

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

    /// Decides that the database goes on where it is now: in the place of the one that it was copied from, which is fenced off
    /// by the recovery that has to follow; or, after a failover that is trusted, without what the bucket has beyond it. The
    /// latter only when it is `confirmed`.
    pub async fn adopt(&self, confirmed: bool) -> Result<Adoption> {
        ownership::copied::decide(&self.sides, &self.settings, confirmed).await
    }

    /// Brings back what the bucket has of a tenant beyond the database, before its numbers are given twice: an older state of the
    /// database may have been put in its place, and nothing in it tells. Asks for the tenant's indexes, and only if they go on
    /// where the database ends for more. How many entries came back.
    ///
    /// The commands do this before they write for a tenant. No write does it by itself: an append cannot tell that the database
    /// is older than its bucket (nothing in it does), so that each one would have to ask the bucket first, and a slow bucket
    /// would hold writes up. Whoever embeds a repository calls this after [`Self::check_ownership`], once for each tenant, before
    /// the first write of it and within a time limit of their own. A server that is promoted while the process runs is another
    /// matter: the append itself meets that, has the check made anew and what is missing brought back, and is tried again.
    pub async fn catch_up(&self, tenant: &TenantId) -> Result<u64> {
        if !ownership::copied::lags(&self.sides, tenant).await? {
            return Ok(0);
        }
        if self.sides.database.tenant(tenant).await?.is_some() {
            return recovery::behind(&self.sides, &self.settings, tenant).await;
        }
        let (request, progress) = (RecoveryRequest::default(), Progress::default());
        let report = self.recover_one(tenant, &request, &progress).await?;
        let mut restored = 0;
        for (_, outcome) in report.tenants {
            restored += outcome?.restored;
        }
        Ok(restored)
    }

    /// Why nothing is shadowed until somebody decides, if so. Changes nothing.
    pub async fn undecided(&self) -> Result<Option<Reason>> {
        ownership::undecided(&self.sides).await
    }

    /// Makes the place at hand the bucket of a database that shadows to another one: an empty place, or one that names this
    /// database. Everything is shadowed anew. `Refused` where anything else is; nothing happens where it is settled already.
    pub async fn start_new_bucket(&self) -> Result<()> {
        ownership::new_bucket(&self.sides).await
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

    /// Accepts that an entry is lost on both sides: a decision. Refused while a repair could bring it back.
    pub async fn accept_loss(
        &self,
        tenant: &TenantId,
        lost: (Stream, Seq),
        by: Option<ShortText>,
        reason: ShortText,
    ) -> Result<EntryMeta> {
        integrity::accept_loss(&self.sides, &self.settings, tenant, lost, by, reason).await
    }

    /// Plans what would mend one tenant, or with `None` every tenant. Changes nothing.
    pub async fn plan_repair(&self, tenant: Option<&TenantId>) -> Result<RepairPlan> {
        integrity::plan_repair(&self.sides, &self.settings, tenant).await
    }

    /// Carries a plan out; `Stale`, and nothing changed, when what it rests on has moved.
    pub async fn apply_repair(&self, plan: &RepairPlan) -> Result<RepairReport> {
        integrity::apply_repair(&self.sides, &self.settings, plan).await
    }

    /// Tenants of the database, in byte order, after `after`, at most `limit`.
    pub async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> Result<Vec<TenantState>> {
        Ok(self.sides.database.tenants(after, limit).await?)
    }

    /// What is shadowed, at risk, failing and halted: one tenant, or all after `after`, at most `limit`.
    pub async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantStatus>> {
        Ok(self.sides.database.status(tenant, after, limit).await?)
    }

    /// Tries whether both sides can be written to, and compares the indexes of `known` tenants with the database's record of
    /// them. What it writes it takes back. With `writes_to_bucket` not set, for a bucket in other hands, only the database is
    /// tried.
    pub async fn check_up(&self, known: &[TenantStatus], writes_to_bucket: bool) -> CheckUp {
        checkup::run(&self.sides, &self.settings, known, writes_to_bucket).await
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
