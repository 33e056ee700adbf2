//! One process, and what its file may be like.

use std::path::Path;
use std::time::Duration;

use driftline::domain::{Seq, Stream};
use driftline::ports::{
    Fault, Hint, LeaseRequest, ManifestStore, RecoveryStore, ShadowFailure, ShadowFault, StoreError,
};
use sqlx::Connection;

use crate::{connect, open, tamper};
use driftline_conformance::fixture::*;

async fn error(path: &Path) -> StoreError {
    open(path).await.expect_err("opening it must fail")
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let acme = tenant("acme");
    let (identity, state, status) = {
        let database = open(&path).await.unwrap();
        let db: Db = database.clone();
        claimed(&db).await;
        let first = commit(&db, &acme, keyed(manifest("a"), "key")).await;
        commit(&db, &acme, apply_of(&first)).await;
        let seen = (
            db.identity().await.unwrap(),
            db.tenant(&acme).await.unwrap(),
            db.status(None, None, 10).await.unwrap(),
        );
        database.close().await;
        assert_eq!(
            fault(db.identity().await),
            Fault::Unavailable,
            "it is closed"
        );
        seen
    };
    let db: Db = open(&path).await.unwrap();
    assert_eq!(db.identity().await.unwrap(), identity);
    assert_eq!(db.tenant(&acme).await.unwrap(), state);
    assert_eq!(db.status(None, None, 10).await.unwrap(), status);
    let replay = append(&db, &acme, keyed(manifest("a"), "key")).await;
    assert!(
        matches!(replay, driftline::ports::Appended::Replayed { .. }),
        "{replay:?}"
    );
    assert_whole(&db, &acme, Stream::Manifests).await;
}

#[tokio::test]
async fn any_path_is_a_file_with_its_directories_made() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "plain.db",
        "a b/c'd\"e.db",
        "ü/日本.db",
        "x?mode=memory",
        "50%41#f&g=h;.db",
        "file:x?mode=ro",
        "x/:memory:",
    ] {
        let path = directory.path().join("deep/er").join(name);
        let db: Db = open(&path).await.unwrap();
        claimed(&db).await;
        commit(&db, &tenant("acme"), manifest(name)).await;
        assert!(path.is_file(), "{name}");
    }
}

#[tokio::test]
async fn a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for path in [
        directory.path().to_owned(),
        "/".into(),
        directory.path().join(".."),
    ] {
        let error = error(&path).await;
        assert_eq!(error.fault(), Fault::Refused);
        assert!(error.to_string().ends_with("it is a directory"), "{error}");
    }
}

#[tokio::test]
async fn a_place_where_nothing_can_be_created_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    for path in [
        directory.path().join("file/db"),
        "/proc/driftline/db".into(),
    ] {
        let error = error(&path).await;
        assert_eq!(error.fault(), Fault::Refused);
        assert!(
            error
                .to_string()
                .contains("its directory cannot be created"),
            "{error}"
        );
    }
    // A directory that takes no files, whoever asks.
    let error = error(Path::new("/proc/db")).await;
    assert_eq!(error.fault(), Fault::Refused);
    assert!(
        error.to_string().contains("it cannot be created"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    std::fs::write(&path, "Dear reader, ".repeat(1000)).unwrap();
    let error = error(&path).await;
    assert_eq!(error.fault(), Fault::Refused);
    assert!(
        error.to_string().contains("not an SQLite database"),
        "{error}"
    );
    assert!(
        std::fs::read_to_string(&path).unwrap().starts_with("Dear"),
        "nothing was written to it"
    );
}

#[tokio::test]
async fn a_truncated_file_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    {
        let database = open(&path).await.unwrap();
        let db: Db = database.clone();
        claimed(&db).await;
        commit(&db, &tenant("acme"), manifest(&"long ".repeat(100_000))).await;
        database.close().await;
    }
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    let error = error(&path).await;
    assert_eq!(error.fault(), Fault::Corrupt);
    assert!(error.to_string().contains("the file is damaged"), "{error}");
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db: Db = open(&path).await.unwrap();
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    commit(&db, &acme, apply_of(&first)).await;
    let read = async || db.entry(&acme, Stream::Manifests, Seq::new(1)).await;
    tamper(
        &path,
        "CREATE TABLE kept AS SELECT * FROM entry WHERE stream = 0",
    )
    .await;
    for (tampering, column) in [
        ("UPDATE entry SET chain = x'00' WHERE stream = 0", "chain"),
        (
            "UPDATE entry SET created_by = char(10) WHERE stream = 0",
            "created_by",
        ),
        (
            "UPDATE entry SET created_at = 9000000000000000000 WHERE stream = 0",
            "created_at",
        ),
        ("UPDATE entry SET id = x'01' WHERE stream = 0", "id"),
    ] {
        tamper(&path, tampering).await;
        let error = read().await.expect_err("the row is broken");
        assert_eq!(error.fault(), Fault::Corrupt);
        assert_eq!(
            error.to_string(),
            format!("decode entry.{column} of tenant acme, stream 0, seq 1")
        );
        tamper(&path, "DELETE FROM entry WHERE stream = 0").await;
        tamper(&path, "INSERT INTO entry SELECT * FROM kept").await;
        assert!(read().await.is_ok(), "{column} is mended");
    }
    tamper(&path, "UPDATE tenant SET applies_head = -1").await;
    let error = db
        .status(None, None, 10)
        .await
        .expect_err("the row is broken");
    assert_eq!(
        error.to_string(),
        "decode tenant.applies_head of tenant acme"
    );
    tamper(&path, "UPDATE database SET bucket_id = x'00'").await;
    let error = db.identity().await.expect_err("the row is broken");
    assert_eq!(
        error.to_string(),
        "decode database.bucket_id of the database"
    );
}

