//! Recovering 100 tenants of 50 versions of 4 KiB into an empty database, and 2,000 of 20.

use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::adapters::s3::S3SnapshotStore;
use driftline::domain::format::snapshot_key;
use driftline::domain::{Entry, ShortText};
use driftline::hybrid::{HybridManifestRepository, Progress, Standing};
use driftline::ports::{RecoveryRequest, SnapshotStore};
use sqlx::postgres::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bucket;
use crate::database::{cluster, content, tenant};
use crate::harness::{Aim, Comparison, Row, Unit, interleave, size, take_turns};
use crate::history;
use crate::support::localstack::{self as s3, options};
use crate::support::postgres::{Reached as _, run};
use driftline_conformance::services::Database as TestDatabase;
use driftline_conformance::services::localstack;

const TENANTS: usize = 100;
const VERSIONS: u64 = 50;

/// Many small histories, and how often each side has its turn with them.
pub fn many_small() -> (usize, u64) {
    size((2_000, 20), (20, 3))
}
pub const TURNS: usize = 3;

/// What a process that recovers may take, in MiB.
const MEMORY: f64 = 256.0;

/// Before the arguments of a process that recovers.
const ALONE: &str = "--recover-alone";

/// The columns and the key of the table that entries are in, and nothing else of it. The driver has no types here for two of
/// the columns: others of the same size stand in for them.
const TABLE: &str = "CREATE SCHEMA floor;
    CREATE TABLE floor.entry (tenant text COLLATE \"C\", stream smallint, seq bigint, id bytea, epoch bigint, checksum bytea,
        chain bytea, created_at bigint, committed_at bigint, created_by text, message text, manifest_version bigint,
        content bytea, PRIMARY KEY (tenant, stream, seq)) WITH (toast_tuple_target = 8160);
    ALTER TABLE floor.entry ALTER COLUMN content SET STORAGE EXTERNAL";

const INSERT: &str = "INSERT INTO floor.entry (tenant, stream, seq, id, epoch, checksum, chain, created_at, committed_at,
    created_by, message, content)
    SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bytea[],
        $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bytea[])";

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "recover 100 tenants × 50 versions",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.80),
            measure: || Box::pin(throughput()),
        },
        Row {
            name: "recover 100 tenants × 50 versions, peak memory",
            unit: Unit::Mebibytes,
            aim: Aim::Ratio(1.0),
            measure: || Box::pin(memory()),
        },
        Row {
            name: "recover 2,000 tenants × 20 versions",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.80),
            measure: || Box::pin(many()),
        },
    ]
}

/// A database and a bucket that hold the same.
pub struct Held {
    _database: TestDatabase,
    pub store: PostgresDatabase,
    pub bucket: String,
    pub entries: Vec<Entry>,
}

/// A bucket whose database is lost, and what was in it.
struct Lost {
    bucket: String,
    entries: Vec<Entry>,
}

impl Held {
    /// So many tenants of so many versions.
    pub async fn make((tenants, versions): (usize, u64)) -> Self {
        let (database, store) = fresh().await;
        let bucket = localstack().fresh_bucket();
        let repository = bucket::repository(
            Arc::new(store.clone()),
            Arc::new(s3::store(&bucket, bucket::PREFIX).await),
        );
        let standing = repository.check_ownership().await;
        let Ok(Standing::Owner(owned)) = standing else {
            panic!("{standing:?}");
        };
        let (mut entries, content) = (Vec::new(), content());
        for number in 0..tenants {
            let tenant = history::history(&tenant(number), versions, &content);
            history::store(&store, owned.bucket_id, &tenant).await;
            entries.extend(tenant);
        }
        let drained = repository.drain(CancellationToken::new()).await;
        let drained = drained.expect("everything is shadowed");
        assert_eq!(drained.shadowed, entries.len() as u64);
        Self {
            _database: database,
            store,
            bucket,
            entries,
        }
    }

    /// Reads every object.
    pub async fn read_all(&self) {
        read_all(&self.bucket, &self.entries).await;
    }

    /// Entries a second since then.
    pub fn per_second(&self, begin: Instant) -> f64 {
        per_second(&self.entries, begin)
    }
}

async fn read_all(bucket: &str, entries: &[Entry]) {
    let store = bucket::open(bucket).await;
    let keys = entries.iter().map(|entry| {
        let meta = &entry.meta;
        let key = snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch);
        (key, entry.content.len())
    });
    let keys = keys.collect();
    bucket::each(keys, move |(key, size)| {
        let store = Arc::clone(&store);
        async move {
            let object = store.get(&key, u64::MAX).await;
            let object = object.expect("the store answers").expect("it is there");
            assert!(object.bytes.len() > size);
        }
    })
    .await;
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn per_second(entries: &[Entry], begin: Instant) -> f64 {
    entries.len() as f64 / begin.elapsed().as_secs_f64()
}

impl Lost {
    async fn make(size: (usize, u64)) -> Self {
        let Held {
            bucket, entries, ..
        } = Held::make(size).await;
        Self { bucket, entries }
    }

