//! `recover`

mod report;
mod spool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use self::spool::Spool;
use super::args::{self, By};
use super::plan_file::{PlanFile, read_plan};
use super::{Context, Exit, Ui, hints, shadowing, ui};
use driftline::domain::format::parse_snapshot_key;
use driftline::domain::recovery::{
    PlannedTarget, PlannedTenant, RECOVERY_PLAN_SCHEMA, RecoveryPlan,
};
use driftline::domain::{Seq, ShortText, Stream, TenantId, Timestamp};
use driftline::hybrid::{Progress, RecoveryReport, Whom};
use driftline::ports::{Error, Ownership, RecoverTarget, Recovery, RecoveryRequest, Result};
use driftline::prelude::*;
use driftline_host::{Needs, Opened};

/// How long shadowing gets to bring a decision or a new version to the bucket.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline recover --all-tenants --dry-run
  driftline recover --all-tenants
  driftline recover --tenant acme --to-version 12
  driftline recover --tenant acme --to-version 12 --plan recovery.json
  driftline recover --apply recovery.json
  driftline recover --tenant acme --resolve-divergence
  driftline recover --tenant acme --at 2026-01-31T08:00:00Z --as-new-version --by alice

Missing history comes back as it was; later versions stay in history. One transaction a \
tenant: safe to repeat, and to interrupt. A plan is refused (exit code 7) once anything that it \
rests on has moved. The report is kept in the bucket, under _driftline/recoveries/. Exit code 3 \
when a tenant failed or something could not be restored.

An older bucket (one index a tenant, no digests of objects) is taken over: what its checksums \
prove is restored and shadowed anew, and its own objects stay. A version whose checksum is not \
that of its content waits for a decision, and with it those after it and the tenant's writes: \
--accept-unverified brings it, --leave-out opens the tenant without it. Numbers are dense: a \
version that is left out loses its place to the next one.")]
#[command(group = clap::ArgGroup::new("whom").required(true))]
#[command(group = clap::ArgGroup::new("target"))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct Arguments {
    /// This tenant
    #[arg(long, value_name = "TENANT", group = "whom")]
    tenant: Option<TenantId>,
    /// Every tenant that either side knows
    #[arg(long, group = "whom")]
    all_tenants: bool,
    /// Make this version the active one
    #[arg(long, value_name = "N", value_parser = args::version, group = "target")]
    to_version: Option<Seq>,
    /// Make the version active that was active at this instant, by committedAt; RFC 3339
    #[arg(long, value_name = "TIME", group = "target")]
    at: Option<Timestamp>,
    /// Append the content of that version (by default the active one) as a new version instead
    #[arg(long)]
    as_new_version: bool,
    /// Also restore versions of an older bucket whose stored digest does not match their content
    #[arg(long)]
    accept_unverified: bool,
    /// Open tenants of an older bucket without such versions, for good
    #[arg(long, conflicts_with_all = ["accept_unverified", "apply"])]
    leave_out: bool,
    /// Print what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write what would happen to this file, row by row, and change nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "apply"])]
    plan: Option<PathBuf>,
    /// Do what this file says
    #[arg(long, value_name = "FILE", group = "whom")]
    #[arg(conflicts_with_all = ["target", "as_new_version", "accept_unverified", "dry_run", "resolve_divergence"])]
    apply: Option<PathBuf>,
    /// Where two histories disagree keep both: the bucket's numbers stand, and the database's
    /// versions come after them under new ones
    #[arg(long, conflicts_with_all = ["target", "as_new_version"])]
    resolve_divergence: bool,
    #[command(flatten)]
    by: By,
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let request = RecoveryRequest {
        target: match (arguments.to_version, arguments.at) {
            (Some(version), _) => RecoverTarget::Version(version),
            (None, Some(at)) => RecoverTarget::At(at),
            (None, None) => RecoverTarget::Newest,
        },
        as_new_version: arguments.as_new_version,
        accept_unverified: arguments.accept_unverified,
        leave_out: arguments.leave_out,
        dry_run: arguments.dry_run,
        resolve_divergence: arguments.resolve_divergence,
        by: arguments.by.name()?,
    };
    if let Some(file) = &arguments.apply {
        return Box::pin(apply(context, file, request.by)).await;
    }
    let whom = arguments.tenant.as_ref().map_or(Whom::All, Whom::One);
    if let Some(file) = &arguments.plan {
        return Box::pin(plan(context, whom, &request, file)).await;
    }
    let opened = if request.dry_run {
        context.open_with(Needs::Bucket).await?
    } else {
        recovering(context).await?
    };
    let repository = &opened.repository;
    let progress = Progress::default();
    let work = async {
        match whom {
            Whom::One(tenant) => repository.recover_one(tenant, &request, &progress).await,
            Whom::All => repository.recover_all(&request, &progress).await,
        }
    };
    let work = Box::pin(work);
    let report = Box::pin(watched(opened, &context.ui, &progress, work)).await?;
    let decides = request.as_new_version || request.target != RecoverTarget::Newest;
    let by = request.by.as_ref();
    finish(context, report, whom, (request.dry_run, decides), by).await
}

