//! `audit list`

use driftline::domain::drift::{EventKind, Timeliness};
use driftline::domain::{EventId, ReportId, TenantId, Timestamp};
use driftline::ports::{AuditLog, AuditedTenant, Error, EventStatus, ReportFilter, ReportSummary};
use serde::Serialize;

use crate::cli::{Context, Exit, Ui};

const PAGE: u32 = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline audit list --drift
  driftline audit list --tenant acme --limit 5 -o json
  driftline audit list --schedule
  driftline audit list --events")]
pub struct Arguments {
    /// Only this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Only reports that raise an alarm
    #[arg(long, conflicts_with_all = ["schedule", "events"])]
    drift: bool,
    /// At most so many reports, or events
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        conflicts_with = "schedule"
    )]
    limit: u32,
    /// Show when tenants are due, and whose audits do not succeed, instead of reports
    #[arg(long)]
    schedule: bool,
    /// Show what was told, and what became of it, instead of reports
    #[arg(long, conflicts_with = "schedule")]
    events: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportLine<'a> {
    id: ReportId,
    tenant: &'a TenantId,
    at: Timestamp,
    has_drift: bool,
    differences: u64,
    unknown: u64,
    /// Null where it is not known.
    timeliness: Option<Timeliness>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TenantLine<'a> {
    tenant: &'a TenantId,
    next_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    last_attempt_at: Option<Timestamp>,
    last_error: Option<&'a str>,
    failures: u32,
    stale: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventLine<'a> {
    id: EventId,
    at: Timestamp,
    tenant: &'a TenantId,
    kind: EventKind,
    receiver: &'a str,
    state: &'static str,
    attempts: u32,
    delivered_at: Option<Timestamp>,
    last_error: Option<&'a str>,
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    items: &'a [T],
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let opened = context.existing().await?;
    let log = opened.audit_log();
    if arguments.schedule {
        let mut tenants = scheduled(log.as_ref()).await?;
        tenants.retain(|line| {
            arguments
                .tenant
                .as_ref()
                .is_none_or(|wanted| *wanted == line.tenant)
        });
        show_schedule(&context.ui, &tenants)?;
    } else if arguments.events {
        let events = log.events(arguments.tenant.as_ref(), arguments.limit).await;
        show_events(&context.ui, &events.map_err(Error::from)?)?;
    } else {
        let reports = reports(log.as_ref(), arguments).await?;
        show_reports(&context.ui, &reports)?;
    }
    Ok(Exit::Done)
}

