//! Integrity: the database, the index and the objects compared entry by entry, and mended.
//!
//! Verifying writes nothing. It asks in an order in which an entry that is being written meanwhile cannot look wrong: the
//! watermarks, the listing, the index and its pages, and the rows last. A listing alone proves nothing: what it lacks is asked
//! for by name before it counts as missing.

mod common;
mod judge;
mod loss;
mod older;
mod repair;
mod rows;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{OnceCell, Semaphore};

use self::judge::Judge;
use self::rows::Rows;
use self::stock::Stock;
use super::bucket::{Bucket, BucketResult};
use super::history;
use super::ownership;
use super::recovery::{Lister, keys_of, legacy};
use super::settings::{Settings, Sides};
use driftline_model::format::{IndexEntry, Snapshot, stream_of};
use driftline_model::integrity::{
    AcceptedLoss, BucketFinding, Finding, Mend, Verdict, VerifySummary,
};
use driftline_model::{
    AcceptedLosses, Digest, EntryMeta, PerStream, Seq, Stream, TenantId, TenantState,
};
use driftline_ports::{Error, ErrorKind, Hint, Listed, Reason, Result};

pub(crate) use self::loss::accept as accept_loss;
pub use self::repair::{Action, REPAIR_PLAN_SCHEMA, RepairPlan, RepairReport, TenantRepair};
pub(crate) use self::repair::{apply as apply_repair, make as plan_repair};

/// Which objects are read and verified, apart from those whose presence is in doubt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReadData {
    /// None: the index, the listing and the rows are compared.
    #[default]
    Nothing,
    /// All of them, and all rows.
    All,
    /// The `part`th of `of` parts, the same objects each time; all rows.
    Subset {
        /// Which part, from 1.
        part: u64,
        /// How many parts there are.
        of: u64,
    },
}

/// How far a verification is; it only ever grows.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    tenants: AtomicU64,
    entries: AtomicU64,
}

impl VerifyProgress {
    /// Tenants that are done, failed ones included.
    pub fn tenants(&self) -> u64 {
        self.tenants.load(Ordering::Relaxed)
    }

    /// Entries that are done.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// What is not as it should be, tenant by tenant in byte order.
    pub findings: Vec<Finding>,
    /// What is not as it should be of what belongs to no tenant.
    pub bucket: Vec<BucketFinding>,
    /// What was looked at.
    pub summary: VerifySummary,
    /// What keeps tenants from being shadowed that have something waiting for it: [`Finding::hindrance`], with what may be done.
    pub hindrances: BTreeMap<TenantId, Reason>,
    /// Tenants that could not be looked at, and why.
    pub unseen: Vec<(TenantId, Error)>,
}

impl VerifyReport {
    /// Whether something has to be done.
    pub fn has_damage(&self) -> bool {
        self.findings.iter().any(Finding::is_damage) || !self.bucket.is_empty()
    }

    /// Whether anything at all is to be told.
    pub fn has_findings(&self) -> bool {
        !self.findings.is_empty() || !self.bucket.is_empty()
    }

    fn with_bucket(mut self, bucket: Vec<BucketFinding>) -> Self {
        for finding in &bucket {
            self.summary.count(finding.verdict);
        }
        self.bucket = bucket;
        self
    }
}

/// What one verification works with.
struct Look<'a> {
    sides: &'a Sides,
    settings: &'a Settings,
    bucket: Bucket,
    requests: Arc<Semaphore>,
    read: ReadData,
    /// Tenants that were recovered from an older system's layout.
    taken_over: BTreeSet<TenantId>,
    /// What shadowing as a whole waits for; asked once, when something waits for shadowing.
    undecided: OnceCell<Option<Undecided>>,
}

/// What shadowing waits for.
struct Undecided {
    reason: Reason,
    own: Own,
}

/// Whether the bucket is the database's, and so one that a repair may fill.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Yes,
    /// If something of the tenant lies there.
    Perhaps,
    No,
}

impl<'a> Look<'a> {
    async fn new(sides: &'a Sides, settings: &'a Settings, read: ReadData) -> Result<Self> {
        let bucket = sides.bucket();
        Ok(Self {
            sides,
            settings,
            taken_over: legacy::taken_over(&bucket).await?,
            bucket,
            requests: Arc::new(Semaphore::new(settings.concurrent_requests)),
            read,
            undecided: OnceCell::new(),
        })
    }

