//! The database on SQLite: one file, any number of processes on one machine.
//!
//! Every write is one `BEGIN IMMEDIATE` transaction in WAL mode with `synchronous = FULL`: it is durable when it is
//! acknowledged, and the file's write lock is the lock of every tenant. Within a process writers queue for one connection,
//! so that they take turns; between processes they wait for the lock, at most [`PATIENCE`] each. Readers never wait for
//! writers. A call that is dropped half-way leaves nothing behind, except that a commit already under way may complete.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod append;
mod audit_log;
mod error;
mod manifest_store;
mod migrations;
mod pending;
mod queries;
mod reader;
mod recovery_store;
mod restore;
mod rows;
mod shadow_ledger;
mod state_reader;
mod whereabouts;
mod writes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub use self::reader::SqliteReader;
use driftline_ports::{Clock, Entropy, Fault, Server, StoreResult};

/// How long a call waits for the file's lock, or for its turn, before it gives up with [`Fault::Unavailable`].
pub const PATIENCE: Duration = Duration::from_secs(10);

const READERS: u32 = 4;

/// A database in a file. Run [`driftline_ports::ManifestStore::migrate`] before anything else.
#[derive(Debug)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    reader: SqlitePool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    server: Server,
}

type Tx = Transaction<'static, Sqlite>;

impl SqliteDatabase {
    /// Opens the file at `path`, and creates it and its directories when they are missing.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> StoreResult<Self> {
        Self::open_with(path, PATIENCE, clock, entropy).await
    }

    /// The same with another patience.
    pub async fn open_with(
        path: &Path,
        patience: Duration,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> StoreResult<Self> {
        let action = || format!("open database {}", path.display());
        let file = file(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(patience)
            .disable_statement_logging();
        // The pools do not create the file: one that vanishes later is an error, and not a new and empty database.
        let mut first = create(&options, patience)
            .await
            .map_err(error::failed(action))?;
        let mode: Result<String, _> = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut first)
            .await;
        if mode.map_err(error::failed(action))? != "wal" {
            let message = format!(
                "{}: its file system does not support write-ahead logging",
                action()
            );
            return Err(error::new(Fault::Refused, message));
        }
        let writer = pool(1, patience)
            .idle_timeout(None)
            .connect_with(options.clone())
            .await
            .map_err(error::failed(action))?;
        let reader = pool(READERS, patience).connect_lazy_with(options.pragma("query_only", "ON"));
        first.close().await.map_err(error::failed(action))?;
        let server = whereabouts::of_file(&file)
            .map_err(|cause| error::new(Fault::Unavailable, action()).because(cause))?;
        Ok(Self {
            writer,
            reader,
            clock,
            entropy,
            server,
        })
    }

    /// Closes every connection, which also folds the write-ahead log into the file. Calls from now on fail.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock.
    async fn begin(&self, action: impl Fn() -> String) -> StoreResult<Tx> {
        self.writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(error::failed(action))
    }

    /// A transaction that sees one state of the database.
    async fn snapshot(&self, action: impl Fn() -> String) -> StoreResult<Tx> {
        self.reader.begin().await.map_err(error::failed(action))
    }
}

fn pool(connections: u32, patience: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .max_lifetime(None)
        // A transaction that SQLite rolled back by itself leaves a connection that cannot begin another one.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

/// Ends a write.
async fn commit(transaction: Tx, action: impl Fn() -> String) -> StoreResult<()> {
    transaction
        .commit()
        .await
        .map_err(error::commit_failed(action))
}

/// The path as SQLite takes it for a file whatever it looks like, with its directories made.
async fn file(path: &Path) -> StoreResult<PathBuf> {
    let refused = |why: &str| {
        error::new(
            Fault::Refused,
            format!("open database {}: {why}", path.display()),
        )
    };
    // `file:x` would be a URI, and `:memory:` no file at all.
    let file = if path.is_absolute() {
        path.to_owned()
    } else {
        Path::new(".").join(path)
    };
    let Some(directory) = file.parent().filter(|_| file.file_name().is_some()) else {
        return Err(refused("it is a directory"));
    };
    tokio::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .await
        .map_err(|cause| refused("its directory cannot be created").because(cause))?;
    match tokio::fs::metadata(&file).await {
        Ok(metadata) if metadata.is_dir() => Err(refused("it is a directory")),
        Ok(_) => Ok(file),
        Err(_) => {
            // SQLite would make it for everybody to read. The files that it makes beside it take its mode.
            let made = tokio::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file)
                .await;
            match made {
                Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
                    Err(refused("it cannot be created").because(cause))
                }
                _ => Ok(file),
            }
        }
    }
}

/// Creates the file in WAL mode. Switching to it does not wait for a lock that another process holds for the same end.
async fn create(
    options: &SqliteConnectOptions,
    patience: Duration,
) -> sqlx::Result<SqliteConnection> {
    let options = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match options.connect().await {
            Err(failure) if error::is_busy(&failure) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => return outcome,
        }
    }
}