/// Both sides, for a recovery that is carried out or planned: it needs the bucket, and makes the database that it is for.
async fn recovering(context: &Context) -> anyhow::Result<&Opened> {
    Needs::Bucket.check(&context.config)?;
    context.open().await
}

/// Writes down what a recovery would do.
async fn plan(
    context: &Context,
    whom: Whom<'_>,
    request: &RecoveryRequest,
    file: &Path,
) -> anyhow::Result<Exit> {
    let (opened, ui) = (recovering(context).await?, &context.ui);
    let progress = Progress::default();
    let out = PlanFile::begin(file)?;
    let said = || format!("write the plan {}", file.display());
    let spool = Spool::new(&out.directory()).with_context(said)?;
    let take = |plan| spool.take(&plan);
    let repository = &opened.repository;
    let work = repository.plan_recovery_to(whom, request, &progress, &take);
    let plan = watched(opened, ui, &progress, Box::pin(work)).await?;
    let tenants = spool.done().with_context(said)?;
    out.write(|out| {
        let mut write = |text: &str| out.write_all(text.as_bytes());
        spool.write(&plan, &tenants, &mut write)
    })?;
    if ui.is_text() {
        report::plan(ui, &plan, &tenants, &spool)?;
        ui.note(format_args!(
            "nothing was changed; the plan is in {}",
            file.display()
        ));
    } else if ui.is_ndjson() {
        for (_, line) in &tenants {
            ui.json(&spool.read(line)?)?;
        }
    } else {
        ui.json_by(|out| spool.write(&plan, &tenants, out))?;
    }
    let lost = tenants.iter().any(|(_, line)| line.is_lossy);
    Ok(if lost || !plan.failed.is_empty() {
        Exit::Partial
    } else {
        Exit::Done
    })
}

async fn apply(context: &Context, file: &Path, by: Option<ShortText>) -> anyhow::Result<Exit> {
    let plan: RecoveryPlan<PlannedTenant> = read_plan(file, RECOVERY_PLAN_SCHEMA)?;
    let opened = context.existing_both().await?;
    let progress = Progress::default();
    let work = Box::pin(
        opened
            .repository
            .apply_recovery_outline(&plan, by.clone(), &progress),
    );
    let report = watched(opened, &context.ui, &progress, work).await?;
    let whom = plan.tenant.as_ref().map_or(Whom::All, Whom::One);
    let decides = plan.as_new_version || plan.target != PlannedTarget::Newest;
    finish(context, report, whom, (false, decides), by.as_ref()).await
}

