//! What does not fit what is there, and would have a plan delete it.

use crate::session::Session;

#[test]
fn ids_that_are_no_strings_are_refused() {
    let mut session = Session::new();
    for content in [
        r#"{"schemaVersion":"1","projects":[{"id":1001,"name":"web"}]}"#,
        r#"{"schemaVersion":"1","projects":[{"name":"db"},{"name":"web","id":null}]}"#,
    ] {
        session.write("m.json", content);
        session.say(content);
        session.run("manifest create --tenant t --file m.json");
    }
    session.write("m.json", r#"{"schemaVersion":"1","mixed":[{"id":1},5]}"#);
    session.must("manifest create --tenant t --file m.json");
    session.assert("misfit_ids");
}

#[test]
fn a_record_names_what_its_version_has() {
    let mut session = Session::new();
    session.manifest(2);
    session.must("manifest create --tenant acme --file m.json");
    for record in [
        r#"{"roles":{"Role-1":"r-1"}}"#,
        r#"{"role":{"role-1":"r-1"}}"#,
        r#"{"schemaVersion":{"1":"x"}}"#,
        r#"{"roles":{"role-1":"r-1","a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}}"#,
    ] {
        session.write("r.json", record);
        session.say(record);
        session.run("apply record --tenant acme --version 1 --file r.json");
    }
    session.run("apply show --tenant acme");
    session.write("r.json", r#"{"roles":{"role-1":"r-1","gone":"r-9"}}"#);
    session.run("apply record --tenant acme --version 1 --file r.json --allow-unknown -o json");
    session.write(
        "live.json",
        r#"{"resources":{"roles":{"r-1":{"limit":1},"r-9":{"limit":9}}}}"#,
    );
    session.hide_seconds();
    session.say("what only the record names is deleted, and called that");
    session.run("drift plan --tenant acme --actual live.json");
    session.run("drift plan --tenant acme --actual live.json -o ndjson");
    session.assert("misfit_records");
}

#[test]
fn what_was_a_collection_is_missed() {
    let mut session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    for content in [
        r#"{"schemaVersion":"1","roles":{"role-1":{"limit":1}}}"#,
        r#"{"schemaVersion":"1","roles":{},"limits":{"a":{}}}"#,
        r#"{"schemaVersion":"1","roles":[{"name":"role-1"}]}"#,
        r#"{"schemaVersion":"1","limits":{"a":{}},"list":[{}]}"#,
        r#"{"schemaVersion":"1","roles":{"limit":1}}"#,
    ] {
        session.write("m.json", content);
        session.say(content);
        session.run("manifest create --tenant acme --file m.json");
    }
    session.write("m.json", r#"{"schemaVersion":"1","roles":{"x":{}}}"#);
    session.run("manifest create --tenant acme --file m.json -o json");
    session.assert("misfit_collections");
}

#[test]
fn an_import_misses_what_was_a_collection() {
    let mut session = Session::new();
    session.write(
        "h.ndjson",
        "{\"content\":{\"schemaVersion\":\"1\",\"roles\":[{\"id\":\"a\"}]}}\n\
         {\"content\":{\"schemaVersion\":\"1\",\"roles\":{\"a\":{}}}}\n",
    );
    session.run("manifest import --tenant acme --file h.ndjson");
    let run = session.run("manifest import --tenant beta --file h.ndjson -o json");
    assert_eq!(run.json()["warnings"][0]["pointer"], "/roles");
    session.say("it is back in the newest version");
    session.write(
        "h.ndjson",
        "{\"content\":{\"schemaVersion\":\"1\",\"roles\":[{\"id\":\"a\"}]}}\n\
         {\"content\":{\"schemaVersion\":\"1\",\"roles\":{\"a\":{}}}}\n\
         {\"content\":{\"schemaVersion\":\"1\",\"roles\":[{\"id\":\"b\"}]}}\n",
    );
    session.run("manifest import --tenant gamma --file h.ndjson");
    session.assert("misfit_imports");
}
