//! `manifest create`

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use driftline::adapters::system::System;
use driftline::domain::{ShortText, Stream, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::ports::{CreateManifest, Created, Durability, Entropy as _, Error, Manifest};
use driftline::prelude::*;

use serde::Serialize;

use super::args::{self, By, Expected, Tenant, WaitShadowed};
use super::documents::ManifestDocument;
use super::input::Input;
use super::{Context, Exit, Ui, shadowing};
use driftline_host::Opened;

/// How long a lost connection is tried again.
const RETRY: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline manifest create --tenant acme --file desired.json --by alice --message 'add a role'
  generate | driftline manifest create --tenant acme --file - --expect 17 --wait-shadowed

A lost race (--expect) and an idempotency key that was used for other content end with exit \
code 7. A bucket that is down is a warning: the version is committed, and any driftline \
process shadows it later.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// The content, a JSON object; - reads stdin
    #[arg(long, value_name = "FILE")]
    file: Input,
    #[command(flatten)]
    by: By,
    /// Why
    #[arg(long, value_name = "TEXT")]
    message: Option<ShortText>,
    /// Commit only if the newest version is this: its number (0: there is none), chain:HEX, sha256:HEX (the checksum), or
    /// 64 hex digits, which may be either
    #[arg(long, value_name = "VERSION")]
    expect: Option<Expected>,
    /// The same key and content within a day answers with the same version again
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<ShortText>,
    /// Commit nothing if the active version has this content already
    #[arg(long)]
    skip_unchanged: bool,
    #[command(flatten)]
    wait: WaitShadowed,
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let Context {
        config,
        ui,
        signals,
        ..
    } = context;
    let tenant = arguments.tenant.tenant;
    let raw = arguments
        .file
        .read(config.settings.content_limit, signals)
        .await?;
    let created_by = arguments.by.name()?;
    let opened = context.open().await?;
    let expected = shadowing::begin(opened, ui, &tenant).await?;
    let expect = match arguments.expect {
        Some(expected) => Some(
            expected
                .resolve(opened.sides.database.as_ref(), &tenant)
                .await?,
        ),
        None => None,
    };
    let key = arguments.idempotency_key.map_or_else(generated_key, Ok)?;
    let request = CreateManifest {
        content: raw,
        created_by,
        message: arguments.message,
        expect,
        idempotency_key: Some(key),
        skip_unchanged: arguments.skip_unchanged,
        durability: Durability::Committed,
        ..CreateManifest::default()
    };
    let created = write(&opened.repository, &tenant, &request, ui).await;
    let Created { mut manifest, new } = created.map_err(|error| arguments.file.blame("", error))?;
    let version = manifest.version();
    if !manifest.shadowed {
        let longest = arguments.wait.longest(expected);
        manifest.shadowed = shadowing::wait(
            opened,
            &tenant,
            Stream::Manifests,
            version,
            longest,
            signals,
        )
        .await;
    }
    let lost = lost_collections(opened, &manifest).await;
    if ui.is_text() {
        let verb = if new { "created" } else { "kept" };
        ui.line(format_args!(
            "{verb} version {version} of {tenant}, checksum {}",
            manifest.entry.meta.checksum
        ))?;
    } else {
        ui.json(&CreatedDocument {
            manifest: ManifestDocument::of(&manifest),
            warnings: &lost,
        })?;
    }
    for warning in &lost {
        warning.show(ui);
    }
    if !new {
        ui.note("nothing new: the content is there already, or the idempotency key was used for it before");
    }
    report_shadowing(
        opened,
        context,
        manifest.shadowed,
        &format!("version {version}"),
        &tenant,
    )
    .await;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct CreatedDocument<'a> {
    #[serde(flatten)]
    manifest: ManifestDocument<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [Warning],
}

/// Something about a version that was taken, and may not be what was meant.
#[derive(Serialize)]
pub struct Warning {
    code: &'static str,
    pointer: String,
    message: String,
}

impl Warning {
    /// Tells a person.
    pub fn show(&self, ui: &Ui) {
        ui.warn(super::drift::plain(&self.message));
    }
}

/// What looks like resources, was a collection before, and is a setting now. The version is committed: no answer warns of
/// nothing.
pub async fn lost_collections(opened: &Opened, manifest: &Manifest) -> Vec<Warning> {
    let entry = &manifest.entry;
    let (tenant, version) = (&entry.meta.tenant, entry.meta.seq);
    let asked = opened
        .repository
        .lost_collections(tenant, version, &entry.content);
    let names = asked.await.unwrap_or_else(|error| {
        tracing::warn!(%tenant, %version, %error, "it is not known which of its members were collections before");
        Vec::new()
    });
    let warning = |name: &String| {
        let pointer = format!("/{}", args::pointer_member(name));
        Warning {
            code: "not_a_collection",
            message: format!(
                "version {version} of {tenant}: the value at `{pointer}` is no array of objects with a string `id`, so it holds no resources; `{name}` had some before, which the next plan would delete"
            ),
            pointer,
        }
    };
    names.iter().map(warning).collect()
}

/// Commits a version. A lost connection is tried again for a while, under the request's idempotency key.
pub async fn write(
    repository: &HybridManifestRepository,
    tenant: &TenantId,
    request: &CreateManifest,
    ui: &Ui,
) -> Result<Created, Error> {
    let create = || repository.create_manifest(tenant, request.clone());
    let attempts = create
        .retry(backoff())
        .when(Error::retryable)
        .notify(|error, pause| {
            ui.warn(format_args!(
                "{error}; trying again in {:.1} s",
                pause.as_secs_f64()
            ));
        });
    attempts.await
}

/// Says on stderr whether a committed entry is in the bucket.
pub async fn report_shadowing(
    opened: &Opened,
    context: &Context,
    shadowed: bool,
    what: &str,
    tenant: &TenantId,
) {
    if shadowed {
        context.ui.note(format_args!("{what} is in the bucket"));
    } else {
        shadowing::warn_pending(opened, &context.ui, tenant, what).await;
    }
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(3))
        .with_max_times(10)
        .with_total_delay(Some(RETRY))
        .with_jitter()
}

fn generated_key() -> anyhow::Result<ShortText> {
    Ok(System.uuid().to_string().parse()?)
}
