//! `manifest diff`

use driftline::domain::{Seq, TenantId};
use driftline::ports::{Error, ErrorKind, ManifestProvider as _};
use json_patch::PatchOperation;
use serde_json::Value;

use super::args::{self, Tenant};
use super::open::Opened;
use super::{Context, Exit, Ui, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline manifest diff --tenant acme 3 4
  driftline manifest diff --tenant acme 3 4 -o json > patch.json

Exit code 0 when both say the same, 2 when they differ. With -o json, the RFC 6902 patch \
that turns A into B; with -o ndjson, one operation a line.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// The version to compare
    #[arg(value_name = "A", value_parser = args::version)]
    from: Seq,
    /// The version to compare it with
    #[arg(value_name = "B", value_parser = args::version)]
    to: Seq,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    let from = read(opened, tenant, arguments.from).await?;
    let to = read(opened, tenant, arguments.to).await?;
    let patch = json_patch::diff(&from, &to);
    if ui.is_text() {
        show(ui, &from, &patch.0)?;
    } else {
        ui.items(&patch, &patch.0)?;
    }
    Ok(if patch.0.is_empty() {
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
/// the operation's turn comes.
fn show(ui: &Ui, from: &Value, patch: &[PatchOperation]) -> anyhow::Result<()> {
    let mut now = from.clone();
    for operation in patch {
        let pointer = operation.path();
        let before = now.pointer(pointer.as_str()).map(ToString::to_string);
        let before = before.unwrap_or_default();
        let (style, line) = match operation {
            PatchOperation::Add(add) => (ui::GREEN, format!("+ {pointer}  {}", add.value)),
            PatchOperation::Remove(_) => (ui::RED, format!("- {pointer}  {before}")),
            PatchOperation::Replace(replace) => (
                ui::YELLOW,
                format!("~ {pointer}  {before} → {}", replace.value),
            ),
            other => (ui::BOLD, other.to_string()),
        };
        ui.line(format_args!("{style}{line}{style:#}"))?;
        // The patch was made from this very document.
        json_patch::patch(&mut now, std::slice::from_ref(operation))?;
    }
    Ok(())
}
