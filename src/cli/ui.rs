//! What a person or a program sees: data on stdout, everything else on stderr.
//!
//! Nothing that comes from outside makes a terminal do anything: see [`safe`].

pub mod safe;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::AnsiColor;
use comfy_table::{CellAlignment, Table, presets};
use driftline::domain::TenantId;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

pub use self::safe::Style;

pub const BOLD: Style = Style::of(anstyle::Style::new().bold());
pub const RED: Style = Style::of(AnsiColor::Red.on_default().bold());
pub const GREEN: Style = Style::of(AnsiColor::Green.on_default());
pub const YELLOW: Style = Style::of(AnsiColor::Yellow.on_default());

/// In which form data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One JSON object a line
    Ndjson,
    /// An XML document for continuous integration
    Junit,
}

impl Format {
    /// Whether programs read it as JSON, errors and warnings included.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

/// Whether stderr takes colours.
pub fn is_coloured() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// The two output streams.
#[derive(Debug)]
pub struct Ui {
    pub format: Format,
    quiet: bool,
    closed: AtomicBool,
}

impl Ui {
    pub fn new(format: Format, quiet: bool) -> Self {
        Self {
            format,
            quiet,
            closed: AtomicBool::new(false),
        }
    }

    /// Whether people read the output.
    pub fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Whether every item is printed as a line of its own.
    pub fn is_ndjson(&self) -> bool {
        self.format == Format::Ndjson
    }

    /// Whether the reader of stdout is gone: nothing that is still printed reaches anybody.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// How many columns a line on stdout has: the terminal's, or 80 where there is none.
    pub fn width() -> usize {
        let size = io::stdout()
            .is_terminal()
            .then(|| terminal_size::terminal_size_of(io::stdout()))
            .flatten();
        size.map_or(80, |(width, _)| usize::from(width.0))
    }

    /// Prints a line to stdout. What a terminal would act on is shown as its number.
    pub fn line(&self, text: impl Display) -> io::Result<()> {
        let text = safe::line(&text.to_string());
        self.written(writeln!(anstream::stdout().lock(), "{text}"))
    }

    /// Prints a whole document.
    fn document(&self, text: &str) -> io::Result<()> {
        self.written(writeln!(io::stdout().lock(), "{text}"))
    }

    /// Prints an XML document.
    pub fn xml(&self, text: &str) -> io::Result<()> {
        self.document(&safe::xml(text))
    }

    /// Prints canonical JSON: the very bytes, or on a terminal a text that says the same and ends with a line break.
    pub fn content(&self, bytes: &[u8]) -> io::Result<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) if io::stdout().is_terminal() => self.document(&safe::json(text)),
            _ => self.raw(bytes),
        }
    }

    /// Prints bytes as they are; a terminal gets a line break after them.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| {
            if out.is_terminal() {
                out.write_all(b"\n")?;
            }
            out.flush()
        });
        self.written(written)
    }

    /// Prints a JSON document: over several lines, or on one with `-o ndjson`.
    pub fn json(&self, document: &impl Serialize) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Ndjson => serde_json::to_string(document)?,
            Format::Text | Format::Json | Format::Junit => serde_json::to_string_pretty(document)?,
        };
        Ok(self.document(&safe::json(&text))?)
    }

    /// Prints a JSON document that comes in parts.
    pub fn json_by(
        &self,
        write: impl FnOnce(&mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut part = |text: &str| out.write_all(safe::json(text).as_bytes());
        let written = write(&mut part).and_then(|()| {
            out.write_all(b"\n")?;
            out.flush()
        });
        Ok(self.written(written)?)
    }

    /// Prints a document with its items: whole, or only the items, one a line, with `-o ndjson`.
    pub fn items<T: Serialize>(
        &self,
        document: &impl Serialize,
        items: &[T],
    ) -> anyhow::Result<()> {
        if self.format != Format::Ndjson {
            return self.json(document);
        }
        items.iter().try_for_each(|item| self.json(item))
    }

    /// Prints columns that line up. `right` names the columns of numbers.
    pub fn table(
        &self,
        header: &[&str],
        right: &[usize],
        rows: Vec<Vec<String>>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(header);
        let cells = |row: Vec<String>| row.into_iter().map(|cell| safe::plain(&cell));
        table.add_rows(rows.into_iter().map(cells));
        for (number, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if right.contains(&number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (number, line) in table.lines().enumerate() {
            let line = line.trim_end();
            if number == 0 {
                self.line(format_args!("{BOLD}{line}{BOLD:#}"))?;
            } else {
                self.line(line)?;
            }
        }
        Ok(())
    }

    /// Tells a person on stderr how it went.
    pub fn note(&self, text: impl Display) {
        if !self.quiet && self.is_text() {
            say(&safe::lines(&text.to_string()));
        }
    }

    /// Warns on stderr of what did not make the command fail.
    pub fn warn(&self, text: impl Display) {
        if self.quiet {
            return;
        }
        if self.format.is_json() {
            let document = json!({ "warning": { "message": text.to_string() } }).to_string();
            say(&safe::json(&document));
        } else {
            say(&safe::lines(&format!("{YELLOW}warning:{YELLOW:#} {text}")));
        }
    }

    /// Progress on stderr, if that is a terminal. `template` is indicatif's.
    pub fn progress(&self, template: &str) -> ProgressBar {
        let shown = !self.quiet && self.is_text() && io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }

    /// A reader that went away (`| head`) is no failure.
    fn written(&self, outcome: io::Result<()>) -> io::Result<()> {
        if !answered(outcome)? {
            self.closed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Whether an answer reached its reader: one that went away (`| head`) is no failure, a full disk is.
pub fn answered(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("write the answer: {error}"),
        )),
    }
}

/// Writes a line to stderr that is safe already. That nobody reads it is no failure.
pub fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// A size for people.
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// Some names, and how many more there are.
pub fn names(tenants: &[TenantId]) -> String {
    let told: Vec<_> = tenants.iter().take(5).map(TenantId::as_str).collect();
    let others = match tenants.len() - told.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!("{}{others}", told.join(", "))
}

/// `count` things, in the singular or the plural.
pub fn count(count: u64, thing: &str) -> String {
    let plural = match thing {
        "entry" => "entries".to_owned(),
        _ => format!("{thing}s"),
    };
    format!("{count} {}", if count == 1 { thing } else { &plural })
}
