//! Recovery is proven before it is needed, and tenants end by decision.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Duration;

use crate::session::Session;

fn two_tenants() -> Session {
    let session = Session::new();
    for roles in 1..=3 {
        session.manifest(roles);
        session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    }
    session.must("manifest create --tenant beta --file m.json --wait-shadowed");
    session.write("r.json", r#"{"roles":{"role-1":"r-1"}}"#);
    session.must("apply record --tenant acme --version 2 --file r.json --wait-shadowed");
    session
}

/// Every file of the bucket with its bytes and its time.
fn bucket(session: &Session) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut left = vec![session.path(".driftline/snapshots")];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            // Whoever tries a write takes a lock, whatever becomes of it.
            if path.ends_with(".driftline") {
                continue;
            }
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let modified = path.metadata().unwrap().modified().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            found.push((path.display().to_string(), bytes, modified));
        }
    }
    found.sort();
    found
}

fn assert_nothing_is_left(session: &Session) {
    let left: Vec<_> = std::fs::read_dir(session.path(".driftline"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("drill"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_drill_proves_what_status_shows_and_doctor_insists_on() {
    let mut session = two_tenants();
    let before = bucket(&session);
    session.run("status --tenant acme -o json");
    session.run("doctor");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(session.run("doctor --proof-max-age 1s").code, 10);
    session.run("drill --all-tenants");
    session.run("drill --sample 100% -o json");
    session.run("drill --tenant beta -o ndjson");
    session.run("status");
    session.run("status -o json");
    session.run("doctor --proof-max-age 7d");
    session.run("doctor --proof-max-age 7d -o json");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(session.run("doctor --proof-max-age 1s").code, 10);
    session.write("driftline.toml", "proof-max-age-days = 1\n");
    session.run("doctor");
    session.assert("drill");
    assert!(
        bucket(&session) == before,
        "a drill writes nothing to the bucket"
    );
    assert_nothing_is_left(&session);
}

#[test]
fn what_differs_is_named_and_proves_nothing() {
    let mut session = two_tenants();
    let snapshot = session.path(".driftline/snapshots/acme/versions/v000002.json");
    let text = std::fs::read_to_string(&snapshot).unwrap();
    std::fs::write(&snapshot, text.replace("role-1", "role-X")).unwrap();
    assert_eq!(session.run("drill --all-tenants").code, 9);
    session.run("drill --tenant acme -o json");
    std::fs::write(&snapshot, text).unwrap();
    let index = session.path(".driftline/snapshots/acme/applies/index.json");
    std::fs::remove_file(index).unwrap();
    session.run("drill --all-tenants");
    for name in ["acme/applies", "beta"] {
        std::fs::remove_dir_all(session.path(".driftline/snapshots").join(name)).unwrap();
    }
    session.run("drill --all-tenants");
    session.run("status --at-risk");
    session.assert("drill_different");
    assert_nothing_is_left(&session);
}

#[test]
fn a_drill_into_a_database_of_ones_own_leaves_it_there() {
    let mut session = two_tenants();
    session.run("drill --all-tenants --into sqlite://copy.db");
    session.run("--database sqlite://copy.db status");
    session.run("--database sqlite://copy.db manifest get --tenant acme --version 1");
    session.run("--database sqlite://copy.db manifest create --tenant acme --file m.json");
    for line in [
        "drill --all-tenants --into sqlite://copy.db",
        "drill --all-tenants --into sqlite://.driftline/driftline.db",
        "drill --all-tenants --into redis://u:secret@h",
        "drill --all-tenants --sample 5%",
        "drill --sample 0%",
        "drill",
        "drill --tenant nobody",
    ] {
        let run = session.run(line);
        assert_ne!(run.code, 0, "{line}");
        assert!(!run.stderr.contains("secret"));
    }
    session.must("drill --tenant acme");
    session.run("status");
    session.assert("drill_into");
}

#[test]
fn a_drill_without_anything_to_prove_says_so() {
    let mut session = Session::new();
    session.must("migrate");
    session.run("drill --all-tenants");
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.lose_database();
    session.must("migrate");
    session.run("drill --all-tenants");
    session.assert("drill_nothing");
    // A database that has its bucket, and nothing in it.
    let fresh = Session::new();
    fresh.must("migrate");
    fresh.must("replicate --drain");
    let run = fresh.quietly("drill --all-tenants");
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("nothing was proven"), "{}", run.stderr);
}

#[test]
fn an_interrupted_drill_leaves_nothing_behind() {
    let session = two_tenants();
    let snapshot = session.path(".driftline/snapshots/acme/versions/v000002.json");
    std::fs::remove_file(&snapshot).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&snapshot).status();
    assert!(made.unwrap().success());
    let mut drill = session
        .command(&["drill", "--all-tenants"])
        .spawn()
        .unwrap();
    let began = || {
        let names = std::fs::read_dir(session.path(".driftline")).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        names.into_iter().any(|name| name.contains("drill-"))
    };
    for _ in 0..500 {
        if began() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began(), "the drill waits at an object that never comes");
    let id = drill.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(drill.wait().unwrap().code(), Some(130));
    assert_nothing_is_left(&session);
}

#[test]
fn a_retired_tenant_is_read_and_not_written() {
    let mut session = two_tenants();
    session.run("tenant retire --tenant acme --reason 'contract ended' --by alice");
    for line in [
        "tenant retire --tenant acme --reason again",
        "tenant retire --tenant nobody --reason x",
        "tenant reinstate --tenant beta --reason x",
        "manifest create --tenant acme --file m.json",
        "apply record --tenant acme --version 2 --file r.json",
        "recover --tenant acme --to-version 1",
    ] {
        assert_ne!(session.run(line).code, 0, "{line}");
    }
    session.run("tenant list");
    session.run("tenant list -o ndjson");
    session.run("status");
    session.run("status --tenant acme -o ndjson");
    session.run("stats --tenant acme");
    session.run("stats --tenant acme -o json");
    session.run("manifest get --tenant acme");
    session.run("manifest get --tenant acme --meta");
    session.run("manifest get --tenant acme --meta -o json");
    session.run("manifest history --tenant acme");
    session.run("manifest history --tenant beta -o json");
    session.run("drift check --tenant acme");
    session.run("drift check --all-tenants");
    let audits = session
        .quietly("audit run --exit-code never -o json")
        .json();
    assert_eq!(audits["audits"].as_array().unwrap().len(), 1, "beta alone");
    session.run("audit run --tenant acme");
    session.run("tenant reinstate --tenant acme --reason 'they came back' -o json");
    session.run("manifest create --tenant acme --file m.json");
    session.run("tenant list");
    session.assert("retire");
}

#[test]
fn a_drill_that_fails_and_cannot_be_put_on_record_says_so() {
    let session = two_tenants();
    session.must("drill --all-tenants");
    let snapshot = session.path(".driftline/snapshots/acme/versions/v000002.json");
    std::fs::remove_file(&snapshot).unwrap();
    session.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE OF drill_failed_at ON tenant
         WHEN NEW.drill_failed_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'no room for that'); END",
    );
    let run = session.quietly("drill --tenant acme");
    assert_eq!(run.code, 9, "{}", run.stderr);
    let said = &run.stderr;
    assert!(
        said.contains("NOT ON RECORD: what this drill found of acme"),
        "{said}"
    );
    assert!(said.contains("no room for that"), "{said}");
    let document = session.quietly("drill --all-tenants -o json").json();
    let tenants = document["tenants"].as_array().unwrap();
    assert!(
        tenants[0]["unrecorded"]["message"].is_string(),
        "{document}"
    );
    assert_eq!(tenants[1].get("unrecorded"), None, "{document}");
    session.sql("DROP TRIGGER refuse");
    let run = session.quietly("drill --tenant acme");
    assert_eq!(run.code, 9);
    assert!(!run.stderr.contains("NOT ON RECORD"), "{}", run.stderr);
    // Whatever age of proofs is asked for.
    let doctor = session.quietly("doctor");
    assert_eq!(doctor.code, 10, "{}", doctor.text());
}

