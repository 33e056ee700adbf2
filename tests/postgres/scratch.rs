//! The schema that a drill restores into.

use std::sync::Arc;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::adapters::postgres::PostgresDatabase;
use driftline::adapters::system::System;
use driftline::hybrid::drill::{DrillProgress, DrillScope, Drilled};
use driftline::hybrid::{HybridManifestRepository, Settings, Sides};
use driftline::ports::{
    CreateManifest, Fault, ManifestStore as _, RecoveryStore as _, ShadowLedger as _,
};
use driftline::prelude::*;
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use crate::support::postgres::{Reached as _, run};
use crate::tenant;
use driftline_conformance::services::{Cluster, Database};

/// A database whose application may make schemas, with two tenants that are shadowed.
async fn shadowed() -> (Database, PostgresDatabase, HybridManifestRepository) {
    let place = Cluster::shared().database();
    place.migrate().await;
    let adapter = place.adapter(&place.app()).await;
    let sides = Sides {
        database: Arc::new(adapter.clone()),
        snapshots: Arc::new(MemorySnapshotStore::new()),
        clock: Arc::new(System),
        entropy: Arc::new(System),
    };
    let repository = HybridManifestRepository::new(sides, Settings::default());
    repository.check_ownership().await.unwrap();
    fill(&repository, &["acme", "beta"], 150).await;
    (place, adapter, repository)
}

async fn fill(repository: &HybridManifestRepository, names: &[&str], versions: u32) {
    for name in names {
        for number in 0..versions {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_be_called_like_the_schema() {
    let (place, adapter, repository) = shadowed().await;
    allow(&place).await;
    let names = [
        "driftline.prod",
        "driftline.tenant",
        "driftline.",
        "driftline",
    ];
    fill(&repository, &names, 2).await;
    let scratch = adapter.scratch().await.unwrap();
    let report = repository
        .drill(
            Arc::new(scratch.database()),
            &DrillScope::All,
            &DrillProgress::default(),
        )
        .await
        .unwrap();
    scratch.remove().await.unwrap();
    assert_eq!(report.tenants.len(), 6);
    for (tenant, drilled) in &report.tenants {
        assert!(
            matches!(drilled, Drilled::Proven { .. }),
            "{tenant}: {drilled:?}"
        );
    }
}

async fn allow(place: &Database) {
    let name = place.url("").rsplit('/').next().unwrap().to_owned();
    let grant = format!("GRANT CREATE ON DATABASE {name} TO {}", place.app());
    run(&mut place.connect(&place.owner()).await, grant).await;
}

async fn schemas(place: &Database) -> Vec<String> {
    let names = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'driftline%' ORDER BY 1";
    let mut connection = place.connect(&place.owner()).await;
    let rows = sqlx::query(names).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_restores_into_a_schema_that_is_gone_afterwards() {
    let (place, adapter, repository) = shadowed().await;
    allow(&place).await;
    let (identity, tenants) = (
        adapter.identity().await.unwrap(),
        adapter.tenants(None, 9).await.unwrap(),
    );
    let scratch = adapter.scratch().await.unwrap();
    assert_eq!(schemas(&place).await, ["driftline", scratch.schema()]);
    let database = Arc::new(scratch.database());
    let report = repository
        .drill(
            database.clone(),
            &DrillScope::All,
            &DrillProgress::default(),
        )
        .await
        .unwrap();
    assert!(
        !report.has_differences() && !report.has_failures(),
        "{report:?}"
    );
    assert!(
        report
            .tenants
            .iter()
            .all(|(_, drilled)| matches!(drilled, Drilled::Proven { compared, .. } if compared.entries == 150))
    );
    assert_eq!(
        database.tenants(None, 9).await.unwrap().len(),
        2,
        "they did come back"
    );
    let status = adapter.status(None, None, 9).await.unwrap();
    assert!(status.iter().all(|status| status.proof.is_some()));
    assert_eq!(adapter.identity().await.unwrap(), identity);
    assert_eq!(adapter.tenants(None, 9).await.unwrap(), tenants);

    scratch.remove().await.unwrap();
    assert_eq!(schemas(&place).await, ["driftline"]);
    let error = database.tenants(None, 9).await.unwrap_err();
    assert_eq!(
        error.fault(),
        Fault::Unavailable,
        "its connections are closed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_row_of_the_server_is_found() {
    let (place, adapter, repository) = shadowed().await;
    allow(&place).await;
    let change = "SET driftline.scope = 'all'; \
                  UPDATE driftline.entry SET content = convert_to('{\"n\":7,\"schemaVersion\":\"2\"}', 'UTF8') \
                  WHERE tenant = 'acme' AND stream = 0 AND seq = 140";
    run(&mut place.connect(&place.owner()).await, change.to_owned()).await;
    let scratch = adapter.scratch().await.unwrap();
    let report = repository
        .drill(
            Arc::new(scratch.database()),
            &DrillScope::All,
            &DrillProgress::default(),
        )
        .await
        .unwrap();
    scratch.remove().await.unwrap();
    let Drilled::Different { differences, .. } = &report.tenants[0].1 else {
        panic!("{report:?}")
    };
    assert_eq!(differences.len(), 1);
    assert!(
        differences[0]
            .to_string()
            .starts_with("manifests/140: the content's SHA-256 is")
    );
    assert!(matches!(report.tenants[1].1, Drilled::Proven { .. }));
}

#[tokio::test]
async fn a_role_that_may_make_no_schema_is_told_what_to_grant() {
    let (place, adapter, _) = shadowed().await;
    let error = adapter.scratch().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    let grant = format!(
        "GRANT CREATE ON DATABASE test_{}",
        place.app().replace("test_", "").replace("_app", "")
    );
    assert!(error.to_string().contains(&grant), "{error}");
    assert!(error.to_string().contains(&place.app()), "{error}");
    assert_eq!(schemas(&place).await, ["driftline"]);
    allow(&place).await;
    adapter.scratch().await.unwrap().remove().await.unwrap();
}

#[tokio::test]
async fn what_a_killed_drill_left_goes_after_a_day_and_nothing_else() {
    let (place, adapter, _) = shadowed().await;
    allow(&place).await;
    let mut connection = place.connect(&place.app()).await;
    let young = adapter.scratch().await.unwrap();
    for name in [
        "driftline_drill_1700000000_0a1b2c3d",
        "driftline_drill_1700000000_notours",
        "driftline_drillbit",
    ] {
        run(
            &mut connection,
            format!("CREATE SCHEMA {name}; CREATE TABLE {name}.t ()"),
        )
        .await;
    }
    let next = adapter.scratch().await.unwrap();
    let mut left = vec![
        "driftline",
        "driftline_drill_1700000000_notours",
        young.schema(),
        next.schema(),
        "driftline_drillbit",
    ];
    left.sort_unstable();
    assert_eq!(schemas(&place).await, left);
}
