//! How statements are run: alone, or in a transaction that sees one tenant or all.

use futures::TryStreamExt;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::PostgresDatabase;
use super::connections::Open;
use super::error::{Action, Phase, translate};
use super::scratch::Schema;
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
    open: Open,
    prepared: bool,
    schema: Option<Schema>,
}

impl PostgresDatabase {
    /// Runs a statement that answers with one row and is a transaction by itself. `phase` tells whether it writes.
    pub(super) async fn call(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement<'_>,
    ) -> StoreResult<PgRow> {
        let row = self.ask(action, phase, statement).await?;
        row.ok_or_else(|| no_row(action))
    }

    /// The same for a statement that may answer without a row.
    pub(super) async fn ask(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement<'_>,
    ) -> StoreResult<Option<PgRow>> {
        if !self.prepared {
            return self.ask_in_transaction(action, phase, statement).await;
        }
        let statement = place(self.schema.as_ref(), action, statement)?;
        let lane = self.connections.take().await;
        let mut lane = lane.map_err(|error| translate(action, Phase::Open, error))?;
        let mut rows = statement.fetch(&mut *lane.connection);
        let row = rows.try_next().await;
        let row = row.map_err(|error| translate(action, phase, error))?;
        if row.is_some() {
            // The row is sent before the commit: what comes after it is the commit's own answer.
            let phase = match phase {
                Phase::Open => Phase::Open,
                Phase::Sent | Phase::Committing => Phase::Committing,
            };
            let end = rows.try_next().await;
            end.map_err(|error| translate(action, phase, error))?;
        }
        drop(rows);
        self.connections.keep(lane);
        Ok(row)
    }

    /// The same for a pooler that shares sessions between transactions: a statement that is prepared in one round trip and run
    /// in the next needs a transaction to keep its session.
    async fn ask_in_transaction(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement<'_>,
    ) -> StoreResult<Option<PgRow>> {
        let mut session = self.open(action, "BEGIN".to_owned()).await?;
        let row = session.optional(action, statement).await?;
        if phase != Phase::Open {
            session.commit(action).await?;
        }
        Ok(row)
    }

    /// Opens a transaction that sees `scope`, in one round trip.
    pub(super) async fn begin(&self, action: Action<'_>, scope: Scope<'_>) -> StoreResult<Session> {
        self.open(action, opening("BEGIN", scope)).await
    }

    /// The same for a transaction in which the server refuses every write. A setting of the session would not do: behind a
    /// pooler the next transaction may be another session's.
    pub(super) async fn begin_reading(
        &self,
        action: Action<'_>,
        scope: Scope<'_>,
    ) -> StoreResult<Session> {
        self.open(action, opening("BEGIN READ ONLY", scope)).await
    }

    async fn open(&self, action: Action<'_>, begin: String) -> StoreResult<Session> {
        let begin = match &self.schema {
            None => begin,
            Some(schema) => schema.rewrite(&begin),
        };
        let open = self.connections.begin(begin).await;
        Ok(Session {
            open: open.map_err(|error| translate(action, Phase::Open, error))?,
            prepared: self.prepared,
            schema: self.schema.clone(),
        })
    }
}

impl Session {
    pub(super) async fn all(
        &mut self,
        action: Action<'_>,
        statement: Statement<'_>,
    ) -> StoreResult<Vec<PgRow>> {
        let rows = place(self.schema.as_ref(), action, statement)?
            .persistent(self.prepared)
            .fetch_all(&mut *self.open.transaction)
            .await;
        rows.map_err(|error| translate(action, Phase::Open, error))
    }

    pub(super) async fn optional(
        &mut self,
        action: Action<'_>,
        statement: Statement<'_>,
    ) -> StoreResult<Option<PgRow>> {
        let row = place(self.schema.as_ref(), action, statement)?
            .persistent(self.prepared)
            .fetch_optional(&mut *self.open.transaction)
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
        let result = place(self.schema.as_ref(), action, statement)?
            .persistent(self.prepared)
            .execute(&mut *self.open.transaction)
            .await;
        result
            .map(|done| done.rows_affected())
            .map_err(|error| translate(action, Phase::Open, error))
    }

    pub(super) async fn commit(self, action: Action<'_>) -> StoreResult<()> {
        self.open
            .transaction
            .commit()
            .await
            .map_err(|error| translate(action, Phase::Committing, error))
    }
}

/// The statement as it is, or about the schema of a scratch database.
fn place<'q>(
    schema: Option<&Schema>,
    action: Action<'_>,
    statement: Statement<'q>,
) -> StoreResult<Statement<'q>> {
    match schema {
        None => Ok(statement),
        Some(schema) => schema
            .redirect(statement)
            .map_err(|error| translate(action, Phase::Open, error)),
    }
}

/// Begins a transaction that sees `scope`. A tenant's name has no character that could end the literal.
fn opening(begin: &str, scope: Scope<'_>) -> String {
    match scope {
        Scope::Tenant(tenant) => {
            format!("{begin}; SELECT set_config('driftline.tenant', '{tenant}', true)")
        }
        Scope::All => format!("{begin}; SELECT set_config('driftline.scope', 'all', true)"),
    }
}

fn no_row(action: Action<'_>) -> StoreError {
    StoreError::new(
        Side::Database,
        Fault::Corrupt,
        format!("{action}: the server answered without a row"),
    )
}
