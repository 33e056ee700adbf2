//! An auditor's role and its transactions: what they may do, and what they may not.

use std::time::Duration;

use driftline::adapters::postgres::{PostgresOptions, PostgresReader};
use driftline::domain::{Seq, Stream};
use driftline::ports::{Asked, AuditLog, AuditScope, ManifestStore, StateReader, WorkerId};
use sqlx::{AssertSqlSafe, Row};

use crate::support::postgres::{Reached as _, claimed, unclaimed};
use crate::{assert_schema_is_missing, committed, manifest, tenant};
use driftline_conformance::services::Cluster;

#[tokio::test]
async fn a_role_that_may_only_select_reads_everything() {
    let (database, store) = claimed().await;
    let meta = committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let url = database.url(&database.auditor());
    let uncached = format!("{url}?statement-cache-capacity=0");
    for url in [url, uncached] {
        let reader = PostgresReader::connect(&url, PostgresOptions::default())
            .await
            .unwrap();
        let names = reader.tenant_names(None, 10).await.unwrap();
        assert_eq!(names, [tenant("acme")]);
        for asked in [&names[..], &[tenant("nobody"), tenant("acme")]] {
            let asked: Vec<Asked> = asked.iter().cloned().map(Asked::from).collect();
            let (documents, looked_at) = reader.documents(&asked, 1 << 20).await.unwrap();
            assert_eq!(looked_at, asked.len());
            assert_eq!(documents[0].desired.as_ref().unwrap().meta, meta);
        }
        let entry = reader
            .stored_entry(&tenant("acme"), Stream::Manifests, Seq::new(1))
            .await;
        assert_eq!(entry.unwrap().unwrap().meta, meta);
        reader.close().await;
    }
    // It could not write, whatever it sent.
    let mut connection = database.connect(&database.auditor()).await;
    for statement in [
        "UPDATE driftline.tenant SET epoch = 2",
        "DELETE FROM driftline.entry",
        "INSERT INTO driftline.audited (tenant, enrolled_at) VALUES ('acme', now())",
        "SELECT driftline.read('acme', 0::smallint, 1)",
    ] {
        let error = sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap();
        assert_eq!(code, "42501", "{statement}: {error}");
    }
}

#[tokio::test]
async fn the_session_tells_who_reads_and_that_it_cannot_write() {
    let (database, store) = unclaimed().await;
    let of_auditor = database.reader().await.session().await.unwrap();
    assert_eq!(of_auditor.role, Some(database.auditor()));
    assert!(of_auditor.read_only);
    // A role that may write reads in the same kind of transaction.
    let of_app = store.session().await.unwrap();
    assert_eq!(
        (of_app.role, of_app.read_only),
        (Some(database.app()), true)
    );
}

