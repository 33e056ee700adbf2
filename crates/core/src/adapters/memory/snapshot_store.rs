//! The bucket in memory: the guarantees of the real ones, and nothing that outlives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use driftline_ports::{
    BackendInfo, ETag, Folders, Inspection, Listed, Listing, Object, Precondition, PutOutcome,
    SnapshotStore, StoreResult, Verdict, within,
};

/// A bucket in memory. Clones, and views with another prefix, share its objects.
#[derive(Debug, Clone, Default)]
pub struct MemorySnapshotStore {
    prefix: String,
    bucket: Arc<Mutex<Bucket>>,
}

/// All objects of a bucket at one moment, to play a bucket that is replaced by an old copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketCopy(BTreeMap<String, Object>);

#[derive(Debug, Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    // Never goes back, not even with the objects: an ETag names one write.
    writes: u64,
}

impl Bucket {
    fn write(&mut self, key: String, bytes: Bytes) -> ETag {
        self.writes += 1;
        let etag = ETag(format!("{:016x}", self.writes));
        self.objects.insert(
            key,
            Object {
                bytes,
                etag: etag.clone(),
            },
        );
        etag
    }
}

impl MemorySnapshotStore {
    /// An empty bucket.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same bucket seen from `prefix`, which stands alone: it is not appended to this view's own.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        Self {
            prefix,
            bucket: Arc::clone(&self.bucket),
        }
    }

    /// All objects of the bucket, under every prefix.
    pub fn snapshot(&self) -> BucketCopy {
        BucketCopy(self.bucket().objects.clone())
    }

    /// Replaces all objects of the bucket by those of `copy`, with the ETags that they had.
    pub fn restore(&self, copy: &BucketCopy) {
        self.bucket().objects.clone_from(&copy.0);
    }

    /// Writes an object unconditionally, as an intruder would.
    pub fn insert(&self, key: &str, bytes: impl Into<Bytes>) -> ETag {
        self.bucket().write(self.full(key), bytes.into())
    }

    /// Removes an object, and returns its bytes.
    pub fn remove(&self, key: &str) -> Option<Bytes> {
        let object = self.bucket().objects.remove(&self.full(key))?;
        Some(object.bytes)
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // No method leaves the map half changed, whatever made another thread panic.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshotStore {
    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn url(&self) -> String {
        format!("memory:{}", self.prefix)
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let found = self.bucket().objects.get(&self.full(key)).cloned();
        found.map(|found| within(key, found, most)).transpose()
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let key = self.full(key);
        let mut bucket = self.bucket();
        let holds = match (&condition, bucket.objects.get(&key)) {
            (Precondition::Absent, there) => there.is_none(),
            (Precondition::Matches(etag), there) => there.is_some_and(|there| there.etag == *etag),
        };
        if !holds {
            return Ok(PutOutcome::PreconditionFailed);
        }
        Ok(PutOutcome::Written(bucket.write(key, bytes)))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let limit = limit.clamp(1, 1000);
        let prefix = self.full(prefix);
        let after = after.map(|after| self.full(after));
        let start = match &after {
            Some(after) if *after >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix.as_str()),
        };
        let bucket = self.bucket();
        let mut objects: Vec<Listed> = bucket
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix))
            .take(limit + 1)
            .map(|(key, object)| Listed {
                key: key[self.prefix.len()..].to_owned(),
                size: object.bytes.len() as u64,
            })
            .collect();
        let more = objects.len() > limit;
        objects.truncate(limit);
        Ok(Listing {
            objects,
            more,
            ..Listing::default()
        })
    }

    async fn folders(&self, _from: Option<&str>) -> StoreResult<Folders> {
        let bucket = self.bucket();
        let keys = bucket.objects.keys();
        let tops = keys.filter_map(|key| key.strip_prefix(&self.prefix)?.split_once('/'));
        let names: BTreeSet<_> = tops.map(|(top, _)| top.to_owned()).collect();
        Ok(Folders {
            names: names.into_iter().collect(),
            next: None,
        })
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.remove(key);
        Ok(())
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        Ok(BackendInfo {
            version: "memory".to_owned(),
            now: None,
        })
    }

    async fn inspect(&self, _scratch: &str) -> StoreResult<Vec<Inspection>> {
        Ok(vec![Inspection {
            name: "durable",
            verdict: Verdict::Warn,
            detail: "objects are in memory and end with the process".to_owned(),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bucket_can_be_replaced_by_an_old_copy_of_itself() {
        let store = MemorySnapshotStore::new();
        let old = store.insert("a/x", "old");
        let copy = store.snapshot();
        store.insert("a/x", "new");
        store.insert("a/y", "later");
        store.restore(&copy);

        assert_eq!(store.snapshot(), copy);
        assert_eq!(store.get("a/y", 10).await.unwrap(), None);
        let put = store.put("a/x", "again".into(), Precondition::Matches(old.clone()));
        let PutOutcome::Written(etag) = put.await.unwrap() else {
            panic!("the old ETag matches")
        };
        assert_ne!(etag, old, "no ETag is given twice");
    }
}
