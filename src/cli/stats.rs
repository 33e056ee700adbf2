//! `stats`

use driftline::domain::{Seq, TenantId};
use driftline::prelude::*;
use serde::Serialize;

use super::args::{self, Tenant};
use super::{Context, Exit, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  driftline stats --tenant acme -o json")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    total_versions: u64,
    latest_version: Seq,
    active_version: Seq,
    retired: bool,
    shadowed_versions: u64,
    damaged_reads: u64,
    bucket_bytes: Option<u64>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    if opened
        .repository
        .status(Some(tenant), None, 1)
        .await?
        .is_empty()
    {
        return Err(args::unknown(tenant).into());
    }
    let stats = opened.repository.stats(tenant).await?;
    if !ui.is_text() {
        ui.json(&Document {
            schema: "driftline.stats.v1",
            tenant,
            total_versions: stats.total_versions,
            latest_version: stats.latest_version,
            active_version: stats.active_version,
            retired: stats.retired,
            shadowed_versions: stats.shadowed_versions,
            damaged_reads: stats.damaged_reads,
            bucket_bytes: stats.bucket_bytes,
        })?;
        return Ok(Exit::Done);
    }
    let rows = [
        ("tenant", tenant.to_string()),
        ("versions", stats.total_versions.to_string()),
        ("latest version", stats.latest_version.to_string()),
        ("active version", stats.active_version.to_string()),
        ("shadowed", stats.shadowed_versions.to_string()),
        (
            "in the bucket",
            stats
                .bucket_bytes
                .map_or_else(|| "unknown: it could not be asked".to_owned(), ui::bytes),
        ),
    ];
    let damaged =
        (stats.damaged_reads > 0).then(|| ("damaged rows", format!("{} met", stats.damaged_reads)));
    let retired = stats.retired.then(|| ("state", "retired".to_owned()));
    for (name, value) in rows.into_iter().chain(damaged).chain(retired) {
        ui.line(format_args!("{name:<15} {value}"))?;
    }
    Ok(Exit::Done)
}
