//! What of a page is run: commands with their output, and scripts that are not shown.
//!
//! In a `console` block a line `$ COMMAND` is a command, which goes on over lines that end with `\`. A line `? CODE` right
//! after it says how it exits (0 if there is none). The lines up to the next command are what it prints, on both outputs; how
//! they may leave something out is for [`crate::matching`] to say.

use std::ops::Range;

/// The file of a test's page.
pub fn file_name(test: &str) -> String {
    format!("{}.md", test.replace('_', "-"))
}

/// What is run, in the page's order.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A script that is not shown. It has to succeed.
    Hidden { line: usize, script: String },
    /// A command that is shown.
    Command(Command),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Where it stands, from 1.
    pub line: usize,
    pub script: String,
    pub code: i32,
    pub expected: Vec<String>,
    /// The lines of the page, from 0, that say how it exits and what it prints.
    pub outcome: Range<usize>,
}

/// Takes a page apart.
pub fn parse(text: &str) -> Vec<Part> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let begin = at;
        at += 1;
        if matches!(lines[begin].trim(), "<!-- setup" | "<!-- between") {
            at = end_of(&lines, at, "-->");
            let script = lines[begin + 1..at].join("\n");
            parts.push(Part::Hidden {
                line: begin + 1,
                script,
            });
        } else if lines[begin] == "```console" {
            let end = end_of(&lines, at, "```");
            while at < end {
                let command = command(&lines[..end], at);
                at = command.outcome.end;
                parts.push(Part::Command(command));
            }
        }
    }
    parts
}

fn end_of(lines: &[&str], from: usize, mark: &str) -> usize {
    let found = lines[from..].iter().position(|line| line.trim() == mark);
    from + found.unwrap_or_else(|| panic!("line {from}: no `{mark}` follows"))
}

fn command(lines: &[&str], at: usize) -> Command {
    let first = lines[at].strip_prefix("$ ");
    let first = first.unwrap_or_else(|| panic!("line {}: a block begins with a command", at + 1));
    let (mut command, mut next) = (first.to_owned(), at + 1);
    while command.ends_with('\\') {
        command.push('\n');
        command.push_str(lines[next]);
        next += 1;
    }
    let begin = next;
    let code = lines.get(next).and_then(|line| line.strip_prefix("? "));
    let code = code.map(|code| code.parse().expect("`? CODE`"));
    next += usize::from(code.is_some());
    let output = next;
    while next < lines.len() && !lines[next].starts_with("$ ") {
        next += 1;
    }
    Command {
        line: at + 1,
        script: command,
        code: code.unwrap_or(0),
        expected: lines[output..next]
            .iter()
            .map(|&line| line.to_owned())
            .collect(),
        outcome: begin..next,
    }
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# T\n<!-- setup\nmake it\nso\n-->\n```console\n$ a \\\n  b\n? 4\nout\n$ c\n```\n```sh\nnot run\n```\n";
    let parts = parse(text);
    let command = |line, command: &str, code, expected: &[&str], outcome| {
        Part::Command(Command {
            line,
            script: command.to_owned(),
            code,
            expected: expected.iter().map(|&line| line.to_owned()).collect(),
            outcome,
        })
    };
    let hidden = Part::Hidden {
        line: 2,
        script: "make it\nso".to_owned(),
    };
    let (a, c) = (
        command(7, "a \\\n  b", 4, &["out"], 8..10),
        command(11, "c", 0, &[], 11..11),
    );
    assert_eq!(parts, [hidden, a, c]);
}
