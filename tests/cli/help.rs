//! Help, and what is said of a command line that makes no sense.

use crate::session::Session;

#[test]
fn every_command_explains_itself() {
    let mut session = Session::new();
    session.run("--help");
    let commands = [
        "demo",
        "migrate",
        "adopt",
        "tenant",
        "tenant list",
        "manifest",
        "manifest create",
        "manifest get",
        "manifest history",
        "manifest diff",
        "manifest import",
        "apply",
        "apply record",
        "apply show",
        "drift",
        "drift check",
        "drift plan",
        "drift ack",
        "drift acks",
        "drift policy",
        "drift policy get",
        "drift policy set",
        "drift history",
        "replicate",
        "recover",
        "status",
        "stats",
        "doctor",
        "completions",
    ];
    for command in commands {
        let run = session.must(&format!("{command} --help"));
        assert!(run.text().contains("Usage: driftline"), "{command}");
    }
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
