//! The file for those who may only read it.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use super::{PATIENCE, READERS, error, pool};
use driftline_ports::{Fault, Hint, StoreResult};

/// A database in a file, without any way to write: the file is opened for reading, and the connections refuse every statement
/// that would change it. It implements [`StateReader`](driftline_ports::StateReader) alone.
///
/// Reading a write-ahead log takes its index: SQLite may make the files `-shm` and `-wal` beside the database, and fails where
/// neither they nor the right to make them are there.
#[derive(Debug)]
pub struct SqliteReader {
    pub(super) reader: SqlitePool,
}

impl SqliteReader {
    /// Opens the file at `path`, which must be there.
    pub async fn open(path: &Path) -> StoreResult<Self> {
        Self::open_with(path, PATIENCE).await
    }

    /// The same with another patience.
    pub async fn open_with(path: &Path, patience: Duration) -> StoreResult<Self> {
        let action = || format!("open database {} for reading", path.display());
        let refused = |why: &str| error::new(Fault::Refused, format!("{}: {why}", action()));
        // `file:x` would be a URI, and `:memory:` no file at all.
        let file = if path.is_absolute() {
            path.to_owned()
        } else {
            Path::new(".").join(path)
        };
        let metadata = tokio::fs::metadata(&file).await.map_err(|cause| {
            let missing = cause.kind() == std::io::ErrorKind::NotFound;
            if missing {
                let error = refused("there is no such file").hint(Hint::MakeDatabase);
                return error.because(cause);
            }
            refused("it cannot be looked at").because(cause)
        })?;
        if metadata.is_dir() {
            return Err(refused("it is a directory"));
        }
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(patience)
            .pragma("query_only", "ON")
            .disable_statement_logging();
        let reader = pool(READERS, patience)
            .connect_with(options)
            .await
            .map_err(error::failed(action))?;
        Ok(Self { reader })
    }

    /// Closes every connection. Calls from now on fail.
    pub async fn close(&self) {
        self.reader.close().await;
    }
}
