//! Shorthands of the bucket's cases.

use bytes::Bytes;
use driftline_ports::{ETag, Precondition, PutOutcome, SnapshotStore};

pub use super::Buckets;

pub const KEY: &str = "acme/versions/v000001.json";

pub async fn create(store: &dyn SnapshotStore, key: &str, bytes: impl Into<Bytes>) -> ETag {
    written(
        store
            .put(key, bytes.into(), Precondition::Absent)
            .await
            .unwrap(),
    )
}

pub async fn replace(
    store: &dyn SnapshotStore,
    etag: &ETag,
    bytes: impl Into<Bytes>,
) -> PutOutcome {
    store
        .put(KEY, bytes.into(), Precondition::Matches(etag.clone()))
        .await
        .unwrap()
}

pub async fn read(store: &dyn SnapshotStore, key: &str) -> Option<Bytes> {
    store
        .get(key, u64::MAX)
        .await
        .unwrap()
        .map(|object| object.bytes)
}

pub async fn keys(
    store: &dyn SnapshotStore,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<String>, bool) {
    let listing = store.list(prefix, after, limit).await.unwrap();
    (
        listing
            .objects
            .into_iter()
            .map(|object| object.key)
            .collect(),
        listing.more,
    )
}

pub fn written(outcome: PutOutcome) -> ETag {
    match outcome {
        PutOutcome::Written(etag) => etag,
        other => panic!("nothing was written: {other:?}"),
    }
}
