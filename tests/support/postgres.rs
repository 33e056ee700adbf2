//! The adapter of Postgres on the server that tests share.

use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions, PostgresReader};
use driftline::domain::{BucketId, Epoch};
use driftline::ports::{ManifestStore, RecoveryStore};
use driftline_conformance::services::{Cluster, Database};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// How driftline reaches a database of a test's own.
pub trait Reached {
    /// A plain connection.
    async fn connect(&self, role: &str) -> PgConnection;

    /// Connects the adapter, without migrating.
    async fn adapter(&self, role: &str) -> PostgresDatabase;

    /// Connects an auditor.
    async fn reader(&self) -> PostgresReader;

    /// The schema is there, made by its owner; the application may use it, an auditor read it, and a recorder keep results.
    async fn migrate(&self);
}

impl Reached for Database {
    async fn connect(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url(role))
            .await
            .expect("the server answers")
    }

    async fn adapter(&self, role: &str) -> PostgresDatabase {
        PostgresDatabase::connect(&self.url(role), PostgresOptions::default())
            .await
            .expect("a good URL")
    }

    async fn reader(&self) -> PostgresReader {
        PostgresReader::connect(&self.url(&self.auditor()), PostgresOptions::default())
            .await
            .expect("a good URL")
    }

    async fn migrate(&self) {
        self.adapter(&self.owner())
            .await
            .migrate()
            .await
            .expect("the migrations run");
        let mut connection = self.connect(&self.owner()).await;
        let (app, auditor, recorder) = (self.app(), self.auditor(), self.recorder());
        for grant in [
            format!("GRANT USAGE ON SCHEMA driftline TO {app}"),
            format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON driftline.database, driftline.probe, driftline.tenant, \
                 driftline.entry, driftline.idempotency, driftline.shadowing, driftline.audited, driftline.report, \
                 driftline.event TO {app}"
            ),
            format!("GRANT SELECT ON driftline._migrations TO {app}"),
            "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA driftline FROM PUBLIC".to_owned(),
            format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA driftline TO {app}"),
            format!("GRANT USAGE ON SCHEMA driftline TO {auditor}"),
            format!("GRANT SELECT ON driftline.tenant, driftline.entry TO {auditor}"),
            format!("GRANT USAGE ON SCHEMA driftline TO {recorder}"),
            format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON driftline.audited, driftline.report, driftline.event \
                 TO {recorder}"
            ),
        ] {
            run(&mut connection, grant).await;
        }
    }
}

/// A fresh database with its schema, nobody's yet, as the application sees it.
pub async fn unclaimed() -> (Database, PostgresDatabase) {
    let database = Cluster::shared().database();
    database.migrate().await;
    let adapter = database.adapter(&database.app()).await;
    (database, adapter)
}

/// The same, claimed for a bucket.
pub async fn claimed() -> (Database, PostgresDatabase) {
    let (database, adapter) = unclaimed().await;
    adapter
        .claim(None, BucketId(uuid::Uuid::from_u128(0xB0)), Epoch::FIRST)
        .await
        .expect("the database can be claimed");
    (database, adapter)
}

/// Runs SQL that a test wrote.
pub async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The connection options of a URL, for pools of a test's own.
pub fn options(url: &str) -> PgConnectOptions {
    url.parse().expect("a good URL")
}
