//! `repair`

use std::path::{Path, PathBuf};

use driftline::domain::TenantId;
use driftline::hybrid::integrity::{Action, REPAIR_PLAN_SCHEMA, RepairPlan, RepairReport};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::plan_file::{PlanFile, read_whole_plan};
use super::verify::mends;
use super::{Context, Exit, Failure, Ui, hints, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline repair --plan repair.json
  driftline repair --tenant acme --plan repair.json
  driftline repair --apply repair.json

A plan changes nothing. Applying it makes the plan once more and refuses (exit code 7) if \
anything came out differently. What is removed was copied to _driftline/quarantine/ before; \
nothing valid is overwritten. Exit code 9 when something is left that no repair mends, 3 when \
a tenant failed.")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Arguments {
    /// Plan for this tenant only
    #[arg(long, value_name = "TENANT", conflicts_with = "apply")]
    tenant: Option<TenantId>,
    /// Write what would be done to this file
    #[arg(long, value_name = "FILE", group = "what")]
    plan: Option<PathBuf>,
    /// Do what this file says
    #[arg(long, value_name = "FILE", group = "what")]
    apply: Option<PathBuf>,
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    match (&arguments.plan, &arguments.apply) {
        (Some(file), _) => plan(context, arguments.tenant.as_ref(), file).await,
        (None, Some(file)) => apply(context, file).await,
        (None, None) => Err(Failure::misuse("--plan FILE or --apply FILE is expected").into()),
    }
}

async fn plan(context: &Context, tenant: Option<&TenantId>, file: &Path) -> anyhow::Result<Exit> {
    let (opened, ui) = (context.existing_both().await?, &context.ui);
    let bar = ui.progress("{spinner} reading everything ({elapsed})");
    let plan = opened.repository.plan_repair(tenant).await;
    bar.finish_and_clear();
    let plan = plan?;
    let out = PlanFile::begin(file)?;
    out.document(&plan)?;
    if ui.is_text() {
        show(ui, &plan)?;
        let actions = ui::count(plan.actions() as u64, "action");
        ui.note(format_args!(
            "{actions} in {}; nothing was changed",
            file.display()
        ));
    } else {
        ui.items(&plan, &plan.tenants)?;
    }
    for (tenant, error) in &plan.unseen {
        ui.warn(format_args!("{tenant} could not be verified: {error}"));
    }
    Ok(if plan.unseen.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

async fn apply(context: &Context, file: &Path) -> anyhow::Result<Exit> {
    let plan: RepairPlan = read_whole_plan(file, REPAIR_PLAN_SCHEMA)?;
    let (opened, ui) = (context.existing_both().await?, &context.ui);
    let bar = ui.progress("{spinner} repairing ({elapsed})");
    let report = opened.repository.apply_repair(&plan).await;
    bar.finish_and_clear();
    let report = report?;
    let rebuilt = (plan.tenants.iter())
        .flat_map(|it| &it.actions)
        .any(|action| matches!(action, Action::RebuildIndex { .. }));
    let mut is_filling = false;
    if rebuilt {
        // The indexes that were begun anew are filled by shadowing.
        let left = opened
            .repository
            .drain(CancellationToken::new())
            .await?
            .left;
        if left.ready + left.leased + left.backing_off + left.stopped > 0 {
            is_filling = true;
            ui.warn("not all indexes are filled yet; `driftline status --at-risk` shows them");
        }
    }
    for (tenant, error) in &plan.unseen {
        ui.warn(format_args!("{tenant} was not looked at: {error}"));
    }
    let failed = report.tenants.iter().any(|(_, outcome)| outcome.is_err())
        || is_filling
        || !plan.unseen.is_empty();
    let is_left = plan.left().next().is_some() || !plan.bucket_left.is_empty();
    if ui.is_text() {
        outcome(ui, &plan, &report)?;
    } else {
        let tenants: Vec<_> = report.tenants.iter().map(document).collect();
        let left: Vec<_> = plan.left().collect();
        let mut report = json!({
            "schema": "driftline.repair.v1",
            "tenants": tenants,
            "left": left,
        });
        if let Some(bucket) = &plan.bucket {
            report["bucket"] = json!(bucket);
        }
        if !plan.bucket_left.is_empty() {
            report["bucketLeft"] = json!(plan.bucket_left);
        }
        ui.items(&report, &tenants)?;
    }
    Ok(match (failed, is_left) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::Unverified,
        (false, false) => Exit::Done,
    })
}

fn document(
    (tenant, outcome): &(TenantId, Result<usize, driftline::ports::Error>),
) -> serde_json::Value {
    match outcome {
        Ok(done) => json!({ "tenant": tenant, "actions": done }),
        Err(error) => json!({ "tenant": tenant, "error": hints::document(error) }),
    }
}

fn outcome(ui: &Ui, plan: &RepairPlan, report: &RepairReport) -> anyhow::Result<()> {
    for (tenant, outcome) in &report.tenants {
        match outcome {
            Ok(done) => {
                let done = ui::count(*done as u64, "action");
                ui.line(format_args!("{tenant}: {done} carried out"))?;
            }
            Err(error) => ui.line(format_args!("{tenant}: failed: {error}"))?,
        }
    }
    left(ui, plan)?;
    if report.bucket {
        ui.line("bucket: _driftline/bucket.json is written anew")?;
    }
    if report.tenants.is_empty() && !report.bucket {
        ui.line("there was nothing to do")?;
    }
    Ok(())
}

fn show(ui: &Ui, plan: &RepairPlan) -> anyhow::Result<()> {
    if let Some(bucket) = &plan.bucket {
        let (object, id, generation) = (&bucket.object, bucket.bucket_id, bucket.generation);
        ui.line(format_args!(
            "bucket: move {object} to the quarantine, and write it anew: {id}, generation {generation}"
        ))?;
    }
    for tenant in &plan.tenants {
        for action in &tenant.actions {
            ui.line(format_args!("{}: {}", tenant.tenant, describe(action)))?;
        }
    }
    left(ui, plan)?;
    if plan.tenants.is_empty() && plan.bucket.is_none() && plan.bucket_left.is_empty() {
        ui.line("nothing is damaged")?;
    }
    Ok(())
}

fn left(ui: &Ui, plan: &RepairPlan) -> anyhow::Result<()> {
    for finding in &plan.bucket_left {
        let (object, detail) = (&finding.object, &finding.detail);
        let mends = mends(finding.repair);
        ui.line(format_args!("bucket: left: {object}: {detail} ({mends})"))?;
    }
    for finding in plan.left() {
        let seq = finding.seq.map(|seq| format!("/{seq}")).unwrap_or_default();
        let stream = finding.stream.map_or("-", driftline::domain::Stream::name);
        let (tenant, detail) = (&finding.tenant, &finding.detail);
        let mends = mends(finding.repair);
        ui.line(format_args!(
            "{tenant}: left: {stream}{seq}: {detail} ({mends})"
        ))?;
    }
    Ok(())
}

fn describe(action: &Action) -> String {
    match action {
        Action::Quarantine { object, .. } => format!("move {object} to the quarantine"),
        Action::Reshadow {
            stream,
            seq,
            object,
            ..
        } => {
            format!("write {object} from the row of {stream}/{seq}")
        }
        Action::RestoreRow {
            stream,
            seq,
            object,
            replaces,
            ..
        } => {
            let how = if *replaces { "replace" } else { "insert" };
            format!("{how} the row of {stream}/{seq} from {object}")
        }
        Action::RebuildPage { object, .. } => format!("write {object} from the rows"),
        Action::RebuildIndex { object, .. } => format!("begin {object} anew"),
    }
}
