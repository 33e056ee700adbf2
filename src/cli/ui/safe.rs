//! What a terminal would act on never reaches it from data: names, messages, values and errors come from tenants, live systems
//! and servers. Everything that is printed for people goes through here; only our own styles pass, by a mark that no data can
//! know.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::LazyLock;

/// Before and behind a style, in this process. What was written down earlier cannot hold it.
static MARK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "\u{fdd0}{:016x}\u{fdd1}",
        RandomState::new().build_hasher().finish()
    )
});

/// How a text looks on a terminal. As `{style}` it begins, as `{style:#}` it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style(anstyle::Style);

impl Style {
    /// As it is.
    pub const fn new() -> Self {
        Self(anstyle::Style::new())
    }

    /// Of this look.
    pub const fn of(style: anstyle::Style) -> Self {
        Self(style)
    }

    /// The same, fainter.
    pub const fn dimmed(self) -> Self {
        Self(self.0.dimmed())
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = &*MARK;
        if f.alternate() {
            write!(f, "{mark}{:#}{mark}", self.0)
        } else {
            write!(f, "{mark}{}{mark}", self.0)
        }
    }
}

/// Whether a terminal acts on it, or it reorders or hides the text around it.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn replaced(text: &str, kept: &[char], escape: impl Fn(&mut String, char)) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) && !kept.contains(&c) {
            escape(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A text in which what acts is shown as its number, line breaks too. Styles are gone from it.
pub fn plain(text: &str) -> String {
    replaced(text, &[], |shown, c| shown.extend(c.escape_unicode()))
}

/// A line of data and styles, as it goes to a terminal.
pub fn line(text: &str) -> String {
    styled(text, plain)
}

/// A text of several lines: what follows the first is indented, so that none of it passes for a line of our own.
pub fn lines(text: &str) -> String {
    let mut lines = text.lines().map(line);
    let mut shown = lines.next().unwrap_or_default();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        shown.push_str("\n  ");
        shown.push_str(&line);
    }
    shown
}

/// The same without styles.
pub fn unstyled(text: &str) -> String {
    let parts = text.split(&**MARK).enumerate();
    let data = parts.filter(|(number, _)| number % 2 == 0);
    data.map(|(_, part)| part).collect()
}

fn styled(text: &str, data: impl Fn(&str) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, part) in text.split(&**MARK).enumerate() {
        if number % 2 == 0 {
            shown.push_str(&data(part));
        } else {
            shown.push_str(part);
        }
    }
    shown
}

/// A JSON document that says the same, in which nothing acts.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| acts(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(replaced(text, &['\n'], |shown, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }))
}

/// An XML document that says the same, in which nothing acts.
pub fn xml(text: &str) -> String {
    replaced(text, &['\n', '\t'], |shown, c| {
        let _ = write!(shown, "&#x{:x};", u32::from(c));
    })
}

/// A line of a log, with the styles of whoever wrote it.
pub fn log(text: &str) -> String {
    replaced(text, &['\n', '\x1b'], |shown, c| {
        shown.extend(c.escape_unicode());
    })
}

/// A text of several lines that is our own but for what it quotes, such as how a command is used.
pub fn paragraphs(text: &str) -> String {
    replaced(text, &['\n'], |shown, c| shown.extend(c.escape_unicode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOLD: Style = Style::of(anstyle::Style::new().bold());

    #[test]
    fn only_our_own_styles_pass() {
        let data = "a\x1b[1mb\x1b]0;t\x07\u{9b}2J\u{202e}\r\nc";
        let shown = line(&format!("{BOLD}{data}{BOLD:#} ok"));
        assert_eq!(
            shown,
            "\x1b[1ma\\u{1b}[1mb\\u{1b}]0;t\\u{7}\\u{9b}2J\\u{202e}\\u{d}\\u{a}c\x1b[0m ok"
        );
        assert_eq!(unstyled(&format!("{BOLD}a{BOLD:#} b")), "a b");
        // What looks like a mark is none.
        let forged = "\u{fdd0}0000000000000000\u{fdd1}\x1b[2J\u{fdd0}0000000000000000\u{fdd1}";
        assert!(!line(forged).contains('\x1b'));
    }

    #[test]
    fn a_text_of_several_lines_is_indented() {
        assert_eq!(
            lines("refused\nhint: pay\n\n\x1b[2J"),
            "refused\n  hint: pay\n  \\u{1b}[2J"
        );
    }

    #[test]
    fn documents_say_the_same() {
        let value = serde_json::json!({ "k\u{9b}": "\u{202e}\x7f\u{e0041}\x1b é" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(!shown.chars().any(|c| acts(c) && c != '\n'), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
        assert_eq!(json("{\n}"), "{\n}");
        assert_eq!(xml("<a b=\"\u{202e}\">\n"), "<a b=\"&#x202e;\">\n");
    }
}
