//! Runs a page from top to bottom in a place of its own.

use std::path::Path;

use crate::matching::{difference, elided, matches};
use crate::page::{Command, Part, parse};
use crate::site::{Outcome, Site};
use crate::support::root;

/// Runs a page, named from the repository's root, and fails at the first command that does something else than the page says.
pub fn page(name: &str) {
    let path = root().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let writes = std::env::var_os("PAGES").is_some_and(|mode| mode == "write");
    let site = Site::new(name);
    let mut changes = Vec::new();
    for part in parse(&text) {
        match part {
            Part::Hidden { line, script } => {
                let outcome = site.run(&format!("set -e\n{script}"));
                let (code, output) = (outcome.code, outcome.lines.join("\n"));
                assert_eq!(
                    code, 0,
                    "{name}:{line}: what is not shown failed:\n{output}"
                );
            }
            Part::Command(command) => {
                let outcome = site.run(&command.script);
                if !is_as_written(&command, &outcome) {
                    assert!(writes, "{}", told(name, &command, &outcome));
                    changes.push((command, outcome));
                }
            }
        }
    }
    if !changes.is_empty() {
        write(&path, &text, changes);
    }
}

fn is_as_written(command: &Command, outcome: &Outcome) -> bool {
    command.code == outcome.code && matches(&command.expected, &outcome.lines)
}

fn told(name: &str, command: &Command, outcome: &Outcome) -> String {
    let (line, code) = (command.line, command.code);
    let what = &command.script;
    let ended = match outcome.code {
        actual if actual == code => String::new(),
        actual => format!("it exits with {actual}, not with {code}\n"),
    };
    let lines = difference(&command.expected, &outcome.lines);
    format!(
        "{name}:{line}: another outcome than the page says\n$ {what}\n{ended}(- the page, + now)\n{lines}"
    )
}

/// Puts the outcomes into the page.
fn write(path: &Path, text: &str, changes: Vec<(Command, Outcome)>) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (command, outcome) in changes.into_iter().rev() {
        let code = (outcome.code != 0).then(|| format!("? {}", outcome.code));
        let output = outcome.lines.iter().map(|line| elided(line));
        lines.splice(command.outcome, code.into_iter().chain(output));
    }
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}
