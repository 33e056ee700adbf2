//! `adopt`

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use driftline::domain::TenantId;
use driftline::ports::Adoption;
use driftline::prelude::*;
use serde::Serialize;

use super::{Context, Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline adopt
  driftline recover --all-tenants

A database that sits on another server than before (a dump that was restored, a copied file, an \
upgraded server) shadows nothing until this is said. The one that it was copied from is fenced off by the recovery that has to \
follow, and must not be used any more. After a failover under on-failover = \"trust\", this goes on without what \
the bucket has beyond the database: tenants that lack something await recovery.")]
pub struct Arguments {
    /// Ask nothing
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    outcome: &'static str,
    awaiting: &'a [TenantId],
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let (opened, ui) = (context.open().await?, &context.ui);
    let mut adoption = opened.repository.adopt(arguments.yes).await?;
    if let Adoption::Unconfirmed(reason) = &adoption {
        if !(ui.is_text() && confirmed(&reason.message)?) {
            return Err(
                Failure::new(Exit::Refused, "refused", reason.message.clone())
                    .hint("`driftline adopt --yes` goes on without it")
                    .into(),
            );
        }
        adoption = opened.repository.adopt(true).await?;
    }
    let (outcome, awaiting): (_, &[TenantId]) = match &adoption {
        Adoption::Settled => ("settled", &[]),
        Adoption::Adopted => ("adopted", &[]),
        Adoption::Trusted(tenants) => ("trusted", tenants),
        Adoption::Unconfirmed(_) => ("unconfirmed", &[]),
    };
    if !ui.is_text() {
        let schema = "driftline.adopt.v1";
        ui.json(&Document {
            schema,
            outcome,
            awaiting,
        })?;
        return Ok(Exit::Done);
    }
    match &adoption {
        Adoption::Settled | Adoption::Unconfirmed(_) => {
            ui.line("there is nothing to decide: the database is where it was")?;
        }
        Adoption::Adopted => ui.line(
            "the database takes the place of the one that it was copied from; it takes no writes until `driftline recover --all-tenants`",
        )?,
        Adoption::Trusted(tenants) => {
            ui.line("the database goes on where it is")?;
            for tenant in tenants {
                ui.line(format_args!(
                    "{tenant} awaits recovery: `driftline recover --tenant {tenant}` brings back what the bucket has"
                ))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Asks whoever sits there; where nobody does, the answer is no.
fn confirmed(reason: &str) -> std::io::Result<bool> {
    let (input, mut error) = (std::io::stdin(), anstream::stderr());
    if !input.is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    write!(error, "{reason}\nGo on without it? [y/N] ")?;
    error.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
