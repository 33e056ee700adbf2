//! Audits: what is printed, what is kept, and who is told.

#[cfg(feature = "http")]
mod receiver;

use serde_json::{Value, json};

use crate::session::Session;

/// Two tenants with two resources each, applied; every audit observes `live-TENANT.json`.
fn session() -> Session {
    let mut session = Session::new();
    session.hide_seconds();
    let manifest = json!({
        "schemaVersion": "1.0",
        "roles": [{"id": "mod", "name": "Moderator", "limit": 5}],
        "channels": [{"id": "lobby", "topic": "hello"}],
    });
    session.write("m.json", manifest.to_string());
    let resources = json!({"roles": {"mod": "r-1"}, "channels": {"lobby": "c-1"}});
    session.write("r.json", resources.to_string());
    for tenant in ["acme", "beta"] {
        session.must(&format!("manifest create --tenant {tenant} --file m.json"));
        session.must(&format!(
            "apply record --tenant {tenant} --version 1 --file r.json"
        ));
        live(&session, tenant, 5, "hello");
    }
    session.write(
        "driftline.toml",
        "[audit]\nsource = \"live-{tenant}.json\"\n",
    );
    session
}

/// What is live from now on.
fn live(session: &Session, tenant: &str, limit: u32, topic: &str) {
    let live = json!({
        "resources": {
            "roles": {"r-1": {"name": "Moderator", "limit": limit}},
            "channels": {"c-1": {"topic": topic}},
        },
    });
    session.write(&format!("live-{tenant}.json"), live.to_string());
}

