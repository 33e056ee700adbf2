//! Policies, acknowledgements, and what stored audits say of them.

use std::sync::Arc;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::sources::{FileOptions, FileSource};
use driftline::adapters::sqlite::SqliteDatabase;
use driftline::adapters::system::System;
use driftline::domain::Timestamp;
use driftline::hybrid::audit::{AuditPlan, AuditSettings, Auditor, TenantPlan};
use driftline::hybrid::inspection::Inspector;
use driftline::ports::{AuditLog, Clock, StateReader};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::session::Session;

fn live(limit: u32, topic: &str) -> String {
    json!({
        "observedAt": "2025-03-01T10:15:00Z",
        "resources": {
            "roles": {
                "r-1": {"name": "Admin", "tags": ["b", "a"]},
                "r-2": {"name": "Moderator", "limit": limit},
                "r-9": {"name": "Nobody's"},
            },
            "channels": {"c-1": {"topic": topic}},
        },
    })
    .to_string()
}

fn session() -> Session {
    let session = Session::new();
    // What the examples saw is of 2025.
    session.write("driftline.toml", "[audit]\nevery-seconds = 315360000\n");
    let manifest = json!({
        "schemaVersion": "1.0",
        "roles": [
            {"id": "admin", "name": "Admin", "tags": ["a", "b"]},
            {"id": "mod", "name": "Moderator", "limit": 5},
        ],
        "channels": [{"id": "lobby", "topic": "hello"}],
    });
    session.write("m.json", manifest.to_string());
    session.must("manifest create --tenant acme --file m.json");
    let resources = json!({"roles": {"admin": "r-1", "mod": "r-2"}, "channels": {"lobby": "c-1"}});
    session.write("r.json", resources.to_string());
    session.must("apply record --tenant acme --version 1 --file r.json");
    session.write("live.json", live(7, "hello"));
    session
}

#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Stores an audit of `live.json` as one that took place, and saw it, at this time.
fn audit(session: &Session, at: &str) {
    if let Ok(live) = std::fs::read_to_string(session.path("live.json")) {
        session.write("live.json", live.replace("2025-03-01T10:15:00Z", at));
    }
    let clock: Arc<dyn Clock> = Arc::new(At(at.parse().unwrap()));
    let database = session.path(".driftline/driftline.db");
    let bucket = session.path(".driftline/snapshots");
    let url = format!("file:{}", session.path("live.json").display());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = SqliteDatabase::open(&database, Arc::clone(&clock), Arc::new(System));
        let database = Arc::new(database.await.unwrap());
        let snapshots = Arc::new(DirectorySnapshotStore::open(bucket).unwrap());
        let reader = Arc::clone(&database) as Arc<dyn StateReader>;
        let plan = AuditPlan {
            default: TenantPlan {
                source: Some(Arc::new(
                    FileSource::new(&url, FileOptions::default()).unwrap(),
                )),
                ..TenantPlan::default()
            },
            ..AuditPlan::default()
        };
        let auditor = Auditor::new(
            Inspector::new(reader, snapshots, Arc::clone(&clock)),
            Arc::clone(&database) as Arc<dyn AuditLog>,
            clock,
            Arc::new(System),
            plan,
            AuditSettings::default(),
        );
        auditor
            .run(None, &|_| {}, &CancellationToken::new())
            .await
            .unwrap();
        database.close().await;
    });
}

#[test]
fn a_policy_is_set_and_read_back() {
    let mut session = session();
    session.run("drift policy get --tenant acme");
    session.run("drift check --tenant acme --actual live.json");
    session.write(
        "policy.json",
        r#"{"lists": [{"type": "roles", "pointer": "/tags", "as": "set"}],
            "ignore": [{"id": "mod", "pointer": "/limit"}], "unmanaged": "ignore"}"#,
    );
    session.run("drift policy set --tenant acme --file policy.json --message 'limits are theirs'");
    session.run("drift check --tenant acme --actual live.json");
    let policy = session.run("drift policy get --tenant acme");
    session.run_with(
        "drift policy set --tenant acme --file - -o json",
        policy.text(),
    );
    assert_eq!(
        session
            .must("drift policy get --tenant acme -o json")
            .json(),
        policy.json()
    );
    session.say("refused, and nothing is decided");
    for policy in [
        r#"{"ignores": []}"#,
        r#"{"ignore": [{"type": "roles", "path": "/color"}]}"#,
        r#"{"ignore": [{}]}"#,
        r#"{"ignore": [{"pointer": "color"}]}"#,
        r#"{"severities": [{"severity": "loud"}]}"#,
        r#"{"unmanaged": "burn"}"#,
        r#"{"unmanaged": "report", "unmanaged": "delete"}"#,
        "[]",
        "",
    ] {
        let run = session.run_with("drift policy set --tenant acme --file -", policy);
        assert_eq!(run.code, 1, "{policy}");
    }
    session.run("drift policy set --tenant acme --file nowhere.json");
    session.run("drift policy set --tenant nobody --file policy.json");
    session.run("drift policy get --tenant nobody");
    session.assert("drift_policy");
    assert_eq!(
        session.must("drift policy get --tenant acme").json(),
        policy.json()
    );
}

