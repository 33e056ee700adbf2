//! Plans that are written down, and applied only while everything is as they saw it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::diverge;
use super::plan::{Plan, place};
use super::target::Target;
use super::{Context, Progress, RecoveryReport, Whom};
use crate::hybrid::marker::{self, Marker};
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::format::Damage;
use driftline_model::recovery::{
    Deactivated, Lost, PlannedMove, PlannedRow, PlannedTarget, PlannedTenant, RECOVERY_PLAN_SCHEMA,
    RecoveryPlan, SeenStream, TenantPlan, Unplanned,
};
use driftline_model::{Digest, EntryMeta, PerStream, Seq, ShortText, Stream, TenantId};
use driftline_ports::{
    Error, ErrorKind, Hint, RecoverTarget, RecoveryRequest, RecoveryState, Result,
};

/// Plans per tenant that a recovery has to find as they are.
pub(super) type Expected = BTreeMap<TenantId, Digest>;

/// Is given each tenant's plan as soon as it is made, in no order: nobody else keeps it.
pub type PlanSink<'a> = dyn Fn(TenantPlan) + Send + Sync + 'a;

/// What becomes of the plans that a recovery makes on its way. Without anybody who reads them none is made: it has a row for
/// every entry.
#[derive(Clone, Copy)]
pub(super) enum Plans<'a> {
    /// Nobody reads them.
    Unread,
    /// They are written down.
    Told(&'a PlanSink<'a>),
    /// Each tenant has to be as it was seen.
    Expected(&'a Expected),
}

/// Plans a recovery, and gives each tenant's part to `sink`; what is returned has all the rest. Changes nothing.
pub(crate) async fn make(
    sides: &Sides,
    settings: &Settings,
    whom: Whom<'_>,
    request: &RecoveryRequest,
    progress: &Progress,
    sink: &PlanSink<'_>,
) -> Result<RecoveryPlan> {
    let request = RecoveryRequest {
        dry_run: true,
        ..request.clone()
    };
    let identity = sides.database.identity().await?;
    let owner = match marker::read(&sides.bucket()).await? {
        Marker::Absent => None,
        Marker::Whole(owner, _) => Some(owner),
        Marker::Damaged(damaged) => damaged.says,
    };
    let plans = Plans::Told(sink);
    let report = super::run_with(sides, settings, whom, &request, progress, plans).await?;
    let mut plan = RecoveryPlan {
        schema: RECOVERY_PLAN_SCHEMA.to_owned(),
        database_id: identity.id,
        bucket_id: owner.map(|owner| owner.bucket_id),
        owner: owner.map(|owner| owner.database_id),
        tenant: match whom {
            Whom::One(tenant) => Some(tenant.clone()),
            Whom::All => None,
        },
        target: match request.target {
            RecoverTarget::Newest => PlannedTarget::Newest,
            RecoverTarget::Version(version) => PlannedTarget::Version(version),
            RecoverTarget::At(at) => PlannedTarget::At(at),
        },
        as_new_version: request.as_new_version,
        resolve_divergence: request.resolve_divergence,
        accept_unverified: request.accept_unverified,
        leave_out: request.leave_out,
        tenants: Vec::new(),
        failed: Vec::new(),
    };
    for (tenant, outcome) in report.tenants {
        if let Err(error) = outcome {
            plan.failed.push(Unplanned {
                tenant,
                reason: error.to_string(),
            });
        }
    }
    Ok(plan)
}

/// The same, whole.
pub(crate) async fn make_whole(
    sides: &Sides,
    settings: &Settings,
    whom: Whom<'_>,
    request: &RecoveryRequest,
    progress: &Progress,
) -> Result<RecoveryPlan> {
    let tenants = Mutex::new(Vec::new());
    let keep = |plan| kept(&tenants).push(plan);
    let mut plan = make(sides, settings, whom, request, progress, &keep).await?;
    plan.tenants = std::mem::take(&mut *kept(&tenants));
    plan.tenants
        .sort_by(|left, right| left.tenant.cmp(&right.tenant));
    Ok(plan)
}

fn kept<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries a plan out. `Stale`, and nothing changed, when anything that it rests on has moved.
pub(crate) async fn apply(
    sides: &Sides,
    settings: &Settings,
    plan: &RecoveryPlan<PlannedTenant>,
    by: Option<ShortText>,
    progress: &Progress,
) -> Result<RecoveryReport> {
    let request = RecoveryRequest {
        target: match plan.target {
            PlannedTarget::Newest => RecoverTarget::Newest,
            PlannedTarget::Version(version) => RecoverTarget::Version(version),
            PlannedTarget::At(at) => RecoverTarget::At(at),
        },
        as_new_version: plan.as_new_version,
        resolve_divergence: plan.resolve_divergence,
        accept_unverified: plan.accept_unverified,
        leave_out: plan.leave_out,
        dry_run: false,
        by,
    };
    let whom = plan.tenant.as_ref().map_or(Whom::All, Whom::One);
    let seen = Mutex::new(Vec::new());
    let tell = |plan: TenantPlan| kept(&seen).push(PlannedTenant::from(plan));
    let progress_of_plan = Progress::default();
    let now = make(sides, settings, whom, &request, &progress_of_plan, &tell).await?;
    let now = RecoveryPlan {
        tenants: std::mem::take(&mut *kept(&seen)),
        ..now.outline()
    };
    if let Some(what) = difference(plan, &now) {
        return Err(stale(&what).hint(Hint::PlanRecoveryAgain {
            nothing_changed: true,
        }));
    }
    let expected = plan.tenants.iter();
    let expected = expected.map(|it| (it.tenant.clone(), it.digest)).collect();
    let plans = Plans::Expected(&expected);
    super::run_with(sides, settings, whom, &request, progress, plans).await
}

