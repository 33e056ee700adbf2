//! Input that is refused, and how that reads.

use crate::session::Session;

#[test]
fn refused_content_names_its_file_and_its_place() {
    let mut session = Session::new();
    for bad in [
        r#"{"schemaVersion":"1.0","#,
        r#"{"schemaVersion":"1.0","a":1,"a":2}"#,
        r#"{"roles":[]}"#,
        r#"{"schemaVersion":1}"#,
        r#"{"schemaVersion":"1.0","roles":[{"id":"a"},{"name":"b"}]}"#,
        r#"{"schemaVersion":"1.0","roles":[{"id":"a"},{"id":"a"}]}"#,
        r#"{"schemaVersion":"1.0","limits":{"a/b":9007199254740993}}"#,
        r#"{"schemaVersion":"1.0","name":"\ud800"}"#,
        "[]",
        "",
    ] {
        session.write("bad.json", bad);
        session.say(if bad.is_empty() { "an empty file" } else { bad });
        assert_eq!(
            session
                .run("manifest create --tenant acme --file bad.json")
                .code,
            1
        );
    }
    session.write("bad.json", b"{\"schemaVersion\":\"1.0\",\"a\":\"\xff\"}");
    session.run("manifest create --tenant acme --file bad.json");
    session.write("bad.json", "{\"schemaVersion\":\"1.0\",\"a\":1,\"a\":2}");
    session.run("manifest create --tenant acme --file bad.json -o json");
    session.run_with("manifest create --tenant acme --file -", "{\"a\":}");
    session.assert("bad_content");
    assert!(
        session.must("tenant list -o ndjson").stdout.is_empty(),
        "refused content left something behind"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut session = Session::new();
    session.write("driftline.toml", "content-limit = 64");
    session.write(
        "big.json",
        format!("{{\"schemaVersion\":\"1.0\",\"a\":\"{}\"}}", "x".repeat(64)),
    );
    std::fs::create_dir(session.path("directory")).unwrap();
    for file in ["missing.json", "directory", "big.json"] {
        session.run(&format!("manifest create --tenant acme --file {file}"));
    }
    session.run("manifest create --tenant acme --file missing.json -o json");
    session.run("manifest import --tenant acme --file missing.ndjson");
    session.run("manifest import --tenant acme --file directory");
    session.run("apply record --tenant acme --version 1 --file missing.json");
    session.run("manifest create --tenant acme --file ''");
    session.assert("unreadable_files");
}
