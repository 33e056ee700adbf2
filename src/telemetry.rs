//! Logs: on stderr, warnings and above, unless `RUST_LOG` or `-v` says otherwise.

use std::io;

use tracing_subscriber::EnvFilter;

/// How a command logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging {
    /// How often `-v` was given.
    pub verbose: u8,
    /// One JSON object a line.
    pub json: bool,
    /// The command itself tells what happened to shadowing; the replicator need not.
    pub brief: bool,
}

/// The variable that asks for logs in JSON: `DRIFTLINE_LOG_FORMAT=json`.
const FORMAT: &str = "DRIFTLINE_LOG_FORMAT";

/// Sends logs to stderr, for as long as the process runs.
pub fn start(logging: Logging) {
    let default = match (logging.verbose, logging.brief) {
        (0, true) => "warn,driftline::hybrid::replicator=off",
        (0, false) => "warn",
        (1, _) => "info",
        (2, _) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let json = logging.json || std::env::var(FORMAT).is_ok_and(|format| format == "json");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // Only a second subscriber is an error here, and there is none.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        let colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        builder
            .with_ansi(colours)
            .with_target(logging.verbose > 1)
            .compact()
            .try_init()
    };
}
