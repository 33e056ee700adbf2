//! Both sides, opened as ports.

mod bucket;
mod database;
mod missing;
mod reading;
mod scratch;
mod unusable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftline_core::adapters::system::System;
use driftline_core::hybrid::{HybridManifestRepository, Sides, Standing};
use driftline_model::TenantId;
use driftline_model::format::{BUCKET_KEY, most_bytes};
use driftline_ports::{AuditLog, Error, Fault, Reason, Recoveries as _, Side, SnapshotStore};

use self::bucket::bucket;
use self::database::Connection;
use self::unusable::Unusable;
use crate::{Config, DatabaseUrl, HostError};

pub use self::missing::Needs;
pub use self::reading::{Reading, reading};
pub use self::scratch::Scratch;

/// How long a bucket may take to answer before a write goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the background replicator may take to finish its batch when a process is done, and the database to close.
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

/// What stands before a write.
#[derive(Debug)]
pub enum Begun {
    /// The bucket is not usable for this reason, and nothing is shadowed by this process.
    Hindered(Reason),
    /// Shadowing has begun in the background; so many entries of the tenant came back from the bucket first.
    Shadowing {
        /// How many.
        restored: u64,
    },
}

/// Opens both sides. A database that is a local file, or in memory, is brought up to date on the way; whether one that is
/// missing is made is for `needs` to say.
pub async fn open(config: &Config, needs: Needs) -> Result<Opened, HostError> {
    needs.check(config)?;
    let snapshots: Arc<dyn SnapshotStore> = match missing::missing_bucket(&config.snapshots) {
        Some(path) if needs != Needs::Nothing => {
            let error = missing::unreachable_bucket(path);
            Arc::new(Unusable::new(&config.snapshots, &error))
        }
        _ => bucket(&config.snapshots, &config.s3).await?,
    };
    let url = match missing::missing_database(&config.database) {
        Some(_) if needs == Needs::Bucket => &DatabaseUrl::Memory,
        _ => &config.database,
    };
    let opened = database::database(url, config).await?;
    if !matches!(config.database, DatabaseUrl::Postgres(_)) {
        let migrated = opened.database.migrate().await;
        migrated.map_err(|error| HostError::Outdated(error.into()))?;
    }
    let sides = Sides {
        database: opened.database,
        snapshots,
        clock: Arc::new(System),
        entropy: Arc::new(System),
    };
    let repository = HybridManifestRepository::new(sides.clone(), config.settings.clone());
    Ok(Opened {
        repository,
        sides,
        database_url: format!("{:?}", config.database),
        audits: opened.audits,
        connection: opened.connection,
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
    pub async fn look(&self) -> Result<Option<Reason>, Error> {
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
            Err(error) if concerns_database(&error) => Err(error),
            Err(error) => Ok(Some(format!("the bucket is not usable: {error}").into())),
        }
    }

    /// Looks at the bucket; if it is usable, the tenant gets back what the bucket has of it and the database has not, and
    /// shadowing begins in the background.
    pub async fn begin_write_of(&self, tenant: &TenantId) -> Result<Begun, Error> {
        if let Some(reason) = self.look().await? {
            return Ok(Begun::Hindered(reason));
        }
        let caught = tokio::time::timeout(PATIENCE, self.repository.catch_up(tenant));
        let restored = match caught.await {
            Ok(Ok(restored)) => restored,
            // Whether the write is taken is for the database to say.
            Ok(Err(error)) => {
                tracing::warn!(%tenant, %error, "cannot compare it with the bucket");
                0
            }
            Err(_) => {
                tracing::warn!(%tenant, "cannot compare it with the bucket in time");
                0
            }
        };
        self.repository.start();
        Ok(Begun::Shadowing { restored })
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
        self.connection.close_within(SHUTDOWN).await;
    }
}

fn concerns_database(error: &Error) -> bool {
    use driftline_ports::ErrorKind::{Absent, Misconfigured, OutcomeUnknown, Unavailable};
    matches!(
        error.kind(),
        Unavailable(Side::Database)
            | OutcomeUnknown(Side::Database)
            | Misconfigured(Side::Database)
            | Absent(Side::Database)
    )
}
