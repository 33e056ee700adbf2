//! Row-level security binds the application's role and the tables' owner.

use std::time::Duration;

use driftline::adapters::postgres::PostgresDatabase;
use driftline::adapters::system::System;
use driftline::domain::drift::EventKind;
use driftline::domain::{EventId, ReportId, Seq, Stream, Timestamp};
use driftline::ports::{
    AuditLog, AuditOutcome, AuditScope, Entropy, ManifestStore, NewEvent, NewReport, ShadowLedger,
    WorkerId,
};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::support::postgres::{Reached as _, claimed};
use crate::{committed, manifest, tenant};
use driftline_conformance::services::Database;

const TABLES: [&str; 7] = [
    "tenant",
    "entry",
    "idempotency",
    "shadowing",
    "audited",
    "report",
    "event",
];

async fn tenants_seen(
    connection: &mut PgConnection,
    table: &str,
    setting: Option<(&str, &str)>,
) -> Vec<String> {
    sqlx::raw_sql("BEGIN")
        .execute(&mut *connection)
        .await
        .unwrap();
    if let Some((name, value)) = setting {
        let set = sqlx::query("SELECT set_config($1, $2, true)")
            .bind(name)
            .bind(value);
        set.execute(&mut *connection).await.unwrap();
    }
    let select = format!("SELECT DISTINCT tenant FROM driftline.{table} ORDER BY tenant");
    let rows = sqlx::query(AssertSqlSafe(select))
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    sqlx::raw_sql("COMMIT")
        .execute(&mut *connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn two_tenants() -> Database {
    let (database, store) = claimed().await;
    for name in ["one", "two"] {
        let mut entry = manifest(name);
        entry.idempotency_key = Some("key".parse().unwrap());
        committed(store.append(&tenant(name), &entry).await.unwrap());
        audit(&store, name).await;
    }
    database
}

#[tokio::test]
async fn every_table_with_a_tenant_is_bound() {
    let database = two_tenants().await;
    let mut connection = database.connect(&database.owner()).await;
    let bound = "SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'driftline'::regnamespace AND c.relkind = 'r' AND c.relrowsecurity
            AND c.relforcerowsecurity ORDER BY c.relname";
    let tables = "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
        WHERE c.relnamespace = 'driftline'::regnamespace AND c.relkind = 'r' ORDER BY c.relname";
    let mut expected = TABLES.map(str::to_owned).to_vec();
    expected.sort_unstable();
    for query in [bound, tables] {
        let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, expected);
    }
}

/// An audit that leaves a row in each table of audits.
async fn audit(store: &PostgresDatabase, name: &str) {
    let (tenant, at) = (tenant(name), Timestamp::EPOCH);
    let worker = WorkerId(System.uuid());
    let scope = [tenant.clone()];
    let claims = store
        .claim(worker, AuditScope::These(&scope), 1, Duration::from_mins(1))
        .await
        .unwrap();
    let report = NewReport {
        id: ReportId(System.uuid()),
        at,
        has_drift: true,
        differences: 1,
        unknown: 0,
        timeliness: None,
        body: "{}".to_owned(),
    };
    let event = NewEvent {
        id: EventId(System.uuid()),
        kind: EventKind::DriftNew,
        tenant: tenant.clone(),
        at,
        receiver: "ops".to_owned(),
        body: "{}".to_owned(),
    };
    let outcome = AuditOutcome {
        tenant,
        fence: claims[0].fence,
        at,
        report: Some(report),
        memory: None,
        error: None,
        next_at: None,
        events: vec![event],
    };
    assert_eq!(store.finish(&[outcome]).await.unwrap(), [true]);
}

#[tokio::test]
async fn a_statement_without_a_setting_sees_nothing() {
    let database = two_tenants().await;
    for role in [database.app(), database.owner()] {
        let mut connection = database.connect(&role).await;
        for table in TABLES {
            assert!(
                tenants_seen(&mut connection, table, None).await.is_empty(),
                "{table} as {role}"
            );
            // A setting ends with its transaction, and leaves an empty one behind.
            tenants_seen(&mut connection, table, Some(("driftline.tenant", "one"))).await;
            assert!(
                tenants_seen(&mut connection, table, None).await.is_empty(),
                "{table} as {role}"
            );
        }
    }
}

#[tokio::test]
async fn a_setting_shows_its_tenant_only() {
    let database = two_tenants().await;
    for role in [database.app(), database.owner()] {
        let mut connection = database.connect(&role).await;
        for table in TABLES {
            let one = tenants_seen(&mut connection, table, Some(("driftline.tenant", "one"))).await;
            assert_eq!(one, ["one"], "{table} as {role}");
            let all = tenants_seen(&mut connection, table, Some(("driftline.scope", "all"))).await;
            assert_eq!(all, ["one", "two"], "{table} as {role}");
            assert!(
                tenants_seen(&mut connection, table, Some(("driftline.tenant", "")))
                    .await
                    .is_empty()
            );
        }
    }
}

#[tokio::test]
async fn a_setting_lets_no_other_tenant_be_written() {
    let database = two_tenants().await;
    let mut connection = database.connect(&database.app()).await;
    for statement in [
        "INSERT INTO driftline.shadowing (tenant) VALUES ('three')",
        "UPDATE driftline.shadowing SET tenant = 'three'",
        "INSERT INTO driftline.idempotency VALUES ('two', 0, 'k', 1, '', now())",
        "INSERT INTO driftline.audited (tenant, enrolled_at) VALUES ('three', now())",
        "UPDATE driftline.report SET tenant = 'two'",
        "UPDATE driftline.event SET tenant = 'two'",
    ] {
        sqlx::raw_sql("BEGIN; SELECT set_config('driftline.tenant', 'one', true)")
            .execute(&mut connection)
            .await
            .unwrap();
        let error = sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::raw_sql("BEGIN; SELECT set_config('driftline.tenant', 'one', true)")
        .execute(&mut connection)
        .await
        .unwrap();
    let gone = sqlx::raw_sql("DELETE FROM driftline.shadowing WHERE tenant = 'two'")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(gone.rows_affected(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_share_a_pool_never_meet() {
    let (_database, store) = claimed().await;
    join_all(["one", "two", "three"].into_iter().flat_map(|name| {
        let store = &store;
        (0..4).map(move |_| {
            let (store, tenant) = (store.clone(), tenant(name));
            tokio::spawn(async move {
                for _ in 0..20 {
                    committed(
                        store
                            .append(&tenant, &manifest(tenant.as_str()))
                            .await
                            .unwrap(),
                    );
                    let stored = store.active_manifest(&tenant).await.unwrap().unwrap();
                    let text = format!("{{\"schemaVersion\":\"1\",\"text\":\"{tenant}\"}}");
                    assert_eq!(stored.entry.content.as_bytes(), text.as_bytes());
                    assert!(
                        store
                            .entry(&tenant, Stream::Applies, Seq::new(1))
                            .await
                            .unwrap()
                            .is_none()
                    );
                    for entry in store
                        .pending(&tenant, Stream::Manifests, Seq::default(), 5, 1 << 20)
                        .await
                        .unwrap()
                    {
                        assert_eq!(entry.content.as_bytes(), text.as_bytes());
                    }
                }
            })
        })
    }))
    .await
    .into_iter()
    .for_each(|done| done.unwrap());
    let heads = store.tenants(None, 10).await.unwrap();
    let heads = heads.iter().map(|state| {
        (
            state.tenant.as_str(),
            state.heads[Stream::Manifests].seq.get(),
        )
    });
    assert_eq!(
        heads.collect::<Vec<_>>(),
        [("one", 80), ("three", 80), ("two", 80)]
    );
}

/// What a dump by a role contains of tenants' rows; `None` when it fails.
fn dump(url: &str, more: &[&str]) -> Option<usize> {
    let program = driftline_conformance::services::postgres::programs().join("pg_dump");
    let done = std::process::Command::new(program)
        .args(["--data-only", "--schema=driftline", "--inserts"])
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    done.status
        .success()
        .then(|| text.matches("INSERT INTO driftline.tenant").count())
}

#[tokio::test]
async fn a_dump_needs_a_role_that_sees_everything() {
    let (database, store) = claimed().await;
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let (owner, admin) = (database.url(&database.owner()), database.url("postgres"));
    assert_eq!(
        dump(&owner, &[]),
        None,
        "it does not leave out rows in silence"
    );
    // As the documents say.
    assert_eq!(dump(&owner, &["--enable-row-security"]), Some(0));
    assert_eq!(dump(&admin, &[]), Some(1));
}
