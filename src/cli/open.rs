//! The one place where URLs become adapters.

mod missing;
mod reading;
mod scratch;
mod unusable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::memory::{MemoryDatabase, MemorySnapshotStore};
use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::domain::format::{BUCKET_KEY, most_bytes};
use driftline::hybrid::{HybridManifestRepository, Sides, Standing};
use driftline::ports::{AuditLog, Database, Error, Fault, Reason, Side, SnapshotStore};

pub use self::missing::Needs;
pub use self::reading::{Reading, reading};
pub use self::scratch::Scratch;
use self::unusable::Unusable;
use super::{Ui, hints};
use crate::config::{Config, DatabaseUrl, S3, SnapshotsUrl};

/// How long a bucket may take to answer before a write goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the background replicator may take to finish its batch when a command is done, and the database to close.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// A repository and what it stands on.
pub struct Opened {
    /// The repository.
    pub repository: HybridManifestRepository,
    /// Its driven ports.
    pub sides: Sides,
    /// The database's URL without secrets.
    pub database_url: String,
    audits: Arc<dyn AuditLog>,
    connection: Connection,
    undecided: AtomicBool,
}

/// The database once more, as what can be closed.
enum Connection {
    None,
    #[cfg(feature = "sqlite")]
    Sqlite(Arc<driftline::adapters::sqlite::SqliteDatabase>),
    #[cfg(feature = "postgres")]
    Postgres(driftline::adapters::postgres::PostgresDatabase),
}

/// Opens both sides. A database that is a local file, or in memory, is brought up to date on the way; whether one that is
/// missing is made is for `needs` to say.
pub async fn open(config: &Config, needs: Needs) -> anyhow::Result<Opened> {
    needs.check(config)?;
    let snapshots: Arc<dyn SnapshotStore> = match missing::missing_bucket(&config.snapshots) {
        Some(path) if needs != Needs::Nothing => {
            let error = missing::unreachable_bucket(path);
            Arc::new(Unusable::new(&config.snapshots, &error))
        }
        _ => bucket(&config.snapshots, &config.s3).await?,
    };
    let (database, audits, connection) = match missing::missing_database(&config.database) {
        Some(_) if needs == Needs::Bucket => database(&DatabaseUrl::Memory, config).await?,
        _ => database(&config.database, config).await?,
    };
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
        audits,
        connection,
        undecided: AtomicBool::new(false),
    })
}

impl Opened {
    /// Where the results of audits are kept.
    pub fn audit_log(&self) -> Arc<dyn AuditLog> {
        Arc::clone(&self.audits)
    }

    /// Looks at the bucket before anything is written: a new database takes no writes until it has. Whatever keeps it from
    /// looking refuses nothing; whether a write is refused is for the database to say.
    ///
    /// The answer is what keeps this process from shadowing, if something does.
    pub async fn look(&self) -> anyhow::Result<Option<Reason>> {
        // The check may have to recover from a failover, which takes as long as it takes; whether the bucket answers at all
        // is known sooner.
        let get = self.sides.snapshots.get(BUCKET_KEY, most_bytes(BUCKET_KEY));
        let silent = match tokio::time::timeout(PATIENCE, get).await {
            Err(_) => Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
            Ok(Err(error)) if error.fault() == Fault::Unavailable => Some(error.report()),
            Ok(_) => None,
        };
        if let Some(reason) = silent {
            let message = format!("the bucket cannot be reached: {reason}");
            return Ok(Some(message.into()));
        }
        match self.repository.check_ownership().await {
            Ok(Standing::Owner(_)) => Ok(None),
            Ok(Standing::FailedOver) => {
                let message = "the database failed over once more".to_owned();
                Ok(Some(message.into()))
            }
            Ok(Standing::Refused(reason)) => Ok(Some(reason)),
            Ok(Standing::Undecided(reason)) => {
                self.undecided.store(true, Ordering::Relaxed);
                Ok(Some(reason))
            }
            Err(error) if concerns_database(&error) => Err(error.into()),
            Err(error) => Ok(Some(format!("the bucket is not usable: {error}").into())),
        }
    }

    /// Looks at the bucket and warns if it is not usable; otherwise the tenant gets back what the bucket has of it and the
    /// database has not, and shadowing begins in the background. Tells whether it does.
    pub async fn begin_write_of(&self, ui: &Ui, tenant: &TenantId) -> anyhow::Result<bool> {
        let hindrance = self.look().await?;
        if let Some(reason) = &hindrance {
            ui.warn(hints::reason(reason));
            return Ok(false);
        }
        let caught = tokio::time::timeout(PATIENCE, self.repository.catch_up(tenant));
        match caught.await {
            Ok(Ok(0)) => {}
            Ok(Ok(restored)) => ui.warn(format_args!(
                "the bucket had more of {tenant} than the database: {} brought back",
                super::ui::count(restored, "entry")
            )),
            // Whether the write is taken is for the database to say.
            Ok(Err(error)) => {
                tracing::warn!(%tenant, %error, "cannot compare it with the bucket");
            }
            Err(_) => tracing::warn!(%tenant, "cannot compare it with the bucket in time"),
        }
        self.repository.start();
        Ok(true)
    }

