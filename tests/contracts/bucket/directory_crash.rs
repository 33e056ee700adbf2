//! Processes that are killed while they write to a directory.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::ports::{Precondition, PutOutcome, SnapshotStore};

const INDEX: &str = "acme/index.json";
const SIZE: usize = 100_000;
const DIRECTORY: &str = "DRIFTLINE_TEST_DIRECTORY";

fn key(n: usize) -> String {
    format!("acme/versions/v{n:06}.json")
}

/// Writes what the index does not name yet, then the index, and so on for ever.
async fn write(store: &DirectorySnapshotStore) {
    loop {
        let index = store.get(INDEX, u64::MAX).await.unwrap();
        let known = index.as_ref().map_or(0, |index| index.bytes.len());
        let body = vec![known.to_le_bytes()[0]; SIZE];
        store
            .put(&key(known + 1), body.into(), Precondition::Absent)
            .await
            .unwrap();
        let condition = index.map_or(Precondition::Absent, |index| {
            Precondition::Matches(index.etag)
        });
        store
            .put(INDEX, vec![b'.'; known + 1].into(), condition)
            .await
            .unwrap();
    }
}

#[tokio::test]
#[ignore = "run by the test below, and killed"]
async fn writer() {
    let directory = std::env::var_os(DIRECTORY).expect("the directory is given");
    write(&DirectorySnapshotStore::open(directory).unwrap()).await;
}

#[tokio::test]
async fn killed_writers_leave_whole_objects_and_no_lock() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectorySnapshotStore::open(directory.path()).unwrap();
    let mut written = 0;
    for round in 0..6 {
        let writers = [(); 3].map(|()| Writer::start(directory.path()));
        let progress = async {
            while store
                .get(INDEX, u64::MAX)
                .await
                .unwrap()
                .map_or(0, |index| index.bytes.len())
                <= written
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), progress)
            .await
            .expect("the writers get somewhere");
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        drop(writers);

        let index = store.get(INDEX, u64::MAX).await.unwrap().unwrap();
        written = index.bytes.len();
        let listing = store.list("acme/versions/", None, 1000).await.unwrap();
        let objects = listing.objects.len();
        assert!(
            (written..=written + 1).contains(&objects),
            "{objects} objects, {written} in the index"
        );
        for n in 1..=objects {
            let bytes = store.get(&key(n), u64::MAX).await.unwrap().unwrap().bytes;
            assert_eq!(bytes.len(), SIZE);
            assert!(
                bytes.iter().all(|byte| *byte == (n - 1).to_le_bytes()[0]),
                "object {n}"
            );
        }
        let outcome = store
            .put(
                INDEX,
                vec![b'.'; written].into(),
                Precondition::Matches(index.etag),
            )
            .await
            .unwrap();
        assert!(matches!(outcome, PutOutcome::Written(_)), "{outcome:?}");
    }
}

/// This test program, as the writer above; killed when it is dropped.
struct Writer(Child);

impl Writer {
    fn start(directory: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "bucket::directory_crash::writer"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It may have stopped by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
