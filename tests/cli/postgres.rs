//! A server has to be migrated by hand, once.

use std::time::Duration;

use crate::session::Session;
use crate::support::postgres::Reached as _;
use driftline_conformance::services::Replica;
use driftline_conformance::services::{Cluster, Fsync};

#[tokio::test]
async fn a_server_is_migrated_before_it_is_used() {
    let database = Cluster::shared().database();
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

#[tokio::test]
async fn what_is_not_there_is_not_found_and_not_made() {
    let database = Cluster::shared().database();
    let mut session = Session::new();
    session.manifest(1);
    std::fs::create_dir_all(session.path(".driftline/snapshots")).unwrap();
    session.write("r.json", "{}");
    session.write("live.json", r#"{"resources":{}}"#);
    let empty = database.url(&database.owner());
    let nowhere = format!("{}/nowhere_at_all", empty.rsplit_once('/').unwrap().0);
    for url in [&empty, &nowhere] {
        session.set("DRIFTLINE_DATABASE_URL", url);
        for line in [
            "status",
            "status -o json",
            "stats --tenant acme",
            "tenant list",
            "manifest create --tenant acme --file m.json",
            "manifest get --tenant acme",
            "manifest history --tenant acme",
            "manifest diff --tenant acme 1 2",
            "apply record --tenant acme --version 1 --file r.json",
            "apply show --tenant acme",
            "drift check --tenant acme --actual live.json",
            "drift check --all-tenants --actual file:{tenant}.json",
            "drift plan --tenant acme --actual live.json",
            "drift history --tenant acme",
            "audit run --tenant acme --actual live.json",
            "audit list",
            "verify",
            "repair --plan p.json",
            "recover --all-tenants --dry-run",
            "drill --all-tenants",
            "replicate --drain",
        ] {
            let run = session.quietly(line);
            assert_eq!(run.code, 6, "{line} of {url}: {}{}", run.text(), run.stderr);
            assert!(
                run.stderr.contains("driftline migrate"),
                "{line}: {}",
                run.stderr
            );
        }
    }
    let run = session.quietly("doctor");
    assert_eq!(run.code, 10, "{}", run.stderr);
    assert!(run.text().contains("there is no such database"));
    assert!(run.text().contains("bucket     reachable"));
    let run = session.quietly("migrate");
    assert_eq!(run.code, 6, "{}", run.stderr);
    assert!(run.stderr.contains("createdb"), "{}", run.stderr);
    session.set("DRIFTLINE_DATABASE_URL", &empty);
    session.must("migrate");
    session.must("status");
}

#[tokio::test]
async fn a_role_that_can_only_read_is_no_health() {
    let database = Cluster::shared().database();
    let mut session = Session::new();
    session.manifest(1);
    session.set("DRIFTLINE_DATABASE_URL", &database.url(&database.owner()));
    session.must("migrate");
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.must("doctor");
    let name = format!("reader_of_{}", database.name());
    let mut owner = database.connect("postgres").await;
    for sql in [
        format!("CREATE ROLE {name} LOGIN BYPASSRLS"),
        format!("GRANT USAGE ON SCHEMA driftline TO {name}"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA driftline TO {name}"),
    ] {
        crate::support::postgres::run(&mut owner, sql).await;
    }
    session.set("DRIFTLINE_DATABASE_URL", &database.url(&name));
    let run = session.quietly("doctor");
    assert_eq!(run.code, 10, "{}{}", run.text(), run.stderr);
    let said = run.text();
    assert!(said.contains("takes no writes"), "{said}");
    assert!(said.contains("the role lacks a permission"), "{said}");
    let document = session.quietly("doctor -o json").json();
    assert_eq!(document["healthy"], false);
    assert!(document["tried"]["database"].is_string(), "{document}");
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

#[tokio::test]
async fn a_standby_is_read_from_and_takes_no_writes() {
    let cluster = Cluster::start(Fsync::Off);
    let database = cluster.database();
    let url = database.url(&database.owner());
    let mut session = Session::new();
    session.manifest(1);
    session.set("DRIFTLINE_DATABASE_URL", &url);
    session.must("migrate");
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    let standby = Replica::following(&cluster);
    let url = url.replace(&cluster.port().to_string(), &standby.port.to_string());
    session.set("DRIFTLINE_DATABASE_URL", &url);
    let run = session.quietly("doctor");
    assert_eq!(run.code, 10, "{}{}", run.text(), run.stderr);
    for words in ["takes no writes", "read-only transaction"] {
        assert!(run.text().contains(words), "{words}: {}", run.text());
    }
    for line in [
        "manifest create --tenant acme --file m.json",
        "manifest create --tenant beta --file m.json",
        "replicate --drain",
    ] {
        let run = session.quietly(line);
        assert_eq!(run.code, 8, "{line}: {}{}", run.text(), run.stderr);
        // The server's own words are "recovery is in progress" or "read-only transaction", by what it was asked first.
        for words in ["the server takes no writes", "the server says: "] {
            assert!(run.stderr.contains(words), "{line}: {}", run.stderr);
        }
    }
    session.must("manifest get --tenant acme");
    session.must("manifest history --tenant acme");
    session.must("status");
    session.must("status -o json");
    let mut waiting = session.command(&["replicate"]).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ended = waiting.try_wait().unwrap();
    waiting.kill().unwrap();
    let output = waiting.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(ended.is_none(), "{ended:?}: {said}");
    assert!(said.contains("the server takes no writes"), "{said}");
}
