//! What only SQLite has to prove: one file, several processes, and files that are not what they should be. The rest is in
//! the contract of every database.
#![cfg(feature = "sqlite")]

mod files;
mod processes;
mod reading;

use std::path::Path;
use std::sync::Arc;

use driftline::adapters::sqlite::SqliteDatabase;
use driftline::adapters::system::System;
use driftline::ports::{ManifestStore, StoreResult};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

async fn open(path: &Path) -> StoreResult<Arc<SqliteDatabase>> {
    let database = SqliteDatabase::open(path, Arc::new(System), Arc::new(System)).await?;
    database.migrate().await?;
    Ok(Arc::new(database))
}

/// The file as another program sees it.
async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .expect("a connection")
}

async fn tamper(path: &Path, change: &'static str) {
    sqlx::query(change)
        .execute(&mut connect(path).await)
        .await
        .expect("a statement");
}
