//! `manifest get`

use driftline::domain::{Seq, Timestamp};
use driftline::ports::Manifest;
use driftline::prelude::*;

use super::args::{self, Tenant};
use super::documents::{ManifestDocument, or_dash};
use super::{Context, Exit, Ui, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline manifest get --tenant acme > desired.json
  driftline manifest get --tenant acme --version 3 --meta -o json
  driftline manifest get --tenant acme --at 2026-01-31T08:00:00Z

Without --meta exactly the canonical bytes are printed (on a terminal, with a line break): \
their SHA-256 is the checksum.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// This version [default: the active one]
    #[arg(long, value_name = "N", value_parser = args::version, conflicts_with = "at")]
    version: Option<Seq>,
    /// The version that was active at this instant, by committedAt; RFC 3339
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Print what is known about the version instead of its content
    #[arg(long)]
    meta: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    let repository = &opened.repository;
    let (found, what) = match (arguments.version, arguments.at) {
        (Some(version), _) => (
            repository.manifest_by_version(tenant, version).await?,
            format!("version {version}"),
        ),
        (None, Some(at)) => (
            repository.manifest_at(tenant, at).await?,
            format!("version that was active at {at}"),
        ),
        (None, None) => (
            repository.current_manifest(tenant).await?,
            "active version".to_owned(),
        ),
    };
    let Some(manifest) = found else {
        return Err(args::missing(repository, tenant, &what).await.into());
    };
    if !arguments.meta {
        ui.content(manifest.content().as_bytes())?;
        if manifest.retired == Some(true) {
            ui.note(format_args!("{tenant} is retired"));
        }
    } else if ui.is_text() {
        show(ui, &manifest)?;
    } else {
        ui.json(&ManifestDocument::of(&manifest))?;
    }
    Ok(Exit::Done)
}

fn show(ui: &Ui, manifest: &Manifest) -> anyhow::Result<()> {
    let document = ManifestDocument::of(manifest);
    let meta = &manifest.entry.meta;
    let yes = |known: bool| if known { "yes" } else { "no" }.to_owned();
    let rows = [
        ("tenant", meta.tenant.to_string()),
        ("version", meta.seq.to_string()),
        (
            "active",
            manifest.active.map_or_else(|| "unknown".to_owned(), yes),
        ),
        (
            "retired",
            manifest.retired.map_or_else(|| "unknown".to_owned(), yes),
        ),
        ("shadowed", yes(manifest.shadowed)),
        ("id", meta.id.to_string()),
        ("epoch", meta.epoch.to_string()),
        ("checksum", meta.checksum.to_string()),
        ("chain", meta.chain.to_string()),
        ("created at", meta.created_at.to_string()),
        ("committed at", meta.committed_at.to_string()),
        ("created by", or_dash(meta.created_by.as_ref()).to_owned()),
        ("message", or_dash(meta.message.as_ref()).to_owned()),
        ("size", ui::bytes(meta.content_bytes)),
        ("source", document.source().to_owned()),
    ];
    for (name, value) in rows {
        ui.line(format_args!("{name:<13} {value}"))?;
    }
    Ok(())
}
