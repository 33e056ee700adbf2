//! `audit`: reads of tenants that end as stored reports, once or on schedules.

mod auditor;
mod diff;
mod list;
mod run;
mod serve;
mod show;

use driftline::domain::ReportId;
use driftline::domain::drift::AuditReport;
use driftline::ports::AuditLog;

use super::{Context, Exit, Failure, drift};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Audit tenants once, and deliver what there is to tell
    Run(run::Arguments),
    /// Audit tenants on their schedules, until SIGINT or SIGTERM
    Serve(serve::Arguments),
    /// List stored reports, newest first, or the schedule
    List(list::Arguments),
    /// Print a stored report
    Show(show::Arguments),
    /// Tell what changed from one stored report to another
    Diff(diff::Arguments),
}

impl Command {
    /// Ends by itself after the first signal.
    pub fn heeds_signals(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Serve(_))
    }
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run(arguments) => run::run(context, &arguments).await,
        Command::Serve(arguments) => serve::run(context, &arguments).await,
        Command::List(arguments) => list::run(context, &arguments).await,
        Command::Show(arguments) => show::run(context, &arguments).await,
        Command::Diff(arguments) => diff::run(context, &arguments).await,
    }
}

/// A stored report that has to be there.
async fn stored(log: &dyn AuditLog, id: ReportId) -> anyhow::Result<AuditReport> {
    let found = drift::stored::read(log, id).await?;
    let report = found.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            "not_found",
            format!("read report {id}: there is no such report"),
        )
        .hint("`driftline audit list` shows those that are kept")
    })?;
    Ok(report)
}

fn report_id(text: &str) -> Result<ReportId, String> {
    text.parse().map(ReportId).map_err(|_| {
        "the identifier of a report is expected, as `driftline audit list` shows it".to_owned()
    })
}
