//! Logs: on stderr, warnings and above, unless `RUST_LOG` or [`Logging::verbose`] says otherwise.

use std::io;

use tracing_subscriber::EnvFilter;

/// How a process logs.
#[derive(Debug, Clone, Copy)]
pub struct Logging {
    /// One more says more.
    pub verbose: u8,
    /// One JSON object a line.
    pub json: bool,
    /// Lines for people have colours.
    pub colours: bool,
    /// The process itself tells what happened to shadowing; the replicator need not.
    pub brief: bool,
    /// What may go to a terminal of what is to be logged: lines for people, or JSON.
    pub shown: fn(&str, Form) -> String,
}

/// What a text is that is about to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people. Escape sequences of data are numbers already; what else a terminal would heed is not, such as marks
    /// that reorder a text.
    Text,
    /// JSON.
    Json,
}

struct Stderr {
    shown: fn(&str, Form) -> String,
    form: Form,
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let shown = (self.shown)(&String::from_utf8_lossy(bytes), self.form);
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
    let form = if json { Form::Json } else { Form::Text };
    let shown = logging.shown;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Stderr { shown, form });
    // Only a second subscriber is an error here, and there is none.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder
            .with_ansi(logging.colours)
            .with_target(logging.verbose > 1)
            .compact()
            .try_init()
    };
}