/// Ended by an error, or by a signal: there is no report then that could tell it.
#[test]
fn a_drill_that_ends_early_names_what_it_could_not_put_on_record() {
    let session = two_tenants();
    session.must("drill --all-tenants");
    session.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE OF drill_failed_at ON tenant
         WHEN NEW.drill_failed_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'no room for that'); END",
    );
    let marker = session.path(".driftline/snapshots/_driftline/bucket.json");
    let away = session.path(".driftline/away");
    std::fs::rename(&marker, &away).unwrap();
    let said = session.quietly("drill --all-tenants").stderr;
    let all = "NOT ON RECORD: what this drill found of acme, beta;";
    assert!(said.contains(all), "{said}");
    std::fs::rename(&away, &marker).unwrap();

    std::fs::remove_file(session.path(".driftline/snapshots/acme/versions/v000002.json")).unwrap();
    // That it tries again at the end takes long enough to interrupt it there.
    session.sql("DROP TRIGGER refuse");
    session.sql(
        "CREATE VIEW long AS WITH RECURSIVE n(i) AS
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) SELECT count(*) AS i FROM n",
    );
    session.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE OF drill_failed_at ON tenant
         WHEN NEW.drill_failed_at IS NOT NULL
         BEGIN SELECT RAISE(ABORT, 'no room for that') FROM long WHERE i > 0; END",
    );
    let mut drill = session
        .command(&["drill", "--all-tenants"])
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(drill.stderr.take().unwrap());
    while !said.contains("tenants=\"acme\"") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let id = drill.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(drill.wait().unwrap().code(), Some(130));
    let one = "NOT ON RECORD: what this drill found of acme";
    assert!(said.contains(one), "{said}");
    assert_nothing_is_left(&session);
}

/// What was proven once is not what the bucket holds now.
#[test]
fn a_drill_that_fails_is_on_record_until_one_proves_again() {
    let mut session = two_tenants();
    session.must("drill --all-tenants");
    session.must("doctor --proof-max-age 7d");
    let snapshot = session.path(".driftline/snapshots/acme/versions/v000002.json");
    let whole = std::fs::read(&snapshot).unwrap();
    std::fs::remove_file(&snapshot).unwrap();
    assert_eq!(session.quietly("drill --tenant acme").code, 9);
    session.run("status");
    session.run("status --tenant acme -o json");
    assert_eq!(session.run("doctor --proof-max-age 7d").code, 10);
    let doctor = session.quietly("doctor --proof-max-age 7d -o json");
    let proofs = &doctor.json()["proofs"];
    assert_eq!(proofs["unprovenTenants"], serde_json::json!(["acme"]));
    assert_eq!(proofs["failedDrills"][0]["drill"]["result"], "failed");
    std::fs::write(&snapshot, whole).unwrap();
    session.must("drill --tenant acme");
    assert_eq!(session.run("doctor --proof-max-age 7d").code, 0);
    // A bucket that cannot be asked says nothing about what it holds.
    let marker = session.path(".driftline/snapshots/_driftline/bucket.json");
    let away = session.path(".driftline/away");
    std::fs::rename(&marker, &away).unwrap();
    session.run("drill --all-tenants");
    std::fs::rename(&away, &marker).unwrap();
    session.run("status");
    assert_eq!(session.run("doctor --proof-max-age 7d").code, 0);
    session.assert("drill_failed");
}
