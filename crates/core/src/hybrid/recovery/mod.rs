//! Recovery: the database is brought back from the bucket.
//!
//! Per tenant: both sides are compared and everything that would be restored is fetched and verified; when a new epoch is due
//! the tenant stops taking writes, `bucket.json` is taken over and every index is fenced with the new epoch; then one
//! transaction under the tenant's lock checks that nothing moved, inserts, and sets the watermarks. A crash between any two
//! steps leaves a tenant that awaits recovery, and a second run starts over under a later epoch. All or nothing per tenant;
//! one that fails is reported and the others go on.

mod diverge;
mod epochs;
mod inventory;
pub(crate) mod legacy;
mod listing;
mod plan;
mod planned;
mod report;
mod restore;
mod sealed;
mod takeover;
mod target;
mod tenant;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use self::epochs::newest_epoch;
use self::planned::Plans;
use self::takeover::Takeover;
use super::settings::{Settings, Sides};
use super::{marker, ownership};
use driftline_model::format::Damage;
use driftline_model::{TenantId, Timestamp};
use driftline_ports::{
    DatabaseIdentity, Error, ErrorKind, Hint, Ownership, Recovery, RecoveryRequest, Result,
    Whereabouts,
};

pub(crate) use self::epochs::highest_epoch;
pub(crate) use self::inventory_of::recoverable;
pub(crate) use self::listing::{Lister, keys as keys_of};
pub use self::planned::PlanSink;
pub(crate) use self::planned::{
    apply as apply_plan, make as make_plan, make_whole as make_whole_plan,
};
pub use self::report::RecoveryDocument;
pub(crate) use self::tenant::behind;
pub(super) use self::tenant::one;

/// How far a recovery is.
#[derive(Debug, Default)]
pub struct Progress {
    tenants: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Tenants that are done, failed ones included.
    pub fn tenants(&self) -> u64 {
        self.tenants.load(Ordering::Relaxed)
    }

    /// Entries read and verified.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Their content in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn entry(&self, bytes: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Whom to recover.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// This tenant.
    One(&'a TenantId),
    /// Every tenant that either side knows.
    All,
}

/// What a recovery did.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// Per tenant, in byte order of their names.
    pub tenants: Vec<(TenantId, Result<Recovery>)>,
    /// What was wrong with objects that belong to no tenant, and was worked around.
    pub worked_around: Vec<Damage>,
    /// Why the database as a whole still awaits recovery, if it does.
    pub unfinished: Option<String>,
    /// When it began and how long it took.
    pub took: Option<(Timestamp, Duration)>,
    /// The object in the bucket that keeps this report; `None` for a plan, or when it could not be written.
    pub kept: Option<String>,
}

/// What every step of one recovery needs.
pub(super) struct Context<'a> {
    sides: &'a Sides,
    settings: &'a Settings,
    requests: Arc<Semaphore>,
    progress: &'a Progress,
    request: &'a RecoveryRequest,
    database: DatabaseIdentity,
    takeover: Takeover<'a>,
    /// What was wrong with `bucket.json`, which was worked around.
    damage: Option<Damage>,
    /// Tenants that were taken over from the older layout.
    taken_over: BTreeSet<TenantId>,
    /// Who reads what would change, entry by entry.
    plans: Plans<'a>,
    /// Every tenant is recovered: one that had no version at the time asked for is no error.
    is_all: bool,
}

impl<'a> Context<'a> {
    pub(super) async fn new(
        sides: &'a Sides,
        settings: &'a Settings,
        request: &'a RecoveryRequest,
        progress: &'a Progress,
    ) -> Result<Self> {
        let mut database = sides.database.identity().await?;
        let mut damage = None;
        let settled = database.whereabouts == Whereabouts::Here;
        if !request.dry_run && (database.ownership == Ownership::Claimed || !settled) {
            if let Some(reason) = ownership::copied::undecided(&database) {
                return Err(Error::refused(reason));
            }
            // Its own bucket may have lost its identity: that is written anew, and no reason to stop every tenant.
            damage = marker::mend(sides).await?;
            if damage.is_none() {
                ownership::put_back(sides).await?;
            }
            ownership::check(sides, settings).await?;
            database = sides.database.identity().await?;
        }
        let takeover = Takeover::new(sides, &database).await?;
        let damage = damage.or_else(|| takeover.damage.clone());
        let requests = Arc::new(Semaphore::new(settings.concurrent_requests));
        Ok(Self {
            sides,
            settings,
            requests,
            progress,
            request,
            database,
            takeover,
            damage,
            taken_over: legacy::taken_over(&sides.bucket()).await?,
            plans: Plans::Unread,
            is_all: false,
        })
    }

    /// Whether every tenant gets a new epoch: the bucket is not this database's, or the database awaits recovery.
    fn everyone(&self) -> bool {
        self.takeover.is_foreign() || self.database.ownership != Ownership::Claimed
    }
}

/// Recovers one tenant, or every one, and keeps the report in the bucket.
pub(crate) async fn run(
    sides: &Sides,
    settings: &Settings,
    whom: Whom<'_>,
    request: &RecoveryRequest,
    progress: &Progress,
) -> Result<RecoveryReport> {
    run_with(sides, settings, whom, request, progress, Plans::Unread).await
}

/// What failed is not advised once more: what a recovery cannot read, another one does not read either.
pub(crate) fn advised(error: Error) -> Error {
    match error.hinted() {
        Some(Hint::RecoverProven) => error.hint(Hint::PutBack),
        Some(Hint::RecoverRow) => error.hint(Hint::RestoreBackup {
            nothing_changed: false,
        }),
        _ => error,
    }
}