/// The transactions begin as this adapter begins them, in sessions whose own default is to write.
#[tokio::test]
async fn the_server_refuses_a_write_in_such_a_transaction() {
    let (database, store) = claimed().await;
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let mut connection = database.connect(&database.owner()).await;
    for statement in [
        "UPDATE driftline.tenant SET epoch = 2",
        "DELETE FROM driftline.entry",
        "INSERT INTO driftline.probe VALUES (gen_random_uuid())",
        "CREATE TABLE driftline.mine ()",
        "SELECT * FROM driftline.tenant FOR UPDATE",
    ] {
        sqlx::raw_sql("BEGIN READ ONLY; SELECT set_config('driftline.scope', 'all', true)")
            .execute(&mut connection)
            .await
            .unwrap();
        let error = sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap();
        assert_eq!(code, "25006", "{statement}: {error}");
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

/// Were one of them to begin otherwise, the server would have given it a number, or logged it.
#[tokio::test]
async fn every_transaction_of_a_reader_begins_as_read_only() {
    let cluster = Cluster::start(driftline_conformance::services::Fsync::Off);
    let database = cluster.database();
    database.migrate().await;
    let mut admin = database.connect("postgres").await;
    let log = format!(
        "ALTER ROLE {} SET log_statement = 'all'",
        database.auditor()
    );
    sqlx::raw_sql(AssertSqlSafe(log))
        .execute(&mut admin)
        .await
        .unwrap();
    let reader = database.reader().await;
    let acme = tenant("acme");
    reader.tenant_names(None, 10).await.unwrap();
    let asked = [acme.clone(), tenant("beta")].map(Asked::from);
    reader.documents(&asked, 1).await.unwrap();
    reader.documents(&asked[..1], 1).await.unwrap();
    reader
        .stored_entry(&acme, Stream::Applies, Seq::new(1))
        .await
        .unwrap();
    reader.session().await.unwrap();
    reader.close().await;
    let log = cluster.log();
    let beginning = "statement: BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY";
    let began = log.matches(beginning).count();
    assert_eq!(began, 5, "{log}");
    assert_eq!(log.matches("BEGIN").count(), 5, "{log}");
    let selects = log.matches("execute sqlx_s_").count();
    assert_eq!(
        selects, 7,
        "one statement each, and two name their tenant first: {log}"
    );
}

#[tokio::test]
async fn a_reader_of_a_database_without_the_schema_says_what_to_do() {
    let database = Cluster::shared().database();
    let error = database
        .reader()
        .await
        .tenant_names(None, 1)
        .await
        .unwrap_err();
    assert_schema_is_missing(error);
}

/// Rows of a tenant's history beyond those that are asked for are not looked at, however many there are and whatever the
/// planner was told.
#[tokio::test]
async fn documents_cost_the_same_whatever_the_history() {
    let (database, store) = claimed().await;
    for name in ["short", "long"] {
        committed(store.append(&tenant(name), &manifest("1")).await.unwrap());
    }
    let mut admin = database.connect("postgres").await;
    let grow = "INSERT INTO driftline.entry
        SELECT 'long', s, g, gen_random_uuid(), 1, sha256(''), sha256(''), now(), now(), NULL, NULL,
            CASE s WHEN 1 THEN 1 END, '{}'
        FROM generate_series(2, 20000) g, unnest('{0,1}'::smallint[]) s;
        UPDATE driftline.tenant SET manifests_head = 20000, applies_head = 20000 WHERE tenant = 'long';";
    sqlx::raw_sql(grow).execute(&mut admin).await.unwrap();
    let read = async |admin: &mut sqlx::PgConnection| -> i64 {
        let reader = database.reader().await;
        let names = ["short", "long"].map(|name| Asked::from(tenant(name)));
        let (documents, _) = reader.documents(&names, 1 << 30).await.unwrap();
        let applied = documents[1].apply.as_ref().unwrap();
        assert_eq!(applied.meta.seq, Seq::new(20_000));
        reader.close().await;
        // Statistics are reported when a session ends, which its client does not wait for.
        let rows = "SELECT sum(idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_user_tables WHERE relname = 'entry'";
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqlx::query(rows).fetch_one(admin).await.unwrap().get(0)
    };
    let mut before = read(&mut admin).await;
    for statistics in ["SELECT 1", "ANALYZE driftline.entry"] {
        sqlx::raw_sql(statistics).execute(&mut admin).await.unwrap();
        let after = read(&mut admin).await;
        assert!(after - before < 50, "{} rows were read", after - before);
        before = after;
    }
}

/// The record of audits is not what is audited.
#[tokio::test]
async fn audits_leave_no_trace_in_what_they_audit() {
    let (_database, store) = unclaimed().await;
    let worker = WorkerId(uuid::Uuid::from_u128(1));
    let claims = store
        .claim(
            worker,
            AuditScope::These(&[tenant("acme")]),
            1,
            Duration::from_mins(1),
        )
        .await
        .unwrap();
    assert_eq!(claims.len(), 1, "an unclaimed database takes audits");
    assert_eq!(store.tenant(&tenant("acme")).await.unwrap(), None);
}
