//! Whether the bucket keeps what driftline relies on.

use std::time::Duration;

use driftline::hybrid::probe::{PROMISES, ProbeLevel, ProbeProgress, ProbeReport};
use driftline::ports::{Inspection, Verdict};
use serde_json::{Value, json};

use super::Arguments;
use crate::cli::Ui;
use driftline_host::Opened;

/// Races writers on the bucket.
pub(super) async fn race(
    opened: &Opened,
    ui: &Ui,
    arguments: &Arguments,
) -> anyhow::Result<ProbeReport> {
    let (writers, rounds) = (arguments.writers.into(), arguments.rounds.into());
    let progress = ProbeProgress::default();
    let bar = ui.progress("{spinner} racing writers on the bucket: {msg} ({elapsed})");
    let show = async {
        loop {
            let (check, round) = progress.now();
            bar.set_message(match round {
                0 | 1 => check.to_owned(),
                _ => format!("{check}, round {round} of {rounds}"),
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let level = ProbeLevel::Race { writers, rounds };
    let report = tokio::select! {
        report = opened.repository.probe(level, &progress) => report?,
        () = show => anyhow::bail!("the progress ended before the race"),
    };
    bar.finish_and_clear();
    Ok(report)
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Info => "info",
        Verdict::Unknown => "unknown",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    }
}

pub(super) fn check_document(check: &Inspection) -> Value {
    json!({ "name": check.name, "verdict": word(check.verdict), "detail": check.detail })
}

pub(super) fn show(ui: &Ui, probe: &ProbeReport) -> anyhow::Result<()> {
    ui.line("")?;
    let row = |check: &Inspection| {
        vec![
            word(check.verdict).to_owned(),
            check.name.to_owned(),
            check.detail.clone(),
        ]
    };
    ui.table(
        &["VERDICT", "CHECK", "SEEN"],
        &[],
        probe.checks.iter().map(row).collect(),
    )?;
    let url = &probe.url;
    let verdict = match (probe.failures().count(), probe.open().count()) {
        (0, 0) => format!("{url} keeps what driftline relies on"),
        (0, open) => format!(
            "whether {url} keeps what driftline relies on is not known: {open} of {} promises could not be tried; once more may tell",
            PROMISES.len()
        ),
        (1, _) => format!("{url} breaks a promise that driftline relies on"),
        (failed, _) => format!("{url} breaks {failed} promises that driftline relies on"),
    };
    Ok(ui.line(verdict)?)
}
