//! A bucket that could not be opened: every call says so, and none has an effect.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use driftline_ports::{
    BackendInfo, Fault, Inspection, Listing, Object, Precondition, PutOutcome, Side, SnapshotStore,
    StoreError, StoreResult,
};

/// Stands in for a bucket that is not usable now, so that a write is committed all the same.
#[derive(Debug)]
pub struct Unusable {
    url: String,
    fault: Fault,
    reason: String,
}

impl Unusable {
    /// A stand-in for the bucket at `url`, which failed to open.
    pub fn new(url: &impl Debug, error: &StoreError) -> Self {
        Self {
            url: format!("{url:?}"),
            fault: error.fault(),
            reason: error.report(),
        }
    }

    fn error<T>(&self) -> StoreResult<T> {
        Err(StoreError::new(Side::Bucket, self.fault, &*self.reason))
    }
}

#[async_trait]
impl SnapshotStore for Unusable {
    fn prefix(&self) -> &'static str {
        ""
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    async fn get(&self, _: &str, _: u64) -> StoreResult<Option<Object>> {
        self.error()
    }

    async fn put(&self, _: &str, _: Bytes, _: Precondition) -> StoreResult<PutOutcome> {
        self.error()
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> StoreResult<Listing> {
        self.error()
    }

    async fn delete(&self, _: &str) -> StoreResult<()> {
        self.error()
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.error()
    }

    async fn inspect(&self, _: &str) -> StoreResult<Vec<Inspection>> {
        self.error()
    }
}