/// The reports of a tenant, newest first.
fn ids(session: &Session, tenant: &str) -> Vec<String> {
    let list = session.must(&format!("audit list --tenant {tenant} -o json"));
    let items = list.json()["items"].as_array().unwrap().clone();
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

#[test]
fn an_audit_prints_a_line_for_each_tenant_and_keeps_its_report() {
    let mut session = session();
    session.run("audit list");
    session.run("audit list --schedule");
    assert_eq!(session.run("audit run").code, 0);
    live(&session, "acme", 7, "goodbye");
    assert_eq!(session.run("audit run").code, 2);
    session.run("audit run --exit-code never");
    session.say("one is in order again");
    live(&session, "acme", 9, "hello");
    session.run("audit run --tenant acme --tenant acme --exit-code drifted");
    session.run("audit list --tenant acme");
    session.run("audit list --tenant acme --drift --limit 1");
    session.run("audit list --schedule");
    session.run("audit list --schedule --tenant beta -o json");
    session.assert("audit_run");
    assert_eq!(ids(&session, "acme").len(), 4);
    assert_eq!(ids(&session, "beta").len(), 3);
}

#[test]
fn programs_read_audits() {
    let mut session = session();
    live(&session, "acme", 7, "hello");
    let run = session.run("audit run -o json");
    session.run("audit run --tenant acme -o ndjson");
    session.run("audit list --tenant beta -o json");
    session.run("audit list --tenant beta -o ndjson");
    session.assert("audit_documents");
    let audits = run.json()["audits"].clone();
    let shown = |audit: &Value| {
        let id = audit["id"].as_str().unwrap();
        session.must(&format!("audit show {id} -o json")).json()
    };
    for audit in audits.as_array().unwrap() {
        assert_eq!(&shown(audit), audit);
    }
}

#[test]
fn a_report_is_shown_and_compared_with_another() {
    let mut session = session();
    live(&session, "acme", 7, "goodbye");
    session.quietly("audit run");
    live(&session, "acme", 9, "hello");
    session.quietly("audit run");
    session.quietly("audit run");
    let [third, second, first] = ids(&session, "acme").try_into().unwrap();
    let beta = ids(&session, "beta").remove(0);
    session.run(&format!("audit show {first}"));
    session.run(&format!("audit show {second}"));
    assert_eq!(session.run(&format!("audit diff {first} {second}")).code, 2);
    session.run(&format!("audit diff {first} {second} -o json"));
    session.run(&format!("audit diff {first} {second} -o ndjson"));
    assert_eq!(session.run(&format!("audit diff {second} {third}")).code, 0);
    session.run(&format!("audit diff {second} {third} -o json"));
    session.say("what cannot be compared or shown");
    assert_eq!(session.run(&format!("audit diff {first} {beta}")).code, 64);
    let nobody = "00000000-0000-4000-8000-000000000000";
    assert_eq!(session.run(&format!("audit show {nobody}")).code, 6);
    assert_eq!(session.run(&format!("audit diff {first} {nobody}")).code, 6);
    session.run(&format!("audit show {nobody} -o json"));
    assert_eq!(session.run("audit show newest").code, 64);
    session.assert("audit_show");
}

#[test]
fn a_tenant_that_is_not_there_or_not_seen_hides_no_other() {
    let mut session = session();
    live(&session, "acme", 7, "hello");
    session.say("a mistyped name comes on no schedule");
    assert_eq!(session.run("audit run --tenant nobody").code, 6);
    assert_eq!(session.run("audit run --tenant nobody -o json").code, 6);
    assert_eq!(
        session.run("audit run --tenant nobody --tenant acme").code,
        2
    );
    session.say("what cannot be seen is no drift");
    std::fs::remove_file(session.path("live-beta.json")).unwrap();
    assert_eq!(session.run("audit run --tenant beta").code, 3);
    assert_eq!(
        session
            .run("audit run --tenant beta --exit-code never")
            .code,
        0
    );
    assert_eq!(session.run("audit run").code, 2);
    session.run("audit list --schedule");
    let beta = ids(&session, "beta").remove(0);
    session.run(&format!("audit show {beta}"));
    session.say("a row that fails its verification, and so does the bucket's copy");
    let tampered = "UPDATE entry SET content = x'7b7d' WHERE tenant = 'acme' AND stream = 0";
    assert_eq!(session.sql(tampered), 1);
    std::fs::write(
        session.path(".driftline/snapshots/acme/versions/v000001.json"),
        "{}",
    )
    .unwrap();
    assert_eq!(session.run("audit run --exit-code drifted").code, 3);
    assert_eq!(session.run("audit run --tenant acme").code, 9);
    session.run("audit run -o ndjson");
    session.say("a tenant that another process has");
    let claimed = "UPDATE audited SET claim_owner = zeroblob(16),
        claim_until = (strftime('%s') + 3600) * 1000000 WHERE tenant = 'acme'";
    assert_eq!(session.sql(claimed), 1);
    assert_eq!(session.run("audit run --tenant acme").code, 3);
    assert_eq!(session.run("audit run -o json").code, 3);
    session.assert("audit_failing");
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_without_its_secrets() {
    let mut session = session();
    session.set("BAD_HOOK", "ftp://hooks.example/s3cr3t");
    session.set("HOOK", "https://hooks.example/s3cr3t");
    session.write("empty", "\n");
    for config in [
        "cron = \"61 * * * *\"",
        "cron = \"0 3 * * *\"\ntime-zone = \"Europe/Atlantis\"",
        "cron = \"0 3 * * *\"\nevery-seconds = 60",
        "source = \"-\"",
        "source = \"live.json\"",
        "source = \"ftp://ops:s3cr3t@host/live\"",
        "sauce = \"s3cr3t\"",
        "read-database = \"mysql://ops:s3cr3t@host/d\"",
        "notify = [\"ops\"]",
        "[audit.receivers.ops]\nformat = \"slack\"",
        "[audit.receivers.ops]\nurl = \"https://hooks.example/s3cr3t\"",
        "[audit.receivers.ops]\nurl-env = \"HOOK\"\nurl-file = \"hook\"",
        "[audit.receivers.ops]\nurl-env = \"HOOK\"\nformat = \"s3cr3t\"",
        "[audit.receivers.ops]\nurl-env = \"NO_HOOK\"",
        "[audit.receivers.ops]\nurl-file = \"nowhere\"",
        "[audit.receivers.ops]\nurl-env = \"BAD_HOOK\"",
        "[audit.receivers.ops]\nurl-env = \"HOOK\"\nsecret-env = \"NO_KEY\"",
        "[audit.receivers.ops]\nurl-env = \"HOOK\"\nsecret-file = \"empty\"",
    ] {
        session.say(&config.replace('\n', "; "));
        session.write("driftline.toml", format!("[audit]\n{config}\n"));
        let run = session.run("audit run");
        assert_eq!(run.code, 64, "{config}");
        assert!(run.stdout.is_empty(), "{config}");
        assert!(!run.stderr.contains("s3cr3t"), "{config}: {}", run.stderr);
    }
    session.write("driftline.toml", "");
    session.say("and so are arguments");
    for line in [
        "audit run --actual live-acme.json",
        "audit run --parallelism 0",
        "audit list --schedule --drift",
        "audit serve --actual live-acme.json",
    ] {
        assert_eq!(session.run(line).code, 64, "{line}");
    }
    session.assert("audit_misuse");
    assert!(ids(&session, "acme").is_empty());
}

#[cfg(feature = "http")]
mod told {
    use driftline::adapters::webhook::verify;

    use super::receiver::{Delivery, Receiver};
    use super::*;

    const KEY: &str = "k3y of both";

    /// The same, with somebody to tell.
    fn session(receiver: &Receiver) -> Session {
        let mut session = super::session();
        session.set("HOOK", &receiver.url());
        session.write("key", format!("{KEY}\n"));
        session.write(
            "driftline.toml",
            "[audit]\nsource = \"live-{tenant}.json\"\nnotify = [\"ops\"]\n\
             [audit.receivers.ops]\nurl-env = \"HOOK\"\nsecret-file = \"key\"\n",
        );
        session
    }

    /// The one event that arrived, after everything that a receiver can check.
    fn event(delivered: &[Delivery]) -> Value {
        assert_eq!(delivered.len(), 1, "{delivered:?}");
        let delivery = &delivered[0];
        let timestamp = delivery.header("driftline-timestamp").unwrap();
        let signature = delivery.header("driftline-signature").unwrap();
        let is_signed = |key: &str, body: &[u8]| verify(key.as_bytes(), timestamp, body, signature);
        assert!(is_signed(KEY, &delivery.body));
        assert!(!is_signed("another key", &delivery.body));
        assert!(!is_signed(KEY, b"{}"));
        let event = delivery.json();
        assert_eq!(event["schema"], "driftline.event.v1");
        assert_eq!(delivery.header("driftline-event"), event["id"].as_str());
        assert_eq!(event["tenant"], "acme");
        event
    }

    #[test]
    fn a_drift_is_told_once_and_its_end_once() {
        let receiver = Receiver::start();
        let mut session = session(&receiver);
        session.run("audit run");
        assert!(receiver.take().is_empty());
        live(&session, "acme", 7, "hello");
        session.run("audit run");
        let told = event(&receiver.take());
        assert_eq!(told["kind"], "drift.new");
        assert_eq!(told["message"], "roles/mod of acme drifted");
        assert_eq!(told["drifts"][0]["manifestId"], "mod");
        assert_eq!(told["report"].as_str(), Some(&*ids(&session, "acme")[0]));
        session.say("the same is not told again");
        session.run("audit run");
        assert!(receiver.take().is_empty());
        live(&session, "acme", 5, "hello");
        session.run("audit run -o json");
        let ended = event(&receiver.take());
        assert_eq!(ended["kind"], "drift.resolved");
        assert_eq!(
            ended["message"],
            "roles/mod of acme no longer raise an alarm"
        );
        assert_ne!(ended["id"], told["id"]);
        session.run("audit list --events");
        session.assert("audit_told");
    }

    #[test]
    fn what_is_accepted_is_told_as_resolved() {
        let receiver = Receiver::start();
        let session = session(&receiver);
        live(&session, "acme", 7, "hello");
        session.quietly("audit run");
        assert_eq!(event(&receiver.take())["kind"], "drift.new");
        session.must("drift ack --tenant acme --type roles --id mod --until 7d --reason r");
        session.must("audit run --exit-code drifted");
        assert_eq!(event(&receiver.take())["kind"], "drift.resolved");
        session.must("audit run --exit-code drifted");
        assert!(receiver.take().is_empty());
    }

    #[test]
    fn a_receiver_that_fails_fails_no_audit_and_is_on_record() {
        let receiver = Receiver::start();
        let mut session = session(&receiver);
        live(&session, "acme", 7, "hello");
        receiver.answer_next(500);
        assert_eq!(session.run("audit run").code, 2);
        let first = event(&receiver.take());
        let (attempts, error) =
            on_record(&session, "UPDATE event SET due_at = due_at + 3600000000");
        assert_eq!(attempts, 1);
        assert!(error.unwrap().contains("500"));
        session.say("it is not due again yet");
        assert_eq!(session.run("audit run --exit-code never").code, 0);
        assert!(receiver.take().is_empty());
        on_record(&session, "UPDATE event SET due_at = 0");
        session.say("and then it is");
        session.run("audit list --events -o json");
        session.run("audit run --exit-code never");
        assert_eq!(event(&receiver.take()), first);
        session.assert("audit_told_late");
        assert_eq!(on_record(&session, "SELECT 1"), (2, None));
    }

    /// The attempts at the one event, and why the last one failed; then what is to be done to it.
    fn on_record(session: &Session, statement: &'static str) -> (i64, Option<String>) {
        use sqlx::ConnectOptions as _;
        let path = session.path(".driftline/driftline.db");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut connection = options.connect().await.unwrap();
            let row = sqlx::query_as("SELECT attempts, last_error FROM event");
            let row = row.fetch_one(&mut connection).await.unwrap();
            sqlx::query(statement)
                .execute(&mut connection)
                .await
                .unwrap();
            row
        })
    }
}