    /// Why nothing is shadowed before somebody decides, or before `bucket.json` is mended.
    async fn undecided(&self) -> Result<Option<&Undecided>> {
        let asked = self.undecided.get_or_try_init(async || {
            let (reason, own) = match ownership::undecided(self.sides).await {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    let (message, hint) = (error.to_string(), error.hinted().cloned());
                    (Reason { message, hint }, Own::Yes)
                }
                // Nothing says whose it is: what lies there does.
                Ok(Some(reason)) if self.bucket.identity().await?.is_none() => {
                    (reason, Own::Perhaps)
                }
                Ok(Some(reason)) => (reason, Own::No),
                Ok(None) => return Ok(None),
                Err(error) => return Err(error),
            };
            Ok::<_, Error>(Some(Undecided { reason, own }))
        });
        Ok(asked.await?.as_ref())
    }

    /// Whether this object is to be read although it is listed.
    fn reads(&self, key: &str) -> bool {
        match self.read {
            ReadData::Nothing => false,
            ReadData::All => true,
            ReadData::Subset { part, of } => {
                let digest = Digest::of(key.as_bytes());
                let mut first = [0; 8];
                first.copy_from_slice(&digest.as_bytes()[..8]);
                u64::from_be_bytes(first) % of.max(1) + 1 == part
            }
        }
    }

    async fn snapshot(&self, named: &IndexEntry) -> BucketResult<Snapshot> {
        let _permit = self.requests.acquire().await;
        self.bucket.snapshot(named).await
    }

    async fn unnamed(
        &self,
        tenant: &TenantId,
        stream: Stream,
        key: &str,
    ) -> BucketResult<Option<Snapshot>> {
        let _permit = self.requests.acquire().await;
        self.bucket.unnamed_snapshot(tenant, stream, key).await
    }

    /// The database has this very entry by now.
    async fn is_committed(&self, meta: &EntryMeta) -> BucketResult<bool> {
        let row = rows::row(
            self.sides.database.as_ref(),
            &meta.tenant,
            meta.stream,
            meta.seq,
        );
        Ok(row.await?.is_some_and(|row| row.meta.is_same_as(meta)))
    }
}

/// One tenant, compared.
struct Examined {
    findings: Vec<Finding>,
    summary: VerifySummary,
    streams: PerStream<Option<(Rows, Stock)>>,
    state: Option<TenantState>,
    /// What keeps it from being shadowed, if something waits for that.
    hindrance: Option<Reason>,
    /// The bucket has nothing of it.
    is_empty: bool,
}

/// What is told of a tenant, without all that it was compared by.
struct Told {
    findings: Vec<Finding>,
    summary: VerifySummary,
    hindrance: Option<Reason>,
}

impl Told {
    fn of(examined: Examined) -> Self {
        Self {
            findings: examined.findings,
            summary: examined.summary,
            hindrance: examined.hindrance,
        }
    }
}

/// Verifies one tenant.
pub(crate) async fn tenant(
    sides: &Sides,
    settings: &Settings,
    tenant: &TenantId,
    read: ReadData,
) -> Result<VerifyReport> {
    let look = Look::new(sides, settings, read).await?;
    let examined = alone(&look, tenant).await?;
    if examined.state.is_none() && examined.is_empty {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("verify {tenant}: neither the database nor the bucket knows it"),
        )
        .hint(Hint::ListTenantsOfDatabase));
    }
    let hindrance = examined.hindrance.map(|it| (tenant.clone(), it));
    let report = VerifyReport {
        findings: examined.findings,
        summary: examined.summary,
        hindrances: hindrance.into_iter().collect(),
        ..VerifyReport::default()
    };
    Ok(report.with_bucket(common::findings(&look).await?))
}

/// Verifies every tenant that either side knows, several at once.
pub(crate) async fn all(
    sides: &Sides,
    settings: &Settings,
    read: ReadData,
    progress: &VerifyProgress,
) -> Result<VerifyReport> {
    let look = &Look::new(sides, settings, read).await?;
    let (mut report, mut seen) = (VerifyReport::default(), BTreeSet::new());
    let listed = Lister::all(sides.snapshots.as_ref()).objects();
    let judged = listed
        .map_ok(|(tenant, objects)| {
            async move {
                let outcome = match objects {
                    Ok(objects) => listed_tenant(look, &tenant, objects).await,
                    Err(error) => Err(Error::from(error)),
                };
                Ok((outcome, tenant))
            }
            .boxed()
        })
        .try_buffer_unordered(settings.concurrent_tenants);
    let mut judged = std::pin::pin!(judged);
    let mut judged_all = Vec::new();
    while let Some((outcome, tenant)) = judged.try_next().await? {
        seen.insert(tenant.clone());
        note(progress, outcome.as_ref().ok());
        judged_all.push((tenant, outcome.map(Told::of)));
    }
    let mut after = None;
    loop {
        let page = sides.database.tenants(after.as_ref(), 1000).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.tenant.clone());
        let unlisted = page.into_iter().map(|state| state.tenant);
        let unlisted: Vec<_> = unlisted.filter(|tenant| !seen.contains(tenant)).collect();
        let mut outcomes = stream::iter(unlisted)
            .map(|tenant| {
                async move { (listed_tenant(look, &tenant, Vec::new()).await, tenant) }.boxed()
            })
            .buffer_unordered(settings.concurrent_tenants);
        while let Some((outcome, tenant)) = outcomes.next().await {
            note(progress, outcome.as_ref().ok());
            judged_all.push((tenant, outcome.map(Told::of)));
        }
    }
    judged_all.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (tenant, outcome) in judged_all {
        match outcome {
            Ok(told) => {
                report.findings.extend(told.findings);
                report.summary.add(&told.summary);
                report
                    .hindrances
                    .extend(told.hindrance.map(|it| (tenant, it)));
            }
            Err(error) => report.unseen.push((tenant, error)),
        }
    }
    Ok(report.with_bucket(common::findings(look).await?))
}

