//! A side that is not there: what only reads says so and makes nothing.

use std::path::Path;

use crate::session::Session;

/// Every command that needs a database that is there.
const OF_THE_DATABASE: &[&str] = &[
    "status",
    "status --at-risk -o json",
    "status --tenant acme",
    "stats --tenant acme",
    "tenant list",
    "tenant retire --tenant acme --reason over",
    "tenant reinstate --tenant acme --reason again",
    "manifest get --tenant acme",
    "manifest history --tenant acme",
    "manifest diff --tenant acme 1 2",
    "apply show --tenant acme",
    "apply record --tenant acme --version 1 --file a.json",
    "drift check --all-tenants",
    "drift check --tenant acme --actual a.json",
    "drift history --tenant acme",
    "drift acks --tenant acme",
    "drift plan --tenant acme --actual a.json",
    "drift policy get --tenant acme",
    "drift policy set --tenant acme --file a.json",
    "drift ack --tenant acme --type roles --id a --until 1d --reason why",
    "audit run",
    "audit serve",
    "audit list",
    "audit list --schedule",
    "audit list --events",
    "audit show 0c2d3f6e-5c52-4f5e-9d0a-6f1a3f3f8e4b",
    "audit diff 0c2d3f6e-5c52-4f5e-9d0a-6f1a3f3f8e4b 0c2d3f6e-5c52-4f5e-9d0a-6f1a3f3f8e4c",
    "verify",
    "verify --tenant acme --read-data",
    "verify ack-lost --tenant acme --version 1 --reason lost",
    "repair --plan plan.json",
    "drill --all-tenants",
    "doctor",
    "doctor --race",
];

/// Every command that needs a bucket that is there.
const OF_THE_BUCKET: &[&str] = &[
    "verify",
    "repair --plan plan.json",
    "drill --all-tenants",
    "doctor",
    "doctor --race",
    "recover --all-tenants",
    "recover --all-tenants --dry-run",
    "recover --all-tenants --plan plan.json",
    "recover --tenant acme",
];

/// What is in a directory, at any depth.
fn found(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.display().to_string());
        if path.is_dir() {
            names.extend(found(&path));
        }
    }
    names.sort();
    names
}

fn is_told(session: &Session, options: &str, commands: &[&str], what: &str) {
    let before = found(session.directory());
    for command in commands {
        let run = session.quietly(&format!("{options} {command}"));
        assert_eq!(run.code, 6, "{options} {command}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{options} {command}");
        assert!(
            run.stderr.contains(what),
            "{options} {command}: {}",
            run.stderr
        );
        let after = found(session.directory());
        assert_eq!(after, before, "{options} {command}");
    }
}

#[test]
fn a_database_that_is_not_there_is_told_and_not_made() {
    let session = Session::new();
    session.write("a.json", "{}");
    let there = Session::new();
    let place = there.directory().display();
    is_told(
        &session,
        "",
        OF_THE_DATABASE,
        "open the database: there is no file .driftline/driftline.db",
    );
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    let typo = format!("--database sqlite://{place}/typo/driftline.db");
    let told = format!("there is no file {place}/typo/driftline.db");
    is_told(&session, &typo, OF_THE_DATABASE, &told);
    assert_eq!(found(there.directory()), Vec::<String>::new());
    // Also below a file.
    let below = "--database sqlite://m.json/driftline.db";
    is_told(
        &session,
        below,
        OF_THE_DATABASE,
        "there is no file m.json/driftline.db",
    );
}

#[test]
fn an_empty_file_is_no_database_yet() {
    let session = Session::new();
    session.write("a.json", "{}");
    session.write("empty.db", "");
    let commands = OF_THE_DATABASE;
    let options = "--database sqlite://empty.db";
    is_told(&session, options, commands, "the file empty.db is empty");
    assert_eq!(std::fs::read(session.path("empty.db")).unwrap(), b"");
}

#[test]
fn a_bucket_that_is_not_there_is_told_and_not_made() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    let typo = "--snapshots file://typo/snapshots";
    let told = "open the bucket: there is no directory typo/snapshots";
    is_told(&session, typo, OF_THE_BUCKET, told);
    // What can do without it does.
    for command in [
        "status",
        "tenant list",
        "manifest get --tenant acme",
        "manifest history --tenant acme",
        "drift check --all-tenants",
    ] {
        let run = session.quietly(&format!("{typo} {command}"));
        assert!([0, 2].contains(&run.code), "{command}: {}", run.stderr);
        assert!(!session.path("typo").exists(), "{command}");
    }
    let stats = session.must(&format!("{typo} stats --tenant acme"));
    assert!(
        String::from_utf8(stats.stdout)
            .unwrap()
            .contains("could not be asked")
    );
    assert!(!session.path("typo").exists());
}

#[test]
fn a_look_at_what_a_recovery_would_restore_makes_no_database() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.lose_database();
    let before = found(session.directory());
    let run = session.must("recover --all-tenants --dry-run -o json");
    assert_eq!(run.json()["tenants"][0]["restored"], 1);
    assert_eq!(found(session.directory()), before);
    // The recovery itself makes it.
    session.must("recover --all-tenants");
    session.must("status");
}

#[test]
fn a_configuration_that_is_not_there_makes_nothing() {
    let session = Session::new();
    for command in ["status", "manifest create --tenant acme --file -"] {
        let run = session.quietly(&format!("--config typo.toml {command}"));
        assert_eq!(run.code, 64);
        assert!(run.stderr.contains("typo.toml"), "{}", run.stderr);
        assert_eq!(found(session.directory()), Vec::<String>::new());
    }
}
