//! A server that does not answer is down, and says so in time.

use std::time::Duration;

use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::ports::{Fault, ManifestStore as _, RecoveryStore as _, ShadowLedger as _};
use sqlx::Executor as _;
use tokio::time::{Instant, timeout};

use crate::support::postgres::{Reached as _, claimed, run};
use crate::{committed, manifest, tenant};
use driftline_conformance::services::Relay;
use driftline_conformance::services::free_port;
use driftline_conformance::services::{Cluster, Database};

/// More than any limit here, with what is waited longer than the server's.
const ENOUGH: Duration = Duration::from_secs(12);

async fn through(relay: &Relay, place: &Database, more: &str) -> PostgresDatabase {
    let url = format!(
        "postgres://{}@127.0.0.1:{}/{}{more}",
        place.app(),
        relay.port,
        place.name()
    );
    PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_connection_that_hangs_is_a_side_that_is_down() {
    let (place, _) = claimed().await;
    let relay = Relay::start(&Cluster::shared().address());
    let limits = "?statement-timeout=1&connect-timeout=1&acquire-timeout=2";
    let store = through(&relay, &place, limits).await;
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    relay.fall_silent();
    // The first of them still has a connection that it trusts.
    let write = manifest("2");
    let acme = tenant("acme");
    let writing = timeout(ENOUGH, store.append(&acme, &write)).await;
    let error = writing.expect("it ends").unwrap_err();
    assert_eq!(error.fault(), Fault::OutcomeUnknown, "{}", error.report());
    assert!(
        error.report().contains("no answer within 6 s"),
        "{}",
        error.report()
    );
    for _ in 0..2 {
        let reading = timeout(ENOUGH, store.active_manifest(&acme)).await;
        let error = reading.expect("it ends").unwrap_err();
        assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
        assert!(
            error
                .report()
                .contains(&format!("127.0.0.1:{}", relay.port)),
            "{}",
            error.report()
        );
    }
    let asking = timeout(ENOUGH, store.status(None, None, 10)).await;
    assert_eq!(
        asking.expect("it ends").unwrap_err().fault(),
        Fault::Unavailable
    );
    relay.speak();
    let stored = store.active_manifest(&acme).await.unwrap().unwrap();
    assert!(stored.entry.meta.seq.get() >= 1);
}

#[tokio::test]
async fn a_lock_is_not_waited_for_without_end() {
    let (place, _) = claimed().await;
    let url = format!("{}?lock-timeout=1", place.url(&place.app()));
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let mut admin = place.connect("postgres").await;
    run(&mut admin, "BEGIN; LOCK TABLE driftline.tenant".to_owned()).await;
    let started = Instant::now();
    let error = store
        .append(&tenant("acme"), &manifest("2"))
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    assert!(
        error.report().contains("lock-timeout"),
        "{}",
        error.report()
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    let error = store.tenants(None, 1).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    run(&mut admin, "ROLLBACK".to_owned()).await;
    committed(store.append(&tenant("acme"), &manifest("3")).await.unwrap());
}

#[tokio::test]
async fn a_transaction_in_which_nothing_comes_is_ended() {
    let (place, _) = claimed().await;
    let url = format!("{}?idle-in-transaction-timeout=1", place.url(&place.app()));
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let acme = tenant("acme");
    committed(store.append(&acme, &manifest("1")).await.unwrap());
    // A restore may take longer, for it moves much at once.
    let restore = store.begin_restore(&acme).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(restore.state().is_some());
    drop(restore);
    let mut admin = place.connect("postgres").await;
    let open = format!(
        "SELECT 1 FROM pg_stat_activity WHERE usename = '{}' AND state = 'idle in transaction'",
        place.app()
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let open = admin.fetch_all(sqlx::AssertSqlSafe(open)).await.unwrap();
    assert_eq!(open.len(), 0);
}

#[tokio::test]
async fn a_refused_connection_is_called_that() {
    let port = free_port();
    let url = format!("postgres://someone:hunter2@127.0.0.1:{port}/x?acquire-timeout=1");
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let error = store.identity().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable);
    let report = error.report();
    assert!(
        report.contains(&format!("127.0.0.1:{port}: Connection refused")),
        "{report}"
    );
    assert!(
        !report.contains("pool") && !report.contains("hunter2"),
        "{report}"
    );
}

#[tokio::test]
async fn a_refusal_is_in_the_servers_own_words() {
    let (place, _) = claimed().await;
    let nobody = place.url("nobody_there");
    let nowhere = place.url(&place.app()).replace(place.name(), "nowhere");
    for (url, fault, words) in [
        (
            nobody,
            Fault::Refused,
            "role \"nobody_there\" does not exist",
        ),
        (
            nowhere.replace("nowhere_app", &place.app()),
            Fault::Absent,
            "database \"nowhere\" does not exist",
        ),
    ] {
        let store = PostgresDatabase::connect(&url, PostgresOptions::default())
            .await
            .unwrap();
        let error = store.identity().await.unwrap_err();
        assert_eq!(error.fault(), fault, "{}", error.report());
        assert!(error.report().contains(words), "{}", error.report());
    }
}

#[tokio::test]
async fn a_server_without_room_says_so() {
    let (place, _) = claimed().await;
    let mut admin = place.connect("postgres").await;
    run(
        &mut admin,
        format!("ALTER ROLE {} CONNECTION LIMIT 1", place.app()),
    )
    .await;
    let _held = place.connect(&place.app()).await;
    let url = format!("{}?acquire-timeout=1", place.url(&place.app()));
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let error = store.identity().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable);
    assert!(
        error.report().contains("too many connections for role"),
        "{}",
        error.report()
    );
}
