//! The schema's versions. They only move forward, and are kept track of in the schema itself, apart from those of a program
//! that embeds driftline.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use super::PostgresDatabase;
use super::error::{Action, Phase, translate, translate_migration};
use super::scratch::Schema;
use crate::ports::StoreResult;

const ACTION: &str = "migrate the schema driftline";

/// Number, name, text. Never change one that was released.
const MIGRATIONS: [(i64, &str, &str); 4] = [
    (
        1,
        "schema",
        include_str!("../../../migrations/postgres/0001_schema.sql"),
    ),
    (
        2,
        "functions",
        include_str!("../../../migrations/postgres/0002_functions.sql"),
    ),
    (
        3,
        "audits",
        include_str!("../../../migrations/postgres/0003_audits.sql"),
    ),
    (
        4,
        "lifecycle",
        include_str!("../../../migrations/postgres/0004_lifecycle.sql"),
    ),
];

impl PostgresDatabase {
    /// On a connection of its own, which ends with the call: the lock of a migration that failed goes with it.
    pub(super) async fn run_migrations(&self) -> StoreResult<()> {
        let action = Action::new(ACTION);
        let mut connection = PgConnection::connect_with(&self.connections.pool().connect_options())
            .await
            .map_err(|error| translate(action, Phase::Open, error))?;
        let migrator = migrator(self.schema.as_ref());
        if self.schema.is_none() && is_current(&migrator, &mut connection).await {
            let _ = connection.close().await;
            return Ok(());
        }
        let done = migrator
            .run_direct(None, &mut connection, false)
            .await
            .map_err(translate_migration);
        // The outcome is known; how the connection ends does not matter.
        let _ = connection.close().await;
        done
    }
}

/// Whether nothing is left to do. A role that may do no more than read what was applied learns so too; one that may not even
/// do that is told by the migration itself what it lacks.
async fn is_current(migrator: &Migrator, connection: &mut PgConnection) -> bool {
    let applied = "SELECT version, checksum FROM driftline._migrations WHERE success";
    let Ok(rows) = sqlx::query_as::<_, (i64, Vec<u8>)>(applied)
        .fetch_all(connection)
        .await
    else {
        return false;
    };
    migrator.iter().all(|migration| {
        rows.iter().any(|(version, checksum)| {
            *version == migration.version && *checksum == *migration.checksum
        })
    })
}

fn migrator(schema: Option<&Schema>) -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, text)| {
        let text = match schema {
            None => text.into_sql_str(),
            Some(schema) => AssertSqlSafe(schema.rewrite(text)).into_sql_str(),
        };
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            text,
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    match schema {
        None => {
            migrator.dangerous_set_table_name("driftline._migrations");
            migrator.create_schema("driftline");
        }
        Some(schema) => {
            migrator.dangerous_set_table_name(format!("{}._migrations", schema.name()));
            // Nobody else knows the schema; the lock would need a session that a pooler does not give.
            migrator.set_locking(false);
        }
    }
    // A newer driftline may have been here: what it added does not hinder this one.
    migrator.set_ignore_missing(true);
    migrator
}
