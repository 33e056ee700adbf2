//! A server has to be migrated by hand, once.

use crate::session::Session;
use crate::support::postgres::Cluster;

#[tokio::test]
async fn a_server_is_migrated_before_it_is_used() {
    let database = Cluster::shared().database().await;
    let mut session = Session::new();
    session.manifest(1);
    session.set("DRIFTLINE_DATABASE_URL", &database.url(&database.owner()));
    assert_ne!(
        session
            .run("manifest create --tenant acme --file m.json")
            .code,
        0
    );
    session.run("status -o json");
    session.run("doctor");
    session.run("migrate");
    session.run("migrate");
    session.run("manifest create --tenant acme --file m.json");
    session.run("status");
    session.write(
        "live.json",
        r#"{"observedAt":"2025-03-01T10:15:00Z","resources":{"roles":{}}}"#,
    );
    session.run("drift check --tenant acme --actual live.json");
    session.run("drift check --all-tenants -o ndjson");
    session.run("drift policy get --tenant acme");
    session.run("drift history --tenant acme");
    session.assert("postgres");
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let mut session = Session::new();
    session.manifest(1);
    session.set(
        "DRIFTLINE_DATABASE_URL",
        "postgres://app:hunter2@127.0.0.1:1/d",
    );
    for line in [
        "status",
        "-o json status",
        "manifest create --tenant acme --file m.json",
        "doctor",
    ] {
        let run = session.run(line);
        assert!(
            !run.stderr.contains("hunter2") && !run.text().contains("hunter2"),
            "{line}"
        );
    }
    session.assert("postgres_down");
}
