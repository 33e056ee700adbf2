//! Versions are committed, read back and compared.

use crate::session::Session;

#[test]
fn versions_are_created_read_and_compared() {
    let mut session = Session::new();
    session.manifest(1);
    session.run("manifest create --tenant acme --file m.json --message 'the first'");
    session.manifest(2);
    session.run("manifest create --tenant acme --file m.json --by alice -o json");
    session.run("manifest history --tenant acme");
    session.run("manifest history --tenant acme -o json");
    session.run("manifest get --tenant acme --version 1");
    session.run("manifest get --tenant acme --meta");
    session.run("manifest diff --tenant acme 1 2");
    session.run("manifest diff --tenant acme 1 2 -o json");
    session.run("manifest diff --tenant acme 2 2");
    session.run("tenant list");
    session.run("tenant list -o json");
    session.run("stats --tenant acme");
    session.run("stats --tenant acme -o json");
    session.assert("versions");
}

#[test]
fn content_comes_from_stdin_and_goes_out_in_canonical_form() {
    let mut session = Session::new();
    let input = "{ \"b\": 1.50, \"schemaVersion\": \"1.0\",\n \"a\": \"\\u00e9\" }";
    session.run_with("manifest create --tenant acme --file -", input);
    for format in ["text", "json", "ndjson"] {
        let run = session.must(&format!("manifest get --tenant acme -o {format}"));
        assert_eq!(
            run.text(),
            "{\"a\":\"é\",\"b\":1.5,\"schemaVersion\":\"1.0\"}"
        );
    }
}

#[test]
fn an_expectation_is_a_number_a_checksum_or_a_chain() {
    let mut session = Session::new();
    session.manifest(1);
    let create = "manifest create --tenant acme --file m.json -o json --expect";
    let first = session.must(&format!("{create} 0")).json();
    let hex = |document: &serde_json::Value, key: &str| document[key].as_str().unwrap().to_owned();
    session.manifest(2);
    let second = session
        .must(&format!("{create} {}", hex(&first, "checksum")))
        .json();
    let third = session
        .must(&format!("{create} {}", hex(&second, "chain")))
        .json();
    let fourth = session
        .must(&format!("{create} sha256:{}", hex(&third, "checksum")))
        .json();
    let fifth = session
        .must(&format!("{create} chain:{}", hex(&fourth, "chain")))
        .json();
    assert_eq!(fifth["version"], 5);
    for stale in ["4", &hex(&first, "checksum"), &hex(&first, "chain"), "0"] {
        let run = session.quietly(&format!("{create} {stale}"));
        assert_eq!(run.code, 7, "{stale}: {}", run.stderr);
        let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["code"], "version_conflict");
    }
    session.run("manifest create --tenant acme --file m.json --expect 4");
    session.run("manifest create --tenant acme --file m.json --expect 4 -o json");
    session.run("manifest create --tenant acme --file m.json --expect someday");
    session.assert("expectation");
}

#[test]
fn a_key_and_unchanged_content_make_nothing_twice() {
    let mut session = Session::new();
    session.manifest(1);
    session.run("manifest create --tenant acme --file m.json --idempotency-key k1");
    session.run("manifest create --tenant acme --file m.json --idempotency-key k1");
    session.run("manifest create --tenant acme --file m.json --skip-unchanged");
    session.manifest(2);
    session.run("manifest create --tenant acme --file m.json --idempotency-key k1");
    session.run("manifest create --tenant acme --file m.json --idempotency-key k1 -o json");
    session.run("manifest create --tenant acme --file m.json --skip-unchanged");
    session.assert("idempotency");
}

#[test]
fn the_author_comes_from_the_flag_or_the_environment() {
    let mut session = Session::new();
    session.manifest(1);
    let by = |session: &Session, more: &str| {
        session
            .must(&format!(
                "manifest create --tenant acme --file m.json -o json {more}"
            ))
            .json()["createdBy"]
            .clone()
    };
    assert_eq!(by(&session, ""), "tester");
    assert_eq!(by(&session, "--by alice"), "alice");
    session.set("DRIFTLINE_BY", "");
    assert_eq!(by(&session, ""), serde_json::Value::Null);
    session.set("USER", "bob");
    assert_eq!(by(&session, ""), "bob");
    session.set("DRIFTLINE_BY", "two\nlines");
    session.run("manifest create --tenant acme --file m.json");
    session.run("manifest create --tenant acme --file m.json --by ''");
    session.assert("author");
}

#[test]
fn applies_are_recorded_and_shown() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    session.must("manifest create --tenant acme --file m.json");
    session.run("apply show --tenant acme");
    session.write(
        "r.json",
        r#"{"roles":{"role-1":"r-4711","b/c":"x"},"channels":{}}"#,
    );
    session.run("apply record --tenant acme --version 1 --file r.json --by deployer");
    session
        .run("apply record --tenant acme --version 1 --file r.json --by deployer --allow-unknown");
    session.run("apply show --tenant acme");
    session.run("apply show --tenant acme --version 1 -o json");
    session.run("apply show --tenant acme --version 2");
    session.run("apply record --tenant acme --version 9 --file r.json");
    session.run("apply record --tenant nobody --version 1 --file r.json");
    for bad in [
        r#"{"roles":{"a":"1","a":"2"}}"#,
        r#"{"roles":{"a/b":1}}"#,
        r#"{"roles":[]}"#,
        "[]",
        "{",
    ] {
        session.write("bad.json", bad);
        session.say(bad);
        session.run("apply record --tenant acme --version 1 --file bad.json");
    }
    session.run("status --tenant acme -o json");
    session.assert("apply");
}

#[test]
fn versions_are_compared_by_what_resources_are() {
    let mut session = Session::new();
    let long = "0123456789".repeat(40);
    for content in [
        r#"{"schemaVersion":"1","roles":[{"id":"a","n":1},{"id":"b","n":2}]}"#.to_owned(),
        r#"{"schemaVersion":"1","roles":[{"id":"new","n":0},{"id":"a","n":1},{"id":"b","n":2}]}"#
            .to_owned(),
        r#"{"schemaVersion":"1","roles":[{"id":"b","n":2},{"id":"a","n":1},{"id":"new","n":0}]}"#
            .to_owned(),
        format!(
            r#"{{"schemaVersion":"1","roles":[{{"id":"a","n":1,"text":"{long}"}},{{"id":"b","n":3}}]}}"#
        ),
    ] {
        session.write("m.json", content);
        session.must("manifest create --tenant acme --file m.json");
    }
    session.run("manifest diff --tenant acme 1 2");
    session.run("manifest diff --tenant acme 1 2 -o json");
    session.run("manifest diff --tenant acme 2 3");
    session.run("manifest diff --tenant acme 2 3 -o ndjson");
    session.run("manifest diff --tenant acme 2 3 --ignore-order");
    session.run("manifest diff --tenant acme 2 3 --ignore-order -o json");
    session.run("manifest diff --tenant acme 3 4");
    let whole = session.quietly("manifest diff --tenant acme 3 4 -o json");
    assert!(whole.text().contains(&long));
    session.assert("compared");
}
