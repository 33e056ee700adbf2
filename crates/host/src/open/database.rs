//! The one place where the URL of a database becomes an adapter: one that writes, or one that can only read.

use std::sync::Arc;
use std::time::Duration;

use driftline_core::adapters::memory::MemoryDatabase;
use driftline_core::adapters::system::System;
use driftline_ports::{AuditLog, Database, StateReader};
use secrecy::ExposeSecret as _;

use crate::{Config, DatabaseUrl, HostError};

/// A database as its ports.
pub struct OpenedDatabase {
    pub database: Arc<dyn Database>,
    pub audits: Arc<dyn AuditLog>,
    pub connection: Connection,
}

/// A database once more, as what can be closed.
pub enum Connection {
    None,
    #[cfg(feature = "sqlite")]
    Sqlite(Arc<driftline_sqlite::SqliteDatabase>),
    #[cfg(feature = "sqlite")]
    SqliteReader(Arc<driftline_sqlite::SqliteReader>),
    #[cfg(feature = "postgres")]
    Postgres(driftline_postgres::PostgresDatabase),
    #[cfg(feature = "postgres")]
    PostgresReader(driftline_postgres::PostgresReader),
}

impl Connection {
    /// Closes it. Calls from now on fail.
    pub async fn close(&self) {
        match self {
            Self::None => {}
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.close().await,
            #[cfg(feature = "sqlite")]
            Self::SqliteReader(reader) => reader.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Self::PostgresReader(reader) => reader.close().await,
        }
    }

    /// The same, but not for ever.
    pub async fn close_within(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.close()).await.is_err() {
            tracing::debug!("the database did not close in time");
        }
    }
}

/// The database behind a URL. A file is made where there is none.
pub async fn database(url: &DatabaseUrl, config: &Config) -> Result<OpenedDatabase, HostError> {
    match url {
        DatabaseUrl::Memory => {
            let database = Arc::new(MemoryDatabase::new(Arc::new(System), Arc::new(System)));
            Ok(OpenedDatabase {
                database: Arc::clone(&database) as Arc<dyn Database>,
                audits: database,
                connection: Connection::None,
            })
        }
        DatabaseUrl::Sqlite(path) => sqlite::database(path, config).await,
        DatabaseUrl::Postgres(url) => postgres::database(url.expose_secret(), config).await,
    }
}

/// The same without a way to write. No file is made.
pub async fn reader(
    url: &DatabaseUrl,
    config: &Config,
) -> Result<(Arc<dyn StateReader>, Connection), HostError> {
    match url {
        DatabaseUrl::Memory => {
            let database = MemoryDatabase::new(Arc::new(System), Arc::new(System));
            Ok((Arc::new(database), Connection::None))
        }
        DatabaseUrl::Sqlite(path) => sqlite::reader(path, config).await,
        DatabaseUrl::Postgres(url) => postgres::reader(url.expose_secret(), config).await,
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;

    use driftline_ports::Error;
    use driftline_sqlite::{PATIENCE, SqliteDatabase, SqliteReader};

    use super::{
        Arc, AuditLog, Config, Connection, Database, HostError, OpenedDatabase, StateReader, System,
    };

    pub async fn database(path: &Path, config: &Config) -> Result<OpenedDatabase, HostError> {
        let patience = config.busy_timeout.unwrap_or(PATIENCE);
        let system = Arc::new(System);
        let database = SqliteDatabase::open_with(path, patience, system.clone(), system).await;
        let database = Arc::new(database.map_err(Error::from)?);
        Ok(OpenedDatabase {
            database: Arc::clone(&database) as Arc<dyn Database>,
            audits: Arc::clone(&database) as Arc<dyn AuditLog>,
            connection: Connection::Sqlite(database),
        })
    }

    pub async fn reader(
        path: &Path,
        config: &Config,
    ) -> Result<(Arc<dyn StateReader>, Connection), HostError> {
        let patience = config.busy_timeout.unwrap_or(PATIENCE);
        let reader = SqliteReader::open_with(path, patience).await;
        let reader = Arc::new(reader.map_err(Error::from)?);
        Ok((
            Arc::clone(&reader) as Arc<dyn StateReader>,
            Connection::SqliteReader(reader),
        ))
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use driftline_ports::Error;
    use driftline_postgres::{PostgresDatabase, PostgresOptions, PostgresReader};

    use super::{Arc, Config, Connection, HostError, OpenedDatabase, StateReader};

    pub async fn database(url: &str, config: &Config) -> Result<OpenedDatabase, HostError> {
        let database = PostgresDatabase::connect(url, options(config)).await;
        let database = database.map_err(Error::from)?;
        Ok(OpenedDatabase {
            database: Arc::new(database.clone()),
            audits: Arc::new(database.clone()),
            connection: Connection::Postgres(database),
        })
    }

    pub async fn reader(
        url: &str,
        config: &Config,
    ) -> Result<(Arc<dyn StateReader>, Connection), HostError> {
        let reader = PostgresReader::connect(url, options(config)).await;
        let reader = reader.map_err(Error::from)?;
        Ok((Arc::new(reader.clone()), Connection::PostgresReader(reader)))
    }

    fn options(config: &Config) -> PostgresOptions {
        PostgresOptions {
            ca_file: config.ca_file.clone(),
            ..PostgresOptions::default()
        }
    }
}

/// What stands in for an adapter that this build is without.
#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
macro_rules! left_out {
    ($module:ident, $url:ty, $name:literal) => {
        mod $module {
            use super::{Arc, Config, Connection, HostError, OpenedDatabase, StateReader};
            use crate::Problem;

            fn problem() -> HostError {
                let message = concat!("this build of driftline has no ", $name);
                Problem::left_out(message, stringify!($module)).into()
            }

            #[expect(clippy::unused_async, reason = "the same call in every build")]
            pub async fn database(_: &$url, _: &Config) -> Result<OpenedDatabase, HostError> {
                Err(problem())
            }

            #[expect(clippy::unused_async, reason = "the same call in every build")]
            pub async fn reader(
                _: &$url,
                _: &Config,
            ) -> Result<(Arc<dyn StateReader>, Connection), HostError> {
                Err(problem())
            }
        }
    };
}

#[cfg(not(feature = "sqlite"))]
left_out!(sqlite, std::path::Path, "SQLite");
#[cfg(not(feature = "postgres"))]
left_out!(postgres, str, "Postgres");
