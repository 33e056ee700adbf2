//! Lines that are never wider than they may be. Colours are laid on after a text was broken, and take no columns.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::cli::ui::{BOLD, Style};

/// The narrowest page: on less, nothing can be told.
const NARROWEST: usize = 24;

/// The lines so far.
#[derive(Debug)]
pub struct Page {
    width: usize,
    /// The lines, with colours.
    pub lines: Vec<String>,
}

impl Page {
    /// A page of so many columns.
    pub fn new(width: usize) -> Self {
        Self {
            width: width.max(NARROWEST),
            lines: Vec::new(),
        }
    }

    /// The columns that are left of a line behind an indent.
    pub fn columns(&self, indent: usize) -> usize {
        self.width - indent
    }

    /// A text that is broken at spaces where it can be.
    pub fn paragraph(&mut self, indent: usize, style: Style, text: &str) {
        for line in broken(text, self.columns(indent)) {
            self.lines
                .push(format!("{:indent$}{style}{line}{style:#}", ""));
        }
    }

    /// A verdict, what it is about, and what that means: on one line if that fits.
    pub fn item(&mut self, style: Style, verdict: &str, column: usize, name: &str, words: &str) {
        let head = column + 2 + name.width();
        let gap = if words.is_empty() { "" } else { "  " };
        if head + gap.len() + words.width() <= self.width {
            let verdict = format!("{style}{verdict:column$}{style:#}");
            let line = format!("{verdict}  {BOLD}{name}{BOLD:#}{gap}{words}");
            self.lines.push(line);
            return;
        }
        if head <= self.width {
            let verdict = format!("{style}{verdict:column$}{style:#}");
            self.lines.push(format!("{verdict}  {BOLD}{name}{BOLD:#}"));
        } else {
            self.lines.push(format!("{style}{verdict}{style:#}"));
            self.paragraph(2, BOLD, name);
        }
        self.paragraph(2, Style::new(), words);
    }

    /// A field and its values: on one line if there is one and it fits.
    pub fn values(&mut self, pointer: &str, values: &[String]) {
        if let [value] = values {
            return self.pair(2, &format!("{pointer}:"), value);
        }
        self.paragraph(2, Style::new(), pointer);
        for value in values {
            self.paragraph(4, Style::new(), value);
        }
    }

    /// Whether two texts fit on one line.
    pub fn fits(&self, indent: usize, first: &str, second: &str) -> bool {
        indent + first.width() + 1 + second.width() <= self.width
    }

    /// Two texts: on one line if they fit.
    pub fn pair(&mut self, indent: usize, first: &str, second: &str) {
        if self.fits(indent, first, second) {
            self.lines.push(format!("{:indent$}{first} {second}", ""));
            return;
        }
        self.paragraph(indent, Style::new(), first.trim_end_matches(':'));
        self.paragraph(indent + 2, Style::new(), second);
    }
}

/// The text in lines of at most so many columns. A word that is longer than a line is broken.
fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if used > 0 && used + 1 + word.width() > columns {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut().filter(|line| !line.is_empty()) {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let width = c.width().unwrap_or_default();
            if used + width > columns {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += width;
        }
    }
    lines
}
