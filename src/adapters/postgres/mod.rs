//! The database on Postgres 15 or later.
//!
//! Everything stands in the schema `driftline` and is named with it; no setting of the session is relied upon or left behind.
//! A write is one call of one function, autocommitted: one round trip, one transaction, under the tenant's lock row. So are
//! the reads of an entry. Other methods open a transaction with their first round trip and end it with their last.
//!
//! **Isolation.** Row-level security is forced on every table with a tenant, for the tables' owner too. A transaction sees the
//! tenant that its setting `driftline.tenant` names, or all of them under `driftline.scope = 'all'`; without a setting it
//! sees nothing. Settings end with the transaction. This guards against mistakes in statements, each of which names its
//! tenant as well; it is no wall against somebody who can run SQL of their own.
//!
//! **Roles.** [`migrate`](crate::ports::ManifestStore::migrate) needs the role that owns, or may create, the schema. All other
//! methods need no more than:
//! ```sql
//! GRANT USAGE ON SCHEMA driftline TO app;
//! GRANT SELECT, INSERT, UPDATE, DELETE ON driftline.database, driftline.probe, driftline.tenant, driftline.entry,
//!     driftline.idempotency, driftline.shadowing, driftline.audited, driftline.report, driftline.event TO app;
//! GRANT SELECT ON driftline._migrations TO app; -- to find that there is nothing to migrate
//! GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA driftline TO app;
//! ```
//! An auditor that keeps its results elsewhere needs only to read: see [`PostgresReader`]. The tables of audits (`audited`,
//! `report`, `event`) stand apart: no statement needs them together with the others.
//! A drill restores into a schema of its own ([`PostgresDatabase::scratch`]), for which its role needs `CREATE` on the
//! database as well. A role with `SUPERUSER` or `BYPASSRLS` works but is not confined. Dumps need such a role.
//!
//! **Poolers.** PgBouncer's transaction mode works: from 1.21 with `max_prepared_statements` above 0, before that with
//! `?statement-cache-capacity=0` in the URL (or [`PostgresOptions::statement_cache`] 0), which wraps every statement in a
//! transaction at the price of round trips. Migrations take a session lock: run them on a direct connection.
//!
//! **Isolation level.** `READ COMMITTED`, the server's default. Under a stricter default the functions fail with a
//! serialization error where they would have waited, and the call can be repeated.
//!
//! **Lost answers.** An error says whether the change could have happened all the same: see [`crate::ports::Fault`]. Dropping
//! a call's future leaves a write there whole or not at all, and everything else undone or done whole.

mod audit_log;
mod connections;
mod error;
mod manifest_store;
mod migrations;
mod reader;
mod recovery_store;
mod restore;
mod rows;
mod scratch;
mod session;
mod shadow_ledger;
mod state_reader;
mod types;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use self::connections::{Connections, TRUSTED_IDLE};
pub use self::reader::PostgresReader;
pub use self::scratch::PostgresScratch;
use self::scratch::Schema;
use crate::ports::StoreResult;

/// How a [`PostgresDatabase`] connects.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// At most so many connections.
    pub max_connections: u32,
    /// How long a call waits for a connection before it fails with `Unavailable`.
    pub acquire_timeout: Duration,
    /// Prepared statements kept per connection; `None` leaves it to the URL (`statement-cache-capacity`, 100 by default).
    /// With 0 nothing is prepared by name, as old PgBouncers need it.
    pub statement_cache: Option<usize>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_cache: None,
        }
    }
}

/// The database on Postgres. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct PostgresDatabase {
    connections: Arc<Connections>,
    /// Statements are prepared by name and kept.
    prepared: bool,
    /// Where everything stands instead of the schema `driftline`.
    schema: Option<Schema>,
}

impl PostgresDatabase {
    /// A database at `postgres://user:password@host:port/name?options`. Connections are made when they are needed, so that a
    /// server that is down fails the calls and not this; only a URL that cannot be read is refused.
    #[expect(
        clippy::unused_async,
        reason = "callers need not know that connections are made later"
    )]
    pub async fn connect(url: &str, options: PostgresOptions) -> StoreResult<Self> {
        let mut connection =
            PgConnectOptions::from_str(url).map_err(|_| error::invalid_url(url))?;
        let capacity = options
            .statement_cache
            .or_else(|| error::cache_capacity(url));
        if let Some(capacity) = capacity {
            connection = connection.statement_cache_capacity(capacity);
        }
        if connection.get_application_name().is_none() {
            connection = connection.application_name("driftline");
        }
        // No floating-point number passes here, and PgBouncer knows no such parameter.
        let connection = connection
            .extra_float_digits(None)
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_IDLE {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connection);
        Ok(Self {
            connections: Arc::new(Connections::new(pool)),
            prepared: capacity != Some(0),
            schema: None,
        })
    }

    /// Closes the connections, after the calls that still use them.
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.connections.pool().connect_options();
        f.debug_struct("PostgresDatabase")
            .field("host", &options.get_host())
            .field("port", &options.get_port())
            .field("database", &options.get_database())
            .finish_non_exhaustive()
    }
}
