//! PgBouncer in transaction mode: sessions are others', and nothing may be left in them.

use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::adapters::system::System;
use driftline::hybrid::drill::{DrillProgress, DrillScope, Drilled};
use driftline::hybrid::{HybridManifestRepository, Settings, Sides};
use driftline::ports::{CreateManifest, Fault, ManifestStore as _};
use driftline::prelude::*;
use futures::future::join_all;
use sqlx::{Connection as _, Row as _};
use tokio_util::sync::CancellationToken;

use crate::support::postgres::{Reached as _, options, run};
use crate::{committed, manifest, tenant};
use driftline_conformance::services::Cluster;
use driftline_conformance::services::Pooler;

const UNPREPARED: &str = "?statement-cache-capacity=0";

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_prepared_statements() {
    let place = Cluster::shared().database();
    let pooler = Pooler::start(&Cluster::shared().address(), &place, 3, "");
    let url = format!("{}{UNPREPARED}", pooler.url(&place.owner(), place.name()));
    let connect = || async {
        PostgresDatabase::connect(&url, PostgresOptions::default())
            .await
            .unwrap()
    };
    // Others that use the same sessions.
    let busy = CancellationToken::new();
    let others = (0..4).map(|number| {
        let (url, busy) = (pooler.url(&place.owner(), place.name()), busy.clone());
        tokio::spawn(async move {
            let mut other = sqlx::PgConnection::connect_with(&options(&url).extra_float_digits(None)).await.unwrap();
            while !busy.is_cancelled() {
                run(&mut other, format!("BEGIN; SELECT {number}; COMMIT")).await;
            }
            let row = sqlx::raw_sql("SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS time");
            let row = row.fetch_one(&mut other).await.unwrap();
            (row.get::<String, _>("path"), row.get::<String, _>("time"))
        })
    });
    let others: Vec<_> = others.collect();
    connect().await.migrate().await.unwrap();
    connect().await.migrate().await.unwrap();
    let database = connect().await;
    let sides = Sides {
        database: Arc::new(database.clone()),
        snapshots: Arc::new(MemorySnapshotStore::new()),
        clock: Arc::new(System),
        entropy: Arc::new(System),
    };
    let repository = HybridManifestRepository::new(sides, Settings::default());
    repository.check_ownership().await.unwrap();
    for name in ["acme", "driftline.prod"] {
        for number in 0..5 {
            let content = format!("{{\"schemaVersion\":\"1\",\"n\":{number}}}").into_bytes();
            let request = CreateManifest {
                content,
                ..CreateManifest::default()
            };
            repository
                .create_manifest(&tenant(name), request)
                .await
                .unwrap();
        }
    }
    repository.drain(CancellationToken::new()).await.unwrap();
    for _ in 0..2 {
        let scratch = database.scratch().await.unwrap();
        let report = repository
            .drill(
                Arc::new(scratch.database()),
                &DrillScope::All,
                &DrillProgress::default(),
            )
            .await
            .unwrap();
        scratch.remove().await.unwrap();
        assert_eq!(report.tenants.len(), 2);
        assert!(
            report
                .tenants
                .iter()
                .all(|(_, drilled)| matches!(drilled, Drilled::Proven { .. }))
        );
    }
    busy.cancel();
    for other in join_all(others).await {
        let (path, time) = other.unwrap();
        assert_eq!(
            (&*path, &*time),
            ("\"$user\", public", "0"),
            "left behind in somebody else's session"
        );
    }
}

#[tokio::test]
async fn a_pooler_that_ignores_our_settings_is_noticed() {
    let place = Cluster::shared().database();
    place.migrate().await;
    let pooler = Pooler::start(
        &Cluster::shared().address(),
        &place,
        2,
        "ignore_startup_parameters = options",
    );
    let hostile = format!("ALTER ROLE {} SET statement_timeout = 100", place.app());
    run(&mut place.connect("postgres").await, hostile).await;
    let url = format!("{}{UNPREPARED}", pooler.url(&place.app(), place.name()));
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let bucket = driftline::domain::BucketId(uuid::Uuid::from_u128(0xB0));
    driftline::ports::RecoveryStore::claim(&store, None, bucket, driftline::domain::Epoch::FIRST)
        .await
        .unwrap();
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    // Longer than the role may, and shorter than we do.
    let mut admin = place.connect("postgres").await;
    run(&mut admin, "BEGIN; LOCK TABLE driftline.tenant".to_owned()).await;
    let (entry, acme) = (manifest("2"), tenant("acme"));
    let release = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        run(&mut admin, "COMMIT".to_owned()).await;
    };
    let (appended, ()) = tokio::join!(store.append(&acme, &entry), release);
    committed(appended.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_to_do_about_prepared_statements_is_said_once() {
    let place = Cluster::shared().database();
    place.migrate().await;
    let pooler = Pooler::start(&Cluster::shared().address(), &place, 3, "");
    let url = pooler.url(&place.owner(), place.name());
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let clash = async {
        loop {
            let all = join_all((0..8).map(|number| {
                let store = store.clone();
                async move { store.tenant(&tenant(&format!("t{number}"))).await }
            }));
            if let Some(error) = all.await.into_iter().find_map(Result::err) {
                break error;
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(30), clash)
        .await
        .unwrap();
    assert_eq!(error.fault(), Fault::Refused, "{}", error.report());
    let report = error.report();
    assert_eq!(
        report.matches("statement-cache-capacity=0").count(),
        1,
        "{report}"
    );
}
