//! `drift history`

use driftline::adapters::system::System;
use driftline::domain::drift::{self, AuditReport, Item, Subject, Timeliness};
use driftline::domain::{ReportId, TenantId, Timestamp};
use driftline::ports::{Clock as _, ReportSummary};
use driftline::prelude::*;
use serde::Serialize;

use super::text::page::Page;
use super::text::{self, Layout};
use super::{stored, words};
use crate::cli::args::{self, Tenant};
use crate::cli::{Context, Exit, Ui, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline drift history --tenant acme
  driftline drift history --tenant acme --limit 100 -o json | jq '.drifts[].onset'

What the stored audits say: what drifts, since when and for which time, and what is in order \
again. An audit knows no more than that something was not so at the audit before.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// Look at so many audits, from the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Something that is in order again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resolved {
    #[serde(flatten)]
    subject: Subject,
    /// When the audit that saw it took place.
    resolved_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportDocument {
    id: ReportId,
    at: Timestamp,
    has_drift: bool,
    differences: u64,
    unknown: u64,
    /// Null where it is not known.
    timeliness: Option<Timeliness>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    reports: &'a [ReportDocument],
    drifts: &'a [Item],
    resolved: &'a [Resolved],
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    let audits = opened.audit_log();
    let summaries = stored::list(audits.as_ref(), tenant, arguments.limit).await?;
    if summaries.is_empty() {
        let known = opened.repository.status(Some(tenant), None, 1).await?;
        if known.is_empty() {
            return Err(args::unknown(tenant).into());
        }
    }
    let (mut drifts, mut resolved, mut saw) = (Vec::new(), Vec::new(), None);
    for summary in &summaries {
        let Some(report) = stored::read(audits.as_ref(), summary.id).await? else {
            continue;
        };
        // An audit that saw nothing does not know what drifts.
        if saw.is_none() && has_seen(&report) {
            saw = Some(summary.at);
            let items = report.drift.items.into_iter();
            drifts.extend(items.filter(|item| item.onset.is_some()));
        }
        resolved.extend(report.resolved.into_iter().map(|subject| Resolved {
            subject,
            resolved_at: summary.at,
        }));
    }
    if ui.is_text() {
        return show(tenant, &summaries, &drifts, &resolved, ui);
    }
    let reports: Vec<_> = summaries.iter().map(document).collect();
    let document = Document {
        schema: "driftline.drift-history.v1",
        tenant,
        reports: &reports,
        drifts: &drifts,
        resolved: &resolved,
    };
    ui.items(&document, &reports)?;
    Ok(Exit::Done)
}

fn has_seen(report: &AuditReport) -> bool {
    report.source.is_none() || report.drift.observed_at.is_some()
}

fn document(summary: &ReportSummary) -> ReportDocument {
    ReportDocument {
        id: summary.id,
        at: summary.at,
        has_drift: summary.has_drift,
        differences: summary.differences,
        unknown: summary.unknown,
        timeliness: summary.timeliness,
    }
}

fn show(
    tenant: &TenantId,
    summaries: &[ReportSummary],
    drifts: &[Item],
    resolved: &[Resolved],
    ui: &Ui,
) -> anyhow::Result<Exit> {
    if summaries.is_empty() {
        ui.line(format_args!("{tenant}: no audits are stored"))?;
        return Ok(Exit::Done);
    }
    let header = ["AUDIT", "STATE", "DIFFERENCES", "UNKNOWN", "REPORT"];
    ui.table(&header, &[2, 3], summaries.iter().map(row).collect())?;
    let layout = Layout {
        width: Ui::width(),
        now: Some(System.now()),
    };
    let mut page = Page::new(layout.width);
    for item in drifts {
        page.lines.extend(text::item(item, true, layout));
    }
    for Resolved {
        subject,
        resolved_at,
    } in resolved
    {
        let name = words::plain(&drift::name(&subject.resource_type, &subject.manifest_id));
        let words = format!("ended by {}", words::time(*resolved_at));
        page.item(ui::GREEN, "resolved", 0, &name, &words);
        let was = words::verdict(subject.verdict);
        let since = format!("{was} {}", words::since(&subject.onset, None));
        page.paragraph(2, ui::Style::new().dimmed(), &since);
    }
    page.lines.iter().try_for_each(|line| ui.line(line))?;
    let audits = ui::count(summaries.len() as u64, "audit");
    let counts = format!("{} drifting, {} resolved", drifts.len(), resolved.len());
    ui.line(format_args!("{tenant}: {counts} in {audits}"))?;
    Ok(Exit::Done)
}

fn row(summary: &ReportSummary) -> Vec<String> {
    let state = if summary.has_drift {
        "drift"
    } else if summary.differences > 0 {
        "differs"
    } else if summary.unknown > 0 {
        "not seen in full"
    } else {
        "in order"
    };
    // What was so at another time says nothing of now.
    let state = match summary.timeliness.filter(|it| it.is_untimely()) {
        Some(untimely) if state == "in order" => untimely.name().to_owned(),
        Some(untimely) => format!("{state}, {}", untimely.name()),
        None => state.to_owned(),
    };
    vec![
        words::time(summary.at),
        state,
        summary.differences.to_string(),
        summary.unknown.to_string(),
        summary.id.0.to_string(),
    ]
}
