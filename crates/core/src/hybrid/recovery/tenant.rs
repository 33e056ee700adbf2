//! One tenant: planned, brought back, and described.

use std::sync::atomic::Ordering;

use super::plan::Plan;
use super::planned::{self, PlanSink, Plans};
use super::target::{self, Target};
use super::{Context, Lister, Progress, diverge, legacy, restore};
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::recovery::TenantPlan;
use driftline_model::{Stream, TenantId};
use driftline_ports::{
    Error, ErrorKind, Hint, Ownership, Recovery, RecoveryRequest, RecoveryState, Result,
};

pub(in crate::hybrid) async fn one(
    context: &Context<'_>,
    tenant: &TenantId,
    keys: &[String],
) -> Result<Recovery> {
    let outcome = recover(context, tenant, keys).await;
    context.progress.tenants.fetch_add(1, Ordering::Relaxed);
    outcome
}

async fn recover(context: &Context<'_>, tenant: &TenantId, keys: &[String]) -> Result<Recovery> {
    let mut plan = Plan::make(context, tenant, keys).await?;
    let awaiting = plan
        .seen
        .as_ref()
        .map_or(context.everyone(), |state| state.awaiting_recovery);
    if plan.state == RecoveryState::Nothing
        && !(awaiting && context.database.ownership == Ownership::AwaitingRecovery)
    {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("recover {tenant}: neither the database nor the bucket knows it"),
        )
        .hint(Hint::ListTenantsOrCheckBucketUrl));
    }
    let diverged = plan.state == RecoveryState::Diverged;
    // A history that is not agreed upon has no version of some time.
    let target = if diverged {
        Target::Keep
    } else {
        target::find(context, &plan).await?
    };
    let is_known = matches!(plan.state, RecoveryState::Ahead | RecoveryState::Equal);
    if context.request.resolve_divergence && is_known {
        diverge::refuse_to_give_up(context, &plan).await?;
    }
    let mut planned = None;
    match context.plans {
        Plans::Unread => {}
        Plans::Told(sink) => planned = Some((sink, planned::of(context, &plan, target).await?)),
        Plans::Expected(expected) => {
            planned::check(expected, &planned::of(context, &plan, target).await?)?;
        }
    }
    if diverged && context.request.resolve_divergence {
        let resolved = diverge::resolve(context, &mut plan).await?;
        tell(planned);
        return Ok(Recovery {
            restored: resolved.restored(),
            renumbered: resolved.moved,
            ..describe(&plan, &resolved.state)
        });
    }
    if diverged && !context.request.dry_run {
        return Err(two_histories(tenant, &plan));
    }
    let renew = context.everyone()
        || plan.is_cut_off()
        || plan.state == RecoveryState::Empty
        || (plan.state == RecoveryState::Behind && plan.brings_back());
    let mut recovery = if context.request.dry_run {
        let epoch = if renew {
            plan.epoch().next()
        } else {
            plan.epoch()
        };
        describe(&plan, &plan.outcome(epoch))
    } else {
        let outcome = restore::run(context, &mut plan, renew, awaiting).await?;
        describe(&plan, &outcome)
    };
    target::reach(context, tenant, target, &mut recovery).await?;
    tell(planned);
    Ok(recovery)
}

/// A tenant that fails has no plan.
fn tell(planned: Option<(&PlanSink<'_>, TenantPlan)>) {
    if let Some((sink, plan)) = planned {
        sink(plan);
    }
}

fn describe(plan: &Plan, outcome: &driftline_model::TenantState) -> Recovery {
    Recovery {
        tenant: plan.tenant.clone(),
        state: plan.state,
        restored: plan.restored(),
        head: outcome.heads[Stream::Manifests].seq,
        active_version: outcome.active_version(),
        new_version: None,
        epoch: outcome.epoch,
        failures: plan.failures.clone(),
        held: plan.legacy.as_ref().map_or(0, legacy::Legacy::held),
        worked_around: plan
            .streams
            .iter()
            .flat_map(|(_, inventory)| inventory.worked_around.clone())
            .collect(),
        orphans: plan
            .streams
            .iter()
            .flat_map(|(_, inventory)| inventory.orphans.clone())
            .collect(),
        void_references: plan.void_references.clone(),
        renumbered: Vec::new(),
        inactive_then: false,
        legacy: plan
            .legacy
            .as_ref()
            .map_or_else(Vec::new, |legacy| legacy.mapping().to_vec()),
    }
}

/// Both sides went on: somebody has to decide.
fn two_histories(tenant: &TenantId, plan: &Plan) -> Error {
    let at = plan.failures.last();
    let at = at.map(ToString::to_string).unwrap_or_default();
    let message = format!("recover {tenant}: {at}");
    Error::new(ErrorKind::DivergentHistory, message).hint(Hint::ResolveDivergence {
        tenant: tenant.clone(),
    })
}

/// Brings back what the database lacks, on nobody's behalf, if it wrote nothing of its own since: a replica that lagged was
/// promoted. One transaction under the tenant's lock, in the epoch that it has; the bucket is only read. An object that is
/// lost or damaged is left to an operator.
pub(crate) async fn behind(sides: &Sides, settings: &Settings, tenant: &TenantId) -> Result<u64> {
    let (request, progress) = (RecoveryRequest::default(), Progress::default());
    let context = Context::new(sides, settings, &request, &progress).await?;
    let keys = Lister::of(sides.snapshots.as_ref(), tenant).await?;
    let mut plan = Plan::make(&context, tenant, &keys).await?;
    if plan.state == RecoveryState::Diverged {
        return Err(two_histories(tenant, &plan));
    }
    if let Some(damage) = plan.failures.first() {
        return Err(damage.clone().into());
    }
    if plan.state == RecoveryState::Behind {
        restore::run(&context, &mut plan, false, false).await?;
    }
    Ok(plan.restored())
}
