//! `audit diff`

use std::collections::BTreeMap;

use driftline::domain::drift::{AuditReport, Change, Item, Verdict, name};
use driftline::domain::{ReportId, TenantId};
use serde::Serialize;

use crate::cli::drift::words;
use crate::cli::{Context, Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline audit diff 0c2d3f6e-5c52-4f5e-9d0a-6f1a3f3f8e4b 7b0f1f0e-93b8-4b0e-8f6a-2f0f6f5d1c22

Exit code 2 when a resource's verdict or its fields differ.")]
pub struct Arguments {
    /// The earlier report
    #[arg(value_name = "FROM", value_parser = super::report_id)]
    from: ReportId,
    /// The later report
    #[arg(value_name = "TO", value_parser = super::report_id)]
    to: ReportId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    from: ReportId,
    to: ReportId,
    items: &'a [Line<'a>],
}

/// A resource whose verdict, or whose fields, are not the same in both.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    resource_type: &'a str,
    manifest_id: Option<&'a str>,
    external_id: Option<&'a str>,
    from: Verdict,
    to: Verdict,
    pointers: Vec<&'a str>,
}

type Items<'a> = BTreeMap<(&'a str, Option<&'a str>, Option<&'a str>), &'a Item>;

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let opened = context.existing().await?;
    let log = opened.audit_log();
    let from = super::stored(log.as_ref(), arguments.from).await?;
    let to = super::stored(log.as_ref(), arguments.to).await?;
    if from.tenant != to.tenant {
        let message = format!(
            "compare reports: the first is of {}, the second of {}",
            from.tenant, to.tenant
        );
        return Err(Failure::misuse(message)
            .hint("`driftline audit list --tenant TENANT` shows the reports of one tenant")
            .into());
    }
    let lines = compare(&from, &to);
    let ui = &context.ui;
    if ui.is_text() {
        for line in &lines {
            let id = line.manifest_id.or(line.external_id).unwrap_or_default();
            let fields = match line.pointers.as_slice() {
                [] => String::new(),
                pointers => format!(": {}", pointers.join(", ")),
            };
            ui.line(format_args!(
                "{}: {} → {}{}",
                words::plain(&name(line.resource_type, id)),
                words::verdict(line.from),
                words::verdict(line.to),
                words::plain(&fields)
            ))?;
        }
        if lines.is_empty() {
            ui.note("nothing differs");
        }
    } else {
        let document = Document {
            schema: "driftline.audit-diff.v1",
            tenant: &to.tenant,
            from: from.id,
            to: to.id,
            items: &lines,
        };
        ui.items(&document, &lines)?;
    }
    Ok(if lines.is_empty() {
        Exit::Done
    } else {
        Exit::Differences
    })
}

fn compare<'a>(from: &'a AuditReport, to: &'a AuditReport) -> Vec<Line<'a>> {
    let items = |report: &'a AuditReport| -> Items<'a> {
        let items = report.drift.items.iter();
        items
            .map(|item| {
                let id = item.manifest_id.as_deref();
                // What is managed stays the same resource under another external id.
                let external_id = item.external_id.as_deref().filter(|_| id.is_none());
                ((item.resource_type.as_str(), id, external_id), item)
            })
            .collect()
    };
    let (before, after) = (items(from), items(to));
    let mut keys: Vec<_> = before.keys().chain(after.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let verdict = |item: Option<&&'a Item>| item.map_or(Verdict::InSync, |item| item.verdict);
    let lines = keys.into_iter().filter_map(|key| {
        let (old, new) = (before.get(&key), after.get(&key));
        let changes = |item: Option<&&'a Item>| -> BTreeMap<&'a str, &'a Change> {
            let changes = item.map_or(&[][..], |item| &item.changes).iter();
            changes.map(|it| (&*it.pointer, it)).collect()
        };
        let (then, now) = (changes(old), changes(new));
        let mut pointers: Vec<&str> = then.keys().chain(now.keys()).copied().collect();
        pointers.retain(|pointer| then.get(pointer) != now.get(pointer));
        pointers.sort_unstable();
        pointers.dedup();
        let line = Line {
            resource_type: key.0,
            manifest_id: key.1,
            external_id: key.2,
            from: verdict(old),
            to: verdict(new),
            pointers,
        };
        (line.from != line.to || !line.pointers.is_empty()).then_some(line)
    });
    lines.collect()
}
