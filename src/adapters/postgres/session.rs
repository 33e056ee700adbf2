//! How statements are run: alone, or in a transaction that sees one tenant or all.

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::PostgresDatabase;
use super::error::{Action, Phase, translate};
use crate::domain::TenantId;
use crate::ports::{Fault, Side, StoreError, StoreResult};

/// A statement with its arguments.
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// What a transaction sees of the tables with a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// One tenant.
    Tenant(&'a TenantId),
    /// Every tenant.
    All,
}

/// An open transaction. Dropping it undoes it.
pub(super) struct Session {
    transaction: Transaction<'static, Postgres>,
    prepared: bool,
}

impl PostgresDatabase {
    pub(super) async fn acquire(
        &self,
        action: Action<'_>,
    ) -> StoreResult<PoolConnection<Postgres>> {
        self.pool
            .acquire()
            .await
            .map_err(|error| translate(action, Phase::Open, error))
    }

    /// Runs a statement that answers with one row and is a transaction by itself. `phase` tells whether it writes.
    pub(super) async fn call(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement<'_>,
    ) -> StoreResult<PgRow> {
        if !self.prepared {
            return self.call_in_transaction(action, phase, statement).await;
        }
        let mut connection = self.acquire(action).await?;
        let mut rows = statement.fetch(&mut *connection);
        let row = match rows.try_next().await {
            Ok(Some(row)) => row,
            Ok(None) => return Err(no_row(action)),
            Err(error) => return Err(translate(action, phase, error)),
        };
        // The row is sent before the commit: what comes after it is the commit's own answer.
        let phase = if phase == Phase::Sent {
            Phase::Committing
        } else {
            phase
        };
        rows.try_next()
            .await
            .map_err(|error| translate(action, phase, error))?;
        Ok(row)
    }

    /// The same for a pooler that shares sessions between transactions: a statement that is prepared in one round trip and run
    /// in the next needs a transaction to keep its session.
    async fn call_in_transaction(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement<'_>,
    ) -> StoreResult<PgRow> {
        let connection = self
            .pool
            .begin()
            .await
            .map_err(|error| translate(action, Phase::Open, error))?;
        let mut session = Session {
            transaction: connection,
            prepared: false,
        };
        let row = session.one(action, statement).await?;
        if phase != Phase::Open {
            session.commit(action).await?;
        }
        Ok(row)
    }

    /// Opens a transaction that sees `scope`, in one round trip.
    pub(super) async fn begin(&self, action: Action<'_>, scope: Scope<'_>) -> StoreResult<Session> {
        // A tenant's name has no character that could end the literal.
        let begin = match scope {
            Scope::Tenant(tenant) => {
                format!("BEGIN; SELECT set_config('driftline.tenant', '{tenant}', true)")
            }
            Scope::All => "BEGIN; SELECT set_config('driftline.scope', 'all', true)".to_owned(),
        };
        let transaction = self.pool.begin_with(AssertSqlSafe(begin)).await;
        let transaction = transaction.map_err(|error| translate(action, Phase::Open, error))?;
        Ok(Session {
            transaction,
            prepared: self.prepared,
        })
    }
}

impl Session {
    pub(super) async fn all(
        &mut self,
        action: Action<'_>,
        statement: Statement<'_>,
    ) -> StoreResult<Vec<PgRow>> {
        let rows = statement
            .persistent(self.prepared)
            .fetch_all(&mut *self.transaction)
            .await;
        rows.map_err(|error| translate(action, Phase::Open, error))
    }

    pub(super) async fn optional(
        &mut self,
        action: Action<'_>,
        statement: Statement<'_>,
    ) -> StoreResult<Option<PgRow>> {
        let row = statement
            .persistent(self.prepared)
            .fetch_optional(&mut *self.transaction)
            .await;
        row.map_err(|error| translate(action, Phase::Open, error))
    }

    pub(super) async fn one(
        &mut self,
        action: Action<'_>,
        statement: Statement<'_>,
    ) -> StoreResult<PgRow> {
        self.optional(action, statement)
            .await?
            .ok_or_else(|| no_row(action))
    }

    /// Runs a statement and tells how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        action: Action<'_>,
        statement: Statement<'_>,
    ) -> StoreResult<u64> {
        let result = statement
            .persistent(self.prepared)
            .execute(&mut *self.transaction)
            .await;
        result
            .map(|done| done.rows_affected())
            .map_err(|error| translate(action, Phase::Open, error))
    }

    pub(super) async fn commit(self, action: Action<'_>) -> StoreResult<()> {
        self.transaction
            .commit()
            .await
            .map_err(|error| translate(action, Phase::Committing, error))
    }
}

fn no_row(action: Action<'_>) -> StoreError {
    StoreError::new(
        Side::Database,
        Fault::Corrupt,
        format!("{action}: the server answered without a row"),
    )
}
