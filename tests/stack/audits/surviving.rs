//! Policies and acknowledgements are decisions: they survive the loss of the database. What audits found does not.

use serde_json::{Value, json};

use super::site::Site;
use crate::support::pairs::Kind;

const CHECK: &str = "drift check --tenant acme --actual live-acme.json --exit-code drifted";
const UNTIL: &str = "2099-01-01T00:00:00Z";

async fn decisions_come_back(kind: Kind) {
    let mut site = Site::new(kind).await;
    site.tenant("acme").await;
    site.write(
        "policy.json",
        r#"{"ignore": [{"type": "channels", "id": "lobby", "pointer": "/topic"}], "order": ["roles"],
            "severities": [{"type": "roles", "severity": "error"}], "unmanaged": "ignore"}"#,
    );
    let set = "drift policy set --tenant acme --file policy.json --message theirs";
    site.run(0, set).await;
    site.live("acme", 7, "goodbye");
    let audit = "audit run --tenant acme --actual live-acme.json";
    assert_eq!(
        site.json(2, audit).await["audits"][0]["drift"]["items"][0]["severity"],
        "error"
    );
    // The value is that of the report.
    let ack = "drift ack --tenant acme --type roles --id mod --path /limit";
    let ack = format!("{ack} --until {UNTIL} --reason event --by alice");
    site.run(0, &ack).await;
    let check = site.run(0, &format!("{CHECK} -o json")).await;
    let policy = site.run(0, "drift policy get --tenant acme").await;
    let acks = site.run(0, "drift acks --tenant acme -o json").await;
    site.run(0, "replicate --drain").await;

    site.pair.lose_database().await;
    site.run(6, "drift policy get --tenant acme").await;
    site.run(0, "recover --all-tenants").await;

    assert_eq!(site.run(0, "drift policy get --tenant acme").await, policy);
    assert_eq!(site.run(0, "drift acks --tenant acme -o json").await, acks);
    assert_eq!(site.run(0, &format!("{CHECK} -o json")).await, check);
    let check: Value = serde_json::from_str(&check).unwrap();
    assert_eq!(check["hasDrift"], false);
    let items = check["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "the policy ignores the topic");
    assert_eq!(items[0]["verdict"], "drifted");
    let acknowledgement = &items[0]["acknowledgement"];
    assert_eq!(items[0]["changes"][0]["pointer"], "/limit");
    for (member, value) in [("by", "alice"), ("reason", "event")] {
        assert_eq!(acknowledgement[member], value, "{member}");
    }
    let until: driftline::domain::Timestamp = UNTIL.parse().unwrap();
    assert_eq!(acknowledgement["until"], json!(until));
    // Reports are what audits saw, and in no bucket.
    assert_eq!(site.json(0, "audit list").await["items"], json!([]));
    assert_eq!(
        site.json(0, "drift history --tenant acme").await["drifts"],
        json!([])
    );
    // Only that value is accepted, and the policy forgives nothing else.
    for (limit, topic, code) in [(8, "goodbye", 2), (7, "farewell", 0)] {
        site.live("acme", limit, topic);
        site.run(code, CHECK).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_come_back_to_sqlite_from_a_directory_alone() {
    decisions_come_back(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_come_back_to_postgres_from_s3_alone() {
    decisions_come_back(Kind::Services).await;
}
