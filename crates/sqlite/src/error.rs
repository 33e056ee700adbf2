//! What SQLite's errors mean: <https://www.sqlite.org/rescode.html>.

use driftline_ports::{Fault, Side, StoreError};

/// An error of this adapter's own.
pub(super) fn new(fault: Fault, message: impl Into<String>) -> StoreError {
    StoreError::new(Side::Database, fault, message)
}

/// An error of a statement other than a commit: whatever it did is undone with its transaction.
pub(super) fn failed(action: impl Fn() -> String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| {
        let (fault, why) = meaning(&error);
        new(fault, format!("{}: {why}", action())).because(error)
    }
}

/// An error of a commit. It did not take place when the lock or the room was missing before its last page was written; after
/// anything else, a failed flush above all, nobody knows what the next reader of the file will see.
pub(super) fn commit_failed(action: impl Fn() -> String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| {
        let (fault, why) = match (code(&error), meaning(&error)) {
            (Some(BUSY | READONLY | FULL | CONSTRAINT), meaning) => meaning,
            (_, (_, why)) => (Fault::OutcomeUnknown, why),
        };
        new(fault, format!("commit: {}: {why}", action())).because(error)
    }
}

/// A row that does not decode.
pub(super) fn corrupt(table: &str, column: &str, key: &str, cause: impl Into<Cause>) -> StoreError {
    new(Fault::Corrupt, format!("decode {table}.{column} of {key}")).because(cause)
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Whether somebody else has a lock that this would have needed.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    code(error) == Some(BUSY)
}

const ERROR: i32 = 1;
const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

/// The primary result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

fn meaning(error: &sqlx::Error) -> (Fault, &'static str) {
    match code(error) {
        Some(BUSY | LOCKED) => (Fault::Unavailable, "another process holds the lock"),
        Some(READONLY | PERM) => (Fault::Refused, "the file or its directory is read-only"),
        Some(FULL) => (Fault::Refused, "the disk is full"),
        Some(CANTOPEN) => (Fault::Refused, "the file cannot be opened"),
        Some(NOTADB) => (Fault::Refused, "the file is not an SQLite database"),
        Some(CORRUPT) => (Fault::Corrupt, "the file is damaged"),
        Some(TOOBIG) => (Fault::Refused, "a value is larger than SQLite takes"),
        Some(CONSTRAINT) => (
            Fault::Refused,
            "a row like this exists already, or breaks a rule of its table",
        ),
        Some(ERROR) => (
            Fault::Refused,
            "the tables are not what this build expects; has it been migrated?",
        ),
        Some(IOERR) => (Fault::Unavailable, "the file cannot be read or written"),
        Some(_) => (Fault::Unavailable, "SQLite failed"),
        None => without_code(error),
    }
}

fn without_code(error: &sqlx::Error) -> (Fault, &'static str) {
    match error {
        sqlx::Error::PoolTimedOut => (Fault::Unavailable, "no connection got free in time"),
        sqlx::Error::PoolClosed => (Fault::Unavailable, "the database was closed"),
        sqlx::Error::Configuration(_) | sqlx::Error::Io(_) => {
            (Fault::Refused, "the path cannot be used")
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (Fault::Corrupt, "a value cannot be read")
        }
        sqlx::Error::Migrate(_) => (Fault::Refused, "its schema is not this build's"),
        _ => (Fault::Unavailable, "the connection failed"),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection, SqliteConnection};

    use super::*;

    async fn open(directory: &tempfile::TempDir) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(directory.path().join("db"))
            .create_if_missing(true);
        options.connect().await.unwrap()
    }

    async fn run(connection: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<()> {
        sqlx::query(sql).execute(connection).await.map(drop)
    }

    fn action() -> String {
        "write".to_owned()
    }

    #[tokio::test]
    async fn a_full_disk_is_refused_in_a_statement_and_in_a_commit() {
        let directory = tempfile::tempdir().unwrap();
        let mut db = open(&directory).await;
        run(&mut db, "CREATE TABLE t (x)").await.unwrap();
        run(&mut db, "PRAGMA max_page_count = 4").await.unwrap();
        let full = run(&mut db, "INSERT INTO t VALUES (zeroblob(100000))")
            .await
            .unwrap_err();
        assert_eq!(code(&full), Some(FULL));
        let error = commit_failed(action)(full);
        assert_eq!(
            (error.fault(), error.to_string().as_str()),
            (Fault::Refused, "commit: write: the disk is full")
        );
    }

    #[tokio::test]
    async fn a_held_lock_is_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        let (mut db, mut other) = (open(&directory).await, open(&directory).await);
        run(&mut other, "PRAGMA busy_timeout = 1").await.unwrap();
        let holding = db.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let busy = run(&mut other, "CREATE TABLE t (x)").await.unwrap_err();
        assert!(is_busy(&busy));
        assert_eq!(failed(action)(busy).fault(), Fault::Unavailable);
        drop(holding);
    }

    #[tokio::test]
    async fn a_connection_that_may_only_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        open(&directory).await.close().await.unwrap();
        let options = SqliteConnectOptions::new()
            .filename(directory.path().join("db"))
            .read_only(true);
        let error = run(&mut options.connect().await.unwrap(), "CREATE TABLE t (x)")
            .await
            .unwrap_err();
        assert_eq!(failed(action)(error).fault(), Fault::Refused);
    }

    #[test]
    fn a_commit_that_was_not_answered_is_unknown() {
        let crashed = commit_failed(action)(sqlx::Error::WorkerCrashed);
        assert_eq!(crashed.fault(), Fault::OutcomeUnknown);
        assert_eq!(
            failed(action)(sqlx::Error::WorkerCrashed).fault(),
            Fault::Unavailable
        );
    }
}
