//! `tenant`

mod retire;

use driftline::domain::{Stream, TenantState};
use driftline::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, Exit, ui};

const PAGE: u32 = 1000;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the tenants that the database knows
    #[command(after_help = "Example:\n  driftline tenant list -o ndjson | jq -r .tenant")]
    List,
    /// End a tenant: its writes are refused, its history stays
    Retire(retire::Retire),
    /// Take the end of a tenant back
    Reinstate(retire::Reinstate),
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    items: &'a [Value],
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List => list(context).await,
        Command::Retire(arguments) => arguments.run(context).await,
        Command::Reinstate(arguments) => arguments.run(context).await,
    }
}

async fn list(context: &Context) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let opened = context.existing().await?;
    let (mut after, mut states) = (None, Vec::new());
    loop {
        let page = opened.repository.tenants(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.tenant.clone());
        states.extend(page);
    }
    if ui.format == ui::Format::Text {
        let rows = states.iter().map(row).collect();
        ui.table(
            &[
                "TENANT",
                "VERSIONS",
                "ACTIVE",
                "EPOCH",
                "LAST WRITE",
                "STATE",
            ],
            &[1, 2, 3],
            rows,
        )?;
    } else {
        let items: Vec<_> = states.iter().map(document).collect();
        ui.items(
            &Document {
                schema: "driftline.tenants.v1",
                items: &items,
            },
            &items,
        )?;
    }
    Ok(Exit::Done)
}

fn document(state: &TenantState) -> Value {
    json!({
        "tenant": state.tenant,
        "head": state.heads[Stream::Manifests].seq,
        "activeVersion": state.active_version(),
        "epoch": state.epoch,
        "lastCommittedAt": state.last_committed_at,
        "awaitingRecovery": state.awaiting_recovery,
        "retired": state.retired.is_some(),
    })
}

fn row(state: &TenantState) -> Vec<String> {
    vec![
        state.tenant.to_string(),
        state.heads[Stream::Manifests].seq.to_string(),
        state.active_version().to_string(),
        state.epoch.to_string(),
        state
            .last_committed_at
            .map_or_else(|| "-".to_owned(), |at| at.to_string()),
        match (state.awaiting_recovery, state.retired) {
            (true, _) => "awaits recovery",
            (false, Some(_)) => "retired",
            (false, None) => "writable",
        }
        .to_owned(),
    ]
}