#[test]
fn a_policy_outlives_the_database() {
    let session = session();
    session.write(
        "policy.json",
        r#"{"unmanaged": "ignore", "order": ["roles"]}"#,
    );
    session.must("drift policy set --tenant acme --file policy.json --wait-shadowed");
    let policy = session.must("drift policy get --tenant acme").json();
    session.lose_database();
    session.must("recover --all-tenants");
    assert_eq!(
        session.must("drift policy get --tenant acme").json(),
        policy
    );
}

#[test]
fn a_drift_is_accepted_until_it_changes_or_the_time_is_over() {
    let mut session = session();
    let until = "--until 2099-01-01T00:00:00Z --reason 'for the event'";
    let tags = "drift ack --tenant acme --type roles --id admin --actual live.json";
    session.run(&format!("{tags} {until}"));
    let limit = "drift ack --tenant acme --type roles --id mod --path /limit";
    session.run(&format!("{limit} --actual live.json {until} -o json"));
    session.run("drift check --tenant acme --actual live.json --exit-code drifted");
    session.run("drift acks --tenant acme");
    session.say("another value alarms again");
    session.write("live.json", live(8, "hello"));
    let run = session.run("drift check --tenant acme --actual live.json --exit-code drifted");
    assert_eq!(run.code, 2);
    session.run(&format!("{limit} --value 8 {until} --by bob"));
    let run = session.quietly("drift check --tenant acme --actual live.json --exit-code drifted");
    assert_eq!(run.code, 0);
    session.say("so does the end");
    session.run(&format!("{limit} --withdraw"));
    let run = session.quietly("drift check --tenant acme --actual live.json --exit-code drifted");
    assert_eq!(run.code, 2);
    session.run("drift acks --tenant acme -o json");
    session.run("drift acks --tenant nobody");
    session.assert("drift_ack");
}

#[test]
fn what_cannot_be_accepted_is_refused() {
    let mut session = session();
    let until = "--until 7d --reason r";
    let ack = "drift ack --tenant acme";
    for (line, code) in [
        (format!("{ack} --type roles --id mod {until}"), 6),
        (
            format!("{ack} --type roles --id guest --actual live.json {until}"),
            6,
        ),
        (
            format!("{ack} --type channels --id lobby --actual live.json {until}"),
            4,
        ),
        (
            format!("{ack} --type roles --id r-9 --actual live.json {until}"),
            4,
        ),
        (
            format!("{ack} --type roles --id mod --actual nowhere.json {until}"),
            4,
        ),
        (
            format!("{ack} --type roles --id mod --path /name --actual live.json {until}"),
            4,
        ),
        (
            format!("{ack} --type roles --id guest --path /name --value 1 {until}"),
            6,
        ),
        (format!("{ack} --type roles --id mod --withdraw"), 6),
        (format!("{ack} --type roles --id mod --until 7d"), 64),
        (format!("{ack} --type roles --id mod --reason r"), 64),
        (
            format!("{ack} --type roles --id mod --until 2020-01-01T00:00:00Z --reason r"),
            64,
        ),
        (
            format!("{ack} --type roles --id mod --until soon --reason r"),
            64,
        ),
        (format!("{ack} --type roles --id mod --value 1 {until}"), 64),
        (
            format!("{ack} --type roles --id mod --path limit {until}"),
            64,
        ),
        (
            format!("{ack} --type roles --id mod --path /limit --value x {until}"),
            64,
        ),
        (
            format!("{ack} --type roles --id mod --withdraw {until}"),
            64,
        ),
        (
            format!("drift ack --tenant nobody --type roles --id mod {until}"),
            6,
        ),
    ] {
        assert_eq!(session.run(&line).code, code, "{line}");
    }
    session.write(
        "m.json",
        r#"{"schemaVersion":"1.0","roles":[{"id":"mod","name":"M","limit":9}]}"#,
    );
    session.must("manifest create --tenant acme --file m.json");
    session.write("live.json", live(5, "hello"));
    session.say("what is not applied yet did not drift");
    for line in [
        format!("{ack} --type roles --id mod --actual live.json {until}"),
        format!("{ack} --type channels --id lobby --actual live.json {until}"),
    ] {
        assert_eq!(session.run(&line).code, 4, "{line}");
    }
    session.assert("drift_ack_refused");
    let acks = session.must("drift acks --tenant acme -o json").json();
    assert_eq!(acks["items"], json!([]));
}

