//! The database on Postgres 15 or later.
//!
//! Everything stands in the schema `driftline` and is named with it. Whatever settings the role, the database or the server
//! have for a session, ours hold: the search path, the isolation level, the limits of time (`surroundings`).
//! A write is one call of one function, autocommitted: one round trip, one transaction, under the tenant's lock row. So are
//! the reads of an entry. Other methods open a transaction with their first round trip and end it with their last.
//!
//! **Isolation.** Row-level security is forced on every table with a tenant, for the tables' owner too. A transaction sees the
//! tenant that its setting `driftline.tenant` names, or all of them under `driftline.scope = 'all'`; without a setting it
//! sees nothing. Settings end with the transaction. This guards against mistakes in statements, each of which names its
//! tenant as well; it is no wall against somebody who can run SQL of their own.
//!
//! **Roles.** [`migrate`](driftline_ports::ManifestStore::migrate) needs the role that owns, or may create, the schema. All other
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
//! **Poolers.** PgBouncer's transaction mode works: from 1.21 with `max_prepared_statements` above 0, otherwise with
//! `?statement-cache-capacity=0` in the URL (or [`PostgresOptions::statement_cache`] 0). It takes no settings with a
//! connection, so that every call is a transaction that brings its own, at the price of round trips. Migrations and drills
//! work through it as well.
//!
//! **Time.** A server that does not answer within the limits of [`PostgresOptions`] is down for the call, and the connection
//! with it. The server is given the same limits, and ends what nobody waits for any more.
//!
//! **Encoding.** `UTF8`. A database in another encoding is refused when a connection to it is made.
//!
//! **Lost answers.** An error says whether the change could have happened all the same: see [`driftline_ports::Fault`]. Dropping
//! a call's future leaves a write there whole or not at all, and everything else undone or done whole.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit_log;
mod connections;
mod dial;
mod error;
mod manifest_store;
mod migrations;
mod options;
mod reader;
mod recovery_store;
mod restore;
mod rows;
mod scratch;
mod session;
mod shadow_ledger;
mod state_reader;
mod surroundings;
mod types;

use std::fmt;
use std::sync::Arc;

use self::connections::Connections;
use self::dial::Dial;
pub use self::options::PostgresOptions;
pub use self::reader::PostgresReader;
pub use self::scratch::PostgresScratch;
use self::scratch::Schema;
use driftline_ports::StoreResult;

/// The database on Postgres. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct PostgresDatabase {
    connections: Arc<Connections>,
    options: PostgresOptions,
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
        let (options, connect) = options.read(url)?;
        let dial = Dial::new(connect, &options);
        Ok(Self {
            connections: Arc::new(Connections::new(dial, options.max_connections)),
            prepared: options.statement_cache != Some(0),
            options,
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
        let options = self.connections.dial().options();
        f.debug_struct("PostgresDatabase")
            .field("host", &options.get_host())
            .field("port", &options.get_port())
            .field("database", &options.get_database())
            .finish_non_exhaustive()
    }
}
