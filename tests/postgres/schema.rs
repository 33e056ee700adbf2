//! Migrations and what they leave.

use std::time::Duration;

use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::domain::{BucketId, Epoch, Stream, TenantState};
use driftline::ports::{
    Fault, Hint, LeaseRequest, ManifestStore, Ownership, RecoveryStore, ShadowFailure, ShadowFault,
    ShadowLedger as _, WorkerId,
};
use futures::future::join_all;
use sqlx::Row;

use crate::support::postgres::{Reached as _, claimed, run, unclaimed};
use crate::{assert_schema_is_missing, committed, manifest, tenant};
use driftline_conformance::services::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_once_however_many_begin_them() {
    let database = Cluster::shared().database();
    let adapter = database.adapter(&database.owner()).await;
    let results = join_all((0..4).map(|_| {
        let adapter = adapter.clone();
        tokio::spawn(async move { adapter.migrate().await })
    }));
    for result in results.await {
        result.unwrap().unwrap();
    }
    let before = adapter.identity().await.unwrap();
    adapter.migrate().await.unwrap();
    assert_eq!(
        adapter.identity().await.unwrap(),
        before,
        "the identity is made once"
    );
    assert_eq!(before.ownership, Ownership::Unclaimed);
    assert_eq!(before.id.timeline, 1);
    let mut connection = database.connect(&database.owner()).await;
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('driftline', 'pg_catalog', 'information_schema')";
    let others: i64 = sqlx::query(tables)
        .fetch_one(&mut connection)
        .await
        .unwrap()
        .get(0);
    assert_eq!(others, 0, "everything stands in the schema");
}

#[tokio::test]
async fn a_database_without_the_schema_says_what_to_do() {
    let database = Cluster::shared().database();
    let adapter = database.adapter(&database.app()).await;
    let error = adapter
        .append(&tenant("acme"), &manifest("1"))
        .await
        .unwrap_err();
    assert_schema_is_missing(error);
    assert_eq!(
        adapter.migrate().await.unwrap_err().fault(),
        Fault::Refused,
        "the application's role may not migrate"
    );
}

#[tokio::test]
async fn a_role_without_grants_is_refused() {
    let database = Cluster::shared().database();
    database
        .adapter(&database.owner())
        .await
        .migrate()
        .await
        .unwrap();
    let error = database
        .adapter(&database.app())
        .await
        .identity()
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
}

#[tokio::test]
async fn the_owner_of_the_tables_can_be_the_application() {
    let (database, _) = claimed().await;
    let store = database.adapter(&database.owner()).await;
    let meta = committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let state = store.tenant(&tenant("acme")).await.unwrap().unwrap();
    assert_eq!(state.heads[Stream::Manifests].chain, meta.chain);
}

#[tokio::test]
async fn statements_work_without_being_kept() {
    let (database, _) = claimed().await;
    let url = format!(
        "{}?statement-cache-capacity=0",
        database.url(&database.app())
    );
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    for text in ["1", "2"] {
        let meta = committed(
            store
                .append(&tenant("acme"), &manifest(text))
                .await
                .unwrap(),
        );
        assert_eq!(
            store
                .active_manifest(&tenant("acme"))
                .await
                .unwrap()
                .unwrap()
                .entry
                .meta,
            meta
        );
    }
    assert!(store.identity().await.is_ok());
    assert_eq!(store.tenants(None, 10).await.unwrap().len(), 1);
    let mut admin = database.connect("postgres").await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'driftline' AND datname = current_database()
        AND state LIKE 'idle in transaction%'";
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let open: i64 = sqlx::query(open)
        .fetch_one(&mut admin)
        .await
        .unwrap()
        .get(0);
    assert_eq!(open, 0);
}

