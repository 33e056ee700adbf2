//! Help, and what is said of a command line that makes no sense.

use std::fmt::Write as _;

use crate::session::Session;

/// Every command's name and what its help says, in the order in which help lists them.
fn every_help() -> Vec<(String, String)> {
    fn below(command: &str, found: &mut Vec<(String, String)>) {
        let run = Session::new().must(&format!("{command} --help"));
        let help = run.text().to_owned();
        let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
        let listed = listed.split("\n\n").next().unwrap_or_default();
        // A name stands two columns in; what goes on from the line before it, much further.
        let names = listed.lines().filter_map(|line| line.strip_prefix("  "));
        let names = names.filter_map(|line| line.split(' ').next());
        let names = names.filter(|name| !name.is_empty() && *name != "help");
        let names: Vec<String> = names.map(str::to_owned).collect();
        found.push((command.to_owned(), help));
        for name in names {
            below(format!("{command} {name}").trim(), found);
        }
    }
    let mut found = Vec::new();
    below("", &mut found);
    found
}

#[test]
fn every_command_explains_itself() {
    let helps = every_help();
    for (command, help) in &helps {
        let usage = format!("Usage: driftline {command}");
        assert!(help.contains(usage.trim()), "{command}");
        let groups = [
            "",
            "tenant",
            "manifest",
            "apply",
            "drift",
            "drift policy",
            "audit",
        ];
        let is_group = groups.contains(&&command[..]);
        assert!(
            is_group || help.contains("\nExample"),
            "{command} shows no example"
        );
    }
    assert!(helps.len() > 40, "{}", helps.len());
    let mut session = Session::new();
    session.run("--help");
    for command in [
        "manifest create",
        "manifest get",
        "manifest import",
        "drift check",
        "drift ack",
        "drift policy set",
        "recover",
        "status",
    ] {
        session.run(&format!("{command} --help"));
    }
    session.assert("help");
}

/// `PAGES=write cargo test --test cli reference` writes it anew.
#[test]
fn the_command_reference_is_what_help_says() {
    let mut page =
        "# Commands\n\nWhat `driftline COMMAND --help` says, command by command.\n".to_owned();
    for (command, help) in every_help() {
        let (text, _) = help.split_once("\nGlobal options:").unwrap_or((&help, ""));
        let (name, text) = match &command[..] {
            "" => (String::new(), &help[..]),
            _ => (format!(" {command}"), text),
        };
        let after = help.split("\nGlobal options:").nth(1).unwrap_or_default();
        let after = after.split_once("\n\n").map_or("", |(_, after)| after);
        let after = if command.is_empty() { "" } else { after };
        let text = [text.trim(), after.trim()].join("\n\n");
        let text = text.trim();
        write!(page, "\n## driftline{name}\n\n```text\n{text}\n```\n").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    if std::env::var_os("PAGES").is_some_and(|mode| mode == "write") {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/commands.md is not what the commands' help says: PAGES=write writes it anew"
    );
}

#[test]
fn misuse_is_exit_code_64() {
    let mut session = Session::new();
    session.manifest(1);
    for line in [
        "",
        "frobnicate",
        "manifest",
        "manifest create",
        "manifest create --tenant 'a b' --file m.json",
        "manifest get --tenant acme --version 0",
        "manifest get --tenant acme --version 1 --at 2026-01-01T00:00:00Z",
        "manifest get --tenant acme --at yesterday",
        "manifest history --tenant acme --limit 0",
        "manifest create --tenant acme --file m.json --wait-shadowed=soon",
        "recover",
        "recover --tenant acme --all-tenants",
        "recover --tenant acme --to-version 1 --at 2026-01-01T00:00:00Z",
        "doctor --rounds 3",
        "-o yaml status",
        "-o json manifest create --tenant acme",
        "manifest get --tenant=_x -o json",
    ] {
        let run = session.run(line);
        assert_eq!(run.code, 64, "{line}");
        assert!(run.stdout.is_empty(), "{line}");
    }
    assert!(
        !session.path(".driftline").exists(),
        "a bad command line touched the sides"
    );
    session.assert("misuse");
}

#[test]
fn the_version_is_told() {
    let run = Session::new().must("--version");
    assert_eq!(
        run.text(),
        format!("driftline {}\n", env!("CARGO_PKG_VERSION"))
    );
}
