//! Logs: on stderr, warnings and above, unless `RUST_LOG` or `-v` says otherwise.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::safe;

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

/// Stderr for logs. Escape sequences of data are numbers already when a line comes here; what else a terminal would heed, such
/// as marks that reorder a text, becomes one here.
struct Safe {
    json: bool,
}

impl io::Write for Safe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let shown = if self.json {
            safe::json(&text).into_owned()
        } else {
            safe::log(&text)
        };
        io::stderr().write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The variable that asks for logs in JSON: `DRIFTLINE_LOG_FORMAT=json`.
const FORMAT: &str = "DRIFTLINE_LOG_FORMAT";

/// Sends logs to stderr, for as long as the process runs.
pub fn start(logging: Logging) {
    let default = match (logging.verbose, logging.brief) {
        (0, true) => "warn,driftline_core::hybrid::replicator=off",
        (0, false) => "warn",
        (1, _) => "info",
        (2, _) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let json = logging.json || std::env::var(FORMAT).is_ok_and(|format| format == "json");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Safe { json });
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
