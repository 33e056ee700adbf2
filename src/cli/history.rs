//! `manifest history`

use driftline::domain::{EntryMeta, Seq};
use driftline::ports::{HistoryPage, Source};
use driftline::prelude::*;
use serde::Serialize;

use super::args::{self, Tenant};
use super::documents::{ManifestDocument, or_dash, short};
use super::{Context, Exit, Ui, ui};

/// The largest page that the repository gives.
const PAGE: u32 = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline manifest history --tenant acme
  driftline manifest history --tenant acme --limit 100 --before 214 -o ndjson

`next` in the JSON document is the --before of the following page; it is null at the end.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// At most so many versions
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only versions below this one
    #[arg(long, value_name = "VERSION", value_parser = args::version)]
    before: Option<Seq>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    items: &'a [ManifestDocument<'a>],
    retired: bool,
    next: Option<Seq>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    let mut pages = Vec::new();
    let (mut before, mut left) = (arguments.before, arguments.limit);
    while left > 0 && !ui.is_closed() {
        let page = opened
            .repository
            .version_history(tenant, before, left.min(PAGE))
            .await?;
        if page.active.is_none() {
            return Err(args::unknown(tenant).into());
        }
        left -= u32::try_from(page.items.len()).unwrap_or(left).min(left);
        before = page.next;
        if ui.format == ui::Format::Ndjson {
            documents(&page).try_for_each(|document| ui.json(&document))?;
        } else {
            pages.push(page);
        }
        if before.is_none() {
            break;
        }
    }
    match ui.format {
        ui::Format::Ndjson | ui::Format::Junit => {}
        ui::Format::Json => {
            let items: Vec<_> = pages.iter().flat_map(documents).collect();
            ui.json(&Document {
                schema: "driftline.history.v1",
                items: &items,
                retired: pages.iter().any(|page| page.retired == Some(true)),
                next: before,
            })?;
        }
        ui::Format::Text => {
            table(ui, &pages)?;
            if pages.iter().any(|page| page.retired == Some(true)) {
                ui.line(format_args!("{tenant} is retired"))?;
            }
            if let Some(next) = before {
                ui.note(format_args!("there are more: add --before {next}"));
            }
        }
    }
    Ok(Exit::Done)
}

fn documents(page: &HistoryPage) -> impl Iterator<Item = ManifestDocument<'_>> {
    page.items.iter().map(|meta| {
        let active = page.active.map(|active| active == meta.seq);
        ManifestDocument::new(meta, active, meta.seq <= page.watermark, Source::Database)
            .of_retired(page.retired)
    })
}

fn table(ui: &Ui, pages: &[HistoryPage]) -> anyhow::Result<()> {
    let rows: Vec<_> = pages
        .iter()
        .flat_map(|page| page.items.iter().map(move |meta| row(page, meta)))
        .collect();
    let header = [
        "VERSION",
        "COMMITTED",
        "BY",
        "SIZE",
        "CHECKSUM",
        "STATE",
        "MESSAGE",
    ];
    Ok(ui.table(&header, &[0, 3], rows)?)
}

fn row(page: &HistoryPage, meta: &EntryMeta) -> Vec<String> {
    let shadowed = if meta.seq <= page.watermark {
        "shadowed"
    } else {
        "at risk"
    };
    let active = if page.active == Some(meta.seq) {
        "active, "
    } else {
        ""
    };
    vec![
        meta.seq.to_string(),
        meta.committed_at.to_string(),
        or_dash(meta.created_by.as_ref()).to_owned(),
        ui::bytes(meta.content_bytes),
        short(meta.checksum),
        format!("{active}{shadowed}"),
        or_dash(meta.message.as_ref()).to_owned(),
    ]
}
