//! The command: one file a family, each parses its arguments, calls a port, and prints.
//!
//! Data goes to stdout; logs, progress and errors go to stderr. Exit codes and JSON field names are frozen.

mod adopt;
mod apply;
mod args;
mod audit;
mod completions;
mod create;
mod demo;
mod diff;
mod doctor;
mod documents;
mod drift;
mod drill;
mod exit;
mod get;
mod hints;
mod history;
mod import;
mod input;
mod plan_file;
mod recover;
mod repair;
mod replicate;
mod run;
mod shadowing;
mod signals;
mod sources;
mod stats;
mod status;
mod tenant;
mod ui;
mod verify;
mod waiting;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use driftline_host::{
    Config, DATABASE_VARIABLE, Needs, Opened, Reading, SNAPSHOTS_VARIABLE, SecretString,
};
use tokio::sync::OnceCell;

use self::exit::{Exit, Failure};
use self::signals::Signals;
use self::ui::{Format, Ui};

pub use self::run::main;

/// Keeps a control plane's desired state: committed to a database, shadowed to a bucket, recovered from it
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  driftline demo
  driftline manifest create --tenant acme --file desired.json --message 'add a role'
  driftline --database postgres://app@db/driftline --snapshots s3://shadow/prod status --at-risk

Exit codes:
  0 done, or nothing differs    4 refused by a precheck       9 verification failed
  1 error                       6 not found                  10 unhealthy
  2 differences                 7 conflict, or a stale plan  64 misuse
  3 partial                     8 a side is unreachable     130 interrupted")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The database: postgres://…, sqlite://PATH or memory: [default: sqlite://.driftline/driftline.db]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = DATABASE_VARIABLE,
        hide_env_values = true
    )]
    database: Option<SecretString>,
    /// The bucket: s3://BUCKET/PREFIX, file:///DIRECTORY or memory: [default: file://.driftline/snapshots]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = SNAPSHOTS_VARIABLE,
        hide_env_values = true
    )]
    snapshots: Option<String>,
    /// A TOML file with the keys database, snapshots, on-failover, on-clone, sse, endpoint, region, path-style, content-limit,
    /// concurrent-tenants, concurrent-requests, lease-seconds, proof-max-age-days, at-risk-limit and the table audit [default: driftline.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// In which form data is printed; with json and ndjson, errors are JSON too
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true
    )]
    #[arg(
        help = "In which form data is printed: text, json or ndjson, and junit where it makes sense; errors follow"
    )]
    output: Format,
    /// Print data and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Log more; twice for still more. RUST_LOG says it in detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the whole story in a temporary directory: versions, a lost race, an outage, a recovery
    Demo(demo::Arguments),
    /// Create what the database needs, or bring it up to date
    #[command(
        after_help = "Example:\n  driftline --database postgres://owner@db/driftline migrate"
    )]
    Migrate,
    /// Decide that a database which sits on another server goes on there
    Adopt(adopt::Arguments),
    /// Look at tenants
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Create, read and compare versions of the desired state
    #[command(subcommand)]
    Manifest(Manifest),
    /// Record and show what was made live
    #[command(subcommand)]
    Apply(apply::Command),
    /// Find what is not as desired, and decide what of it matters
    #[command(subcommand)]
    Drift(drift::Command),
    /// Shadow what is pending to the bucket, until SIGINT or SIGTERM
    Replicate(replicate::Arguments),
    /// Bring the database back from the bucket
    Recover(recover::Arguments),
    /// Prove that tenants can be restored from the bucket
    Drill(drill::Arguments),
    /// Compare the database, the index and the objects, entry by entry
    Verify(verify::Arguments),
    /// Mend what verify found, by plan
    Repair(repair::Arguments),
    /// Audit tenants: reads that end as stored reports, once or on schedules
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show what is shadowed, at risk, failing and halted
    Status(status::Arguments),
    /// Show a tenant in numbers
    Stats(stats::Arguments),
    /// Check both sides; with --race, try the bucket's promises
    Doctor(doctor::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

#[derive(Debug, Subcommand)]
enum Manifest {
    /// Commit a version
    Create(create::Arguments),
    /// Print a version's canonical content, or what is known about it
    Get(get::Arguments),
    /// List versions, newest first
    History(history::Arguments),
    /// Compare two versions
    Diff(diff::Arguments),
    /// Turn lines of a file into versions, and go on where an earlier import stopped
    Import(import::Arguments),
}

/// What every command is given.
struct Context {
    config: Config,
    ui: Ui,
    signals: Signals,
    opened: OnceCell<Opened>,
    reading: OnceCell<Reading>,
}

impl Context {
    /// Both sides, opened once and closed when the command is done. For what writes: a local side that is missing is made.
    async fn open(&self) -> anyhow::Result<&Opened> {
        self.open_with(Needs::Nothing).await
    }

    /// The same for what asks or changes a database that is there.
    async fn existing(&self) -> anyhow::Result<&Opened> {
        self.open_with(Needs::Database).await
    }

    /// The same for what cannot do without the bucket either.
    async fn existing_both(&self) -> anyhow::Result<&Opened> {
        self.open_with(Needs::Both).await
    }

    async fn open_with(&self, needs: Needs) -> anyhow::Result<&Opened> {
        let opening = async || driftline_host::open(&self.config, needs).await;
        Ok(self.opened.get_or_try_init(opening).await?)
    }

    /// Both sides without a way to write, opened once and closed when the command is done.
    async fn reading(&self) -> anyhow::Result<&Reading> {
        let opening = async || driftline_host::reading(&self.config.for_reading()).await;
        Ok(self.reading.get_or_try_init(opening).await?)
    }
}

impl Command {
    /// Ends by itself after the first signal; the others are cut off, which leaves every entry there whole or not at all.
    fn heeds_signals(&self) -> bool {
        match self {
            Self::Audit(command) => command.heeds_signals(),
            Self::Drill(_)
            | Self::Replicate(_)
            | Self::Manifest(Manifest::Create(_) | Manifest::Import(_)) => true,
            _ => false,
        }
    }

    /// Whether `-o junit` makes sense.
    fn prints_junit(&self) -> bool {
        matches!(self, Self::Drift(drift::Command::Check(_)))
    }

    async fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Demo(arguments) => demo::run(context, &arguments).await,
            Self::Migrate => migrate(context).await,
            Self::Adopt(arguments) => adopt::run(context, &arguments).await,
            Self::Tenant(command) => tenant::run(context, command).await,
            Self::Manifest(Manifest::Create(arguments)) => create::run(context, arguments).await,
            Self::Manifest(Manifest::Get(arguments)) => get::run(context, &arguments).await,
            Self::Manifest(Manifest::History(arguments)) => history::run(context, &arguments).await,
            Self::Manifest(Manifest::Diff(arguments)) => diff::run(context, &arguments).await,
            Self::Manifest(Manifest::Import(arguments)) => import::run(context, arguments).await,
            Self::Apply(command) => apply::run(context, command).await,
            Self::Drift(command) => drift::run(context, command).await,
            Self::Replicate(arguments) => replicate::run(context, &arguments).await,
            Self::Recover(arguments) => Box::pin(recover::run(context, arguments)).await,
            Self::Drill(arguments) => drill::run(context, &arguments).await,
            Self::Verify(arguments) => verify::run(context, arguments).await,
            Self::Repair(arguments) => repair::run(context, arguments).await,
            Self::Audit(command) => audit::run(context, command).await,
            Self::Status(arguments) => status::run(context, &arguments).await,
            Self::Stats(arguments) => stats::run(context, &arguments).await,
            Self::Doctor(arguments) => doctor::run(context, &arguments).await,
            Self::Completions(arguments) => completions::run(context, &arguments),
        }
    }
}

async fn migrate(context: &Context) -> anyhow::Result<Exit> {
    let opened = context.open().await?;
    opened.repository.migrate().await?;
    context.ui.note(format_args!(
        "the database {} is up to date",
        opened.database_url
    ));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let shown = help.contains("Example") || command.has_subcommands();
            assert!(shown, "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