    /// The least: every object is read, and the rows are inserted in one statement.
    async fn floor(&self) -> f64 {
        let (database, _) = fresh().await;
        let mut owner = database.connect(&database.owner()).await;
        run(&mut owner, TABLE.to_owned()).await;
        let pool = PgPool::connect(&database.url(&database.owner())).await;
        let pool = pool.expect("the server answers");
        let begin = Instant::now();
        read_all(&self.bucket, &self.entries).await;
        insert(&pool, &self.entries).await;
        let rate = per_second(&self.entries, begin);
        pool.close().await;
        rate
    }

    async fn recover(&self) -> f64 {
        let (_database, store) = fresh().await;
        let bucket = bucket::open(&self.bucket).await;
        let repository = bucket::repository(Arc::new(store.clone()), bucket);
        let begin = Instant::now();
        let restored = recover(&repository).await;
        let rate = per_second(&self.entries, begin);
        assert_eq!(restored, self.entries.len() as u64);
        store.close().await;
        rate
    }
}

/// An empty database that nobody claimed.
async fn fresh() -> (TestDatabase, PostgresDatabase) {
    let database = cluster().database();
    database.migrate().await;
    let store = database.adapter(&database.app()).await;
    (database, store)
}

async fn insert(pool: &PgPool, entries: &[Entry]) {
    fn each<'a, T>(entries: &'a [Entry], get: impl Fn(&'a Entry) -> T) -> Vec<T> {
        entries.iter().map(get).collect()
    }
    let done = sqlx::query(INSERT)
        .bind(each(entries, |entry| entry.meta.tenant.as_str()))
        .bind(each(entries, |entry| entry.meta.stream.code()))
        .bind(each(entries, |entry| entry.meta.seq.to_i64()))
        .bind(each(entries, |entry| entry.meta.id.0.as_bytes().as_slice()))
        .bind(each(entries, |entry| entry.meta.epoch.to_i64()))
        .bind(each(entries, |entry| {
            entry.meta.checksum.as_bytes().as_slice()
        }))
        .bind(each(entries, |entry| {
            entry.meta.chain.as_bytes().as_slice()
        }))
        .bind(each(entries, |entry| entry.meta.created_at.as_micros()))
        .bind(each(entries, |entry| entry.meta.committed_at.as_micros()))
        .bind(each(entries, |entry| {
            entry.meta.created_by.as_ref().map(ShortText::as_str)
        }))
        .bind(each(entries, |entry| {
            entry.meta.message.as_ref().map(ShortText::as_str)
        }))
        .bind(each(entries, |entry| entry.content.as_bytes()))
        .execute(pool)
        .await
        .expect("the floor inserts");
    assert_eq!(done.rows_affected(), entries.len() as u64);
}

/// Recovers every tenant, and tells how many entries came back.
async fn recover(repository: &HybridManifestRepository) -> u64 {
    let (request, progress) = (RecoveryRequest::default(), Progress::default());
    let report = repository.recover_all(&request, &progress).await;
    let report = report.expect("the recovery runs");
    assert_eq!(report.unfinished, None);
    let outcomes = report.tenants.into_iter().map(|(_, outcome)| outcome);
    outcomes
        .map(|outcome| outcome.expect("the tenant is recovered").restored)
        .sum()
}

async fn throughput() -> Comparison {
    let lost = Lost::make((TENANTS, VERSIONS)).await;
    interleave(|| lost.floor(), || lost.recover()).await
}

async fn many() -> Comparison {
    let lost = Lost::make(many_small()).await;
    take_turns(TURNS, || lost.floor(), || lost.recover()).await
}

/// The peak of a process that does nothing else.
async fn memory() -> Comparison {
    let lost = Lost::make((TENANTS, VERSIONS)).await;
    let (database, _) = fresh().await;
    let this = std::env::current_exe().expect("this program has a name");
    let output = Command::new(this)
        .arg(ALONE)
        .arg(database.url(&database.app()))
        .arg(localstack().endpoint())
        .arg(&lost.bucket)
        .stderr(Stdio::inherit())
        .output()
        .expect("this program runs once more");
    assert!(output.status.success(), "{}", output.status);
    let kibibytes = String::from_utf8(output.stdout).expect("a number is text");
    let kibibytes: f64 = kibibytes.trim().parse().expect("a number of KiB");
    Comparison {
        floor: MEMORY,
        driftline: kibibytes / 1024.0,
    }
}

/// Recovers and prints the peak of the resident memory in KiB, if that is what this process was started for.
pub fn in_a_process_of_its_own() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip_while(|argument| argument != ALONE);
    arguments.next()?;
    let mut argument = || arguments.next().expect("a URL, an endpoint and a bucket");
    let (url, endpoint, bucket) = (argument(), argument(), argument());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let restored = runtime.block_on(async {
        let database = PostgresDatabase::connect(&url, PostgresOptions::default()).await;
        let url = format!("s3://{bucket}/{}", bucket::PREFIX);
        let bucket = S3SnapshotStore::connect(&url, &options(endpoint)).await;
        let (database, bucket) = (database.expect("a good URL"), bucket.expect("a good URL"));
        recover(&bucket::repository(Arc::new(database), Arc::new(bucket))).await
    });
    assert_eq!(restored, TENANTS as u64 * VERSIONS);
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.expect("the peak").trim().trim_end_matches(" kB"));
    Some(ExitCode::SUCCESS)
}
