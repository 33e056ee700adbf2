//! Both sides, opened so that nothing can be written: no migration, no claim, no replicator.

use std::sync::Arc;

use driftline_core::adapters::system::System;
use driftline_core::hybrid::inspection::Inspector;
use driftline_ports::SnapshotStore;

use super::database::{Connection, reader};
use super::unusable::Unusable;
use super::{Needs, SHUTDOWN, bucket, missing};
use crate::{Config, HostError};

/// What only reads.
pub struct Reading {
    /// Reads tenants and compares them.
    pub inspector: Inspector,
    connection: Connection,
}

/// Opens both sides for reading. A database that is not there is an error; a bucket that is not there is asked only when the
/// database has lost a row.
pub async fn reading(config: &Config) -> Result<Reading, HostError> {
    Needs::Database.check(config)?;
    let snapshots: Arc<dyn SnapshotStore> = match missing::missing_bucket(&config.snapshots) {
        // Opening a directory makes it.
        Some(path) => {
            let error = missing::unreachable_bucket(path);
            Arc::new(Unusable::new(&config.snapshots, &error))
        }
        None => bucket(&config.snapshots, &config.s3).await?,
    };
    let (reader, connection) = reader(&config.database, config).await?;
    Ok(Reading {
        inspector: Inspector::new(reader, snapshots, Arc::new(System)),
        connection,
    })
}

impl Reading {
    /// Closes the database. Calls from now on fail.
    pub async fn close(&self) {
        self.connection.close_within(SHUTDOWN).await;
    }
}
