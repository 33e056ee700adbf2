//! `drill`

mod report;

use std::time::Duration;

use driftline::domain::TenantId;
use driftline::hybrid::drill::{DrillProgress, DrillReport, DrillScope};
use driftline::ports::Error;

use super::{Context, Exit, shadowing, ui};
use driftline_host::DatabaseUrl;
use driftline_host::{Opened, Scratch};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline drill --all-tenants
  driftline drill --sample 5%
  driftline drill --tenant acme --into postgres://app@spare/empty

Restores from the bucket into a scratch database, compares every entry with the live one, \
and puts on record what was the same; `status` shows it, and `doctor` can insist on it. The \
bucket is only read, and writers go on. The scratch database is a schema of its own on \
Postgres, a file of its own beside a SQLite database, and is removed; with --into it stays.
Exit code 9 when something differs or is damaged, 3 when a tenant could not be drilled, \
or nothing was proven.")]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub struct Arguments {
    /// So many of a hundred tenants, at random; at least one
    #[arg(long, value_name = "N%", value_parser = percent, group = "whom")]
    sample: Option<f64>,
    /// Every tenant that either side knows
    #[arg(long, group = "whom")]
    all_tenants: bool,
    /// This tenant
    #[arg(long, value_name = "TENANT", group = "whom")]
    tenant: Option<TenantId>,
    /// Restore into this database, which must be empty, and leave it as it is then
    #[arg(long, value_name = "URL")]
    into: Option<String>,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("a percentage is expected, above 0% and up to 100%".to_owned()),
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let into = arguments
        .into
        .as_deref()
        .map(str::parse::<DatabaseUrl>)
        .transpose()?;
    let scope = match (&arguments.tenant, arguments.sample) {
        (Some(tenant), _) => DrillScope::Tenants(vec![tenant.clone()]),
        (None, Some(percent)) => DrillScope::Sample { percent },
        (None, None) => DrillScope::All,
    };
    let opened = context.existing_both().await?;
    let scratch = match &into {
        Some(url) => Scratch::at(url, &context.config).await?,
        None => Scratch::beside(opened, &context.config).await?,
    };
    // The first signal ends the drill, and leaves time to remove what it made.
    let progress = DrillProgress::default();
    let outcome = tokio::select! {
        biased;
        () = context.signals.soft.cancelled() => None,
        outcome = drill(context, opened, &scratch, &scope, &progress) => Some(outcome),
    };
    let is_kept = scratch.is_kept();
    if let Err(left) = scratch.close().await {
        ui.warn(left);
    }
    if !matches!(outcome, Some(Ok(_))) {
        report::warn(ui, progress.unrecorded(), None);
    }
    let Some(outcome) = outcome else {
        ui.note("interrupted; what was proven until then is on record");
        return Ok(Exit::Interrupted);
    };
    let report = outcome?;
    report::show(ui, &report)?;
    if let Some(unrecorded) = &report.unrecorded {
        report::warn(ui, unrecorded.tenants.clone(), Some(&unrecorded.error));
    }
    if is_kept && let Some(url) = &into {
        ui.note(format_args!(
            "what was restored is left in {url:?}; it awaits recovery and takes no writes"
        ));
    }
    for status in super::status::all(opened).await? {
        if let Some(reason) = shadowing::why(&status).filter(|_| status.at_risk.entries > 0) {
            let tenant = &status.state.tenant;
            ui.warn(format_args!(
                "what of {tenant} is not in the bucket was not restored: {reason}"
            ));
        }
    }
    Ok(if report.has_differences() {
        Exit::Unverified
    } else if report.has_failures() {
        Exit::Partial
    } else if !report.has_proofs() {
        ui.warn("nothing was proven: no tenant that was drilled has anything in the bucket yet");
        Exit::Partial
    } else {
        Exit::Done
    })
}

async fn drill(
    context: &Context,
    opened: &Opened,
    scratch: &Scratch,
    scope: &DrillScope,
    progress: &DrillProgress,
) -> Result<DrillReport, Error> {
    let bar = context.ui.progress("{spinner} {msg} ({elapsed})");
    let show = async {
        // Until the drill ends, which ends this.
        loop {
            let restored = progress.recovery();
            let (tenants, entries) = (restored.tenants(), restored.entries());
            let read = ui::bytes(restored.bytes());
            bar.set_message(format!(
                "{tenants} tenants restored, {entries} entries and {read} verified"
            ));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let database = std::sync::Arc::clone(&scratch.database);
    let drilling = opened.repository.drill(database, scope, progress);
    let report = tokio::select! {
        report = drilling => report,
        never = show => never,
    };
    bar.finish_and_clear();
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_percentage() {
        assert_eq!(percent("5%"), Ok(5.0));
        assert_eq!(percent("0.5"), Ok(0.5));
        for bad in ["0%", "101%", "-1%", "NaN", "inf", "", "%", "five"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}
