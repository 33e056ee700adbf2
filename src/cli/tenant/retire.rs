//! `tenant retire` and `tenant reinstate`

use driftline::domain::{ShortText, Stream};
use driftline::prelude::*;

use crate::cli::args::{By, Tenant, WaitShadowed};
use crate::cli::create::report_shadowing;
use crate::cli::drift::DecisionDocument;
use crate::cli::{Context, Exit, shadowing};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline tenant retire --tenant acme --reason 'contract ended' --by alice

A decision like any other: it is shadowed, and a recovery brings the tenant back as ended. \
Nothing is removed. Exit code 4 when the tenant is retired already.")]
pub struct Retire {
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline tenant reinstate --tenant acme --reason 'they came back'

Exit code 4 when the tenant is not retired.")]
pub struct Reinstate {
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, clap::Args)]
struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: ShortText,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    wait: WaitShadowed,
}

impl Retire {
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        self.arguments.decide(context, true).await
    }
}

impl Reinstate {
    pub async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        self.arguments.decide(context, false).await
    }
}

impl Arguments {
    async fn decide(self, context: &Context, retired: bool) -> anyhow::Result<Exit> {
        let (ui, tenant) = (&context.ui, &self.tenant.tenant);
        let by = self.by.name()?;
        let opened = context.existing().await?;
        let expected = shadowing::begin(opened, ui, tenant).await?;
        let meta = opened
            .repository
            .set_retired(tenant, retired, by, self.reason)
            .await?;
        let (seq, longest) = (meta.seq, self.wait.longest(expected));
        let signals = &context.signals;
        let shadowed =
            shadowing::wait(opened, tenant, Stream::Decisions, seq, longest, signals).await;
        let (kind, told) = if retired {
            ("retire", "retired: it takes no writes from now on")
        } else {
            ("reinstate", "reinstated: it takes writes again")
        };
        if ui.is_text() {
            ui.line(format_args!("decision {seq} of {tenant}: {told}"))?;
        } else {
            ui.json(&DecisionDocument::of(&meta, kind))?;
        }
        report_shadowing(
            opened,
            context,
            shadowed,
            &format!("decision {seq}"),
            tenant,
        )
        .await;
        Ok(Exit::Done)
    }
}
