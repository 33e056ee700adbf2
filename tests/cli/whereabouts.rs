//! A database that was copied, or moved.

use crate::session::Session;

/// Two tenants in the bucket, and a copy of the database as it was when `acme` had one version.
fn copied() -> Session {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    session.must("manifest create --tenant beta --file m.json");
    std::fs::copy(
        session.path(".driftline/driftline.db"),
        session.path("copy.db"),
    )
    .unwrap();
    session.manifest(2);
    session.must("manifest create --tenant acme --file m.json");
    session.manifest(3);
    session.must("manifest create --tenant gamma --file m.json");
    session
}

#[test]
fn a_copy_gives_no_number_twice_and_shadows_nothing() {
    let mut session = copied();
    let copy = "--database sqlite://copy.db";
    assert_eq!(session.run(&format!("{copy} doctor")).code, 10);
    session.run(&format!("{copy} status"));
    for tenant in ["acme", "gamma"] {
        let line = format!("{copy} manifest create --tenant {tenant} --file m.json");
        assert_eq!(session.run(&line).code, 4);
    }
    session.say("what the bucket does not know more of");
    session.run(&format!(
        "{copy} manifest create --tenant beta --file m.json"
    ));
    for line in ["replicate", "replicate --drain", "recover --all-tenants"] {
        assert_eq!(session.run(&format!("{copy} {line}")).code, 4);
    }
    session.say("the original goes on");
    session.run("manifest create --tenant acme --file m.json");
    session.run("doctor");
    session.say("and is succeeded by the copy");
    session.run(&format!("{copy} adopt"));
    session.run(&format!("{copy} recover --all-tenants"));
    session.run(&format!(
        "{copy} manifest create --tenant acme --file m.json"
    ));
    assert_eq!(session.run(&format!("{copy} doctor")).code, 0);
    session.run(&format!("{copy} adopt"));
    session.run(&format!("{copy} adopt -o json"));
    let line = "manifest create --tenant acme --file m.json";
    assert_eq!(session.run(line).code, 4);
    session.assert("copied");
}

#[test]
fn an_older_state_in_the_same_file_gives_no_number_twice() {
    let mut session = copied();
    // The file stays, and nothing in it tells: it was copied back without its log, or the log was lost.
    let older = std::fs::read(session.path("copy.db")).unwrap();
    session.write(".driftline/driftline.db", older);
    session.manifest(4);
    for tenant in ["acme", "beta", "gamma"] {
        session.run(&format!("manifest create --tenant {tenant} --file m.json"));
    }
    session.run("doctor");
    session.must("verify");
    session.assert("older_state");
}

#[test]
fn an_import_into_an_older_state_gives_no_number_twice() {
    let session = copied();
    let history = session
        .must("manifest history --tenant gamma -o json")
        .json();
    let there = history["items"].as_array().unwrap().len();
    let older = std::fs::read(session.path("copy.db")).unwrap();
    session.write(".driftline/driftline.db", older);
    session.write(
        "v.ndjson",
        "{\"content\":{\"schemaVersion\":\"1\",\"n\":77}}\n",
    );
    let import =
        session.quietly("manifest import --tenant gamma --append --file v.ndjson --wait-shadowed");
    assert_eq!(import.code, 0, "{}", import.stderr);
    let history = session
        .must("manifest history --tenant gamma -o json")
        .json();
    assert_eq!(history["items"].as_array().unwrap().len(), there + 1);
}

#[test]
fn a_file_under_another_name_is_the_same_database() {
    let session = copied();
    std::fs::rename(session.path(".driftline"), session.path("moved")).unwrap();
    let moved = "--database sqlite://moved/driftline.db --snapshots file://moved/snapshots";
    session.must(&format!(
        "{moved} manifest create --tenant acme --file m.json"
    ));
    session.must(&format!("{moved} doctor"));
    session.must(&format!("{moved} replicate --drain"));
}

#[test]
fn a_copy_adopts_itself_where_the_configuration_says_so() {
    let session = copied();
    session.write("driftline.toml", "on-clone = \"adopt\"\n");
    let copy = "--database sqlite://copy.db";
    let line = format!("{copy} manifest create --tenant acme --file m.json -o json");
    assert_eq!(session.must(&line).json()["version"], 3);
    session.must(&format!("{copy} doctor"));
    let status = session.must(&format!("{copy} status -o json")).json();
    assert_eq!(status["tenants"].as_array().unwrap().len(), 3);
}

#[test]
fn what_waits_for_a_decision_does_not_come_by_itself() {
    let mut session = copied();
    std::fs::create_dir(session.path("other")).unwrap();
    session.must("--database sqlite://copy.db manifest create --tenant beta --file m.json");
    for line in [
        "--database sqlite://copy.db verify --tenant beta",
        "--snapshots file://other verify",
    ] {
        let run = session.run(line);
        let said = run.text();
        assert!(!said.contains("comes by itself"), "{line}: {said}");
        assert!(said.contains("what keeps it"), "{line}: {said}");
    }
    let run = session.run("--snapshots file://other verify -o json");
    let waits = |item: &serde_json::Value| {
        item["repair"] == "unhinder"
            && item["hindrance"]
                .as_str()
                .is_some_and(|detail| detail.contains("nothing is shadowed"))
    };
    let document = run.json();
    let items = document["items"].as_array().unwrap();
    assert!(items.iter().any(waits), "{items:#?}");
    assert!(items.iter().all(|item| item["repair"] != "shadowing"));
}

#[test]
fn what_waits_for_a_decision_is_looked_for_once_and_not_waited_for() {
    let session = copied();
    let copy = |line: &str| {
        let line = format!("--database sqlite://copy.db manifest {line} --wait-shadowed=600");
        let run = session.promptly(&line, 60);
        assert_eq!(run.code, 0, "{line}: {}", run.stderr);
        run.stderr
    };
    let said = copy("create --tenant beta --file m.json");
    let never = "does not get there before that is decided";
    assert!(said.contains(never), "{said}");
    // What got there before the database was copied.
    session.write("nothing-new.ndjson", "");
    let said = copy("import --tenant acme --append --file nothing-new.ndjson");
    assert!(said.contains("version 1 is in the bucket"), "{said}");
}