    /// Whether a look found that nothing is shadowed until somebody decides.
    pub fn is_undecided(&self) -> bool {
        self.undecided.load(Ordering::Relaxed)
    }

    /// Stops the background replicator and closes the database. Calls from now on fail.
    pub async fn close(&self) {
        if let Err(error) = self.repository.shutdown(SHUTDOWN).await {
            tracing::error!(%error, "the background replicator failed");
        }
        let closed = tokio::time::timeout(SHUTDOWN, self.connection.close());
        if closed.await.is_err() {
            tracing::debug!("the database did not close in time");
        }
    }
}

impl Connection {
    async fn close(&self) {
        match self {
            Self::None => {}
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.close().await,
        }
    }
}

fn concerns_database(error: &Error) -> bool {
    use driftline::ports::ErrorKind::{Absent, Misconfigured, OutcomeUnknown, Unavailable};
    matches!(
        error.kind(),
        Unavailable(Side::Database)
            | OutcomeUnknown(Side::Database)
            | Misconfigured(Side::Database)
            | Absent(Side::Database)
    )
}

type OpenedDatabase = (Arc<dyn Database>, Arc<dyn AuditLog>, Connection);

async fn database(url: &DatabaseUrl, config: &Config) -> anyhow::Result<OpenedDatabase> {
    match url {
        DatabaseUrl::Memory => {
            let database = MemoryDatabase::new(Arc::new(System), Arc::new(System));
            let database = Arc::new(database);
            let audits = Arc::clone(&database) as Arc<dyn AuditLog>;
            Ok((database, audits, Connection::None))
        }
        DatabaseUrl::Sqlite(path) => sqlite(path, config).await,
        DatabaseUrl::Postgres(url) => postgres(url, config).await,
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite(path: &std::path::Path, config: &Config) -> anyhow::Result<OpenedDatabase> {
    use driftline::adapters::sqlite::{PATIENCE, SqliteDatabase};
    let patience = config.busy_timeout.unwrap_or(PATIENCE);
    let system = Arc::new(System);
    let database = SqliteDatabase::open_with(path, patience, system.clone(), system).await;
    let database = Arc::new(database.map_err(Error::from)?);
    Ok((
        Arc::clone(&database) as Arc<dyn Database>,
        Arc::clone(&database) as Arc<dyn AuditLog>,
        Connection::Sqlite(database),
    ))
}

#[cfg(not(feature = "sqlite"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn sqlite(_: &std::path::Path, _: &Config) -> anyhow::Result<OpenedDatabase> {
    Err(absent("SQLite", "sqlite").into())
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, config: &Config) -> anyhow::Result<OpenedDatabase> {
    use driftline::adapters::postgres::PostgresDatabase;
    let database = PostgresDatabase::connect(url, postgres_options(config)).await;
    let database = database.map_err(Error::from)?;
    Ok((
        Arc::new(database.clone()),
        Arc::new(database.clone()),
        Connection::Postgres(database),
    ))
}

#[cfg(feature = "postgres")]
fn postgres_options(config: &Config) -> driftline::adapters::postgres::PostgresOptions {
    driftline::adapters::postgres::PostgresOptions {
        ca_file: config.ca_file.clone(),
        ..Default::default()
    }
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn postgres(_: &str, _: &Config) -> anyhow::Result<OpenedDatabase> {
    Err(absent("Postgres", "postgres").into())
}

async fn bucket(url: &SnapshotsUrl, options: &S3) -> anyhow::Result<Arc<dyn SnapshotStore>> {
    match url {
        SnapshotsUrl::Memory => Ok(Arc::new(MemorySnapshotStore::new())),
        SnapshotsUrl::Directory(path) => match DirectorySnapshotStore::open(path) {
            Ok(store) => Ok(Arc::new(store)),
            // A bucket that is down keeps nobody from the database.
            Err(error) => Ok(Arc::new(Unusable::new(url, &error))),
        },
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
        ca_file: options.ca_file.clone(),
        ..S3Options::default()
    };
    let store = S3SnapshotStore::connect(url, &options).await;
    Ok(Arc::new(store.map_err(Error::from)?))
}

#[cfg(not(feature = "s3"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn s3(_: &str, _: &S3) -> anyhow::Result<Arc<dyn SnapshotStore>> {
    Err(absent("S3", "s3").into())
}

#[cfg(not(all(feature = "postgres", feature = "sqlite", feature = "s3")))]
fn absent(name: &str, feature: &str) -> super::Failure {
    super::Failure::misuse(format!("this build of driftline has no {name}")).hint(format!(
        "build it with the feature `{feature}`, which is on by default"
    ))
}
