//! `drift`: what is not as desired, what of it matters, and what would mend it.

mod ack;
mod acks;
mod check;
mod decision;
mod history;
mod junit;
mod look;
mod plan;
mod policy;
pub mod stored;
pub mod text;
mod until;
pub mod words;

use driftline::domain::Timestamp;

pub use self::check::ExitOn;
pub use self::decision::Document as DecisionDocument;
pub use self::text::{cut, summary};
pub use self::words::{plain, since, time};
use super::{Context, Exit, Ui};

/// For whom reports are rendered here; ages are told as of `now`.
pub fn layout(now: Option<Timestamp>) -> text::Layout {
    text::Layout {
        width: Ui::width(),
        now,
    }
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Compare what is desired with what was recorded as applied, and with what is live
    Check(check::Arguments),
    /// Print the steps that bring the live state to the desired one
    Plan(plan::Arguments),
    /// Accept a live value for some time
    Ack(ack::Arguments),
    /// List what was accepted
    Acks(acks::Arguments),
    /// Say what does not matter, what matters how much, and how lists compare
    #[command(subcommand)]
    Policy(policy::Command),
    /// Show what drifts since when, as audits saw it
    History(history::Arguments),
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Check(arguments) => check::run(context, &arguments).await,
        Command::Plan(arguments) => plan::run(context, &arguments).await,
        Command::Ack(arguments) => ack::run(context, arguments).await,
        Command::Acks(arguments) => acks::run(context, &arguments).await,
        Command::Policy(command) => policy::run(context, command).await,
        Command::History(arguments) => history::run(context, &arguments).await,
    }
}
