//! A bucket that can only be read, and counts how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use driftline_ports::{
    BackendInfo, Fault, Inspection, Listing, Object, Precondition, PutOutcome, Side, SnapshotStore,
    StoreError, StoreResult,
};

/// Reads pass; everything else is refused here, and never reaches the store.
#[derive(Debug)]
pub(super) struct ReadOnly {
    store: Arc<dyn SnapshotStore>,
    gets: AtomicU64,
    lists: AtomicU64,
}

impl ReadOnly {
    pub(super) fn new(store: Arc<dyn SnapshotStore>) -> Self {
        Self {
            store,
            gets: AtomicU64::new(0),
            lists: AtomicU64::new(0),
        }
    }

    /// Requests that were sent, by method. A listing is a GET as well.
    pub(super) fn requests(&self) -> BTreeMap<String, u64> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sent = [
            ("GET", count(&self.gets) + count(&self.lists)),
            ("PUT", 0),
            ("DELETE", 0),
        ];
        sent.map(|(method, count)| (method.to_owned(), count))
            .into()
    }

    fn refuse<T>(what: &str, key: &str) -> StoreResult<T> {
        Err(StoreError::new(
            Side::Bucket,
            Fault::Refused,
            format!("{what} {key}: an audit only reads"),
        ))
    }
}

#[async_trait]
impl SnapshotStore for ReadOnly {
    fn prefix(&self) -> &str {
        self.store.prefix()
    }

    fn url(&self) -> String {
        self.store.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.store.get(key, most).await
    }

    async fn put(&self, key: &str, _: Bytes, _: Precondition) -> StoreResult<PutOutcome> {
        Self::refuse("write", key)
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.store.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        Self::refuse("delete", key)
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        Self::refuse("ping", "the store")
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        Self::refuse("inspect", scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty store that must not be written to.
    #[derive(Debug)]
    struct Guarded;

    #[async_trait]
    impl SnapshotStore for Guarded {
        fn prefix(&self) -> &'static str {
            ""
        }

        fn url(&self) -> String {
            "guarded:".to_owned()
        }

        async fn get(&self, _: &str, _: u64) -> StoreResult<Option<Object>> {
            Ok(None)
        }

        async fn put(&self, key: &str, _: Bytes, _: Precondition) -> StoreResult<PutOutcome> {
            panic!("{key} is written")
        }

        async fn list(&self, _: &str, _: Option<&str>, _: usize) -> StoreResult<Listing> {
            Ok(Listing::default())
        }

        async fn delete(&self, key: &str) -> StoreResult<()> {
            panic!("{key} is deleted")
        }

        async fn ping(&self) -> StoreResult<BackendInfo> {
            panic!("it is asked what it is")
        }

        async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
            panic!("it is tried out at {scratch}")
        }
    }

    #[tokio::test]
    async fn nothing_but_reads_reaches_the_store_and_they_are_counted() {
        let bucket = ReadOnly::new(Arc::new(Guarded));
        let refused = [
            bucket
                .put("key", Bytes::new(), Precondition::Absent)
                .await
                .map(drop),
            bucket.delete("key").await,
            bucket.ping().await.map(drop),
            bucket.inspect("scratch").await.map(drop),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().fault(), Fault::Refused);
        }
        assert!(bucket.get("key", 1).await.unwrap().is_none());
        assert!(bucket.get("other", 1).await.unwrap().is_none());
        assert!(bucket.list("", None, 10).await.unwrap().objects.is_empty());
        let requests = bucket.requests();
        let requests: Vec<_> = requests
            .iter()
            .map(|(method, count)| (&**method, *count))
            .collect();
        assert_eq!(requests, [("DELETE", 0), ("GET", 3), ("PUT", 0)]);
    }
}
