//! What observers hand in, and whether it counts.

use serde_json::Value;

use crate::session::Session;

/// `t` with one role, applied; audits every minute read `t.json`.
fn tenant() -> Session {
    let mut session = Session::new();
    session.hide_seconds();
    session.write(
        "m.json",
        r#"{"schemaVersion":"1","roles":[{"id":"a","name":"x"}]}"#,
    );
    session.must("manifest create --tenant t --file m.json");
    session.write("r.json", r#"{"roles":{"a":"1"}}"#);
    session.must("apply record --tenant t --version 1 --file r.json");
    session.write(
        "driftline.toml",
        "[audit]\nsource = \"file:{tenant}.json\"\nevery-seconds = 60\n",
    );
    session
}

#[test]
fn what_was_seen_at_another_time_is_said_and_not_in_order() {
    let mut session = tenant();
    for year in [2020, 2099] {
        session.write(
            "t.json",
            format!(r#"{{"observedAt":"{year}-01-01T00:00:00Z","resources":{{"roles":{{"1":{{"name":"x"}}}}}}}}"#),
        );
        for line in [
            "audit run --tenant t",
            "drift check --tenant t",
            "drift check --tenant t --actual t.json",
            "drift check --all-tenants",
            "drift check --tenant t -o junit",
            "drift plan --tenant t --actual t.json",
        ] {
            let run = session.run(line);
            assert_eq!(run.code, 3, "{year}: {line}");
        }
        let word = if year == 2020 { "stale" } else { "future" };
        for (line, pointer) in [
            ("drift check --tenant t -o json", "/untimely"),
            ("drift plan --tenant t --actual t.json -o json", "/untimely"),
            ("audit run -o json", "/audits/0/drift/untimely"),
        ] {
            let run = session.quietly(line);
            let document: Value = serde_json::from_slice(&run.stdout).unwrap();
            assert_eq!(document.pointer(pointer).unwrap(), word, "{line}");
        }
    }
    session.run("drift check --tenant t --max-age any");
    session.run("drift check --tenant t --max-age forever");
    session.assert("observations_untimely");
}

#[test]
fn an_age_is_what_the_command_line_says() {
    let session = tenant();
    session.write(
        "t.json",
        r#"{"observedAt":"2020-01-01T00:00:00Z","resources":{"roles":{"1":{"name":"x"}}}}"#,
    );
    for (age, code) in [("any", 0), ("5000w", 0), ("90m", 3)] {
        let run = session.quietly(&format!("drift check --tenant t --max-age {age}"));
        assert_eq!(run.code, code, "{age}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut session = tenant();
    for document in [
        r#"{"observed_at":"2020-01-01T00:00:00Z","error":[{"type":"roles","message":"503"}],"resources":{"roles":{}}}"#,
        r#"{"tenant":"somebody-else","resources":{"roles":{}}}"#,
        r#"["2020-01-01T00:00:00Z",{"roles":{"1":{"name":"x"}}},[]]"#,
        r#"{"resources":{"roles":{}},"errors":[{"kind":"roles","message":"503"}]}"#,
        "<!DOCTYPE html><title>502</title>",
        "\u{feff}{\"resources\":{}}",
    ] {
        session.write("t.json", document);
        session.say(document.trim_start_matches('\u{feff}'));
        let check = session.run("drift check --tenant t --actual t.json");
        let audit = session.run("audit run --tenant t");
        assert_eq!((check.code, audit.code), (3, 3), "{document}");
    }
    session.write(
        "t.json",
        r#"{"tenant":"t","resources":{"roles":{"1":{"name":"x"}}}}"#,
    );
    assert_eq!(
        session.run("drift check --tenant t --actual t.json").code,
        0
    );
    session.assert("observations_refused");
}

#[test]
fn settings_are_compared_or_said_not_to_be() {
    let mut session = tenant();
    let manifest = |level: u32| {
        format!(
            r#"{{"schemaVersion":"1","guild":{{"verification_level":{level}}},"roles":[{{"id":"a","name":"x"}}]}}"#
        )
    };
    session.write("m.json", manifest(3));
    session.must("manifest create --tenant t --file m.json");
    session.must("apply record --tenant t --version 2 --file r.json");
    session.write("t.json", r#"{"resources":{"roles":{"1":{"name":"x"}}}}"#);
    session.say("nobody looked");
    assert_eq!(
        session.run("drift check --tenant t --actual t.json").code,
        0
    );
    session.run("drift check --tenant t --actual t.json -o junit");
    session.say("not applied yet");
    session.write("m.json", manifest(0));
    session.must("manifest create --tenant t --file m.json");
    assert_eq!(
        session.run("drift check --tenant t --actual t.json").code,
        2
    );
    session.run("drift check --tenant t");
    session.run("drift plan --tenant t --actual t.json");
    session.run("drift plan --tenant t --actual t.json -o ndjson");
    session.say("changed outside");
    session.write(
        "t.json",
        r#"{"resources":{"roles":{"1":{"name":"x"}}},"settings":{"guild":{"verification_level":4,"name":"G"}}}"#,
    );
    session.run("drift check --tenant t --actual t.json");
    session.run("drift plan --tenant t --actual t.json");
    session.run("audit run --tenant t");
    session.run("drift history --tenant t");
    session.run("drift check --tenant t --actual t.json -o junit");
    session.run("drift ack --tenant t --type settings --id settings --until 7d --reason known");
    session.run("drift check --tenant t --actual t.json");
    session.assert("observations_settings");
}

#[test]
fn lists_say_which_audits_saw_what_is_live() {
    let mut session = tenant();
    session.write("t.json", r#"{"resources":{"roles":{"1":{"name":"x"}}}}"#);
    session.quietly("audit run --tenant t");
    for time in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let document =
            format!(r#"{{"observedAt":"{time}","resources":{{"roles":{{"1":{{"name":"x"}}}}}}}}"#);
        session.write("t.json", document);
        session.quietly("audit run --tenant t");
    }
    for line in ["audit list --tenant t", "drift history --tenant t"] {
        let run = session.must(line);
        let words = run.text();
        let rows: Vec<_> = words.lines().skip(1).take(3).collect();
        assert!(rows[0].contains("future"), "{line}: {words}");
        assert!(rows[1].contains("stale"), "{line}: {words}");
        assert!(!rows[2].contains("stale"), "{line}: {words}");
        let document = session.must(&format!("{line} -o json")).json();
        let items = document.get("items").or(document.get("reports")).unwrap();
        let told = items.as_array().unwrap().iter();
        let told: Vec<_> = told.map(|item| item["timeliness"].clone()).collect();
        assert_eq!(told[..2], ["future", "stale"], "{line}");
    }
    session.hide_seconds();
    session.run("audit list --tenant t -o ndjson");
    session.assert("observations_listed");
}
