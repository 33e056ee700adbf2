//! How statements are run: alone, or in a transaction that sees one tenant or all.
//!
//! A statement is a fixed text and values that are bound to it. No text is made of data.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Encode, Error, Execute as _, PgConnection, Postgres, Type};

use super::PostgresDatabase;
use super::connections::{Connections, Lane, within};
use super::error::{Action, Phase, translate};
use super::scratch::Schema;
use super::surroundings::{Access, Pace, all_tenants};
use driftline_model::TenantId;
use driftline_ports::{Fault, Side, StoreError, StoreResult};

/// A fixed text with its arguments. All texts name the schema `driftline`.
pub(super) struct Statement {
    text: &'static str,
    query: Query<'static, Postgres, PgArguments>,
}

/// A statement without arguments yet.
pub(super) fn query(text: &'static str) -> Statement {
    Statement {
        text,
        query: sqlx::query(text),
    }
}

impl Statement {
    /// Binds the next argument.
    #[must_use]
    pub(super) fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(self, value: T) -> Self {
        Self {
            text: self.text,
            query: self.query.bind(value),
        }
    }

    /// The statement about a schema.
    fn about(
        mut self,
        schema: Option<&Schema>,
    ) -> Result<Query<'static, Postgres, PgArguments>, BoxDynError> {
        let Some(schema) = schema else {
            return Ok(self.query);
        };
        let arguments = self.query.take_arguments()?;
        Ok(sqlx::query_with(
            AssertSqlSafe(schema.text(self.text)),
            arguments.unwrap_or_default(),
        ))
    }
}

/// What a transaction sees of the tables with a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// One tenant.
    Tenant(&'a TenantId),
    /// Every tenant.
    All,
    /// None: for what belongs to no tenant.
    Nothing,
}

const SEE_TENANT: &str = "SELECT pg_catalog.set_config('driftline.tenant', $1, true)";

/// An open transaction. Dropping it undoes it.
pub(super) struct Session {
    lane: Option<Lane>,
    connections: Arc<Connections>,
    schema: Option<Schema>,
    prepared: bool,
    deadline: Duration,
    /// No answer is outstanding.
    sound: bool,
}

impl PostgresDatabase {
    /// Runs a statement that answers with one row and is a transaction by itself. `phase` tells whether it writes.
    pub(super) async fn call(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement,
    ) -> StoreResult<PgRow> {
        let row = self.ask(action, phase, statement).await?;
        row.ok_or_else(|| no_row(action))
    }

    /// The same for a statement that may answer without a row.
    pub(super) async fn ask(
        &self,
        action: Action<'_>,
        phase: Phase,
        statement: Statement,
    ) -> StoreResult<Option<PgRow>> {
        let lane = self.connections.take().await;
        let mut lane = lane.map_err(|error| translate(action, Phase::Open, error))?;
        // Known since there is a connection.
        if !self.prepared || self.connections.dial().is_shared() {
            return self
                .ask_in_transaction(lane, action, phase, statement)
                .await;
        }
        let query = statement.about(self.schema.as_ref());
        let query = query.map_err(|error| translate(action, Phase::Open, Error::Encode(error)))?;
        let deadline = self.connections.dial().surroundings().deadline(Pace::Usual);
        let mut answered = false;
        let row = within(deadline, async {
            let mut rows = query.fetch(&mut lane.connection);
            let row = rows.try_next().await?;
            if row.is_some() {
                // The row is sent before the commit: what comes after it is the commit's own answer.
                answered = true;
                rows.try_next().await?;
            }
            Ok(row)
        })
        .await;
        let phase = match phase {
            Phase::Sent if answered => Phase::Committing,
            phase => phase,
        };
        let row = row.map_err(|error| translate(action, phase, error))?;
        self.connections.keep(lane);
        Ok(row)
    }

    /// The same where a session is shared between transactions: a statement that is prepared in one round trip and run in the
    /// next needs a transaction to keep its session, and to have settings of ours.
    async fn ask_in_transaction(
        &self,
        lane: Lane,
        action: Action<'_>,
        phase: Phase,
        statement: Statement,
    ) -> StoreResult<Option<PgRow>> {
        let mut session = self
            .open_on(lane, action, Scope::Nothing, Access::Write, Pace::Usual)
            .await?;
        let row = session.optional(action, statement).await?;
        if phase == Phase::Open {
            return Ok(row);
        }
        session.commit(action).await?;
        Ok(row)
    }

    /// Opens a transaction that sees `scope`.
    pub(super) async fn begin(&self, action: Action<'_>, scope: Scope<'_>) -> StoreResult<Session> {
        self.open(action, scope, Access::Write, Pace::Usual).await
    }

    /// The same for what moves much at once.
    pub(super) async fn begin_long(
        &self,
        action: Action<'_>,
        scope: Scope<'_>,
    ) -> StoreResult<Session> {
        self.open(action, scope, Access::Write, Pace::Long).await
    }

    /// The same for a transaction in which the server refuses every write. A setting of the session would not do: behind a
    /// pooler the next transaction may be another session's.
    pub(super) async fn begin_reading(
        &self,
        action: Action<'_>,
        scope: Scope<'_>,
    ) -> StoreResult<Session> {
        self.open(action, scope, Access::Read, Pace::Usual).await
    }

