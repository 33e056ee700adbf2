//! A schema of its own beside `driftline`, for a database that is thrown away.
//!
//! All statements name the schema `driftline`. Those of a scratch database are rewritten on their way to the server, its
//! settings (`driftline.tenant`, `driftline.scope`) with them, so that the two can see nothing of each other. A schema that
//! was left behind goes when the next one is made, a day after it was made itself.

use std::fmt;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, Execute, PgConnection, Row};

use super::PostgresDatabase;
use super::connections::Connections;
use super::error::{Action, Phase, translate};
use super::session::Statement;
use crate::ports::{Fault, Side, StoreError, StoreResult};

const PREFIX: &str = "driftline_drill_";
/// How long a schema is left alone, in seconds: whoever made it may be at work still.
const LEFT_ALONE: i64 = 24 * 60 * 60;

/// Where statements go instead of the schema `driftline`.
#[derive(Clone)]
pub(super) struct Schema(Arc<str>);

impl Schema {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The same text about this schema.
    pub(super) fn rewrite(&self, text: &str) -> String {
        text.replace("driftline.", &format!("{}.", self.0))
    }

    /// The same statement about this schema.
    pub(super) fn redirect<'q>(&self, mut statement: Statement<'q>) -> sqlx::Result<Statement<'q>> {
        let arguments = statement.take_arguments().map_err(sqlx::Error::Encode)?;
        let text = self.rewrite(statement.sql().as_str());
        Ok(sqlx::query_with(
            AssertSqlSafe(text),
            arguments.unwrap_or_default(),
        ))
    }
}

/// A database in a schema of its own, with connections of its own. It stays until [`PostgresScratch::remove`] is called.
pub struct PostgresScratch {
    database: PostgresDatabase,
    schema: Schema,
}

impl PostgresDatabase {
    /// Makes an empty database in a new schema of the same server's database. The role has to have the right to make one:
    /// the error of one that has not tells what to grant. Schemas that were left behind more than a day ago are dropped.
    pub async fn scratch(&self) -> StoreResult<PostgresScratch> {
        let action = Action::new("make a schema for scratch");
        let opened = |error| translate(action, Phase::Open, error);
        let options = self.connections.pool().connect_options();
        let mut connection = PgConnection::connect_with(&options).await.map_err(opened)?;
        let about = "SELECT extract(epoch FROM clock_timestamp())::bigint AS now, left(md5(gen_random_uuid()::text), 8) AS id,
            quote_ident(current_database()) AS database, quote_ident(current_user) AS role";
        let about = sqlx::query(about).fetch_one(&mut connection).await;
        let about = about.map_err(opened)?;
        let text = |name: &str| about.try_get::<String, _>(name).map_err(opened);
        let now: i64 = about.try_get("now").map_err(opened)?;
        let schema = Schema(format!("{PREFIX}{now}_{}", text("id")?).into());
        sweep(&mut connection, now).await;
        let create = format!("CREATE SCHEMA {}", schema.name());
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
        {
            let refused = error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code);
            if refused.as_deref() != Some("42501") {
                return Err(opened(error));
            }
            let (database, role) = (text("database")?, text("role")?);
            let message = format!(
                "{action}: the role {role} may not make one; GRANT CREATE ON DATABASE {database} TO {role} lets it"
            );
            return Err(StoreError::new(Side::Database, Fault::Refused, message).because(error));
        }
        let _ = connection.close().await;
        let pool = self.connections.pool().options().clone();
        let database = PostgresDatabase {
            connections: Arc::new(Connections::new(
                pool.connect_lazy_with(options.as_ref().clone()),
            )),
            prepared: self.prepared,
            schema: Some(schema.clone()),
        };
        let scratch = PostgresScratch { database, schema };
        if let Err(error) = scratch.database.run_migrations().await {
            // What is left of it goes a day later if not now.
            let _ = scratch.remove().await;
            return Err(error);
        }
        Ok(scratch)
    }
}

impl PostgresScratch {
    /// The database in it.
    pub fn database(&self) -> PostgresDatabase {
        self.database.clone()
    }

    /// The schema's name.
    pub fn schema(&self) -> &str {
        self.schema.name()
    }

    /// Closes the connections, after the calls that still use them, and drops the schema with everything in it.
    pub async fn remove(self) -> StoreResult<()> {
        let action = Action::new("drop the schema of scratch");
        let opened = |error| translate(action, Phase::Open, error);
        let options = self.database.connections.pool().connect_options();
        self.database.close().await;
        let mut connection = PgConnection::connect_with(&options).await.map_err(opened)?;
        drop_schema(&mut connection, self.schema.name())
            .await
            .map_err(opened)?;
        let _ = connection.close().await;
        Ok(())
    }
}

impl fmt::Debug for PostgresScratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresScratch")
            .field(&self.schema.name())
            .finish()
    }
}

/// Drops what was left behind. Whatever hinders it hinders nobody else.
async fn sweep(connection: &mut PgConnection, now: i64) {
    let names = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)";
    let names = sqlx::query_scalar::<_, String>(names)
        .bind(PREFIX)
        .fetch_all(&mut *connection)
        .await;
    for name in names.unwrap_or_default() {
        if made_at(&name).is_some_and(|at| now - at > LEFT_ALONE)
            && let Err(error) = drop_schema(connection, &name).await
        {
            tracing::warn!(schema = name, %error, "cannot drop a schema that a drill left behind");
        }
    }
}

/// When a schema of ours was made; `None` for a name that is not exactly of our making.
fn made_at(name: &str) -> Option<i64> {
    let (at, id) = name.strip_prefix(PREFIX)?.split_once('_')?;
    let ours = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let at = at.parse().ok()?;
    (ours && name == format!("{PREFIX}{at}_{id}")).then_some(at)
}

async fn drop_schema(connection: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let statement = format!("DROP SCHEMA IF EXISTS {name} CASCADE");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mention_of_the_schema_is_rewritten_and_nothing_else() {
        let schema = Schema("driftline_drill_7_abcdef01".into());
        let text = "SELECT set_config('driftline.tenant', 'driftline', true), 'driftline/v1/' FROM driftline.entry";
        let wanted = "SELECT set_config('driftline_drill_7_abcdef01.tenant', 'driftline', true), 'driftline/v1/' \
                      FROM driftline_drill_7_abcdef01.entry";
        assert_eq!(schema.rewrite(text), wanted);
    }

    #[test]
    fn only_names_of_our_making_are_dropped() {
        assert_eq!(
            made_at("driftline_drill_1700000000_0a1b2c3d"),
            Some(1_700_000_000)
        );
        for name in [
            "driftline",
            "driftline_drill_",
            "driftline_drill_1700000000",
            "driftline_drill_1700000000_mine",
            "driftline_drill_01700000000_0a1b2c3d",
            "driftline_drill_1700000000_0a1b2c3d; DROP SCHEMA driftline",
        ] {
            assert_eq!(made_at(name), None, "{name}");
        }
    }
}