fn note(progress: &VerifyProgress, examined: Option<&Examined>) {
    progress.tenants.fetch_add(1, Ordering::Relaxed);
    let entries = examined.map_or(0, |examined| examined.summary.versions);
    progress.entries.fetch_add(entries, Ordering::Relaxed);
}

/// A tenant of a listing. What looks damaged is looked at once more, with a listing and a state of its own: the first look may
/// have met it while it was written to.
async fn listed_tenant(
    look: &Look<'_>,
    tenant: &TenantId,
    objects: Vec<Listed>,
) -> Result<Examined> {
    let (known, before) = Before::of(look, tenant).await?;
    let known = StateIs::Known(Box::new(known));
    let examined = examine(look, tenant, before, known, &objects).await?;
    if !examined.findings.iter().any(Finding::is_damage) {
        return Ok(examined);
    }
    alone(look, tenant).await
}

/// A tenant by itself, in the order that keeps what is being written from looking damaged.
async fn alone(look: &Look<'_>, tenant: &TenantId) -> Result<Examined> {
    let (_, before) = Before::of(look, tenant).await?;
    let objects = Lister::objects_of(look.sides.snapshots.as_ref(), tenant).await?;
    examine(look, tenant, before, StateIs::ReadLast, &objects).await
}

/// What the database says of a tenant's shadowing before anything of the bucket is read.
#[derive(Default)]
struct Before {
    watermarks: PerStream<Seq>,
    /// What keeps it from being shadowed.
    hindrance: Option<Reason>,
}

impl Before {
    /// All in one question, with the tenant's state then.
    async fn of(look: &Look<'_>, tenant: &TenantId) -> Result<(Option<TenantState>, Self)> {
        let status = look.sides.database.status(Some(tenant), None, 1).await?;
        let Some(status) = status.into_iter().next() else {
            return Ok((None, Self::default()));
        };
        let before = Self {
            watermarks: status.watermarks,
            hindrance: status.hindrance(),
        };
        Ok((Some(status.state), before))
    }
}

/// Where the tenant's state on its lock row comes from.
enum StateIs {
    /// It was read before the bucket.
    Known(Box<Option<TenantState>>),
    /// It is read after the bucket.
    ReadLast,
}

