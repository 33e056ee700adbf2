//! Both sides, opened so that nothing can be written: no migration, no claim, no replicator.

use std::path::Path;
use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::adapters::system::System;
use driftline::hybrid::inspection::Inspector;
use driftline::ports::{Error, SnapshotStore, StateReader};

use super::unusable::Unusable;
use super::{Needs, SHUTDOWN, bucket, missing};
use crate::config::{Config, DatabaseUrl};

/// What only reads.
pub struct Reading {
    /// Reads tenants and compares them.
    pub inspector: Inspector,
    connection: Connection,
}

/// The database once more, as what can be closed.
enum Connection {
    None,
    #[cfg(feature = "sqlite")]
    Sqlite(Arc<driftline::adapters::sqlite::SqliteReader>),
    #[cfg(feature = "postgres")]
    Postgres(driftline::adapters::postgres::PostgresReader),
}

type OpenedReader = (Arc<dyn StateReader>, Connection);

/// Opens both sides for reading. A database that is not there is an error; a bucket that is not there is asked only when the
/// database has lost a row.
pub async fn reading(config: &Config) -> anyhow::Result<Reading> {
    Needs::Database.check(config)?;
    let snapshots: Arc<dyn SnapshotStore> = match missing::missing_bucket(&config.snapshots) {
        // Opening a directory makes it.
        Some(path) => {
            let error = missing::unreachable_bucket(path);
            Arc::new(Unusable::new(&config.snapshots, &error))
        }
        None => bucket(&config.snapshots, &config.s3).await?,
    };
    let (reader, connection) = match &config.database {
        DatabaseUrl::Memory => {
            let database = MemoryDatabase::new(Arc::new(System), Arc::new(System));
            (Arc::new(database) as Arc<dyn StateReader>, Connection::None)
        }
        DatabaseUrl::Sqlite(path) => sqlite(path, config).await?,
        DatabaseUrl::Postgres(url) => postgres(url, config).await?,
    };
    Ok(Reading {
        inspector: Inspector::new(reader, snapshots, Arc::new(System)),
        connection,
    })
}

impl Reading {
    /// Closes the database. Calls from now on fail.
    pub async fn close(&self) {
        let closed = tokio::time::timeout(SHUTDOWN, async {
            match &self.connection {
                Connection::None => {}
                #[cfg(feature = "sqlite")]
                Connection::Sqlite(reader) => reader.close().await,
                #[cfg(feature = "postgres")]
                Connection::Postgres(reader) => reader.close().await,
            }
        });
        if closed.await.is_err() {
            tracing::debug!("the database did not close in time");
        }
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(path: &Path, config: &Config) -> anyhow::Result<OpenedReader> {
    use driftline::adapters::sqlite::{PATIENCE, SqliteReader};
    let patience = config.busy_timeout.unwrap_or(PATIENCE);
    let reader = SqliteReader::open_with(path, patience).await;
    let reader = reader.map_err(Error::from)?;
    let reader = Arc::new(reader);
    Ok((
        Arc::clone(&reader) as Arc<dyn StateReader>,
        Connection::Sqlite(reader),
    ))
}

#[cfg(not(feature = "sqlite"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn sqlite(_: &Path, _: &Config) -> anyhow::Result<OpenedReader> {
    Err(super::absent("SQLite", "sqlite").into())
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, config: &Config) -> anyhow::Result<OpenedReader> {
    use driftline::adapters::postgres::PostgresReader;
    let reader = PostgresReader::connect(url, super::postgres_options(config)).await;
    let reader = reader.map_err(Error::from)?;
    Ok((Arc::new(reader.clone()), Connection::Postgres(reader)))
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn postgres(_: &str, _: &Config) -> anyhow::Result<OpenedReader> {
    Err(super::absent("Postgres", "postgres").into())
}
