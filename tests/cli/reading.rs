//! Questions about what is there, and about what is not.

use crate::session::Session;

fn three_versions() -> Session {
    let session = Session::new();
    for roles in 1..=3 {
        session.manifest(roles);
        session.must("manifest create --tenant acme --file m.json");
    }
    session
}

#[test]
fn an_empty_installation_has_nothing() {
    let mut session = Session::new();
    session.run("status");
    session.run("doctor -o json");
    session.run("verify");
    session.run("migrate");
    session.run("status");
    session.run("status -o json");
    session.run("tenant list");
    session.run("tenant list -o json");
    session.run("tenant list -o ndjson");
    session.run("doctor");
    session.run("replicate --drain");
    session.run("recover --all-tenants");
    session.assert("empty");
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut session = three_versions();
    session.run("manifest get --tenant acme --version 9");
    session.run("manifest get --tenant acme --version 9 -o json");
    session.run("manifest get --tenant acme --at 2019-01-01T00:00:00Z");
    session.run("manifest get --tenant nobody");
    session.run("manifest history --tenant nobody");
    session.run("manifest diff --tenant acme 1 9");
    session.run("manifest diff --tenant nobody 1 2");
    session.run("stats --tenant nobody");
    session.run("status --tenant nobody");
    session.run("apply show --tenant nobody");
    session.run("recover --tenant nobody");
    session.assert("not_found");
}

#[test]
fn a_time_means_what_was_active_then() {
    let session = three_versions();
    let history = session
        .must("manifest history --tenant acme -o json")
        .json();
    for item in history["items"].as_array().unwrap() {
        let at = item["committedAt"].as_str().unwrap();
        let found = session
            .must(&format!(
                "manifest get --tenant acme --at {at} --meta -o json"
            ))
            .json();
        assert_eq!(&found, item);
    }
}

#[test]
fn a_history_is_paged() {
    let mut session = three_versions();
    session.run("manifest history --tenant acme --limit 2");
    session.run("manifest history --tenant acme --limit 2 --before 2");
    session.run("manifest history --tenant acme --limit 2 -o ndjson");
    session.assert("pages");
    let first = session
        .must("manifest history --tenant acme --limit 2 -o json")
        .json();
    assert_eq!(first["next"], 2);
    let second = session
        .must("manifest history --tenant acme --limit 2 --before 2 -o json")
        .json();
    assert_eq!(
        (second["items"].as_array().unwrap().len(), &second["next"]),
        (1, &serde_json::Value::Null)
    );
    let lines = session.must("manifest history --tenant acme -o ndjson");
    let lines: Vec<serde_json::Value> = lines
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let all = session
        .must("manifest history --tenant acme -o json")
        .json();
    assert_eq!(&lines, all["items"].as_array().unwrap());
}

#[test]
fn both_sides_are_examined() {
    let mut session = three_versions();
    session.run("doctor");
    session.run("doctor -o json");
    let run = session.must("doctor --race --writers 4 --rounds 3 -o json");
    let checks = run.json()["checks"].as_array().unwrap().clone();
    assert!(
        checks
            .iter()
            .any(|check| check["name"] == "replace-race" && check["verdict"] == "pass"),
        "{checks:?}"
    );
    let left = std::fs::read_dir(session.path(".driftline/snapshots/_driftline")).unwrap();
    let mut left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    left.sort();
    let ours = ["README.txt", "bucket.json", "recover.sh"];
    assert_eq!(left, ours, "the probe left something");
    session.write("elsewhere.txt", "");
    session.run("--snapshots file://elsewhere.txt doctor");
    session.run("--snapshots file://elsewhere.txt doctor --race -o json");
    session.assert("doctor");
}

#[test]
fn scripts_for_shells_are_printed() {
    let session = Session::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = session.must(&format!("completions {shell}"));
        assert!(run.text().contains("driftline"), "{shell}");
        assert!(run.text().contains("idempotency-key"), "{shell}");
    }
    assert_eq!(session.quietly("completions tcl").code, 64);
}