/// Compares the three sides of one tenant.
async fn examine(
    look: &Look<'_>,
    tenant: &TenantId,
    Before {
        watermarks,
        hindrance,
    }: Before,
    when: StateIs,
    objects: &[Listed],
) -> Result<Examined> {
    let keys = &keys_of(objects);
    let mut examined = Examined {
        findings: Vec::new(),
        summary: VerifySummary {
            tenants: 1,
            ..VerifySummary::default()
        },
        streams: PerStream::from_fn(|_| None),
        state: None,
        hindrance: None,
        is_empty: keys.is_empty(),
    };
    let mut stocks = PerStream::from_fn(|_| None);
    for stream in Stream::ALL {
        let any = keys.iter().any(|key| stream_of(key) == Some(stream));
        // Nothing is listed and nothing was ever shadowed: there is nothing to be read.
        if any || watermarks[stream] > Seq::default() {
            stocks[stream] = Some(Stock::take(&look.bucket, tenant, stream, objects).await?);
        }
    }
    let taken_over = look.taken_over.contains(tenant);
    let mut older = None;
    if let Some(stock) = &mut stocks[Stream::Manifests] {
        if taken_over {
            older::forget(tenant, stock);
        } else {
            older = older::is_in_older_layout(look, tenant, stock, keys).await?;
        }
    }
    let state = match when {
        StateIs::Known(state) => *state,
        StateIs::ReadLast => look.sides.database.tenant(tenant).await?,
    };
    for stream in Stream::ALL {
        let head = state.as_ref().map_or_else(
            || TenantState::new(tenant.clone(), driftline_model::Epoch::FIRST).heads[stream],
            |state| state.heads[stream],
        );
        if head.seq == Seq::default() && stocks[stream].is_none() {
            continue;
        }
        let database = look.sides.database.as_ref();
        let contents = look.read != ReadData::Nothing;
        let rows = Rows::read(database, tenant, stream, head, contents).await?;
        let stock = stocks[stream].take().unwrap_or_default();
        let mut judge = Judge {
            look,
            tenant,
            stream,
            watermark: watermarks[stream],
            rows: &rows,
            stock: &stock,
            is_older: older.is_some(),
            findings: Vec::new(),
            summary: VerifySummary::default(),
        };
        judge.run().await?;
        let versions = rows.head.seq.max(stock.latest()).get();
        let (findings, summary) = (judge.findings, judge.summary);
        examined.findings.extend(findings);
        examined.summary.add(&summary);
        examined.summary.versions += versions;
        examined.streams[stream] = Some((rows, stock));
    }
    for key in keys.iter().filter(|key| stream_of(key).is_none()) {
        examined.summary.count(Verdict::BucketOnly);
        examined.findings.push(Finding {
            tenant: tenant.clone(),
            stream: None,
            seq: None,
            verdict: Verdict::BucketOnly,
            object: Some(key.clone()),
            detail: "it is no object of driftline's".to_owned(),
            repair: Mend::Quarantine,
            hindrance: None,
            hint: None,
            accepted: None,
        });
    }
    if taken_over && look.read != ReadData::Nothing {
        let rows = examined.streams[Stream::Manifests].as_ref();
        let rows = rows.map(|(rows, _)| rows);
        older = Some(older::left_behind(look, tenant, keys, rows).await?);
    }
    for object in older.into_iter().flatten() {
        let finding = older::finding(tenant, &object);
        examined.summary.count(finding.verdict);
        examined.findings.push(finding);
    }
    accept(look, tenant, &mut examined).await?;
    hinder(look, hindrance, &mut examined).await?;
    examined.findings.sort_by_key(place);
    examined.state = state;
    Ok(examined)
}

/// Where a finding stands among the others of its tenant.
fn place(finding: &Finding) -> (bool, Option<Stream>, Option<Seq>, Option<String>) {
    let (stream, object) = (finding.stream, finding.object.clone());
    (stream.is_none(), stream, finding.seq, object)
}

/// Says what keeps entries from being shadowed. What comes by itself is not asked for.
/// A bucket that is not the database's is not filled by a repair either.
async fn hinder(look: &Look<'_>, hindrance: Option<Reason>, examined: &mut Examined) -> Result<()> {
    let comes = |finding: &Finding| finding.repair == Mend::Shadowing;
    let fills = |finding: &Finding| {
        matches!(
            finding.repair,
            Mend::Reshadow | Mend::RebuildIndex | Mend::RebuildPage
        )
    };
    if !examined.findings.iter().any(|it| comes(it) || fills(it)) {
        return Ok(());
    }
    let undecided = look.undecided().await?;
    let is_ours = undecided.is_none_or(|it| match it.own {
        Own::Yes => true,
        Own::Perhaps => !examined.is_empty,
        Own::No => false,
    });
    let waits = |finding: &&mut Finding| comes(finding) || (fills(finding) && !is_ours);
    if !examined.findings.iter_mut().any(|it| waits(&it)) {
        return Ok(());
    }
    let reason = undecided.map(|it| it.reason.clone()).or(hindrance);
    let Some(reason) = reason else {
        return Ok(());
    };
    for finding in examined.findings.iter_mut().filter(waits) {
        finding.hindrance = Some(reason.message.clone());
        finding.repair = Mend::Unhinder;
    }
    examined.hindrance = Some(reason);
    Ok(())
}

/// Marks the losses that somebody accepted. Decisions are read only where there is a loss.
async fn accept(look: &Look<'_>, tenant: &TenantId, examined: &mut Examined) -> Result<()> {
    let is_loss = |finding: &Finding| finding.repair == Mend::Lost;
    if !examined.findings.iter().any(is_loss) {
        return Ok(());
    }
    let mut losses = AcceptedLosses::default();
    let database = look.sides.database.as_ref();
    let known = examined.streams[Stream::Decisions].as_ref();
    if let Some((rows, _)) = known {
        let there = rows.metas.keys().copied();
        let take = |decision| losses.decide(decision);
        history::each_row(database, tenant, Stream::Decisions, there, take).await?;
    }
    let accepted = losses.up_to(known.map_or(Seq::default(), |(rows, _)| rows.head.seq));
    for finding in examined.findings.iter_mut().filter(|it| is_loss(it)) {
        if let (Some(stream), Some(seq)) = (finding.stream, finding.seq) {
            let decision = accepted.get(&(stream, seq));
            finding.accepted = decision.map(|decision| AcceptedLoss {
                decision: decision.meta.seq,
                by: decision.meta.created_by.clone(),
                reason: decision.meta.message.clone(),
            });
        }
    }
    Ok(())
}
