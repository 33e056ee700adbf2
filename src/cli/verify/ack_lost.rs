//! `verify ack-lost`

use driftline::domain::{Seq, ShortText, Stream, TenantId};
use driftline::prelude::*;
use serde_json::json;

use crate::cli::args::{self, By};
use crate::cli::create::report_shadowing;
use crate::cli::{Context, Exit, shadowing};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline verify ack-lost --tenant acme --version 12 --reason 'lost with both disks, INC-17'

The acceptance is a decision: it is shadowed and recovered like one. Refused while any side \
still holds the entry.")]
pub struct Arguments {
    /// Whose
    #[arg(long, value_name = "TENANT")]
    tenant: TenantId,
    /// The lost version
    #[arg(long, value_name = "N", value_parser = args::version)]
    version: Seq,
    /// In which stream: manifests, applies or decisions
    #[arg(long, value_name = "STREAM", default_value = "manifests", value_parser = stream)]
    stream: Stream,
    /// Why it is accepted
    #[arg(long, value_name = "TEXT")]
    reason: ShortText,
    #[command(flatten)]
    by: By,
}

fn stream(text: &str) -> Result<Stream, String> {
    let [others @ .., last] = Stream::ALL.map(Stream::name);
    Stream::from_name(text).ok_or_else(|| format!("{} or {last} is expected", others.join(", ")))
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let (opened, ui) = (context.existing().await?, &context.ui);
    let Arguments {
        tenant,
        version,
        stream,
        reason,
        by,
    } = arguments;
    let expected = shadowing::begin(opened, ui, &tenant).await?;
    let repository = &opened.repository;
    let lost = (stream, version);
    let meta = repository
        .accept_loss(&tenant, lost, by.name()?, reason)
        .await?;
    if ui.is_text() {
        ui.line(format_args!(
            "{tenant}: {stream}/{version} is accepted as lost by decisions/{}",
            meta.seq
        ))?;
    } else {
        ui.json(&json!({
            "schema": "driftline.loss.v1",
            "tenant": tenant,
            "stream": stream,
            "seq": version,
            "decision": meta.seq,
        }))?;
    }
    let shadowed = expected
        && shadowing::wait(
            opened,
            &tenant,
            Stream::Decisions,
            meta.seq,
            args::GRACE,
            &context.signals,
        )
        .await;
    let what = format!("decision {}", meta.seq);
    report_shadowing(opened, context, shadowed, &what, &tenant).await;
    Ok(Exit::Done)
}