#[tokio::test]
async fn a_database_that_was_not_migrated_says_so() {
    use driftline::adapters::{sqlite::SqliteDatabase, system::System};
    let directory = tempfile::tempdir().unwrap();
    let system = std::sync::Arc::new(System);
    let database = SqliteDatabase::open(&directory.path().join("db"), system.clone(), system)
        .await
        .unwrap();
    let error = database.identity().await.expect_err("there are no tables");
    assert_eq!(error.fault(), Fault::Refused);
    assert!(
        error.to_string().contains("has it been migrated?"),
        "{error}"
    );
    assert!(
        database
            .ping()
            .await
            .unwrap()
            .version
            .starts_with("SQLite 3.")
    );
}

#[tokio::test]
async fn a_newer_schema_does_not_stop_an_older_build() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(open(&path).await.unwrap());
    tamper(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'later', TRUE, x'00', 0)",
    )
    .await;
    let db: Db = open(&path).await.unwrap();
    claimed(&db).await;
    commit(&db, &tenant("acme"), manifest("a")).await;
}

#[tokio::test]
async fn reads_go_on_while_another_program_holds_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db: Db = open(&path).await.unwrap();
    claimed(&db).await;
    let acme = tenant("acme");
    let first = commit(&db, &acme, manifest("a")).await;
    let mut other = connect(&path).await;
    let holding = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waiting = tokio::spawn({
        let (db, acme) = (db.clone(), acme.clone());
        async move { commit(&db, &acme, manifest("b")).await.seq }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        db.active_manifest(&acme).await.unwrap().unwrap().entry.meta,
        first
    );
    assert_eq!(db.backlog().await.unwrap().ready, 1);
    assert!(!waiting.is_finished());
    holding.rollback().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Seq::new(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let db: Db = open(&directory.path().join("db")).await.unwrap();
    claimed(&db).await;
    let acme = tenant("acme");
    for round in 0..60 {
        let patience = Duration::from_micros(round * 50);
        let entry = manifest(&round.to_string());
        let _ = tokio::time::timeout(patience, db.append(&acme, &entry)).await;
        let restore = async {
            let restore = db.begin_restore(&acme).await.unwrap();
            tokio::time::sleep(Duration::from_mins(1)).await;
            drop(restore);
        };
        let _ = tokio::time::timeout(patience, restore).await;
    }
    commit(&db, &acme, manifest("last")).await;
    assert_whole(&db, &acme, Stream::Manifests).await;
}

#[tokio::test]
async fn a_failure_that_an_older_build_put_on_record_is_shown_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db: Db = open(&path).await.unwrap();
    claimed(&db).await;
    let acme = tenant("acme");
    commit(&db, &acme, manifest("a")).await;
    let worker = worker();
    let request = LeaseRequest {
        worker,
        limit: 1,
        duration: Duration::from_mins(1),
        except: Vec::new(),
    };
    db.lease(&request).await.unwrap();
    let failure = ShadowFailure {
        message: "no".to_owned(),
        fault: ShadowFault {
            hint: Some(Hint::ChangeStore),
            lasting: true,
        },
        retry_after: Duration::from_secs(1),
    };
    db.release(&acme, worker, Some(&failure)).await.unwrap();
    tamper(
        &path,
        "UPDATE tenant SET last_error = 'run `driftline recover`'",
    )
    .await;
    let status = db.status(Some(&acme), None, 1).await.unwrap().remove(0);
    assert_eq!(
        (status.last_error.as_deref(), status.fault),
        (Some("run `driftline recover`"), ShadowFault::default())
    );
}
