//! The hybrid core on memory adapters: one bucket, any number of databases and repositories, and a clock that follows tokio's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driftline::adapters::memory::{MemoryDatabase, MemorySnapshotStore};
use driftline::domain::format::{
    BUCKET_KEY, BucketIdentity, Index, Snapshot, index_key, snapshot_key,
};
use driftline::domain::{Entry, Seq, Stream, TenantId, Timestamp};
use driftline::hybrid::{Drained, HybridManifestRepository, Settings, Sides, Standing};
use driftline::ports::{
    Clock, CreateManifest, Created, Database, Entropy, Error, ManifestStore as _, Precondition,
    RecordApply, Recovery, RecoveryRequest, SnapshotStore,
};
use driftline::prelude::*;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use driftline_conformance::faults::FaultyStore;

/// Wall-clock time that moves with tokio's timer, so that a paused test moves both, and that can be set ahead.
#[derive(Debug)]
pub struct TestClock {
    start: Instant,
    /// Microseconds.
    ahead: AtomicU64,
}

impl TestClock {
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            ahead: AtomicU64::new(0),
        })
    }

    pub fn set_ahead(&self, ahead: Duration) {
        let ahead = u64::try_from(ahead.as_micros()).unwrap();
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_767_225_600_000_000)
            .unwrap()
            .saturating_add(self.start.elapsed())
            .saturating_add(Duration::from_micros(self.ahead.load(Ordering::Relaxed)))
    }
}

/// Identifiers that count up.
#[derive(Debug, Default)]
pub struct TestEntropy(AtomicU64);

impl Entropy for TestEntropy {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

/// One bucket, and what talks to it.
pub struct World {
    pub clock: Arc<TestClock>,
    pub entropy: Arc<TestEntropy>,
    pub memory: MemorySnapshotStore,
    pub bucket: FaultyStore,
    pub settings: Settings,
}

pub type Repository = Arc<HybridManifestRepository>;

impl World {
    pub fn new() -> Self {
        let memory = MemorySnapshotStore::new();
        Self {
            clock: TestClock::shared(),
            entropy: Arc::default(),
            bucket: FaultyStore::over(memory.clone()),
            memory,
            settings: Settings::default(),
        }
    }

    pub fn database(&self) -> Arc<MemoryDatabase> {
        Arc::new(MemoryDatabase::new(
            self.clock.clone(),
            self.entropy.clone(),
        ))
    }

    /// A repository on `database`, with the world's faulty bucket.
    pub fn repository(&self, database: &Arc<MemoryDatabase>) -> Repository {
        self.repository_on(database, Arc::new(self.bucket.clone()))
    }

    /// A repository on `database` that reaches the bucket by its own way.
    pub fn repository_on(
        &self,
        database: &Arc<MemoryDatabase>,
        snapshots: Arc<dyn SnapshotStore>,
    ) -> Repository {
        let database: Arc<dyn Database> = database.clone();
        let sides = Sides {
            database,
            snapshots,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
        };
        Arc::new(HybridManifestRepository::new(sides, self.settings.clone()))
    }

    /// A repository on a fresh database that has claimed the bucket.
    pub async fn claimed(&self) -> (Arc<MemoryDatabase>, Repository) {
        let database = self.database();
        let repository = self.repository(&database);
        assert!(matches!(
            repository.check_ownership().await.unwrap(),
            Standing::Owner(_)
        ));
        (database, repository)
    }

    pub async fn identity(&self) -> Option<BucketIdentity> {
        let object = self.memory.get(BUCKET_KEY, u64::MAX).await.unwrap()?;
        Some(BucketIdentity::parse(&object.bytes).unwrap())
    }

    pub async fn index(&self, tenant: &TenantId, stream: Stream) -> Option<Index> {
        let object = self
            .memory
            .get(&index_key(tenant, stream), u64::MAX)
            .await
            .unwrap()?;
        Some(Index::parse(tenant, stream, &object.bytes).unwrap())
    }

    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let listing = self.memory.list(prefix, None, 1000).await.unwrap();
        listing
            .objects
            .into_iter()
            .map(|object| object.key)
            .collect()
    }

