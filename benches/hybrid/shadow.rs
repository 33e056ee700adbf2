//! Shadowing a backlog of versions of 4 KiB.

use std::sync::Arc;

use bytes::Bytes;
use driftline::domain::Entry;
use driftline::domain::format::{Snapshot, snapshot_key};
use driftline::hybrid::Standing;
use driftline::ports::{
    Database, Precondition, PutOutcome, RecoveryStore, ShadowLedger, SnapshotStore,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bucket;
use crate::database::{Bench, content, tenant};
use crate::harness::{Aim, Comparison, Row, Unit, interleave};
use crate::history;

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "shadow 2,000 versions",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.90),
            measure: || Box::pin(throughput(1, 2000)),
        },
        Row {
            name: "shadow 2,000 versions, requests",
            unit: Unit::RequestsPerVersion,
            aim: Aim::Ratio(1.05),
            measure: || Box::pin(requests(1, 2000)),
        },
        Row {
            name: "shadow 20 tenants × 100 versions",
            unit: Unit::PerSecond,
            aim: Aim::Ratio(0.90),
            measure: || Box::pin(throughput(20, 100)),
        },
        Row {
            name: "shadow 20 tenants × 100 versions, requests",
            unit: Unit::RequestsPerVersion,
            aim: Aim::Ratio(1.05),
            measure: || Box::pin(requests(20, 100)),
        },
    ]
}

/// A database with a backlog, and the same as objects.
struct Backlog {
    bench: Bench,
    objects: Vec<(String, Bytes)>,
}

impl Backlog {
    async fn fill(tenants: usize, versions: u64) -> Self {
        let (bench, content) = (Bench::open().await, content());
        let identity = bench.store.identity().await.expect("the store answers");
        let bucket = identity.bucket_id.expect("the database is claimed");
        let mut objects = Vec::new();
        for number in 0..tenants {
            let entries = history::history(&tenant(number), versions, &content);
            history::store(&bench.store, bucket, &entries).await;
            objects.extend(entries.iter().map(object));
        }
        Self { bench, objects }
    }

    /// The least: every object is sent once, under the same condition, with the same checksum.
    async fn floor(&self) -> f64 {
        let store = bucket::empty().await;
        let begin = Instant::now();
        bucket::each(self.objects.clone(), move |(key, bytes)| {
            let store = Arc::clone(&store);
            async move {
                let put = store.put(&key, bytes, Precondition::Absent).await;
                assert!(matches!(put, Ok(PutOutcome::Written(_))), "{put:?}");
            }
        })
        .await;
        self.per_second(begin)
    }

    /// Shadows everything into a bucket that is new. Returns the versions per second, and the requests.
    async fn shadow(&self) -> (f64, u64) {
        let bucket = bucket::empty().await;
        let database: Arc<dyn Database> = Arc::new(self.bench.store.clone());
        let repository = bucket::repository(database, bucket.clone());
        // With another bucket everything is pending again.
        let standing = repository.check_ownership().await;
        let Ok(Standing::Owner(owned)) = standing else {
            panic!("{standing:?}");
        };
        let probed = self.bench.store.record_probe(owned.bucket_id).await;
        probed.expect("the probe is on record");
        let before = bucket.requests();
        let begin = Instant::now();
        // In a task of its own, as the background replicator is.
        let drained =
            tokio::spawn(async move { repository.drain(CancellationToken::new()).await }).await;
        let rate = self.per_second(begin);
        let drained = drained.expect("the drain does not panic");
        let drained = drained.expect("the backlog is shadowed");
        assert_eq!(drained.shadowed, self.objects.len() as u64);
        (rate, bucket.requests() - before)
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn per_second(&self, begin: Instant) -> f64 {
        self.objects.len() as f64 / begin.elapsed().as_secs_f64()
    }
}

fn object(entry: &Entry) -> (String, Bytes) {
    let meta = &entry.meta;
    (
        snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch),
        Snapshot::write(entry),
    )
}

async fn throughput(tenants: usize, versions: u64) -> Comparison {
    let backlog = Backlog::fill(tenants, versions).await;
    interleave(|| backlog.floor(), async || backlog.shadow().await.0).await
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn requests(tenants: usize, versions: u64) -> Comparison {
    let backlog = Backlog::fill(tenants, versions).await;
    let (_, requests) = backlog.shadow().await;
    Comparison {
        floor: 1.0,
        driftline: requests as f64 / backlog.objects.len() as f64,
    }
}
