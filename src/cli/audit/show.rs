//! `audit show`

use driftline::domain::ReportId;
use driftline::domain::drift::{AuditReport, name};

use crate::cli::drift::{self, text};
use crate::cli::{Context, Exit, Ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline audit show 0c2d3f6e-5c52-4f5e-9d0a-6f1a3f3f8e4b -o json")]
pub struct Arguments {
    /// The report, as `driftline audit list` shows it
    #[arg(value_name = "ID", value_parser = super::report_id)]
    id: ReportId,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let opened = context.existing().await?;
    let report = super::stored(opened.audit_log().as_ref(), arguments.id).await?;
    if context.ui.is_text() {
        show(&context.ui, &report)?;
    } else {
        context.ui.json(&report)?;
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, report: &AuditReport) -> anyhow::Result<()> {
    let layout = drift::layout(Some(report.finished_at));
    text::show(ui, &report.drift, layout)?;
    for (drifts, word) in [
        (&report.new, "new"),
        (&report.continuing, "continuing"),
        (&report.resolved, "resolved"),
    ] {
        for drift in drifts {
            ui.line(format_args!(
                "{word}: {} {}",
                drift::plain(&name(&drift.resource_type, &drift.manifest_id)),
                drift::since(&drift.onset, Some(report.finished_at))
            ))?;
        }
    }
    let proof = &report.proof;
    let role = drift::plain(proof.role.as_deref().unwrap_or("no role"));
    let can = if proof.transaction_read_only {
        "read-only transactions"
    } else {
        "transactions that could have written"
    };
    let requests: Vec<String> = proof
        .requests
        .iter()
        .map(|(method, count)| format!("{count} {method}"))
        .collect();
    ui.line(format_args!(
        "audited {} with {role}, in {can}; to the bucket {}",
        drift::time(report.finished_at),
        requests.join(", ")
    ))?;
    if let Some(error) = &proof.bucket_error {
        ui.line(format_args!(
            "the bucket did not answer: {}",
            drift::plain(error)
        ))?;
    }
    Ok(())
}
