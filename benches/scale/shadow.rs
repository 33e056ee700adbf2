//! From the commit of a write to the index that names it, while others write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::domain::format::{Index, index_key};
use driftline::domain::{Seq, Stream, TenantId};
use driftline::ports::{
    BackendInfo, Inspection, Listing, Object, Precondition, PutOutcome, SnapshotStore, StoreResult,
};
use driftline::prelude::*;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::bucket;
use crate::crowd::{self, active};
use crate::database::{content, create};
use crate::harness::{Aim, Comparison, Row, Unit, size};

/// Writes a second, as many as are due, whatever became of those before.
const RATE: u32 = 500;

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "shadowing a write at 500 writes/s, p50",
            unit: Unit::Milliseconds,
            aim: Aim::Measured(250.0),
            measure: || Box::pin(async { latency().await.0 }),
        },
        Row {
            name: "shadowing a write at 500 writes/s, p99",
            unit: Unit::Milliseconds,
            aim: Aim::Measured(1000.0),
            measure: || Box::pin(async { latency().await.1 }),
        },
    ]
}

/// A bucket in memory that notices when an index names a version.
#[derive(Debug, Default)]
pub struct Noticing {
    inner: MemorySnapshotStore,
    named: Mutex<BTreeMap<TenantId, Vec<(Seq, Instant)>>>,
}

impl Noticing {
    fn notice(&self, key: &str, bytes: &[u8]) {
        let Some((tenant, "index.json")) = key.split_once('/') else {
            return;
        };
        let Ok(tenant) = tenant.parse::<TenantId>() else {
            return;
        };
        debug_assert_eq!(key, index_key(&tenant, Stream::Manifests));
        let index = Index::parse(&tenant, Stream::Manifests, bytes).expect("an index is written");
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let named = named.entry(tenant).or_default();
        named.push((index.latest(), Instant::now()));
    }

    /// When an index named this version first.
    fn named_at(&self, tenant: &TenantId, version: Seq) -> Option<Instant> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let first = named.get(tenant)?.iter().find(|(seq, _)| *seq >= version);
        first.map(|(_, at)| *at)
    }
}

#[async_trait]
impl SnapshotStore for Noticing {
    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        self.inner.get(key, most).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let outcome = self.inner.put(key, bytes.clone(), condition).await?;
        if matches!(outcome, PutOutcome::Written(_)) {
            self.notice(key, &bytes);
        }
        Ok(outcome)
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.inner.delete(key).await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.inner.ping().await
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        self.inner.inspect(scratch).await
    }
}

/// Both quantiles of one run; the floor is what they are when each write waits for the one before to be shadowed.
async fn latency() -> (Comparison, Comparison) {
    static MEASURED: OnceCell<(Comparison, Comparison)> = OnceCell::const_new();
    *MEASURED.get_or_init(measure).await
}

async fn measure() -> (Comparison, Comparison) {
    let crowd = crowd::many().await;
    let repository = Arc::new(bucket::repository(
        Arc::new(crowd.bench.store.clone()),
        Arc::clone(&crowd.bucket) as _,
    ));
    repository.start();
    let write = {
        let (repository, content) = (Arc::clone(&repository), content());
        move |number: u32| {
            let (repository, content) = (Arc::clone(&repository), content.clone());
            async move {
                // A step that has no divisor in common with the number of tenants: every one has its turn.
                let tenant = active(number as usize * 7_919 % size(crowd::ACTIVE, 20));
                let created = repository.create_manifest(&tenant, create(&content)).await;
                let created = created.expect("the repository writes");
                (tenant, created.manifest.entry.meta.seq, Instant::now())
            }
        }
    };
    let mut alone = Vec::new();
    for number in 0..size(30, 3) {
        let written = write(number).await;
        alone.push(wait(&crowd.bucket, &written).await);
    }
    let begin = Instant::now();
    let mut writes = Vec::new();
    for number in 0..size(RATE * 15, RATE / 5) {
        tokio::time::sleep_until(begin + Duration::from_secs(1) * number / RATE).await;
        writes.push(tokio::spawn(write(number)));
    }
    let mut together = Vec::new();
    for write in writes {
        let written = write.await.expect("no task panics");
        together.push(wait(&crowd.bucket, &written).await);
    }
    let stopped = repository.shutdown(Duration::from_secs(30)).await;
    assert!(stopped.expect("the replicator lives"));
    let of = |part: f64| Comparison {
        floor: quantile(&mut alone.clone(), part),
        driftline: quantile(&mut together.clone(), part),
    };
    (of(0.50), of(0.99))
}

/// From the commit to the index that names it.
async fn wait(bucket: &Noticing, (tenant, version, at): &(TenantId, Seq, Instant)) -> Duration {
    loop {
        if let Some(named) = bucket.named_at(tenant, *version) {
            return named.saturating_duration_since(*at);
        }
        assert!(at.elapsed() < Duration::from_mins(2), "{tenant} is stuck");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
fn quantile(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = (times.len() as f64 * part) as usize;
    times[place.min(times.len() - 1)].as_secs_f64() * 1000.0
}
