//! A file that may only be read.

use driftline::adapters::sqlite::SqliteReader;
use driftline::ports::{Fault, Hint, ManifestStore, StateReader};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use crate::open;
use driftline_conformance::fixture::*;

#[tokio::test]
async fn a_missing_file_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["db", "deep/er/db"] {
        let path = directory.path().join(name);
        let error = SqliteReader::open(&path).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Refused);
        assert_eq!(error.hinted(), Some(&Hint::MakeDatabase));
        assert!(!path.exists() && !path.parent().unwrap().join("er").exists());
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    let error = SqliteReader::open(directory.path()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
}

#[tokio::test]
async fn a_reader_sees_what_is_committed_while_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x?mode=rwc");
    let database = open(&path).await.unwrap();
    let db: Db = database.clone();
    claimed(&db).await;
    let reader = SqliteReader::open(&path).await.unwrap();
    let asked = [tenant("acme")];
    for text in ["1", "2"] {
        let meta = commit(&db, &asked[0], manifest(text)).await;
        let (documents, _) = reader
            .documents(&[asked[0].clone().into()], 1 << 20)
            .await
            .unwrap();
        assert_eq!(documents[0].desired.as_ref().unwrap().meta, meta);
    }
    // Nor does it need the writer to be there.
    database.close().await;
    assert!(reader.session().await.unwrap().read_only);
    reader.close().await;
    let reader = SqliteReader::open(&path).await.unwrap();
    assert_eq!(reader.tenant_names(None, 9).await.unwrap(), asked);
}

#[tokio::test]
async fn a_file_without_tables_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    std::fs::write(&path, "").unwrap();
    let reader = SqliteReader::open(&path).await.unwrap();
    let error = reader.tenant_names(None, 1).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    let report = error.report();
    assert!(report.contains("has it been migrated?"), "{report}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

/// The connection is opened as the reader opens it; the reader itself has no method that could try.
#[tokio::test]
async fn such_a_connection_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    open(&path).await.unwrap().close().await;
    for (read_only, query_only) in [(true, "OFF"), (false, "ON")] {
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(read_only)
            .pragma("query_only", query_only);
        let mut connection = options.connect().await.unwrap();
        for statement in [
            "DELETE FROM tenant",
            "CREATE TABLE mine (x)",
            "INSERT INTO audited (tenant, enrolled_at) VALUES ('acme', 0)",
        ] {
            let error = connection.execute(statement).await.unwrap_err();
            let code = error.as_database_error().unwrap().code().unwrap();
            assert_eq!(code, "8", "{statement}: {error}");
        }
    }
}

#[tokio::test]
async fn a_database_of_an_older_build_gets_the_tables_of_audits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let database = open(&path).await.unwrap();
    let db: Db = database.clone();
    claimed(&db).await;
    commit(&db, &tenant("acme"), manifest("1")).await;
    database.close().await;
    for change in [
        "DROP TABLE audited",
        "DROP TABLE report",
        "DROP TABLE event",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
    ] {
        crate::tamper(&path, change).await;
    }
    let database = open(&path).await.unwrap();
    let audited = driftline::ports::AuditLog::audited(&*database, None, 9).await;
    assert_eq!(audited.unwrap(), []);
    assert_eq!(database.tenants(None, 9).await.unwrap().len(), 1);
}