    async fn open(
        &self,
        action: Action<'_>,
        scope: Scope<'_>,
        access: Access,
        pace: Pace,
    ) -> StoreResult<Session> {
        let lane = self.connections.take().await;
        let lane = lane.map_err(|error| translate(action, Phase::Open, error))?;
        self.open_on(lane, action, scope, access, pace).await
    }

    async fn open_on(
        &self,
        lane: Lane,
        action: Action<'_>,
        scope: Scope<'_>,
        access: Access,
        pace: Pace,
    ) -> StoreResult<Session> {
        let dial = self.connections.dial();
        let surroundings = dial.surroundings();
        let mut begin = surroundings.begin(access, pace, dial.is_shared(), dial.is_standby());
        if matches!(scope, Scope::All) {
            begin.push_str(&all_tenants(self.schema.as_ref()));
        }
        let mut session = Session {
            lane: Some(lane),
            connections: Arc::clone(&self.connections),
            schema: self.schema.clone(),
            prepared: self.prepared,
            deadline: surroundings.deadline(pace),
            sound: true,
        };
        session.raw(action, begin).await?;
        if let Scope::Tenant(tenant) = scope {
            let see = query(SEE_TENANT).bind(tenant.as_str());
            session.execute(action, see).await?;
        }
        Ok(session)
    }
}

impl Session {
    pub(super) async fn all(
        &mut self,
        action: Action<'_>,
        statement: Statement,
    ) -> StoreResult<Vec<PgRow>> {
        let deadline = self.deadline;
        let (connection, query) = self.ready(action, statement)?;
        let rows = within(deadline, query.fetch_all(connection)).await;
        self.settle(action, rows)
    }

    pub(super) async fn optional(
        &mut self,
        action: Action<'_>,
        statement: Statement,
    ) -> StoreResult<Option<PgRow>> {
        let deadline = self.deadline;
        let (connection, query) = self.ready(action, statement)?;
        let row = within(deadline, query.fetch_optional(connection)).await;
        self.settle(action, row)
    }

    pub(super) async fn one(
        &mut self,
        action: Action<'_>,
        statement: Statement,
    ) -> StoreResult<PgRow> {
        self.optional(action, statement)
            .await?
            .ok_or_else(|| no_row(action))
    }

    /// Runs a statement and tells how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        action: Action<'_>,
        statement: Statement,
    ) -> StoreResult<u64> {
        let deadline = self.deadline;
        let (connection, query) = self.ready(action, statement)?;
        let done = within(deadline, query.execute(connection)).await;
        self.settle(action, done.map(|done| done.rows_affected()))
    }

    /// Runs a text of our own making, of any number of statements and without values.
    pub(super) async fn raw(
        &mut self,
        action: Action<'_>,
        text: impl Into<Arc<str>>,
    ) -> StoreResult<()> {
        let deadline = self.deadline;
        let connection = self.connection(action)?;
        let run = sqlx::raw_sql(AssertSqlSafe(text.into())).execute(connection);
        let done = within(deadline, run).await;
        self.settle(action, done.map(drop))
    }

    pub(super) async fn commit(mut self, action: Action<'_>) -> StoreResult<()> {
        let deadline = self.deadline;
        let connection = self.connection(action)?;
        let done = within(deadline, sqlx::raw_sql("COMMIT").execute(connection)).await;
        done.map_err(|error| translate(action, Phase::Committing, error))?;
        if let Some(lane) = self.lane.take() {
            self.connections.keep(lane);
        }
        Ok(())
    }

    /// A text about the schema that this transaction is about.
    pub(super) fn place(&self, text: &'static str) -> Arc<str> {
        match &self.schema {
            None => text.into(),
            Some(schema) => schema.text(text),
        }
    }

    fn ready(
        &mut self,
        action: Action<'_>,
        statement: Statement,
    ) -> StoreResult<(&mut PgConnection, Query<'static, Postgres, PgArguments>)> {
        let query = statement.about(self.schema.as_ref());
        let query = query.map_err(|error| translate(action, Phase::Open, Error::Encode(error)))?;
        let query = query.persistent(self.prepared);
        Ok((self.connection(action)?, query))
    }

    fn connection(&mut self, action: Action<'_>) -> StoreResult<&mut PgConnection> {
        self.sound = false;
        match &mut self.lane {
            Some(lane) => Ok(&mut lane.connection),
            None => Err(translate(action, Phase::Open, Error::PoolClosed)),
        }
    }

    fn settle<T>(&mut self, action: Action<'_>, outcome: Result<T, Error>) -> StoreResult<T> {
        // After an error the server goes on to talk, unless it says that it does not: the end of the connection tells.
        self.sound = matches!(&outcome, Ok(_) | Err(Error::Database(_)));
        outcome.map_err(|error| translate(action, Phase::Open, error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take()
            && self.sound
        {
            self.connections.undo(lane);
        }
    }
}

fn no_row(action: Action<'_>) -> StoreError {
    StoreError::new(
        Side::Database,
        Fault::Corrupt,
        format!("{action}: the server answered without a row"),
    )
}
