//! The one place where URLs become adapters.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::memory::{MemoryDatabase, MemorySnapshotStore};
use driftline::adapters::system::System;
use driftline::domain::format::BUCKET_KEY;
use driftline::hybrid::{HybridManifestRepository, Sides, Standing};
use driftline::ports::{Database, Error, Fault, Side, SnapshotStore, StoreResult};

use super::Ui;
use crate::config::{Config, DatabaseUrl, S3, SnapshotsUrl};

/// How long a bucket may take to answer before a write goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the background replicator may take to finish its batch when a command is done.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// A repository and what it stands on.
pub struct Opened {
    /// The repository.
    pub repository: HybridManifestRepository,
    /// Its driven ports.
    pub sides: Sides,
    /// The database's URL without secrets.
    pub database_url: String,
}

/// Opens both sides. A database that is a local file, or in memory, is brought up to date on the way.
pub async fn open(config: &Config) -> anyhow::Result<Opened> {
    let snapshots = bucket(&config.snapshots, &config.s3).await?;
    let database = database(&config.database).await?;
    if !matches!(config.database, DatabaseUrl::Postgres(_)) {
        database
            .migrate()
            .await
            .map_err(Error::from)
            .context("open the database")?;
    }
    let sides = Sides {
        database,
        snapshots,
        clock: Arc::new(System),
        entropy: Arc::new(System),
    };
    let repository = HybridManifestRepository::new(sides.clone(), config.settings.clone());
    Ok(Opened {
        repository,
        sides,
        database_url: format!("{:?}", config.database),
    })
}

impl Opened {
    /// Looks at the bucket before a write: a new database takes no writes until it has. Whatever keeps it from looking is a
    /// warning; whether the write is refused is for the database to say.
    ///
    /// The answer tells whether shadowing can be expected.
    pub async fn prepare_write(&self, ui: &Ui) -> anyhow::Result<bool> {
        // The check may have to recover from a failover, which takes as long as it takes; whether the bucket answers at all
        // is known sooner.
        let look = tokio::time::timeout(PATIENCE, self.sides.snapshots.get(BUCKET_KEY)).await;
        let silent = match &look {
            Err(_) => Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
            Ok(Err(error)) if error.fault() == Fault::Unavailable => Some(error.report()),
            Ok(_) => None,
        };
        if let Some(reason) = silent {
            ui.warn(format_args!("the bucket cannot be reached: {reason}"));
            return Ok(false);
        }
        match self.repository.check_ownership().await {
            Ok(Standing::Owner(_)) => Ok(true),
            Ok(Standing::FailedOver) => Ok(false),
            Ok(Standing::Refused(reason)) => {
                ui.warn(reason);
                Ok(false)
            }
            Err(error) if concerns_database(&error) => Err(error.into()),
            Err(error) => {
                ui.warn(format_args!("the bucket is not usable: {error}"));
                Ok(false)
            }
        }
    }

    /// Stops the background replicator.
    pub async fn close(&self) {
        if let Err(error) = self.repository.shutdown(SHUTDOWN).await {
            tracing::error!(%error, "the background replicator failed");
        }
    }
}

fn concerns_database(error: &Error) -> bool {
    use driftline::ports::ErrorKind::{Misconfigured, OutcomeUnknown, Unavailable};
    matches!(
        error.kind(),
        Unavailable(Side::Database)
            | OutcomeUnknown(Side::Database)
            | Misconfigured(Side::Database)
    )
}

async fn database(url: &DatabaseUrl) -> anyhow::Result<Arc<dyn Database>> {
    match url {
        DatabaseUrl::Memory => Ok(Arc::new(MemoryDatabase::new(
            Arc::new(System),
            Arc::new(System),
        ))),
        DatabaseUrl::Sqlite(path) => sqlite(path).await,
        DatabaseUrl::Postgres(url) => postgres(url).await,
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(path: &std::path::Path) -> anyhow::Result<Arc<dyn Database>> {
    use driftline::adapters::sqlite::SqliteDatabase;
    Ok(Arc::new(opened(
        SqliteDatabase::open(path, Arc::new(System), Arc::new(System)).await,
    )?))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_: &std::path::Path) -> anyhow::Result<Arc<dyn Database>> {
    Err(absent("SQLite", "sqlite").into())
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> anyhow::Result<Arc<dyn Database>> {
    use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
    Ok(Arc::new(opened(
        PostgresDatabase::connect(url, PostgresOptions::default()).await,
    )?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &str) -> anyhow::Result<Arc<dyn Database>> {
    Err(absent("Postgres", "postgres").into())
}

async fn bucket(url: &SnapshotsUrl, options: &S3) -> anyhow::Result<Arc<dyn SnapshotStore>> {
    match url {
        SnapshotsUrl::Memory => Ok(Arc::new(MemorySnapshotStore::new())),
        SnapshotsUrl::Directory(path) => Ok(Arc::new(opened(DirectorySnapshotStore::open(path))?)),
        SnapshotsUrl::S3(url) => s3(url, options).await,
    }
}

#[cfg(feature = "s3")]
async fn s3(url: &str, options: &S3) -> anyhow::Result<Arc<dyn SnapshotStore>> {
    use driftline::adapters::s3::{Encryption, S3Options, S3SnapshotStore};
    let encryption = options.sse.as_deref().map(|sse| match sse {
        "sse-s3" => Encryption::SseS3,
        key => Encryption::Kms(key.to_owned()),
    });
    let options = S3Options {
        endpoint: options.endpoint.clone(),
        region: options.region.clone(),
        path_style: options.path_style,
        encryption,
        ..S3Options::default()
    };
    Ok(Arc::new(opened(
        S3SnapshotStore::connect(url, &options).await,
    )?))
}

#[cfg(not(feature = "s3"))]
async fn s3(_: &str, _: &S3) -> anyhow::Result<Arc<dyn SnapshotStore>> {
    Err(absent("S3", "s3").into())
}

fn opened<T>(outcome: StoreResult<T>) -> Result<T, Error> {
    outcome.map_err(Error::from)
}

#[cfg(not(all(feature = "postgres", feature = "sqlite", feature = "s3")))]
fn absent(name: &str, feature: &str) -> super::Failure {
    super::Failure::misuse(format!("this build of driftline has no {name}")).hint(format!(
        "build it with the feature `{feature}`, which is on by default"
    ))
}
