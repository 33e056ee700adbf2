//! What an error says about what happened.

use std::time::Duration;

use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::domain::{Seq, Stream};
use driftline::ports::{Fault, ManifestStore, RecoveryStore};
use sqlx::{PgConnection, Row};

use crate::support::postgres::{Reached as _, claimed};
use crate::{committed, manifest, tenant};
use driftline_conformance::services::Database;
use driftline_conformance::services::free_port;

/// Ends the sessions that run `driftline.append` and wait for a lock; how many there were.
async fn terminate_waiting(database: &Database, admin: &mut PgConnection) -> usize {
    let waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE usename = $1 AND wait_event_type = 'Lock' AND query LIKE '%driftline.append%'";
    sqlx::query(waiting)
        .bind(database.app())
        .fetch_all(admin)
        .await
        .unwrap()
        .len()
}

#[tokio::test]
async fn a_session_that_is_ended_before_it_commits_has_changed_nothing() {
    let (database, store) = claimed().await;
    let tenant = tenant("acme");
    committed(store.append(&tenant, &manifest("1")).await.unwrap());
    let restore = store.begin_restore(&tenant).await.unwrap();
    let writer = tokio::spawn({
        let (store, tenant) = (store.clone(), tenant.clone());
        async move { store.append(&tenant, &manifest("2")).await }
    });
    let mut admin = database.connect("postgres").await;
    while terminate_waiting(&database, &mut admin).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = writer.await.unwrap().unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    drop(restore);
    assert_eq!(
        committed(store.append(&tenant, &manifest("3")).await.unwrap()).seq,
        Seq::new(2)
    );
}

#[tokio::test]
async fn a_restore_whose_session_is_ended_is_undone() {
    let (database, store) = claimed().await;
    let tenant = tenant("acme");
    let mut restore = store.begin_restore(&tenant).await.unwrap();
    let mut admin = database.connect("postgres").await;
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1 AND state = 'idle in transaction'";
    sqlx::query(end)
        .bind(database.app())
        .fetch_all(&mut admin)
        .await
        .unwrap();
    let entry = driftline::domain::Entry {
        meta: driftline::domain::EntryMeta {
            tenant: tenant.clone(),
            stream: Stream::Manifests,
            seq: Seq::new(1),
            id: manifest("1").id,
            epoch: driftline::domain::Epoch::FIRST,
            checksum: manifest("1").content.checksum(),
            chain: manifest("1").content.checksum(),
            created_at: manifest("1").created_at,
            committed_at: manifest("1").created_at,
            created_by: None,
            message: None,
            content_bytes: 0,
        },
        content: manifest("1").content,
    };
    let error = restore.insert(&[entry]).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    drop(restore);
    assert_eq!(store.tenant(&tenant).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_unavailable() {
    let url = format!(
        "postgres://someone:hunter2@127.0.0.1:{}/nothing",
        free_port()
    );
    let options = PostgresOptions {
        acquire_timeout: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let store = PostgresDatabase::connect(&url, options).await.unwrap();
    let error = store
        .append(&tenant("acme"), &manifest("1"))
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
    assert!(
        !error.report().contains("hunter2") && !format!("{error:?}{store:?}").contains("hunter2")
    );
}

#[tokio::test]
async fn a_database_or_role_that_is_not_there_is_refused() {
    let (database, _) = claimed().await;
    for url in [
        database.url(&database.app()).replace("/test_", "/no_test_"),
        database.url("nobody_of_that_name"),
    ] {
        let store = PostgresDatabase::connect(&url, PostgresOptions::default())
            .await
            .unwrap();
        let error = store.identity().await.unwrap_err();
        assert_eq!(error.fault(), Fault::Refused, "{}", error.report());
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_refused_without_its_password() {
    for url in [
        "postgres://someone:hunter2@host:port/x",
        "hunter2",
        "postgres://a:hunter2@h/x?sslmode=hunter2",
    ] {
        let error = PostgresDatabase::connect(url, PostgresOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.fault(), Fault::Refused);
        assert!(
            !format!("{} {error:?}", error.report()).contains("hunter2"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_unavailable() {
    let (database, _) = claimed().await;
    let options = PostgresOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_millis(200),
        ..PostgresOptions::default()
    };
    let store = PostgresDatabase::connect(&database.url(&database.app()), options)
        .await
        .unwrap();
    let _held = store.begin_restore(&tenant("acme")).await.unwrap();
    let error = store
        .append(&tenant("acme"), &manifest("1"))
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable, "{}", error.report());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let (database, store) = claimed().await;
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let mut admin = database.connect("postgres").await;
    for (column, value) in [
        ("chain", "'\\x00'::bytea"),
        ("created_by", "E'a\\nb'"),
        ("created_at", "'infinity'"),
    ] {
        let damage = format!("UPDATE driftline.entry SET {column} = {value} RETURNING seq");
        let row = sqlx::query(sqlx::AssertSqlSafe(damage))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert_eq!(row.get::<i64, _>("seq"), 1);
        let error = store.active_manifest(&tenant("acme")).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Corrupt);
        let repaired =
            "UPDATE driftline.entry SET chain = checksum, created_by = NULL, created_at = now()";
        sqlx::query(repaired).execute(&mut admin).await.unwrap();
        assert_eq!(
            error.to_string(),
            format!("cannot read driftline.entry.{column} of acme/manifests")
        );
    }
}
