//! `apply record` and `apply show`

use driftline::domain::content::Content;
use driftline::domain::integrity::RowDamage;
use driftline::domain::{Digest, EntryId, Resources, Seq, ShortText, Stream, TenantId, Timestamp};
use driftline::ports::{Durability, RecordApply, ShadowState};
use driftline::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::args::{self, By, Tenant, WaitShadowed};
use super::create::report_shadowing;
use super::documents::or_dash;
use super::input::Input;
use super::signals::Signals;
use super::{Context, Exit, Failure, Ui, shadowing};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Record what was made live of a version
    Record(Record),
    /// Show what was recorded last
    Show(Show),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline apply record --tenant acme --version 4 --file resources.json --by deployer

The file is {type: {manifestId: externalId}}, for instance {\"roles\": {\"admin\": \
\"r-4711\"}}. What it names has to be in that version: the next plan would delete what only \
a record names. --allow-unknown is for that.")]
pub struct Record {
    #[command(flatten)]
    tenant: Tenant,
    /// The version that was applied
    #[arg(long, value_name = "N", value_parser = args::version)]
    version: Seq,
    /// Per resource type and manifest id, the external id; - reads stdin
    #[arg(long, value_name = "FILE")]
    file: Input,
    /// Take types and ids that the version does not have: what is live and is to be deleted
    #[arg(long)]
    allow_unknown: bool,
    #[command(flatten)]
    by: By,
    /// Why
    #[arg(long, value_name = "TEXT")]
    message: Option<ShortText>,
    #[command(flatten)]
    wait: WaitShadowed,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  driftline apply show --tenant acme -o json")]
pub struct Show {
    #[command(flatten)]
    tenant: Tenant,
    /// What was recorded last for this version [default: what was recorded last]
    #[arg(long, value_name = "N", value_parser = args::version)]
    version: Option<Seq>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    seq: Seq,
    id: EntryId,
    version: Seq,
    chain: Digest,
    resolves: bool,
    created_at: Timestamp,
    committed_at: Timestamp,
    created_by: Option<&'a ShortText>,
    message: Option<&'a ShortText>,
    resources: &'a Resources,
    /// The database's row is damaged: this is the bucket's proven copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_row: Option<&'a RowDamage>,
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Record(arguments) => record(context, arguments).await,
        Command::Show(arguments) => show(context, &arguments).await,
    }
}

async fn record(context: &Context, arguments: Record) -> anyhow::Result<Exit> {
    let Context {
        config,
        ui,
        signals,
        ..
    } = context;
    let tenant = arguments.tenant.tenant;
    let resources = resources(&arguments.file, config.settings.content_limit, signals).await?;
    let created_by = arguments.by.name()?;
    let opened = context.existing().await?;
    let expected = shadowing::begin(opened, ui, &tenant).await?;
    let request = RecordApply {
        version: arguments.version,
        resources,
        allow_unknown: arguments.allow_unknown,
        created_by,
        message: arguments.message,
        durability: Durability::Committed,
    };
    let state = opened.repository.record_apply(&tenant, request).await?;
    let longest = arguments.wait.longest(expected);
    let seq = state.meta.seq;
    let shadowed = shadowing::wait(opened, &tenant, Stream::Applies, seq, longest, signals).await;
    if ui.is_text() {
        ui.line(format_args!(
            "recorded apply {seq} of {tenant}: version {}",
            state.version
        ))?;
    } else {
        print(ui, &state)?;
    }
    report_shadowing(opened, context, shadowed, &format!("apply {seq}"), &tenant).await;
    Ok(Exit::Done)
}

async fn show(context: &Context, arguments: &Show) -> anyhow::Result<Exit> {
    let tenant = &arguments.tenant.tenant;
    let opened = context.existing().await?;
    let (found, what) = match arguments.version {
        Some(version) => (
            opened
                .repository
                .shadow_state_by_version(tenant, version)
                .await?,
            format!("apply of version {version}"),
        ),
        None => (
            opened.repository.current_shadow_state(tenant).await?,
            "apply".to_owned(),
        ),
    };
    match found {
        Some(state) => print(&context.ui, &state)?,
        None => {
            return Err(args::missing(&opened.repository, tenant, &what)
                .await
                .into());
        }
    }
    Ok(Exit::Done)
}

fn print(ui: &Ui, state: &ShadowState) -> anyhow::Result<()> {
    let ShadowState {
        meta,
        version,
        chain,
        resolves,
        resources,
        damaged_row,
    } = state;
    if !ui.is_text() {
        return ui.json(&Document {
            schema: "driftline.apply.v1",
            tenant: &meta.tenant,
            seq: meta.seq,
            id: meta.id,
            version: *version,
            chain: *chain,
            resolves: *resolves,
            created_at: meta.created_at,
            committed_at: meta.committed_at,
            created_by: meta.created_by.as_ref(),
            message: meta.message.as_ref(),
            resources,
            damaged_row: damaged_row.as_ref(),
        });
    }
    let by = or_dash(meta.created_by.as_ref());
    ui.line(format_args!(
        "apply {} of {}: version {version}, {} by {by}",
        meta.seq, meta.tenant, meta.committed_at
    ))?;
    if !resolves {
        ui.line(format_args!(
            "void: {} has no version {version} with the chain {chain} any more",
            meta.tenant
        ))?;
    }
    let rows = resources.iter().flat_map(|(kind, ids)| {
        ids.iter()
            .map(move |(id, external)| vec![kind.clone(), id.clone(), external.clone()])
    });
    Ok(ui.table(&["TYPE", "ID", "EXTERNAL ID"], &[], rows.collect())?)
}

/// Reads the resources as strictly as content: nothing twice, nothing of another kind.
async fn resources(file: &Input, limit: usize, signals: &Signals) -> anyhow::Result<Resources> {
    let raw = file.read(limit, signals).await?;
    let content =
        Content::parse_object(&raw, limit).map_err(|error| file.blame("", error.into()))?;
    let wrong = |pointer: &str, expected: &str| {
        Failure::new(Exit::Error, "invalid_input", format!("read {file}: the value at `{pointer}` must be {expected}"))
            .hint("the file is {type: {manifestId: externalId}}, for instance {\"roles\": {\"admin\": \"r-4711\"}}")
    };
    let Value::Object(types) = content.to_value()? else {
        return Ok(Resources::new());
    };
    let mut resources = Resources::new();
    for (kind, ids) in types {
        let here = format!("/{}", args::pointer_member(&kind));
        let Value::Object(ids) = ids else {
            return Err(wrong(&here, "an object of ids").into());
        };
        let mut known = std::collections::BTreeMap::new();
        for (id, external) in ids {
            let Value::String(external) = external else {
                return Err(wrong(
                    &format!("{here}/{}", args::pointer_member(&id)),
                    "an external id, a string",
                )
                .into());
            };
            known.insert(id, external);
        }
        resources.insert(kind, known);
    }
    Ok(resources)
}
