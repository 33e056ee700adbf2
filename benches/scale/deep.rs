//! One tenant with 1,000,000 versions in a directory: what recovering and verifying it takes in memory.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::sqlite::SqliteDatabase;
use driftline::adapters::system::System;
use driftline::domain::content::Content;
use driftline::domain::format::{
    BUCKET_KEY, BucketIdentity, Index, IndexEntry, Snapshot, index_key, page_key, snapshot_key,
};
use driftline::domain::{
    BucketId, DatabaseId, Digest, Entry, EntryId, EntryMeta, Epoch, Seq, Stream, TenantId,
    Timestamp, genesis,
};
use driftline::hybrid::integrity::{ReadData, VerifyProgress};
use driftline::hybrid::{HybridManifestRepository, Progress};
use driftline::ports::{Entropy as _, ManifestStore as _, RecoveryRequest, SnapshotStore as _};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::bucket;
use crate::harness::{Aim, Comparison, Row, Unit, size};

/// Before the arguments of a process that does one thing and says what that took.
const ALONE: &str = "--deep-alone";

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "recover 1 tenant × 1,000,000 versions, peak memory",
            unit: Unit::Mebibytes,
            aim: Aim::Measured(300.0),
            measure: || Box::pin(beside_nothing("recover")),
        },
        Row {
            name: "verify 1 tenant × 1,000,000 versions, peak memory",
            unit: Unit::Mebibytes,
            aim: Aim::Measured(300.0),
            measure: || Box::pin(beside_nothing("verify")),
        },
    ]
}

fn versions() -> u64 {
    size(1_000_000, 700)
}

fn tenant() -> TenantId {
    "deep".parse().expect("a good name")
}

/// The bucket, and the database that is recovered from it.
struct Deep {
    _directory: TempDir,
    bucket: PathBuf,
    database: PathBuf,
    /// What recovering took, in MiB.
    recovering: f64,
}

/// The floor: the same process, which opens both sides and asks each for one thing.
async fn beside_nothing(what: &'static str) -> Comparison {
    static DEEP: OnceCell<Deep> = OnceCell::const_new();
    let deep = DEEP.get_or_init(Deep::make).await;
    let driftline = if what == "recover" {
        deep.recovering
    } else {
        alone(what, &deep.bucket, &deep.database)
    };
    Comparison {
        floor: alone("open", &deep.bucket, &deep.database),
        driftline,
    }
}

impl Deep {
    #[expect(clippy::unused_async, reason = "a cell waits for it")]
    async fn make() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (bucket, database) = (directory.path().join("bucket"), directory.path().join("db"));
        fill(&bucket);
        let recovering = alone("recover", &bucket, &database);
        Self {
            _directory: directory,
            bucket,
            database,
            recovering,
        }
    }
}

/// Writes the objects as a replicator would leave them; nothing waits for the disk.
fn fill(bucket: &Path) {
    let (tenant, stream) = (tenant(), Stream::Manifests);
    let write = |key: &str, bytes: &[u8]| {
        let path = bucket.join(key);
        if !path.parent().is_some_and(Path::exists) {
            let made = std::fs::create_dir_all(path.parent().expect("a key has a folder"));
            made.expect("the folder is made");
        }
        std::fs::write(path, bytes).expect("the object is written");
    };
    let owner = BucketIdentity {
        bucket_id: BucketId(System.uuid()),
        database_id: DatabaseId {
            id: System.uuid(),
            timeline: 0,
        },
        generation: Epoch::FIRST,
    };
    write(BUCKET_KEY, &owner.to_bytes());
    let time = |version: u64| {
        let micros = 1_767_225_600_000_000 + i64::try_from(version).expect("a small number");
        Timestamp::from_micros(micros).expect("a good time")
    };
    let mut index = Index::empty(&tenant, stream, Epoch::FIRST, time(0));
    let mut chain = genesis(&tenant, stream);
    for version in 1..=versions() {
        let content = format!("{{\"schemaVersion\":\"1\",\"settings\":{{\"number\":{version}}}}}");
        let content = Content::from_stored(content.into_bytes().into());
        let mut meta = EntryMeta {
            tenant: tenant.clone(),
            stream,
            seq: Seq::new(version),
            id: EntryId(System.uuid()),
            epoch: Epoch::FIRST,
            checksum: content.checksum(),
            chain: Digest::of(b""),
            created_at: time(version),
            committed_at: time(version),
            created_by: None,
            message: None,
            content_bytes: content.len() as u64,
        };
        meta.chain = meta.expected_chain(chain);
        chain = meta.chain;
        let entry = Entry { meta, content };
        let bytes = Snapshot::write(&entry);
        write(
            &snapshot_key(&tenant, stream, entry.meta.seq, Epoch::FIRST),
            &bytes,
        );
        index.push(IndexEntry::new(
            "",
            entry.meta,
            bytes.len() as u64,
            Digest::of(&bytes),
        ));
        for page in index.seal() {
            write(&page_key(&tenant, stream, page.number), &page.to_bytes());
        }
    }
    write(&index_key(&tenant, stream), &index.to_bytes());
}

/// The peak of a process that does nothing else, in MiB.
fn alone(what: &str, bucket: &Path, database: &Path) -> f64 {
    let this = std::env::current_exe().expect("this program has a name");
    let output = Command::new(this)
        .args([ALONE, what])
        .args([bucket, database])
        .arg(versions().to_string())
        .stderr(Stdio::inherit())
        .output()
        .expect("this program runs once more");
    assert!(output.status.success(), "{what}: {}", output.status);
    let kibibytes = String::from_utf8(output.stdout).expect("a number is text");
    let kibibytes: f64 = kibibytes.trim().parse().expect("a number of KiB");
    kibibytes / 1024.0
}

/// Does one thing and prints the peak of the resident memory in KiB, if that is what this process was started for.
pub fn in_a_process_of_its_own() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip_while(|argument| argument != ALONE);
    arguments.next()?;
    let mut argument = || arguments.next().expect("what, two paths and a number");
    let (what, directory, database) = (argument(), argument(), argument());
    let versions: u64 = argument().parse().expect("a number");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = DirectorySnapshotStore::open(&directory).expect("a directory");
        let system = Arc::new(System);
        let database =
            SqliteDatabase::open(Path::new(&database), system.clone(), system.clone()).await;
        let database = database.expect("the database opens");
        database.migrate().await.expect("the database is made");
        store.ping().await.expect("the directory answers");
        let repository = bucket::repository(Arc::new(database), Arc::new(store));
        match what.as_str() {
            "recover" => recover(&repository, versions).await,
            "verify" => verify(&repository, versions).await,
            _ => {}
        }
    });
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.expect("the peak").trim().trim_end_matches(" kB"));
    Some(ExitCode::SUCCESS)
}

async fn recover(repository: &HybridManifestRepository, versions: u64) {
    let (request, progress) = (RecoveryRequest::default(), Progress::default());
    let report = repository.recover_all(&request, &progress).await;
    let report = report.expect("the recovery runs");
    let restored = report.tenants.into_iter().map(|(_, outcome)| outcome);
    let restored = restored.map(|outcome| outcome.expect("it is recovered").restored);
    assert_eq!(restored.sum::<u64>(), versions);
}

async fn verify(repository: &HybridManifestRepository, versions: u64) {
    let report = repository
        .verify_all(ReadData::Nothing, &VerifyProgress::default())
        .await;
    let report = report.expect("the verification runs");
    assert!(
        report.findings.is_empty() && report.unseen.is_empty(),
        "{report:?}"
    );
    assert_eq!(report.summary.versions, versions);
}
