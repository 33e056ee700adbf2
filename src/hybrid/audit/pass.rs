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
use crate::domain::drift::{AUDIT_SCHEMA, AuditReport, Memory, Proof, Status, ToTell, Verdict};
use crate::domain::{ReportId, TenantId};
use crate::hybrid::drift;
use crate::hybrid::inspection::{Inspected, Question};
use crate::ports::{
    AuditClaim, AuditOutcome, AuditScope, Error, ErrorKind, Fault, NewReport, Result, WorkerId,
};

/// Tenants that one claim takes at most.
const LARGEST_BATCH: usize = 512;
/// Batches under way at once: while one waits for the database, another one observes.
const LANES: usize = 3;

/// By how much the clocks of observers may be ahead.
const CLOCKS_DIFFER: Duration = Duration::from_mins(5);
/// How long drifts that ended are remembered where reports are kept for ever.
const REMEMBERED: Duration = Duration::from_hours(24 * 90);

/// What became of one tenant.
#[derive(Debug)]
pub enum Audited {
    /// Its report is kept.
    Stored(Box<AuditReport>),
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
            let at_it = self.inspector.tenant(&tenant).await?;
            match drift::known(&tenant, at_it) {
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

    /// Audits one tenant.
    async fn audit(
        &self,
        claim: AuditClaim,
        inspected: Option<Result<Inspected>>,
        proof: &Proof,
    ) -> (AuditOutcome, Result<AuditReport>) {
        let started_at = self.clock.now();
        let plan = self.plan.of(&claim.tenant);
        let report = match inspected {
            Some(Ok(inspected)) => self.compare(&claim, &inspected, proof, started_at).await,
            Some(Err(error)) => Err(error),
            None => drift::known(&claim.tenant, None),
        };
        let at = self.clock.now();
        let mut outcome = AuditOutcome {
            tenant: claim.tenant.clone(),
            fence: claim.fence,
            at,
            report: None,
            memory: None,
            error: None,
            next_at: Some(plan.schedule.next_after(&claim.tenant, at)),
            events: Vec::new(),
        };
        let (report, memory, to_tell) = match report {
            Ok(report) => report,
            Err(error) => {
                outcome.error = Some(error.to_string());
                return (outcome, Err(error));
            }
        };
        let drift = &report.drift;
        outcome.error = self.shortcoming(&report);
        outcome.events = self.events_of(&report, &to_tell, claim.stale && outcome.error.is_none());
        let differences = Verdict::ALL
            .into_iter()
            .filter(|verdict| verdict.is_difference());
        let stored = serde_json::to_string(&report).and_then(|body| {
            outcome.memory = Some(serde_json::to_string(&memory)?);
            Ok(NewReport {
                id: report.id,
                at: report.finished_at,
                has_drift: drift.has_drift,
                differences: differences.map(|verdict| drift.count(verdict)).sum(),
                unknown: drift.count(Verdict::Unknown),
                body,
            })
        });
        match stored {
            Ok(stored) => outcome.report = Some(stored),
            Err(error) => {
                let error = Error::new(
                    ErrorKind::Internal,
                    format!("write the report of {}: {error}", claim.tenant),
                );
                outcome.error = Some(error.to_string());
                return (outcome, Err(error));
            }
        }
        (outcome, Ok(report))
    }

    /// Why an audit that has a report does not count as a success: it did not see what is live, or not as it is now.
    fn shortcoming(&self, report: &AuditReport) -> Option<String> {
        let (drift, source) = (&report.drift, report.source.as_ref()?);
        let compared = Verdict::ALL.into_iter().filter(|verdict| {
            // What is live and not managed was compared with nothing.
            !matches!(verdict, Verdict::Unknown | Verdict::Unmanaged)
        });
        let compared: u64 = compared.map(|verdict| drift.count(verdict)).sum();
        let saw_nothing = drift.status == Status::NotObserved
            || (drift.count(Verdict::Unknown) > 0 && compared == 0);
        let first = drift.errors.first();
        let Some(observed_at) = drift.observed_at.filter(|_| !saw_nothing) else {
            let reason = match first {
                Some(error) => &error.message,
                None if saw_nothing => "nothing of the tenant could be seen",
                None => return None,
            };
            return Some(format!("{source}: {reason}"));
        };
        let (schedule, now) = (&self.plan.of(&report.tenant).schedule, report.finished_at);
        let is_to_come = observed_at > now.saturating_add(CLOCKS_DIFFER);
        let until = schedule.nth_after(&report.tenant, observed_at, self.settings.stale_after);
        (is_to_come || until < now)
            .then(|| format!("{source}: the live state is from {observed_at}"))
    }

    async fn compare(
        &self,
        claim: &AuditClaim,
        inspected: &Inspected,
        proof: &Proof,
        started_at: crate::domain::Timestamp,
    ) -> Result<(AuditReport, Memory, ToTell)> {
        let plan = self.plan.of(&claim.tenant);
        let actual = match &plan.source {
            Some(source) => {
                let deadline = self.settings.deadline.min(self.settings.lease / 3);
                let observed = self.inspector.observe(inspected, source.as_ref());
                let observed = tokio::time::timeout(deadline, observed).await;
                Some(observed.unwrap_or_else(|_| {
                    let seconds = deadline.as_secs_f64();
                    let message = format!("no answer within {seconds} seconds");
                    crate::domain::drift::ActualState::failed(message)
                }))
            }
            None => None,
        };
        let question = Question::default();
        let mut drift = self
            .inspector
            .compare(inspected, actual.as_ref(), question)
            .await?;
        let mut memory = match claim.memory.as_deref().map(serde_json::from_str::<Memory>) {
            Some(Ok(memory)) => memory,
            Some(Err(error)) => {
                // Onsets begin anew; nothing that is live depends on them.
                tracing::warn!(tenant = %claim.tenant, %error, "what audits remembered cannot be read");
                Memory::default()
            }
            None => Memory::default(),
        };
        let finished_at = self.clock.now();
        // Onsets go by when the live system was seen, which the end of the audit may be long after.
        let seen_at = drift.observed_at.unwrap_or(started_at).min(finished_at);
        let has_listeners = !plan.receivers.is_empty();
        let changes = memory.observe(&mut drift, seen_at, has_listeners);
        let remembered = self.settings.keep_for.unwrap_or(REMEMBERED);
        memory.forget(finished_at.saturating_sub(remembered));
        let report = AuditReport {
            schema: AUDIT_SCHEMA.to_owned(),
            id: ReportId(self.entropy.uuid()),
            tenant: claim.tenant.clone(),
            started_at,
            finished_at,
            source: plan.source.as_ref().map(|source| source.name()),
            proof: Proof {
                requests: self.inspector.requests(),
                ..proof.clone()
            },
            new: changes.new,
            continuing: changes.continuing,
            resolved: changes.resolved,
            drift,
        };
        Ok((report, memory, changes.to_tell))
    }

    /// Keeps results. A lost answer is asked again: either the report is there, or it was kept by nobody.
    async fn keep(
        &self,
        audited: Vec<(AuditOutcome, Result<AuditReport>)>,
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
                Ok(report) => {
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
