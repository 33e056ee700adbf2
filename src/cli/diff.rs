//! `manifest diff`

mod order;
mod patch;

use driftline::domain::{Seq, TenantId};
use driftline::ports::{Error, ErrorKind};
use driftline::prelude::*;
use serde_json::Value;

use self::patch::{Operation, Patch, Verb};
use super::args::{self, Tenant};
use super::drift::{cut, plain};
use super::{Context, Exit, Ui, ui};
use driftline_host::Opened;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline manifest diff --tenant acme 3 4
  driftline manifest diff --tenant acme 3 4 -o json > patch.json
  driftline manifest diff --tenant acme 3 4 --ignore-order

Resources are matched by their id, and then field by field. Exit code 0 when both say the \
same, 2 when they differ, be it in the order alone. With -o json, the RFC 6902 patch that \
turns A into B, with whole values; with -o ndjson, one operation a line.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// The version to compare
    #[arg(value_name = "A", value_parser = args::version)]
    from: Seq,
    /// The version to compare it with
    #[arg(value_name = "B", value_parser = args::version)]
    to: Seq,
    /// Do not count in which order resources stand
    #[arg(long)]
    ignore_order: bool,
}

/// The columns that values have at least.
const LEAST: usize = 24;

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    let from = read(opened, tenant, arguments.from).await?;
    let to = read(opened, tenant, arguments.to).await?;
    let patch = patch::patch(&from, &to, arguments.ignore_order);
    if ui.is_text() {
        show(ui, &patch)?;
    } else {
        ui.items(&patch.operations, &patch.operations)?;
    }
    Ok(if patch.operations.is_empty() {
        Exit::Done
    } else {
        Exit::Differences
    })
}

async fn read(opened: &Opened, tenant: &TenantId, version: Seq) -> anyhow::Result<Value> {
    let Some(manifest) = opened
        .repository
        .manifest_by_version(tenant, version)
        .await?
    else {
        return Err(
            args::missing(&opened.repository, tenant, &format!("version {version}"))
                .await
                .into(),
        );
    };
    manifest.content().to_value().map_err(|error| {
        Error::new(
            ErrorKind::Damaged,
            format!("read version {version} of {tenant}: the content is no JSON: {error}"),
        )
        .into()
    })
}

/// One line an operation, in order: `+` adds, `-` removes, `~` replaces. Elements of a list are numbered as they are when
/// the operation's turn comes. A list that is in another order takes one line, however many of its elements moved.
fn show(ui: &Ui, patch: &Patch<'_>) -> anyhow::Result<()> {
    let width = Ui::width();
    let mut rest = &patch.operations[..];
    while let Some(operation) = rest.first() {
        let (style, line) = if let Some((list, length)) = &operation.list {
            // What else happens in the list meanwhile is told behind.
            let is_here = |it: &&Operation<'_>| it.list.as_ref().is_some_and(|it| it.0 == *list);
            let run = rest
                .iter()
                .take_while(|it| is_here(it) || it.op == Verb::Add);
            let run = run.count();
            let moved = rest[..run].iter().filter(is_here).count();
            for added in rest[..run].iter().filter(|it| it.list.is_none()) {
                let (style, line) = one(added, width);
                ui.line(format_args!("{style}{line}{style:#}"))?;
            }
            rest = &rest[run..];
            (ui::YELLOW, reordered(list, moved, *length))
        } else {
            rest = &rest[1..];
            one(operation, width)
        };
        ui.line(format_args!("{style}{line}{style:#}"))?;
    }
    for it in &patch.ignored {
        let line = reordered(&it.list, it.moved, it.length);
        ui.line(format_args!("{line}, which is ignored"))?;
    }
    Ok(())
}

fn reordered(list: &str, moved: usize, length: usize) -> String {
    let list = plain(if list.is_empty() { "/" } else { list });
    format!("~ {list}  another order: {moved} of {length} moved")
}

/// A line for people. Values are cut where the line ends; what is cut names the resource behind it.
fn one(operation: &Operation<'_>, width: usize) -> (ui::Style, String) {
    let pointer = plain(&operation.path);
    let text = |value: Option<&Value>| value.map(|it| plain(&it.to_string())).unwrap_or_default();
    let (before, after) = (text(operation.before), text(operation.value));
    // A sign and two gaps stand beside the pointer, and the values have a place even if that is long.
    let room = width.saturating_sub(pointer.chars().count() + 4).max(LEAST);
    let (style, sign, values) = match operation.op {
        Verb::Add => (ui::GREEN, '+', cut(&after, room)),
        Verb::Remove => (ui::RED, '-', cut(&before, room)),
        Verb::Replace | Verb::Move => {
            let half = room.saturating_sub(3) / 2;
            let whole = before.chars().count() + after.chars().count() <= half * 2;
            let (before, after) = if whole {
                (before, after)
            } else {
                (cut(&before, half), cut(&after, half))
            };
            (ui::YELLOW, '~', format!("{before} → {after}"))
        }
    };
    let named = operation
        .resource
        .map(|it| (it, plain(&Value::from(it.id).to_string())));
    let named = match named {
        Some((resource, id)) if !values.contains(&id) => {
            format!("  ({}/{})", plain(resource.of_type), plain(resource.id))
        }
        _ => String::new(),
    };
    (style, format!("{sign} {pointer}  {values}{named}"))
}