#[tokio::test]
async fn a_restore_of_a_duplicate_number_is_refused_and_undone() {
    let (_database, store) = claimed().await;
    let tenant = tenant("acme");
    committed(store.append(&tenant, &manifest("1")).await.unwrap());
    let entry = store.active_manifest(&tenant).await.unwrap().unwrap().entry;
    let mut restore = store.begin_restore(&tenant).await.unwrap();
    let error = restore
        .insert(std::slice::from_ref(&entry))
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    drop(restore);
    assert_eq!(
        store
            .history(&tenant, Stream::Manifests, None, 10)
            .await
            .unwrap(),
        [entry.meta]
    );
}

#[tokio::test]
async fn a_large_restore_comes_back_as_it_was() {
    let (_database, store) = claimed().await;
    let (from, to) = (tenant("from"), tenant("to"));
    for number in 0..1200 {
        let text = if number % 400 == 0 {
            "x".repeat(5 << 20)
        } else {
            number.to_string()
        };
        committed(store.append(&from, &manifest(&text)).await.unwrap());
    }
    let mut entries = Vec::new();
    while entries.len() < 1200 {
        let after = driftline::domain::Seq::new(entries.len() as u64);
        let batch = driftline::ports::ShadowLedger::pending(
            &store,
            &from,
            Stream::Manifests,
            after,
            500,
            u64::MAX,
        );
        entries.extend(batch.await.unwrap());
    }
    for entry in &mut entries {
        entry.meta.tenant = to.clone();
    }
    let mut restore = store.begin_restore(&to).await.unwrap();
    restore.insert(&entries).await.unwrap();
    let mut state = TenantState::new(to.clone(), Epoch::new(2));
    state.push(&entries[1199].meta, None, None);
    let bucket = BucketId(uuid::Uuid::from_u128(0xB0));
    restore
        .commit(&state, bucket, &driftline::domain::PerStream::default())
        .await
        .unwrap();
    assert_eq!(store.tenant(&to).await.unwrap(), Some(state));
    let stored = store.active_manifest(&to).await.unwrap().unwrap();
    assert_eq!(stored.entry, entries[1199]);
}

#[tokio::test]
async fn times_of_any_age_survive() {
    let (_database, store) = unclaimed().await;
    store
        .claim(None, BucketId(uuid::Uuid::from_u128(9)), Epoch::new(3))
        .await
        .unwrap();
    for text in [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1999-12-31T23:59:59.999999Z",
        "9999-12-30T00:00:00Z",
    ] {
        let mut entry = manifest("x");
        entry.created_at = text.parse().unwrap();
        let meta = committed(store.append(&tenant("acme"), &entry).await.unwrap());
        assert_eq!(meta.epoch, Epoch::new(3));
        let stored = store
            .active_manifest(&tenant("acme"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.entry.meta.created_at, entry.created_at, "{text}");
    }
}

#[tokio::test]
async fn a_failure_that_an_older_build_put_on_record_is_shown_as_it_is() {
    let (database, store) = claimed().await;
    let acme = tenant("acme");
    committed(store.append(&acme, &manifest("1")).await.unwrap());
    let worker = WorkerId(uuid::Uuid::from_u128(7));
    let request = LeaseRequest {
        worker,
        limit: 1,
        duration: Duration::from_mins(1),
        except: Vec::new(),
    };
    store.lease(&request).await.unwrap();
    let failure = ShadowFailure {
        message: "no \0".to_owned(),
        fault: ShadowFault {
            hint: Some(Hint::ChangeStore),
            lasting: true,
        },
        retry_after: Duration::from_secs(1),
    };
    store.release(&acme, worker, Some(&failure)).await.unwrap();
    let status = store.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!(status.fault, failure.fault, "also beside a NUL");
    let mut other = database.connect("postgres").await;
    let older = "UPDATE driftline.shadowing SET last_error = 'run `driftline recover`'";
    run(&mut other, older.to_owned()).await;
    let status = store.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!(
        (status.last_error.as_deref(), status.fault),
        (Some("run `driftline recover`"), ShadowFault::default())
    );
}
