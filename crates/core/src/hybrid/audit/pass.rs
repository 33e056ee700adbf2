//! Batches of tenants: claimed, read, observed, compared, kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use tokio::sync::{OnceCell, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Auditor;
use crate::hybrid::drift;
use crate::hybrid::inspection::Inspected;
use driftline_model::TenantId;
use driftline_model::drift::{AuditReport, Proof};
use driftline_ports::{
    AuditClaim, AuditOutcome, AuditScope, Error, ErrorKind, Fault, Result, WorkerId,
};

/// Tenants that one claim takes at most.
const LARGEST_BATCH: usize = 512;
/// Batches under way at once: while one waits for the database, another one observes.
const LANES: usize = 3;

/// What became of one tenant.
#[derive(Debug)]
pub enum Audited {
    /// Its report is kept.
    Stored(Box<AuditReport>),
    /// A decision ended the tenant: there is nothing to audit, and its slot passes.
    Retired,
    /// Another process audits it now.
    Busy,
    /// Another process took it over before the report could be kept.
    TakenOver,
    /// There is no report, and why.
    Failed(Error),
}

/// One tenant and what became of its audit.
#[derive(Debug)]
pub struct AuditResult {
    /// Whose.
    pub tenant: TenantId,
    /// What became of it.
    pub audited: Audited,
}

/// Where tenants come from.
pub(super) enum Work {
    /// These, each once.
    Queue(Mutex<VecDeque<TenantId>>),
    /// Those that are due.
    Due,
}

/// What the lanes of a pass share.
struct Shared {
    /// Asked for with the first claim: a pass that finds nothing due sends no request to what it would audit.
    proof: OnceCell<Proof>,
    /// For each tenant that is observed.
    room: Semaphore,
}

type Results = mpsc::Sender<AuditResult>;

/// What is told of every tenant as it is done.
pub(super) type Listener<'a> = &'a (dyn Fn(AuditResult) + Sync);

impl Auditor {
    /// Audits these tenants, or all, once, whatever their schedules say; `listener` is told of each. Ends early, between
    /// batches, when `stop` is cancelled.
    pub async fn run(
        &self,
        tenants: Option<Vec<TenantId>>,
        listener: &(dyn Fn(AuditResult) + Sync),
        stop: &CancellationToken,
    ) -> Result<()> {
        let tenants = match tenants {
            Some(tenants) => self.known(tenants, listener).await?,
            None => self.all_tenants().await?,
        };
        self.pass(Work::Queue(Mutex::new(tenants.into())), listener, stop)
            .await
    }

    /// Those that there are: a mistyped name must not come on the schedule.
    async fn known(&self, tenants: Vec<TenantId>, listener: Listener<'_>) -> Result<Vec<TenantId>> {
        let mut known = Vec::new();
        for tenant in tenants {
            let is_known = self.inspector.knows(&tenant).await?;
            match drift::known(&tenant, is_known.then_some(())) {
                Ok(()) => known.push(tenant),
                Err(error) => {
                    let audited = Audited::Failed(error);
                    listener(AuditResult { tenant, audited });
                }
            }
        }
        Ok(known)
    }

    pub(super) async fn all_tenants(&self) -> Result<Vec<TenantId>> {
        let mut tenants: Vec<TenantId> = Vec::new();
        loop {
            let page = self.inspector.tenants(tenants.last(), 1000).await?;
            if page.is_empty() {
                return Ok(tenants);
            }
            tenants.extend(page);
        }
    }

