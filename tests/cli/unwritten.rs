//! An answer that could not be written is no success; a reader that went away is no failure.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::process::Stdio;

use crate::session::{Session, words};

/// Every command that answers, in a session with a tenant `acme`. What one of them does twice is done.
const COMMANDS: [&str; 38] = [
    "--help",
    "--version",
    "manifest create --help",
    "help",
    "help recover",
    "completions bash",
    "migrate",
    "status",
    "status -o json",
    "status --at-risk",
    "stats --tenant acme",
    "tenant list",
    "tenant list -o ndjson",
    "manifest create --tenant acme --file m.json",
    "manifest create --tenant acme --file m.json -o json",
    "manifest get --tenant acme",
    "manifest get --tenant acme -o json",
    "manifest history --tenant acme",
    "manifest history --tenant acme -o ndjson",
    "manifest diff --tenant acme 1 2",
    "apply record --tenant acme --version 1 --file r.json",
    "apply show --tenant acme",
    "drift check --tenant acme --actual live.json",
    "drift check --tenant acme --actual live.json -o json",
    "drift check --tenant acme --actual live.json -o junit",
    "drift plan --tenant acme --actual live.json",
    "drift acks --tenant acme",
    "drift policy get --tenant acme",
    "drift history --tenant acme",
    "audit run --tenant acme --actual live.json",
    "audit list --tenant acme",
    "replicate --drain",
    "verify",
    "verify -o json",
    "doctor",
    "doctor -o json",
    "recover --all-tenants --dry-run",
    "drill --all-tenants",
];

fn session() -> Session {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.manifest(2);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.write("r.json", r#"{"roles":{"role-1":"r-1"}}"#);
    session.must("apply record --tenant acme --version 1 --file r.json --wait-shadowed");
    session.write(
        "live.json",
        r#"{"resources":{"roles":{"r-1":{"limit":7}}}}"#,
    );
    session
}

#[test]
fn a_full_disk_is_no_success() {
    let session = session();
    for line in COMMANDS {
        let run = session.quietly(line);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = session.command(&words(line)).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if run.stdout.is_empty() {
            // It has nothing to say there.
            assert_eq!(output.status.code(), Some(run.code), "{line}: {said}");
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("write the answer"), "{line}: {said}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let session = session();
    for line in COMMANDS {
        let whole = session.quietly(line).code;
        let mut child = session
            .command(&words(line))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(whole), "{line}: {said}");
        assert!(!said.contains("panic"), "{line}: {said}");
    }
}
