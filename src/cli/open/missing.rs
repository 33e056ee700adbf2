//! What a command does where a side is not there: those that write make it, those that only read say so and make nothing.

use std::path::{Path, PathBuf};

use driftline::ports::{Fault, Side, StoreError};

use crate::cli::{Exit, Failure};
use crate::config::{Config, DatabaseUrl, SnapshotsUrl};

/// What a command asks of the sides that are local files and directories. Servers are never made by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It writes: what is missing is made.
    Nothing,
    /// The database. A bucket that is missing is one that is down.
    Database,
    /// Both sides.
    Both,
    /// The bucket: it looks at what it would restore. A database that is missing is an empty one, and is not made.
    Bucket,
}

impl Needs {
    /// The error for a side that is missing.
    pub fn check(self, config: &Config) -> Result<(), Failure> {
        if matches!(self, Self::Database | Self::Both)
            && let Some(path) = missing_database(&config.database)
        {
            return Err(no_file(path));
        }
        if matches!(self, Self::Bucket | Self::Both)
            && let Some(path) = missing_bucket(&config.snapshots)
        {
            let message = no_directory(path);
            return Err(Failure::new(Exit::NotFound, "not_found", message).hint(
                "--snapshots names another one; the first command that writes makes a new one",
            ));
        }
        Ok(())
    }
}

/// The file that is not there, or in which nothing was ever written.
pub fn missing_database(url: &DatabaseUrl) -> Option<&Path> {
    let DatabaseUrl::Sqlite(path) = url else {
        return None;
    };
    let is_missing = match std::fs::metadata(path) {
        Ok(found) => found.is_file() && found.len() == 0,
        Err(error) => is_absent(&error),
    };
    is_missing.then_some(path)
}

/// The directory that is not there.
pub fn missing_bucket(url: &SnapshotsUrl) -> Option<&PathBuf> {
    let SnapshotsUrl::Directory(path) = url else {
        return None;
    };
    let is_missing = std::fs::metadata(path).is_err_and(|error| is_absent(&error));
    is_missing.then_some(path)
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// What the bucket answers to a command that can do without it.
pub fn unreachable_bucket(path: &Path) -> StoreError {
    StoreError::new(Side::Bucket, Fault::Unavailable, no_directory(path))
}

fn no_directory(path: &Path) -> String {
    format!("open the bucket: there is no directory {}", path.display())
}

fn no_file(path: &Path) -> Failure {
    let what = if path.exists() {
        format!("the file {} is empty", path.display())
    } else {
        format!("there is no file {}", path.display())
    };
    let message = format!("open the database: {what}");
    Failure::new(Exit::NotFound, "not_found", message).hint(
        "--database names another one; `driftline recover --all-tenants` brings a lost one back, and any command that writes \
         makes a new one",
    )
}