fn difference(
    then: &RecoveryPlan<PlannedTenant>,
    now: &RecoveryPlan<PlannedTenant>,
) -> Option<String> {
    let sides = |plan: &RecoveryPlan<PlannedTenant>| (plan.database_id, plan.bucket_id, plan.owner);
    if sides(then) != sides(now) {
        return Some("the database or the bucket is another one".to_owned());
    }
    let tenants = |plan: &RecoveryPlan<PlannedTenant>| -> BTreeMap<TenantId, Option<Digest>> {
        let planned = plan
            .tenants
            .iter()
            .map(|it| (it.tenant.clone(), Some(it.digest)));
        let failed = plan.failed.iter().map(|it| (it.tenant.clone(), None));
        planned.chain(failed).collect()
    };
    let (then, now) = (tenants(then), tenants(now));
    let mut names: Vec<_> = then.keys().chain(now.keys()).collect();
    names.sort();
    let moved = names
        .into_iter()
        .find(|name| then.get(*name) != now.get(*name))?;
    Some(format!("{moved} moved since"))
}

fn stale(what: &str) -> Error {
    Error::new(ErrorKind::Stale, format!("apply the recovery plan: {what}"))
}

/// Refuses a tenant that is not as the plan saw it.
pub(super) fn check(expected: &Expected, now: &TenantPlan) -> Result<()> {
    if expected.get(&now.tenant) == Some(&now.digest()) {
        return Ok(());
    }
    Err(
        stale(&format!("{} moved since", now.tenant)).hint(Hint::PlanRecoveryAgain {
            nothing_changed: false,
        }),
    )
}

/// What the recovery of one tenant would change.
pub(super) async fn of(context: &Context<'_>, plan: &Plan, target: Target) -> Result<TenantPlan> {
    let seen = plan.seen.as_ref();
    let outcome = plan.outcome(plan.epoch());
    let head = outcome.heads[Stream::Manifests].seq;
    let (mut active_version, mut new_version) = (outcome.active_version(), None);
    let mut deactivates = Vec::new();
    if let Target::Version(version) = target {
        active_version = version;
        if context.request.as_new_version {
            active_version = head.next();
            new_version = Some(head.next());
        } else {
            deactivates = later(context, plan, version, head).await?;
        }
    }
    let mut rows = PerStream::from_fn(|stream| plan.restore[stream].clone());
    let (mut renumbers, mut lost_on_both) = (Vec::new(), Vec::new());
    if plan.state == RecoveryState::Diverged && context.request.resolve_divergence {
        let resolved = diverge::preview(context, plan).await?;
        active_version = resolved.state.active_version();
        (rows, renumbers, lost_on_both) = (resolved.rows, resolved.moved, resolved.lost);
    }
    let is_lost =
        |damage: &&Damage| !(context.request.resolve_divergence && diverge::is_divergence(damage));
    Ok(TenantPlan {
        tenant: plan.tenant.clone(),
        state: plan.state.name().to_owned(),
        epoch: seen.map(|state| state.epoch),
        seen: Stream::ALL.map(|stream| see(plan, stream)).to_vec(),
        rows: Stream::ALL
            .into_iter()
            .flat_map(|stream| rows[stream].iter().map(move |seq| (stream, *seq)))
            .map(|(stream, seq)| row(plan, stream, seq))
            .collect(),
        active_version,
        inactive_then: target == Target::Inactive,
        new_version,
        deactivates,
        renumbers: renumbers
            .into_iter()
            .map(|moved| PlannedMove {
                stream: moved.stream,
                from: moved.from,
                to: moved.to,
            })
            .collect(),
        lost: (plan.failures.iter().filter(is_lost))
            .chain(&lost_on_both)
            .map(lost)
            .collect(),
    })
}

fn lost(damage: &Damage) -> Lost {
    Lost {
        object: damage.object.clone(),
        problem: damage.problem.to_string(),
    }
}

fn see(plan: &Plan, stream: Stream) -> SeenStream {
    let head = plan.seen.as_ref().map(|state| state.heads[stream]);
    let index = plan.streams[stream].etag.clone();
    SeenStream {
        stream,
        head: head.map(|head| head.seq),
        chain: head.map(|head| head.chain),
        index: index.map(|etag| etag.0),
    }
}

fn row(plan: &Plan, stream: Stream, seq: Seq) -> PlannedRow {
    let entry = &plan.streams[stream].entries[place(seq)];
    PlannedRow {
        stream,
        seq,
        object: entry.legacy.clone().unwrap_or_else(|| entry.named.key()),
        object_sha256: entry.named.object_sha256,
        checksum: entry.named.meta.checksum,
    }
}

/// Versions above `version`, newest first: from the bucket where it knows them, and from the database.
async fn later(
    context: &Context<'_>,
    plan: &Plan,
    version: Seq,
    head: Seq,
) -> Result<Vec<Deactivated>> {
    let deactivated = |meta: &EntryMeta| Deactivated {
        version: meta.seq,
        created_at: meta.created_at,
        created_by: meta.created_by.clone(),
        message: meta.message.clone(),
    };
    let entries = &plan.streams[Stream::Manifests].entries;
    let known = Seq::new(entries.len() as u64).max(version);
    let (mut found, mut before) = (Vec::new(), Some(head.next()));
    while before.is_some_and(|before| before > known.next()) {
        let database = &context.sides.database;
        let page = database
            .history(&plan.tenant, Stream::Manifests, before, 1000)
            .await?;
        before = page.last().map(|meta| meta.seq);
        found.extend(page.iter().filter(|meta| meta.seq > known).map(deactivated));
    }
    let above = entries.iter().skip(place(version.next())).rev();
    found.extend(above.filter_map(|entry| entry.known().map(deactivated)));
    Ok(found)
}
