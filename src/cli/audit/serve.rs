//! `audit serve`

use driftline::hybrid::audit::{AuditResult, Audited};

use super::auditor::auditor;
use super::run::line;
use crate::cli::{Context, Exit, waiting};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline audit serve
  driftline --config driftline.toml audit serve

Any number of processes may serve: one of them audits a tenant at a time. Without a schedule \
in the configuration each tenant is audited every 15 minutes. Printed are reports in which \
something is new, resolved or could not be seen; all are stored. The first SIGINT or SIGTERM \
finishes the audits under way (10 seconds at most), the second stops at once.")]
pub struct Arguments {
    /// Tenants that are observed at once [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallelism: Option<u16>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let Context { ui, signals, .. } = context;
    let auditor = auditor(context, None, arguments.parallelism.map(usize::from)).await?;
    // What no retry mends ends it here.
    let enroll = async || Ok(auditor.enroll().await?);
    if waiting::patiently(context, enroll).await?.is_none() {
        return Ok(Exit::Interrupted);
    }
    ui.note(format_args!(
        "auditing {} on schedules; Ctrl-C ends it",
        context.existing().await?.database_url
    ));
    let listener = |AuditResult { tenant, audited }: AuditResult| match audited {
        Audited::Stored(report) => {
            let is_news = !report.new.is_empty()
                || !report.resolved.is_empty()
                || !report.drift.errors.is_empty();
            let printed = if !ui.is_text() {
                ui.json(&report)
            } else if is_news {
                ui.line(line(&report)).map_err(anyhow::Error::from)
            } else {
                Ok(())
            };
            if let Err(error) = printed {
                tracing::error!(%tenant, %error, "a report was stored and could not be printed");
            }
        }
        Audited::Busy | Audited::Retired => {}
        Audited::TakenOver => tracing::warn!(%tenant, "another process took the audit over"),
        Audited::Failed(error) => tracing::error!(%tenant, %error, "the audit failed"),
    };
    // The caller drops this future when the second signal comes, or the time is up.
    auditor.serve(&listener, &signals.soft).await;
    ui.note("the audits under way are finished");
    Ok(Exit::Interrupted)
}