async fn reports(log: &dyn AuditLog, arguments: &Arguments) -> anyhow::Result<Vec<ReportSummary>> {
    let mut found: Vec<ReportSummary> = Vec::new();
    let wanted = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    while found.len() < wanted {
        let rest = u32::try_from(wanted - found.len()).unwrap_or(u32::MAX);
        let filter = ReportFilter {
            tenant: arguments.tenant.clone(),
            only_drift: arguments.drift,
            before: found.last().map(|report| (report.at, report.id)),
            limit: rest.min(PAGE),
        };
        let page = log.reports(&filter).await.map_err(Error::from)?;
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    Ok(found)
}

async fn scheduled(log: &dyn AuditLog) -> anyhow::Result<Vec<AuditedTenant>> {
    let mut found: Vec<AuditedTenant> = Vec::new();
    loop {
        let after = found.last().map(|line| line.tenant.clone());
        let page = log
            .audited(after.as_ref(), PAGE)
            .await
            .map_err(Error::from)?;
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}

fn show_reports(ui: &Ui, reports: &[ReportSummary]) -> anyhow::Result<()> {
    if !ui.is_text() {
        let items: Vec<_> = reports
            .iter()
            .map(|report| ReportLine {
                id: report.id,
                tenant: &report.tenant,
                at: report.at,
                has_drift: report.has_drift,
                differences: report.differences,
                unknown: report.unknown,
                timeliness: report.timeliness,
            })
            .collect();
        let schema = "driftline.audits.v1";
        return ui.items(
            &Document {
                schema,
                items: &items,
            },
            &items,
        );
    }
    if reports.is_empty() {
        ui.note("no report is stored; `driftline audit run` makes one");
        return Ok(());
    }
    let rows = reports.iter().map(|report| {
        vec![
            crate::cli::drift::time(report.at),
            report.tenant.to_string(),
            alarm(report),
            report.differences.to_string(),
            report.unknown.to_string(),
            report.id.to_string(),
        ]
    });
    let header = ["AT", "TENANT", "ALARM", "DIFFERENCES", "UNKNOWN", "REPORT"];
    Ok(ui.table(&header, &[3, 4], rows.collect())?)
}

/// An untimely report says nothing of what is live now, and is no all-clear.
fn alarm(report: &ReportSummary) -> String {
    let untimely = report.timeliness.filter(|it| it.is_untimely());
    match (report.has_drift, untimely) {
        (true, Some(untimely)) => format!("drift, {}", untimely.name()),
        (true, None) => "drift".to_owned(),
        (false, Some(untimely)) => untimely.name().to_owned(),
        (false, None) => "-".to_owned(),
    }
}

fn show_schedule(ui: &Ui, tenants: &[AuditedTenant]) -> anyhow::Result<()> {
    if !ui.is_text() {
        let items: Vec<_> = tenants
            .iter()
            .map(|line| TenantLine {
                tenant: &line.tenant,
                next_at: line.next_at,
                last_success_at: line.last_success_at,
                last_attempt_at: line.last_attempt_at,
                last_error: line.last_error.as_deref(),
                failures: line.failures,
                stale: line.stale,
            })
            .collect();
        let schema = "driftline.audit-schedule.v1";
        return ui.items(
            &Document {
                schema,
                items: &items,
            },
            &items,
        );
    }
    if tenants.is_empty() {
        ui.note("no tenant is on a schedule; `driftline audit serve` puts all of them on theirs");
        return Ok(());
    }
    let rows = tenants.iter().map(|line| {
        let state = match (line.stale, line.failures) {
            (true, _) => "stale",
            (false, 0) => "ok",
            (false, _) => "failing",
        };
        vec![
            line.tenant.to_string(),
            state.to_owned(),
            shown(line.next_at),
            shown(line.last_success_at),
            line.last_error
                .as_deref()
                .map_or_else(dash, crate::cli::drift::plain),
        ]
    });
    let header = ["TENANT", "STATE", "NEXT", "LAST SUCCESS", "LAST ERROR"];
    Ok(ui.table(&header, &[], rows.collect())?)
}

fn show_events(ui: &Ui, events: &[EventStatus]) -> anyhow::Result<()> {
    let items: Vec<_> = events
        .iter()
        .map(|status| EventLine {
            id: status.event.id,
            at: status.event.at,
            tenant: &status.event.tenant,
            kind: status.event.kind,
            receiver: &status.event.receiver,
            state: match (status.delivered_at, status.given_up) {
                (Some(_), _) => "delivered",
                (None, true) => "given_up",
                (None, false) => "pending",
            },
            attempts: status.attempts,
            delivered_at: status.delivered_at,
            last_error: status.last_error.as_deref(),
        })
        .collect();
    if !ui.is_text() {
        let schema = "driftline.audit-events.v1";
        let document = Document {
            schema,
            items: &items,
        };
        return ui.items(&document, &items);
    }
    if items.is_empty() {
        ui.note("there was nothing to tell, or nobody to tell it to");
        return Ok(());
    }
    let rows = items.iter().map(|line| {
        vec![
            crate::cli::drift::time(line.at),
            line.tenant.to_string(),
            line.kind.name().to_owned(),
            crate::cli::drift::plain(line.receiver),
            line.state.replace('_', " "),
            line.attempts.to_string(),
            line.last_error.map_or_else(dash, crate::cli::drift::plain),
        ]
    });
    let header = [
        "AT",
        "TENANT",
        "EVENT",
        "RECEIVER",
        "STATE",
        "ATTEMPTS",
        "LAST ERROR",
    ];
    Ok(ui.table(&header, &[5], rows.collect())?)
}

fn dash() -> String {
    "-".to_owned()
}

fn shown(at: Option<Timestamp>) -> String {
    at.map_or_else(dash, crate::cli::drift::time)
}