/// Shows how far the work is. How much there is in all is counted beside it, for those who watch.
async fn watched<T>(
    opened: &Opened,
    ui: &Ui,
    progress: &Progress,
    work: impl Future<Output = Result<T>>,
) -> anyhow::Result<T> {
    let template = "{spinner} {msg}, {per_sec}, {eta} left ({elapsed})";
    let bar = ui.progress(template);
    let show = async {
        let mut total = None;
        if !bar.is_hidden() {
            total = count(opened).await;
            bar.set_length(total.unwrap_or_default());
        }
        loop {
            let (tenants, entries) = (progress.tenants(), progress.entries());
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            let read = ui::bytes(progress.bytes());
            bar.set_position(entries);
            bar.set_message(format!(
                "{tenants} tenants done, {entries}{of} entries, {read} verified"
            ));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = work => Some(outcome),
        () = show => None,
    };
    bar.finish_and_clear();
    match outcome {
        Some(outcome) => Ok(outcome?),
        None => Err(anyhow::anyhow!(
            "recover: the progress ended before the work"
        )),
    }
}

/// The snapshots in the bucket.
async fn count(opened: &Opened) -> Option<u64> {
    let (mut total, mut after): (u64, Option<String>) = (0, None);
    loop {
        let store = &opened.sides.snapshots;
        let listing = store.list("", after.as_deref(), 1000).await.ok()?;
        let keys = listing.objects.iter().map(|object| &object.key);
        total += keys.filter(|key| parse_snapshot_key(key).is_some()).count() as u64;
        after = listing.objects.last().map(|object| object.key.clone());
        if !listing.more || after.is_none() {
            return Some(total);
        }
    }
}

async fn finish(
    context: &Context,
    mut report: RecoveryReport,
    whom: Whom<'_>,
    (dry_run, decides): (bool, bool),
    by: Option<&ShortText>,
) -> anyhow::Result<Exit> {
    let (opened, ui) = (context.open().await?, &context.ui);
    if let (Whom::One(_), false) = (whom, dry_run) {
        let identity = opened.sides.database.identity().await;
        if identity.map_err(Error::from)?.ownership == Ownership::AwaitingRecovery {
            let rest = "other tenants and new ones take no writes, and nothing is shadowed, until `driftline recover --all-tenants` has succeeded";
            report.unfinished = Some(rest.to_owned());
        }
    }
    if !dry_run && decides {
        settle(context, opened, &report).await?;
    }
    if ui.is_text() {
        report::show(ui, &report, dry_run)?;
    } else {
        let mut document = report.document(dry_run, by);
        for (shown, (_, outcome)) in document.tenants.iter_mut().zip(&report.tenants) {
            shown.error = outcome.as_ref().err().map(hints::document);
        }
        ui.items(&document, &document.tenants)?;
    }
    if let Some(unfinished) = &report.unfinished {
        ui.warn(unfinished);
    }
    let whole = |(_, outcome): &(TenantId, Result<Recovery>)| {
        let recovery = outcome.as_ref();
        recovery.is_ok_and(|recovery| recovery.failures.is_empty())
    };
    let is_one = matches!(whom, Whom::One(_));
    let done = report.tenants.iter().all(whole) && (is_one || report.unfinished.is_none());
    Ok(if done { Exit::Done } else { Exit::Partial })
}

/// Gives shadowing a moment to bring what the recovery decided to the bucket.
async fn settle(context: &Context, opened: &Opened, report: &RecoveryReport) -> anyhow::Result<()> {
    opened.repository.start();
    let deadline = tokio::time::Instant::now() + GRACE;
    for (tenant, outcome) in &report.tenants {
        if outcome.is_err() {
            continue;
        }
        let Some(status) = opened
            .repository
            .status(Some(tenant), None, 1)
            .await?
            .into_iter()
            .next()
        else {
            continue;
        };
        for stream in Stream::ALL {
            let seq = status.state.heads[stream].seq;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if !shadowing::wait(opened, tenant, stream, seq, left, &context.signals).await {
                shadowing::warn_pending(
                    opened,
                    &context.ui,
                    tenant,
                    &format!("the outcome for {tenant}"),
                )
                .await;
                break;
            }
        }
    }
    Ok(())
}