    /// Works until nothing is left.
    pub(super) async fn pass(
        &self,
        work: Work,
        listener: Listener<'_>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let work = Arc::new(work);
        let shared = Arc::new(Shared {
            proof: OnceCell::new(),
            room: Semaphore::new(self.settings.parallelism.max(1)),
        });
        let (results, mut told) = mpsc::channel(LARGEST_BATCH);
        // Tasks of their own, so that they compare side by side; they end with this call.
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            let (auditor, work, shared) = (self.clone(), Arc::clone(&work), Arc::clone(&shared));
            let (results, stop) = (results.clone(), stop.clone());
            lanes.spawn(async move { auditor.lane(&work, &shared, &results, &stop).await });
        }
        drop(results);
        while let Some(result) = told.recv().await {
            listener(result);
        }
        let mut outcome = Ok(());
        while let Some(ended) = lanes.join_next().await {
            let ended = ended.unwrap_or_else(|error| {
                Err(Error::new(
                    ErrorKind::Internal,
                    format!("audit tenants: a task died: {error}"),
                ))
            });
            outcome = outcome.and(ended);
        }
        outcome
    }

    /// What this auditor could do to the two sides.
    async fn proof(&self) -> Result<Proof> {
        let session = self.inspector.session().await?;
        let bucket_error = self.inspector.reach_bucket().await.err();
        Ok(Proof {
            role: session.role,
            transaction_read_only: session.read_only,
            requests: BTreeMap::new(),
            bucket_error,
        })
    }

    /// One batch after the other. Batches grow as long as they take a small part of the lease.
    async fn lane(
        &self,
        work: &Work,
        shared: &Shared,
        results: &Results,
        stop: &CancellationToken,
    ) -> Result<()> {
        let worker = WorkerId(self.entropy.uuid());
        let mut size = self.settings.parallelism.clamp(1, LARGEST_BATCH);
        let mut again: Vec<TenantId> = Vec::new();
        while !stop.is_cancelled() {
            let started = Instant::now();
            let claims = match work {
                Work::Queue(queue) => {
                    let mut wanted = std::mem::take(&mut again);
                    {
                        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                        let room = size.saturating_sub(wanted.len()).min(queue.len());
                        wanted.extend(queue.drain(..room));
                    }
                    if wanted.is_empty() {
                        return Ok(());
                    }
                    let claims = self.claim(worker, AuditScope::These(&wanted), size).await?;
                    for tenant in wanted {
                        if !claims.iter().any(|claim| claim.tenant == tenant) {
                            tell(results, tenant, Audited::Busy).await;
                        }
                    }
                    claims
                }
                Work::Due => {
                    let these = std::mem::take(&mut again);
                    let scope = if these.is_empty() {
                        AuditScope::Due(self.clock.now())
                    } else {
                        AuditScope::These(&these)
                    };
                    let claims = self.claim(worker, scope, size.max(these.len())).await?;
                    if claims.is_empty() && these.is_empty() {
                        return Ok(());
                    }
                    claims
                }
            };
            if claims.is_empty() {
                continue;
            }
            again = self.batch(claims, shared, started, results).await?;
            let (taken, lease) = (started.elapsed(), self.settings.lease);
            if taken < lease / 10 {
                size = (size * 2).min(LARGEST_BATCH);
            } else if taken > lease / 4 {
                size = self.settings.parallelism.clamp(1, size);
            }
        }
        Ok(())
    }

    async fn claim(
        &self,
        worker: WorkerId,
        scope: AuditScope<'_>,
        size: usize,
    ) -> Result<Vec<AuditClaim>> {
        let limit = u32::try_from(size).unwrap_or(u32::MAX);
        let lease = self.settings.lease;
        Ok(self.log.claim(worker, scope, limit, lease).await?)
    }

    /// Audits what was claimed, and returns the tenants that there was no time for.
    async fn batch(
        &self,
        claims: Vec<AuditClaim>,
        shared: &Shared,
        started: Instant,
        results: &Results,
    ) -> Result<Vec<TenantId>> {
        let tenants: Vec<TenantId> = claims.iter().map(|claim| claim.tenant.clone()).collect();
        let read = async {
            let proof = shared.proof.get_or_try_init(|| self.proof()).await?;
            Ok((proof, self.inspector.read(&tenants).await?))
        };
        let (proof, found) = match read.await {
            Ok(read) => read,
            Err(error) => {
                self.give_back(&claims, &error).await;
                return Err(error);
            }
        };
        let mut found: BTreeMap<TenantId, Result<Inspected>> = found.into_iter().collect();
        // A result that comes after the lease is not kept: so there is a time after which no tenant is begun.
        let latest = started + self.settings.lease / 2;
        let audits = claims.into_iter().map(|claim| {
            let inspected = found.remove(&claim.tenant);
            async move {
                // Nobody closes it.
                let _room = shared.room.acquire().await;
                if Instant::now() >= latest {
                    return Err(claim.tenant);
                }
                Ok(self.audit(claim, inspected, proof).await)
            }
        });
        let done: Vec<_> = futures::stream::iter(audits)
            .buffer_unordered(self.settings.parallelism.max(1))
            .collect()
            .await;
        let mut again = Vec::new();
        let mut audited = Vec::new();
        for one in done {
            match one {
                Ok(one) => audited.push(one),
                Err(tenant) => again.push(tenant),
            }
        }
        // The order in which observers answer leaves no trace.
        audited.sort_by(|(one, _), (other, _)| one.tenant.cmp(&other.tenant));
        again.sort_unstable();
        self.keep(audited, results).await?;
        Ok(again)
    }

    /// Ends claims that came to nothing, with the reason. Their slots stay due. Those that the log does not take expire.
    async fn give_back(&self, claims: &[AuditClaim], error: &Error) {
        let outcomes: Vec<_> = claims
            .iter()
            .map(|claim| AuditOutcome {
                tenant: claim.tenant.clone(),
                fence: claim.fence,
                at: self.clock.now(),
                report: None,
                memory: None,
                error: Some(error.to_string()),
                next_at: None,
                events: Vec::new(),
            })
            .collect();
        if let Err(error) = self.log.finish(&outcomes).await {
            tracing::warn!(%error, "claims were not given back, and expire");
        }
    }

    /// Keeps results. A lost answer is asked again: either the report is there, or it was kept by nobody.
    async fn keep(
        &self,
        audited: Vec<(AuditOutcome, Result<Option<AuditReport>>)>,
        results: &Results,
    ) -> Result<()> {
        if audited.is_empty() {
            return Ok(());
        }
        let (outcomes, reports): (Vec<_>, Vec<_>) = audited.into_iter().unzip();
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(50))
            .with_max_times(4)
            .build();
        let mut lost_an_answer = false;
        let kept = loop {
            match self.log.finish(&outcomes).await {
                Ok(kept) => break kept,
                Err(error)
                    if matches!(error.fault(), Fault::Unavailable | Fault::OutcomeUnknown) =>
                {
                    lost_an_answer |= error.fault() == Fault::OutcomeUnknown;
                    let Some(delay) = delays.next() else {
                        return Err(error.into());
                    };
                    tokio::time::sleep(delay).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        for ((outcome, report), kept) in outcomes.into_iter().zip(reports).zip(kept) {
            let audited = match report {
                Err(error) => Audited::Failed(error),
                Ok(None) => Audited::Retired,
                Ok(Some(report)) => {
                    let is_there =
                        kept || (lost_an_answer && self.log.report(report.id).await?.is_some());
                    if is_there {
                        Audited::Stored(Box::new(report))
                    } else {
                        Audited::TakenOver
                    }
                }
            };
            tell(results, outcome.tenant, audited).await;
        }
        Ok(())
    }
}

/// Whoever called does not listen any more only when it is gone, and this task with it.
async fn tell(results: &Results, tenant: TenantId, audited: Audited) {
    let _ = results.send(AuditResult { tenant, audited }).await;
}
