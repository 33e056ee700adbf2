//! Buckets in LocalStack, and how often they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use driftline::adapters::s3::S3SnapshotStore;
use driftline::adapters::system::System;
use driftline::hybrid::{HybridManifestRepository, Settings, Sides};
use driftline::ports::{
    BackendInfo, Database, Inspection, Listing, Object, Precondition, PutOutcome, SnapshotStore,
    StoreResult,
};
use futures::stream::{self, StreamExt};

use crate::support::localstack::store;
use driftline_conformance::services::localstack;

/// What stands before every key.
pub const PREFIX: &str = "bench";

/// Requests that either side has under way at once.
pub fn concurrency() -> usize {
    Settings::default().concurrent_requests
}

/// A store that counts what it is asked.
#[derive(Debug)]
pub struct Counted {
    inner: S3SnapshotStore,
    requests: AtomicU64,
}

/// An empty bucket.
pub async fn empty() -> Arc<Counted> {
    open(&localstack().fresh_bucket()).await
}

/// A bucket with what is in it, by new connections.
pub async fn open(bucket: &str) -> Arc<Counted> {
    Arc::new(Counted {
        inner: store(bucket, PREFIX).await,
        requests: AtomicU64::new(0),
    })
}

/// A repository on these sides, without a background replicator.
pub fn repository(
    database: Arc<dyn Database>,
    bucket: Arc<dyn SnapshotStore>,
) -> HybridManifestRepository {
    let sides = Sides {
        database,
        snapshots: bucket,
        clock: Arc::new(System),
        entropy: Arc::new(System),
    };
    HybridManifestRepository::new(sides, Settings::default())
}

/// Runs `once` for every item, as many at once as driftline does, in as many tasks.
pub async fn each<I, T, O>(items: Vec<I>, once: T)
where
    I: Send + 'static,
    T: Fn(I) -> O + Clone + Send + 'static,
    O: Future<Output = ()> + Send + 'static,
{
    stream::iter(items)
        .map(|item| tokio::spawn(once(item)))
        .buffer_unordered(concurrency())
        .for_each(|done| async { done.expect("no task panics") })
        .await;
}

impl Counted {
    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn count(&self) -> &S3SnapshotStore {
        self.requests.fetch_add(1, Ordering::Relaxed);
        &self.inner
    }
}

#[async_trait]
impl SnapshotStore for Counted {
    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        self.count().get(key, most).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        self.count().put(key, bytes, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        self.count().list(prefix, after, limit).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.count().delete(key).await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.count().ping().await
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        self.count().inspect(scratch).await
    }
}
