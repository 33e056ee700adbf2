//! A database that a drill restores into: of the same kind as the live one, and gone afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftline_ports::{Database, Error, Ownership};

use super::Opened;
use super::database::{Connection, database};
use crate::{Config, DatabaseUrl, HostError};

/// How long dropping it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A scratch database. One that is merely dropped leaves no file behind; a schema stays, and goes with a later drill.
pub struct Scratch {
    /// The database.
    pub database: Arc<dyn Database>,
    place: Place,
}

enum Place {
    /// It ends with the process.
    Memory,
    /// A directory of its own.
    #[cfg(feature = "sqlite")]
    File(Arc<driftline_sqlite::SqliteDatabase>, tempfile::TempDir),
    /// A schema of its own.
    #[cfg(feature = "postgres")]
    Schema(driftline_postgres::PostgresScratch),
    /// Somebody asked for it, and keeps it.
    Kept(Connection),
}

impl Scratch {
    /// A database beside the live one.
    pub async fn beside(opened: &Opened, config: &Config) -> Result<Self, HostError> {
        match (&opened.connection, &config.database) {
            #[cfg(feature = "postgres")]
            (Connection::Postgres(database), _) => schema(database).await,
            (_, DatabaseUrl::Sqlite(path)) => file(path).await,
            _ => {
                let opened = database(&DatabaseUrl::Memory, config).await?;
                Ok(Self {
                    database: opened.database,
                    place: Place::Memory,
                })
            }
        }
    }

    /// The database at a URL that somebody gave. Whether it may be used is for the drill to say: nothing is created in one
    /// that is somebody's already.
    pub async fn at(url: &DatabaseUrl, config: &Config) -> Result<Self, HostError> {
        let opened = database(url, config).await?;
        let is_used = opened
            .database
            .identity()
            .await
            .is_ok_and(|identity| identity.ownership != Ownership::Unclaimed);
        if !is_used {
            opened.database.migrate().await.map_err(Error::from)?;
        }
        Ok(Self {
            database: opened.database,
            place: Place::Kept(opened.connection),
        })
    }

    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        matches!(self.place, Place::Kept(_))
    }

    /// Closes it, and removes it unless somebody keeps it; otherwise, what is left behind and why.
    pub async fn close(self) -> Result<(), String> {
        drop(self.database);
        let closed = tokio::time::timeout(PATIENCE, async {
            match self.place {
                Place::Memory => Ok(()),
                #[cfg(feature = "sqlite")]
                Place::File(database, directory) => {
                    database.close().await;
                    let path = directory.path().display().to_string();
                    directory
                        .close()
                        .map_err(|error| format!("the directory {path} is left behind: {error}"))
                }
                #[cfg(feature = "postgres")]
                Place::Schema(scratch) => {
                    let name = scratch.schema().to_owned();
                    scratch.remove().await.map_err(|error| {
                        format!("the schema {name} is left behind: {}", error.report())
                    })
                }
                Place::Kept(connection) => {
                    connection.close().await;
                    Ok(())
                }
            }
        });
        closed
            .await
            .unwrap_or_else(|_| Err("the scratch database did not close in time".to_owned()))
    }
}

#[cfg(feature = "postgres")]
async fn schema(database: &driftline_postgres::PostgresDatabase) -> Result<Scratch, HostError> {
    use driftline_ports::Fault;

    use crate::{Advice, Problem, ProblemKind};
    let scratch = match database.scratch().await {
        Ok(scratch) => scratch,
        Err(error) if error.fault() == Fault::Refused => {
            return Err(Problem::new(ProblemKind::Refused, error.to_string())
                .advise(Advice::GrantOrNameScratch)
                .into());
        }
        Err(error) => return Err(Error::from(error).into()),
    };
    Ok(Scratch {
        database: Arc::new(scratch.database()),
        place: Place::Schema(scratch),
    })
}

/// Beside the live file: there is room for one as large, and whoever may read that one may read this.
#[cfg(feature = "sqlite")]
async fn file(live: &Path) -> Result<Scratch, HostError> {
    use driftline_core::adapters::system::System;
    use driftline_ports::ManifestStore as _;
    use driftline_sqlite::SqliteDatabase;

    use crate::{Problem, ProblemKind};
    let beside = match live.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = tempfile::Builder::new()
        .prefix(".driftline-drill-")
        .tempdir_in(beside)
        .map_err(|error| {
            let beside = beside.display();
            let message = format!("make a directory for the drill in {beside}: {error}");
            Problem::new(ProblemKind::Failed, message)
        })?;
    let path = directory.path().join("scratch.db");
    let database = SqliteDatabase::open(&path, Arc::new(System), Arc::new(System)).await;
    let database = Arc::new(database.map_err(Error::from)?);
    database.migrate().await.map_err(Error::from)?;
    Ok(Scratch {
        database: Arc::clone(&database) as Arc<dyn Database>,
        place: Place::File(database, directory),
    })
}

#[cfg(not(feature = "sqlite"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn file(_: &Path) -> Result<Scratch, HostError> {
    Err(crate::Problem::left_out("this build of driftline has no SQLite", "sqlite").into())
}
