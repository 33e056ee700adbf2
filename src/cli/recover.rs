//! `recover`

mod report;

use std::time::Duration;

use self::report::Document;
use super::args::{self, By};
use super::open::Opened;
use super::{Context, Exit, Ui, shadowing, ui};
use driftline::domain::{Seq, Stream, TenantId, Timestamp};
use driftline::hybrid::{Progress, RecoveryReport};
use driftline::ports::{
    Error, ManifestProvider as _, Ownership, RecoverTarget, Recovery, RecoveryRequest,
};

/// How long shadowing gets to bring a decision or a new version to the bucket.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline recover --all-tenants --dry-run
  driftline recover --all-tenants
  driftline recover --tenant acme --to-version 12
  driftline recover --tenant acme --at 2026-01-31T08:00:00Z --as-new-version --by alice

Missing history comes back as it was; later versions stay in history. One transaction a \
tenant: safe to repeat, and to interrupt. Exit code 3 when a tenant failed or something \
could not be restored.

An older bucket (one index a tenant, no digests of objects) is taken over: what its checksums \
prove is restored and shadowed anew, and its own objects stay. A version whose checksum is not \
that of its content comes back only with --accept-unverified. Say so at the first recovery: \
numbers are dense, so a version that is left out loses its place to the next one.")]
#[command(group = clap::ArgGroup::new("whom").required(true))]
#[command(group = clap::ArgGroup::new("target"))]
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
    /// Print what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Where two histories disagree keep both: the bucket's numbers stand, and the database's
    /// versions come after them under new ones
    #[arg(long, requires = "tenant", conflicts_with_all = ["target", "as_new_version"])]
    resolve_divergence: bool,
    #[command(flatten)]
    by: By,
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let dry_run = arguments.dry_run;
    let request = RecoveryRequest {
        target: match (arguments.to_version, arguments.at) {
            (Some(version), _) => RecoverTarget::Version(version),
            (None, Some(at)) => RecoverTarget::At(at),
            (None, None) => RecoverTarget::Newest,
        },
        as_new_version: arguments.as_new_version,
        accept_unverified: arguments.accept_unverified,
        dry_run,
        resolve_divergence: arguments.resolve_divergence,
        by: arguments.by.name()?,
    };
    let opened = context.open().await?;
    let report = match &arguments.tenant {
        Some(tenant) => one(opened, ui, tenant, &request).await?,
        None => all(opened, ui, &request).await?,
    };
    if !dry_run && (request.as_new_version || request.target != RecoverTarget::Newest) {
        settle(context, opened, &report).await?;
    }
    let documents: Vec<_> = report.tenants.iter().map(report::document).collect();
    let unfinished = report.unfinished.as_deref();
    if ui.is_text() {
        report::show(ui, &report, dry_run)?;
    } else {
        let schema = "driftline.recovery.v1";
        ui.items(
            &Document {
                schema,
                dry_run,
                tenants: &documents,
                unfinished,
            },
            &documents,
        )?;
    }
    if let Some(unfinished) = unfinished {
        ui.warn(unfinished);
    }
    let whole = |(_, outcome): &(TenantId, Result<Recovery, Error>)| {
        outcome
            .as_ref()
            .is_ok_and(|recovery| recovery.failures.is_empty())
    };
    let done =
        report.tenants.iter().all(whole) && (arguments.tenant.is_some() || unfinished.is_none());
    Ok(if done { Exit::Done } else { Exit::Partial })
}

async fn one(
    opened: &Opened,
    ui: &Ui,
    tenant: &TenantId,
    request: &RecoveryRequest,
) -> anyhow::Result<RecoveryReport> {
    let bar = ui.progress("{spinner} recovering ({elapsed})");
    let outcome = opened.repository.recover_from_s3(tenant, request).await;
    bar.finish_and_clear();
    let recovery = outcome?;
    let identity = opened
        .sides
        .database
        .identity()
        .await
        .map_err(Error::from)?;
    let waiting = identity.ownership == Ownership::AwaitingRecovery && !request.dry_run;
    let unfinished = "other tenants and new ones take no writes until `driftline recover --all-tenants` has succeeded";
    Ok(RecoveryReport {
        tenants: vec![(tenant.clone(), Ok(recovery))],
        unfinished: waiting.then(|| unfinished.to_owned()),
    })
}

async fn all(
    opened: &Opened,
    ui: &Ui,
    request: &RecoveryRequest,
) -> anyhow::Result<RecoveryReport> {
    let progress = Progress::default();
    let bar = ui.progress("{spinner} {msg} ({elapsed})");
    let show = async {
        loop {
            let (tenants, entries) = (progress.tenants(), progress.entries());
            let read = ui::bytes(progress.bytes());
            bar.set_message(format!(
                "{tenants} tenants done, {entries} entries and {read} verified"
            ));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let report = tokio::select! {
        report = opened.repository.recover_all(request, &progress) => report,
        () = show => Ok(RecoveryReport::default()),
    };
    bar.finish_and_clear();
    Ok(report?)
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