#[test]
fn audits_know_since_when() {
    let mut session = session();
    session.run("drift history --tenant acme");
    session.run("drift history --tenant nobody");
    for (at, limit, topic) in [
        ("2025-03-01T10:00:00Z", 5, "hello"),
        ("2025-03-01T10:15:00Z", 7, "hello"),
        ("2025-03-01T10:30:00Z", 7, "goodbye"),
        ("2025-03-01T10:45:00Z", 5, "goodbye"),
        ("2025-03-01T11:00:00Z", 9, "goodbye"),
    ] {
        session.write("live.json", live(limit, topic));
        audit(&session, at);
    }
    session.run("drift history --tenant acme");
    session.run("drift history --tenant acme --limit 1 -o json");
    session.run("drift history --tenant acme --limit 2 -o ndjson");
    session.say("the newest audit knows the value to accept");
    session.write("live.json", live(10, "goodbye"));
    let until = "--until 2099-01-01T00:00:00Z --reason 'for the event'";
    session.run(&format!(
        "drift ack --tenant acme --type roles --id mod --path /limit {until}"
    ));
    session.run(&format!(
        "drift ack --tenant acme --type channels --id lobby {until}"
    ));
    session.run(&format!(
        "drift ack --tenant acme --type channels --id staff {until}"
    ));
    session.run("drift check --tenant acme --actual live.json");
    session.write("live.json", live(9, "goodbye"));
    session.run("drift check --tenant acme --actual live.json");
    session.say("an audit that saw nothing knows nothing new");
    std::fs::remove_file(session.path("live.json")).unwrap();
    audit(&session, "2025-03-01T11:15:00Z");
    session.run("drift history --tenant acme --limit 2");
    session.assert("drift_history");
    let history = session.must("drift history --tenant acme -o json").json();
    let onsets: Vec<&Value> = history["drifts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| &drift["onset"]["occurrence"])
        .collect();
    assert_eq!(onsets.len(), 3);
}

/// A tenant `t` with one resource, applied and live.
fn one(session: &Session, attributes: &Value) {
    let mut resource = attributes.clone();
    resource["id"] = json!("a");
    session.write(
        "m.json",
        json!({"schemaVersion": "1", "d": [resource]}).to_string(),
    );
    session.must("manifest create --tenant t --file m.json");
    session.write("r.json", json!({"d": {"a": "u"}}).to_string());
    session.must("apply record --tenant t --version 1 --file r.json");
}

/// Has that seen live, now.
fn seen(session: &Session, attributes: &str) {
    let document = format!(r#"{{"resources":{{"d":{{"u":{attributes}}}}}}}"#);
    session.write("l.json", document);
}

#[test]
fn what_is_empty_is_absent_and_a_large_number_its_text() {
    let session = Session::new();
    one(
        &session,
        &json!({"resources": {"requests": {}, "limits": {}}, "tags": [], "job": "8389765929445198309"}),
    );
    seen(
        &session,
        r#"{"resources":{},"tags":null,"job":8389765929445198309}"#,
    );
    let code = |line: &str| {
        session
            .quietly(&format!("{line} --tenant t --actual l.json"))
            .code
    };
    assert_eq!(code("drift check --exit-code any"), 0);
    assert_eq!(code("drift check --exit-code any --strict"), 2);
    assert_eq!(code("drift plan"), 0);
    assert_eq!(code("drift plan --strict"), 2);
    session.write("p.json", r#"{"strict": true}"#);
    session.must("drift policy set --tenant t --file p.json");
    assert_eq!(code("drift check --exit-code any"), 2);
}

#[test]
fn an_element_is_accepted_by_its_key_and_no_place_is() {
    let session = Session::new();
    one(
        &session,
        &json!({"env": [{"name": "A", "v": 1}, {"name": "B", "v": 1}]}),
    );
    let policy = |policy: &str| {
        session.write("p.json", policy);
        session.quietly("drift policy set --tenant t --file p.json")
    };
    assert_eq!(
        policy(r#"{"lists": [{"pointer": "/env", "as": {"keyedBy": "name"}}]}"#).code,
        0
    );
    seen(
        &session,
        r#"{"env":[{"name":"B","v":7},{"name":"A","v":1}]}"#,
    );
    let report = session
        .quietly("drift check --tenant t --actual l.json -o json")
        .json();
    assert_eq!(
        report["items"][0]["changes"][0]["pointer"],
        "/env/[name=B]/v"
    );
    let ack = "drift ack --tenant t --type d --id a --actual l.json --until 7d --reason so --path";
    assert_eq!(session.quietly(&format!("{ack} /env/0/v")).code, 4);
    session.must(&format!("{ack} /env/[name=B]/v"));
    let check = "drift check --tenant t --actual l.json --exit-code drifted";
    assert_eq!(session.quietly(check).code, 0);
    seen(
        &session,
        r#"{"env":[{"name":"B","v":1},{"name":"A","v":7}]}"#,
    );
    assert_eq!(session.quietly(check).code, 2);
    let plan = session
        .quietly("drift plan --tenant t --actual l.json -o json")
        .json();
    let operation = &plan["steps"][0]["patch"][0];
    assert_eq!(
        (&operation["path"], &operation["pointer"]),
        (&json!("/env/1/v"), &json!("/env/[name=A]/v"))
    );
    let refused = policy(
        r#"{"lists": [{"pointer": "/env", "as": {"keyedBy": "name"}}], "ignore": [{"pointer": "/env/0/v"}]}"#,
    );
    assert_eq!(refused.code, 1);
    let told = &refused.stderr;
    assert!(told.contains("/ignore/0/pointer"), "{told}");
    assert_eq!(
        policy(r#"{"lists": [{"pointer": "/env", "as": {"keyedBy": "nmae"}}]}"#).code,
        0
    );
    seen(
        &session,
        r#"{"env":[{"name":"B","v":1},{"name":"A","v":1}]}"#,
    );
    let check = session.quietly(check);
    assert_eq!(check.code, 0);
    assert!(check.text().contains("policy /lists/0"), "{}", check.text());
}

#[test]
fn what_is_redacted_leaves_no_trace() {
    let session = Session::new();
    one(
        &session,
        &json!({"password": "hunter2", "note": "x".repeat(50_000)}),
    );
    session.write("p.json", r#"{"redact": ["/password"]}"#);
    session.must("drift policy set --tenant t --file p.json");
    let live = json!({"password": "swordfish", "note": "y".repeat(50_000)});
    seen(&session, &live.to_string());
    let mut told = String::new();
    for line in [
        "drift check --tenant t --actual l.json",
        "drift check --tenant t --actual l.json -o json",
        "drift check --tenant t --actual l.json -o junit",
        "drift plan --tenant t --actual l.json",
        "drift plan --tenant t --actual l.json -o json",
        "audit run --tenant t --actual l.json -o json",
        "audit run --tenant t --actual l.json",
        "drift history --tenant t -o json",
        "drift ack --tenant t --type d --id a --path /password --until 7d --reason so",
        "drift acks --tenant t -o json",
    ] {
        told.push_str(session.quietly(line).text());
    }
    assert!(
        !told.contains("hunter2") && !told.contains("swordfish"),
        "{told}"
    );
    let list = session.quietly("audit list --tenant t -o json").json();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let stored = session.quietly(&format!("audit show {id} -o json"));
    assert!(stored.text().len() < 30_000, "{}", stored.text().len());
    assert!(!stored.text().contains("swordfish"));
    // What was accepted from a stored report is the live value, although neither shows it.
    let check = session
        .quietly("drift check --tenant t --actual l.json -o json")
        .json();
    assert_eq!(check["items"][0]["accepted"][0]["pointers"][0], "/password");
}
