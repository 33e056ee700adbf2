//! `drift acks`

use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::domain::drift::Acknowledgement;
use driftline::ports::Clock as _;
use serde::Serialize;

use super::words;
use crate::cli::args::{self, Tenant};
use crate::cli::documents::or_dash;
use crate::cli::{Context, Exit};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline drift acks --tenant acme

Also those that expired: the drift that they were about alarms again.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    items: &'a [ItemDocument<'a>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemDocument<'a> {
    #[serde(flatten)]
    acknowledgement: &'a Acknowledgement,
    in_force: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let reading = context.reading().await?;
    let inspected = reading.inspector.read_one(tenant).await?;
    let inspected = inspected.ok_or_else(|| args::unknown(tenant))?;
    let now = System.now();
    let mut items: Vec<_> = inspected
        .rules
        .acknowledgements
        .iter()
        .map(|acknowledgement| ItemDocument {
            acknowledgement,
            in_force: now < acknowledgement.until,
        })
        .collect();
    // What is in force comes first, what ends first before the others.
    items.sort_by_key(|item| (!item.in_force, item.acknowledgement.until));
    if !ui.is_text() {
        let schema = "driftline.acknowledgements.v1";
        let document = Document {
            schema,
            tenant,
            items: &items,
        };
        ui.items(&document, &items)?;
        return Ok(Exit::Done);
    }
    if items.is_empty() {
        ui.line(format_args!("{tenant}: nothing is accepted"))?;
        return Ok(Exit::Done);
    }
    let header = ["RESOURCE", "PATH", "UNTIL", "STATE", "BY", "REASON"];
    ui.table(&header, &[], items.iter().map(row).collect())?;
    Ok(Exit::Done)
}

fn row(item: &ItemDocument<'_>) -> Vec<String> {
    let Acknowledgement {
        resource_type,
        id,
        pointer,
        until,
        reason,
        by,
        ..
    } = item.acknowledgement;
    let path = if pointer.is_empty() {
        "all of it"
    } else {
        pointer
    };
    vec![
        words::plain(&format!("{resource_type}/{id}")),
        words::plain(path),
        words::time(*until),
        if item.in_force { "in force" } else { "expired" }.to_owned(),
        or_dash(by.as_ref()).to_owned(),
        words::plain(reason.as_str()),
    ]
}