    /// Every index equals its database, entry by entry, and the watermarks say so.
    pub async fn assert_settled(&self, database: &Arc<MemoryDatabase>, tenant: &TenantId) {
        let database: &dyn Database = database.as_ref();
        let state = database
            .tenant(tenant)
            .await
            .unwrap()
            .expect("the tenant exists");
        for stream in Stream::ALL {
            let head = state.heads[stream];
            assert_eq!(
                database.watermarks(tenant).await.unwrap()[stream],
                head.seq,
                "watermark of {stream}"
            );
            let index = self.index(tenant, stream).await;
            assert_eq!(
                index.as_ref().map_or(Seq::default(), Index::latest),
                head.seq,
                "index of {stream}"
            );
            if let Some(index) = index {
                assert_eq!(index.latest_chain(), head.chain, "chain of {stream}");
            }
        }
    }
}

pub fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub fn content(tag: &str) -> Vec<u8> {
    format!(r#"{{"schemaVersion":"1","tag":"{tag}","roles":[{{"id":"r1","name":"R"}}]}}"#)
        .into_bytes()
}

pub async fn create(repository: &Repository, tenant: &TenantId, tag: &str) -> Created {
    try_create(repository, tenant, tag).await.unwrap()
}

pub async fn try_create(
    repository: &Repository,
    tenant: &TenantId,
    tag: &str,
) -> Result<Created, Error> {
    let request = CreateManifest {
        content: content(tag),
        ..CreateManifest::default()
    };
    repository.create_manifest(tenant, request).await
}

pub async fn create_many(repository: &Repository, tenant: &TenantId, count: usize) {
    for number in 0..count {
        create(repository, tenant, &format!("{number}")).await;
    }
}

pub async fn apply(repository: &Repository, tenant: &TenantId, version: u64) {
    let resources = BTreeMap::from([(
        "roles".to_owned(),
        BTreeMap::from([("r1".to_owned(), "x1".to_owned())]),
    )]);
    let request = RecordApply {
        version: Seq::new(version),
        resources,
        allow_unknown: true,
        created_by: None,
        message: None,
        durability: driftline::ports::Durability::Committed,
    };
    repository.record_apply(tenant, request).await.unwrap();
}

pub async fn drain(repository: &Repository) -> Drained {
    repository.drain(CancellationToken::new()).await.unwrap()
}

pub async fn recover(repository: &Repository, tenant: &TenantId) -> Recovery {
    repository
        .recover_from_s3(tenant, &RecoveryRequest::default())
        .await
        .unwrap()
}

pub async fn recover_all(repository: &Repository) -> Vec<Recovery> {
    let report = repository
        .recover_all(
            &RecoveryRequest::default(),
            &driftline::hybrid::Progress::default(),
        )
        .await;
    let report = report.unwrap();
    assert_eq!(report.unfinished, None);
    report
        .tenants
        .into_iter()
        .map(|(_, outcome)| outcome.unwrap())
        .collect()
}

/// Puts a valid snapshot of another history where a version of `acme` belongs.
pub async fn put_strangers_snapshot(world: &World, version: usize) -> Entry {
    let elsewhere = World::new();
    let (database, repository) = elsewhere.claimed().await;
    for _ in 0..version {
        create(&repository, &tenant("acme"), "strange").await;
    }
    let seq = Seq::new(version as u64);
    let entry = database
        .entry(&tenant("acme"), Stream::Manifests, seq)
        .await
        .unwrap()
        .unwrap()
        .entry;
    world.memory.insert(
        &snapshot_key(&tenant("acme"), Stream::Manifests, seq, entry.meta.epoch),
        Snapshot::write(&entry),
    );
    entry
}

/// Puts an object over whatever is there.
pub async fn overwrite(store: &MemorySnapshotStore, key: &str, bytes: Vec<u8>) {
    let condition = match store.get(key, u64::MAX).await.unwrap() {
        Some(object) => Precondition::Matches(object.etag),
        None => Precondition::Absent,
    };
    store.put(key, bytes.into(), condition).await.unwrap();
}

/// Waits (in simulated time) until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..20_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{what} did not come about");
}
