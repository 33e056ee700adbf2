//! What happens where a side is not there: what writes makes it, what only reads says so and makes nothing.

use std::path::{Path, PathBuf};

use driftline_ports::{Fault, Side, StoreError};

use crate::{Advice, Config, DatabaseUrl, Problem, ProblemKind, SnapshotsUrl};

/// What is asked of the sides that are local files and directories. Servers are never made by it.
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
    pub fn check(self, config: &Config) -> Result<(), Problem> {
        if matches!(self, Self::Database | Self::Both)
            && let Some(path) = missing_database(&config.database)
        {
            return Err(no_file(path));
        }
        if matches!(self, Self::Bucket | Self::Both)
            && let Some(path) = missing_bucket(&config.snapshots)
        {
            let message = no_directory(path);
            return Err(Problem::new(ProblemKind::NotFound, message).advise(Advice::NameSnapshots));
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

/// What the bucket answers to what can do without it.
pub fn unreachable_bucket(path: &Path) -> StoreError {
    StoreError::new(Side::Bucket, Fault::Unavailable, no_directory(path))
}

fn no_directory(path: &Path) -> String {
    format!("open the bucket: there is no directory {}", path.display())
}

fn no_file(path: &Path) -> Problem {
    let what = if path.exists() {
        format!("the file {} is empty", path.display())
    } else {
        format!("there is no file {}", path.display())
    };
    let message = format!("open the database: {what}");
    Problem::new(ProblemKind::NotFound, message).advise(Advice::NameDatabase)
}
