//! From the command line to the exit code.

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::ErrorKind as ClapError;
use driftline_host::telemetry::{self, Form, Logging};
use driftline_host::{Config, Given};
use tokio::sync::OnceCell;

use super::exit::Report;
use super::signals::Signals;
use super::ui::{self, Format, safe};
use super::{Cli, Command, Context, Exit, Failure, Global, Ui};

/// Runs the program with these arguments, the first being its name.
pub fn main(arguments: Vec<OsString>) -> Exit {
    let asked = asked_format(&arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return misused(&error, asked),
    };
    let format = cli.global.output;
    telemetry::start(Logging {
        verbose: cli.global.verbose,
        json: format.is_json(),
        colours: ui::is_coloured(),
        brief: !matches!(cli.command, Command::Replicate(_)),
        shown: |text, form| match form {
            Form::Json => safe::json(text).into_owned(),
            Form::Text => safe::log(text),
        },
    });
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(cli));
            // A thread that still waits for a disk or a name server keeps nobody waiting.
            runtime.shutdown_background();
            outcome
        });
    outcome.unwrap_or_else(|error| {
        let report = Report::of(&error);
        report.print(format);
        report.exit
    })
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Global {
        database,
        snapshots,
        config: file,
        output,
        quiet,
        verbose: _,
    } = cli.global;
    if output == Format::Junit && !cli.command.prints_junit() {
        return Err(Failure::misuse("this command prints no junit")
            .hint("-o junit is for `driftline drift check`; there are text, json and ndjson")
            .into());
    }
    let given = Given {
        database,
        snapshots,
        file,
    };
    let context = Context {
        config: Config::load(&given)?,
        ui: Ui::new(output, quiet),
        signals: Signals::listen()?,
        opened: OnceCell::new(),
        reading: OnceCell::new(),
    };
    let cut = if cli.command.heeds_signals() {
        &context.signals.hard
    } else {
        &context.signals.soft
    };
    let outcome = tokio::select! {
        biased;
        () = cut.cancelled() => {
            context.ui.note("interrupted");
            Ok(Exit::Interrupted)
        }
        outcome = cli.command.run(&context) => outcome,
    };
    if let Some(opened) = context.opened.get() {
        tokio::select! {
            () = opened.close() => {}
            () = context.signals.hard.cancelled() => {}
        }
    }
    if let Some(reading) = context.reading.get() {
        reading.close().await;
    }
    outcome
}

/// `--help` and `--version` are no errors; everything else that clap has to say is misuse.
fn misused(error: &clap::Error, asked: Format) -> Exit {
    match error.kind() {
        ClapError::DisplayHelp | ClapError::DisplayVersion => {
            // A reader that went away wants no more help.
            match ui::answered(error.print()) {
                Ok(_) => Exit::Done,
                Err(error) => {
                    Report::of(&error.into()).print(asked);
                    Exit::Error
                }
            }
        }
        _ if !asked.is_json() => {
            // What was typed may be a tenant's: it is shown like everything else.
            let text = error.render().to_string();
            let text = safe::paragraphs(text.trim_end());
            let (red, told) = (ui::RED, text.strip_prefix("error:"));
            let head = safe::line(&format!("{red}error:{red:#}"));
            ui::say(&told.map_or_else(|| text.clone(), |told| format!("{head}{told}")));
            Exit::Misuse
        }
        _ => {
            let text = error.render().to_string();
            let message = text.split("\n\n").next().unwrap_or_default();
            let message = message.strip_prefix("error: ").unwrap_or(message);
            let lines: Vec<_> = message.lines().map(str::trim).collect();
            let failure =
                Failure::misuse(lines.join(" ")).hint("`driftline --help` shows what there is");
            Report::of(&failure.into()).print(asked);
            Exit::Misuse
        }
    }
}

/// The form that was asked for, as far as that can be told before the command line is known to be right.
fn asked_format(arguments: &[OsString]) -> Format {
    let texts: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    let pairs = texts
        .windows(2)
        .filter(|pair| pair[0] == "-o" || pair[0] == "--output")
        .map(|pair| &*pair[1]);
    let joined = texts.iter().filter_map(|text| {
        text.strip_prefix("--output=")
            .or_else(|| text.strip_prefix("-o"))
    });
    match pairs
        .chain(joined)
        .map(|format| format.trim_start_matches('='))
        .find(|format| !format.is_empty())
    {
        Some("json") => Format::Json,
        Some("ndjson") => Format::Ndjson,
        _ => Format::Text,
    }
}
