//! The schema, brought up to date in one transaction: of several processes that open a fresh file, one does the work and the
//! others find it done.

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::{SqliteDatabase, commit, error, whereabouts};
use driftline_ports::{Fault, StoreError, StoreResult};

const FILES: &[(i64, &str, &str)] = &[
    (1, "schema", include_str!("../migrations/0001_schema.sql")),
    (2, "audits", include_str!("../migrations/0002_audits.sql")),
    (
        3,
        "lifecycle",
        include_str!("../migrations/0003_lifecycle.sql"),
    ),
    (
        4,
        "whereabouts",
        include_str!("../migrations/0004_whereabouts.sql"),
    ),
    (
        5,
        "failed drills",
        include_str!("../migrations/0005_failed_drills.sql"),
    ),
    (
        7,
        "timeliness",
        include_str!("../migrations/0007_timeliness.sql"),
    ),
    (8, "faults", include_str!("../migrations/0008_faults.sql")),
];

fn migrator() -> Migrator {
    let migrations = FILES.iter().map(|&(version, name, sql)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // A newer build may have been here; its migrations leave room for this one.
    migrator.set_ignore_missing(true);
    migrator
}

/// Runs what has not been run, and gives a new database its identifier.
pub(super) async fn run(database: &SqliteDatabase) -> StoreResult<()> {
    let action = || "migrate the database".to_owned();
    let mut transaction = database.begin(action).await?;
    // What `Migrator::run` does, which a future that is `Send` cannot call with a borrowed connection.
    migrator()
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(refused)?;
    sqlx::query("INSERT INTO database (singleton, id) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(database.entropy.uuid().as_bytes().to_vec())
        .execute(&mut *transaction)
        .await
        .map_err(error::failed(action))?;
    sqlx::query("UPDATE database SET server = ? WHERE server IS NULL")
        .bind(whereabouts::text(database.server))
        .execute(&mut *transaction)
        .await
        .map_err(error::failed(action))?;
    commit(transaction, action).await
}

fn refused(cause: MigrateError) -> StoreError {
    match cause {
        MigrateError::Execute(cause) => error::failed(|| "migrate the database".to_owned())(cause),
        MigrateError::ExecuteMigration(cause, version) => {
            error::failed(|| format!("migrate the database to version {version}"))(cause)
        }
        cause => error::new(
            Fault::Refused,
            "migrate the database: its schema is not this build's",
        )
        .because(cause),
    }
}
