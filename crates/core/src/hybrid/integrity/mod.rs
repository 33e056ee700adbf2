//! Integrity: the database, the index and the objects compared entry by entry, and mended.
//!
//! Verifying writes nothing. It asks in an order in which an entry that is being written meanwhile cannot look wrong: the
//! watermarks, the listing, the index and its pages, and the rows last. A listing alone proves nothing: what it lacks is asked
//! for by name before it counts as missing.

mod common;
mod examine;
mod judge;
mod look;
mod loss;
mod older;
mod repair;
mod rows;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};

use self::examine::{Examined, alone, listed_tenant};
use self::look::Look;
use super::recovery::Lister;
use super::settings::{Settings, Sides};
use driftline_model::TenantId;
use driftline_model::integrity::{BucketFinding, Finding, VerifySummary};
use driftline_ports::{Error, ErrorKind, Hint, Reason, Result};

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
