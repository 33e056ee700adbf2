//! `manifest import`
//!
//! Lines are read ahead in bounded memory. Each becomes a version that expects its predecessor, so two imports at once
//! cannot interleave, under a key of its own, so a lost answer makes nothing twice. An import that was cut off goes on
//! where it stopped: what is there already is compared with the first lines, and nothing else is written.

mod existing;
mod lines;

use driftline::adapters::system::System;
use driftline::domain::content::ContentError;
use driftline::domain::{Digest, Seq, Stream, TenantId};
use driftline::ports::{CreateManifest, Entropy as _, Expectation, Manifest};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use self::existing::Existing;
use self::lines::Line;
use super::args::{Tenant, WaitShadowed};
use super::create::{self, Warning, report_shadowing};
use super::input::Input;
use super::{Context, Exit, Failure, shadowing, ui};
use driftline_host::Opened;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline manifest import --tenant acme --file history.ndjson
  zstd -dc history.ndjson.zst | driftline manifest import --tenant acme --file -

A line is {\"content\": {…}, \"createdAt\"?, \"by\"?, \"message\"?}. An import that was cut \
off goes on where it stopped: the tenant's versions must equal the first lines, otherwise it \
is refused with exit code 7.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// One version a line, oldest first; - reads stdin
    #[arg(long, value_name = "FILE")]
    file: Input,
    /// Append every line after the newest version, whatever the tenant's history is
    #[arg(long)]
    append: bool,
    #[command(flatten)]
    wait: WaitShadowed,
}

/// What was done so far.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    lines: u64,
    present: u64,
    created: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    #[serde(flatten)]
    counts: Counts,
    head: Seq,
    watermark: Seq,
    shadowed: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [Warning],
}

/// An import under way.
struct Import<'a> {
    context: &'a Context,
    opened: &'a Opened,
    tenant: &'a TenantId,
    file: &'a Input,
    lines: Receiver<anyhow::Result<Line>>,
    counts: Counts,
    head: Seq,
    /// The newest version that was made.
    newest: Option<Manifest>,
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let Context {
        config,
        ui,
        signals,
        ..
    } = context;
    let tenant = &arguments.tenant.tenant;
    let file = &arguments.file;
    let lines = lines::read(file, config.settings.content_limit)?;
    let opened = context.open().await?;
    let expected = shadowing::begin(opened, ui, tenant).await?;
    let state = opened
        .sides
        .database
        .tenant(tenant)
        .await
        .map_err(driftline::ports::Error::from)?;
    let head = state.map_or(Seq::default(), |state| state.heads[Stream::Manifests].seq);
    let bar = ui.progress("{spinner} {msg} versions, {per_sec}");
    let mut import = Import {
        context,
        opened,
        tenant,
        file,
        lines,
        counts: Counts::default(),
        head,
        newest: None,
    };
    let outcome = import.all(arguments.append, &bar).await;
    bar.finish_and_clear();
    let Import {
        counts,
        head,
        newest,
        ..
    } = import;
    if let Err(error) = outcome {
        if counts.created > 0 {
            let created = ui::count(counts.created, "version");
            ui.note(format_args!(
                "{created} of {tenant} were committed before; the same import goes on after them"
            ));
        }
        return Err(error);
    }
    let lost = match &newest {
        Some(newest) => create::lost_collections(opened, newest).await,
        None => Vec::new(),
    };
    let longest = arguments.wait.longest(expected);
    let shadowed = shadowing::wait(opened, tenant, Stream::Manifests, head, longest, signals).await;
    if ui.is_text() {
        let (created, present) = (counts.created, counts.present);
        ui.line(format_args!(
            "imported {} of {tenant}, {present} were there, head {head}",
            ui::count(created, "version")
        ))?;
    } else {
        let watermark = opened
            .sides
            .database
            .watermarks(tenant)
            .await
            .map_err(driftline::ports::Error::from)?;
        let watermark = watermark[Stream::Manifests];
        ui.json(&Document {
            schema: "driftline.import.v1",
            tenant,
            counts,
            head,
            watermark,
            shadowed,
            warnings: &lost,
        })?;
    }
    for warning in &lost {
        warning.show(ui);
    }
    if head > Seq::default() {
        report_shadowing(
            opened,
            context,
            shadowed,
            &format!("everything up to version {head}"),
            tenant,
        )
        .await;
    }
    Ok(if signals.soft.is_cancelled() {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}

impl Import<'_> {
    async fn all(&mut self, append: bool, bar: &indicatif::ProgressBar) -> anyhow::Result<()> {
        let stop = &self.context.signals.soft;
        let run = System.uuid();
        let salt = if append {
            run.as_bytes().as_slice()
        } else {
            &[]
        };
        let mut existing = (!append && self.head > Seq::default())
            .then(|| Existing::new(&self.opened.repository, self.tenant, self.head));
        loop {
            let line = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                line = self.lines.recv() => line,
            };
            let Some(line) = line else { break };
            let line = line?;
            self.counts.lines += 1;
            let place = format!(", the content of line {}", line.number);
            let blame = |error: ContentError| self.file.blame(&place, error.into());
            if let Some(there) = &mut existing
                && let Some(meta) = there.next().await?
            {
                let limit = self.context.config.settings.content_limit;
                if let Some(difference) = line.difference(&meta, limit).map_err(blame)? {
                    let hint = "import into another tenant, or use --append to add every line after the newest version";
                    return Err(self.refused(
                        &format!(
                            "line {} is not version {}: {difference}",
                            line.number, meta.seq
                        ),
                        hint,
                    ));
                }
                self.counts.present += 1;
            } else {
                let created = self
                    .create(line.number, line.request(self.head, salt)?)
                    .await?;
                if created {
                    self.counts.created += 1;
                } else {
                    self.counts.present += 1;
                }
            }
            bar.inc(1);
            bar.set_message((self.counts.present + self.counts.created).to_string());
        }
        if let Some(there) = existing
            && there.left() > 0
        {
            let lines = ui::count(self.counts.lines, "line");
            let message = format!(
                "it has only {lines}, but the tenant is at version {}",
                self.head
            );
            return Err(self.refused(
                &message,
                "nothing was written; use --append to add every line after the newest version",
            ));
        }
        Ok(())
    }

    /// Commits one line; `false` when an earlier try had done so.
    async fn create(&mut self, number: u64, request: CreateManifest) -> anyhow::Result<bool> {
        let opened = self.opened;
        let created =
            create::write(&opened.repository, self.tenant, &request, &self.context.ui).await;
        let created = created.map_err(|error| {
            self.file
                .blame(&format!(", the content of line {number}"), error)
        })?;
        self.head = created.manifest.version();
        if created.new {
            self.newest = Some(created.manifest);
        }
        Ok(created.new)
    }

    fn refused(&self, what: &str, hint: &str) -> anyhow::Error {
        let message = format!("import {} into {}: {what}", self.file, self.tenant);
        Failure::new(Exit::Conflict, "history_differs", message)
            .hint(hint)
            .into()
    }
}

impl Line {
    /// The version after `head`. The key is a function of the line and its place, so a second try under it is harmless.
    fn request(self, head: Seq, salt: &[u8]) -> anyhow::Result<CreateManifest> {
        let key = Digest::of_parts(&[salt, &head.get().to_be_bytes(), self.digest.as_bytes()]);
        Ok(CreateManifest {
            content: self.content,
            created_by: self.by,
            message: self.message,
            created_at: self.created_at,
            expect: Some(Expectation::Version(head)),
            idempotency_key: Some(format!("import:{key}").parse()?),
            ..CreateManifest::default()
        })
    }
}