/// The same, with what it would change written down, or compared with what was.
async fn run_with(
    sides: &Sides,
    settings: &Settings,
    whom: Whom<'_>,
    request: &RecoveryRequest,
    progress: &Progress,
    plans: Plans<'_>,
) -> Result<RecoveryReport> {
    let began = sides.now();
    let mut context = Context::new(sides, settings, request, progress).await?;
    context.plans = plans;
    let mut report = match whom {
        Whom::One(tenant) => {
            let keys = Lister::of(sides.snapshots.as_ref(), tenant).await?;
            let recovery = one(&context, tenant, &keys).await.map_err(advised)?;
            RecoveryReport {
                tenants: vec![(tenant.clone(), Ok(recovery))],
                ..RecoveryReport::default()
            }
        }
        Whom::All => {
            context.is_all = true;
            let report = all(&context).await.map_err(advised)?;
            RecoveryReport {
                tenants: report
                    .tenants
                    .into_iter()
                    .map(|(tenant, outcome)| (tenant, outcome.map_err(advised)))
                    .collect(),
                ..report
            }
        }
    };
    report.worked_around.extend(context.damage.clone());
    report.took = Some((began, sides.now().since(began)));
    if !request.dry_run {
        report.kept = report::keep(sides, &report, request.by.as_ref()).await;
    }
    Ok(report)
}

/// Recovers every tenant that either side knows, several at once.
async fn all(context: &Context<'_>) -> Result<RecoveryReport> {
    let Context {
        sides,
        settings,
        request,
        ..
    } = *context;
    let mut report = RecoveryReport::default();
    let everyone = context.everyone();
    if everyone && !request.dry_run {
        // Also with no tenant to restore: whoever shadowed to this bucket before is fenced off.
        context
            .takeover
            .epoch(None, newest_epoch(context).await?)
            .await?;
    }
    let mut seen = BTreeSet::new();
    {
        // The next part of the listing is read while tenants are recovered.
        let found = Lister::all(sides.snapshots.as_ref()).tenants();
        let recovered = found
            .map_ok(|(tenant, keys)| {
                async move {
                    let outcome = match keys {
                        Ok(keys) => one(context, &tenant, &keys).await,
                        Err(error) => Err(Error::from(error)),
                    };
                    Ok((outcome, tenant))
                }
                .boxed()
            })
            .try_buffer_unordered(settings.concurrent_tenants);
        let mut recovered = std::pin::pin!(recovered);
        while let Some((outcome, tenant)) = recovered.try_next().await? {
            seen.insert(tenant.clone());
            report.tenants.push((tenant, outcome));
        }
    }
    // Tenants that only the database knows are ahead of an empty bucket; they need the new epoch like the others.
    let mut after = None;
    loop {
        let page = sides.database.tenants(after.as_ref(), 1000).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.tenant.clone());
        let unseen: Vec<_> = page
            .into_iter()
            .map(|state| state.tenant)
            .filter(|name| !seen.contains(name))
            .collect();
        let outcomes: Vec<_> = stream::iter(unseen)
            .map(|name| async move { (one(context, &name, &[]).await, name) }.boxed())
            .buffer_unordered(settings.concurrent_tenants)
            .collect()
            .await;
        report
            .tenants
            .extend(outcomes.into_iter().map(|(outcome, name)| (name, outcome)));
    }
    report
        .tenants
        .sort_by(|(left, _), (right, _)| left.cmp(right));
    if everyone && !request.dry_run {
        let failed = report
            .tenants
            .iter()
            .filter(|(_, outcome)| outcome.is_err())
            .count();
        report.unfinished = if failed == 0 {
            context.takeover.finish().await?
        } else {
            Some(format!(
                "{failed} tenants failed; they and new tenants take no writes until a recovery succeeds"
            ))
        };
    }
    Ok(report)
}

/// Recovers everything after a failover, on nobody's behalf.
pub(crate) async fn after_failover(sides: &Sides, settings: &Settings) -> Result<()> {
    tracing::warn!(
        "the database's timeline moved on: recovering from the bucket before it takes writes"
    );
    let request = RecoveryRequest::default();
    let progress = Progress::default();
    let report = run(sides, settings, Whom::All, &request, &progress).await?;
    for (tenant, outcome) in &report.tenants {
        match outcome {
            Ok(recovery) if recovery.restored > 0 => {
                tracing::warn!(%tenant, restored = recovery.restored, "restored what the failover lost");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%tenant, %error, "the tenant is not recovered"),
        }
    }
    match report.unfinished {
        Some(reason) => Err(Error::new(
            ErrorKind::Refused,
            format!("recover after a failover: {reason}"),
        )
        .hint(Hint::RecoverToSee)),
        None => Ok(()),
    }
}

mod inventory_of {
    //! The same stock-taking for readers that change nothing.

    use super::legacy;
    use super::listing::Lister;
    use crate::hybrid::bucket::BucketError;
    use crate::hybrid::settings::Sides;
    use driftline_model::TenantId;
    use driftline_model::format::IndexEntry;
    use driftline_ports::Result;

    /// Every manifest that the bucket can bring back, oldest first, whatever became of the index.
    pub(crate) async fn recoverable(sides: &Sides, tenant: &TenantId) -> Result<Vec<IndexEntry>> {
        let keys = Lister::of(sides.snapshots.as_ref(), tenant)
            .await
            .map_err(BucketError::from)?;
        Ok(legacy::recoverable(&sides.bucket(), tenant, &keys).await?)
    }
}
