//! The bucket's calls, counted.

use async_trait::async_trait;
use bytes::Bytes;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::ports::{
    BackendInfo, Fault, Inspection, Listing, Object, Precondition, PutOutcome, Side, SnapshotStore,
    StoreError, StoreResult,
};

use crate::calls::{Calls, Class, Flaw};

/// A bucket of which one call goes wrong.
#[derive(Debug)]
pub struct SpoiltBucket {
    pub inner: MemorySnapshotStore,
    pub calls: Calls,
}

impl SpoiltBucket {
    async fn call<T>(
        &self,
        class: Class,
        what: String,
        work: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        self.calls.call(Side::Bucket, class, what, work).await
    }
}

#[async_trait]
impl SnapshotStore for SpoiltBucket {
    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let flaw = self.calls.begin(Class::Get, format!("GET {key}"));
        let work = self.inner.get(key, most);
        let mut read = self.calls.meet(Side::Bucket, flaw, work).await?;
        if let (Some(Flaw::Torn), Some(object)) = (flaw, &mut read) {
            object.bytes.truncate(object.bytes.len() / 2);
        }
        Ok(read)
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let flaw = self.calls.begin(Class::Put, format!("PUT {key}"));
        match flaw {
            Some(Flaw::Conflict) => return Ok(PutOutcome::Conflict),
            Some(Flaw::OwnPrecondition) => {
                self.inner.put(key, bytes, condition).await?;
                return Ok(PutOutcome::PreconditionFailed);
            }
            Some(Flaw::Late | Flaw::VeryLate) => {
                self.calls.later((key.to_owned(), bytes, condition));
                let message = "injected: late";
                return Err(StoreError::new(
                    Side::Bucket,
                    Fault::OutcomeUnknown,
                    message,
                ));
            }
            _ => {}
        }
        let work = self.inner.put(key, bytes, condition);
        self.calls.meet(Side::Bucket, flaw, work).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let work = self.inner.list(prefix, after, limit);
        self.call(Class::Read, format!("LIST {prefix}"), work).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let work = self.inner.delete(key);
        self.call(Class::Write, format!("DELETE {key}"), work).await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        let work = self.inner.ping();
        self.call(Class::Read, "PING".to_owned(), work).await
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        let work = self.inner.inspect(scratch);
        self.call(Class::Read, "INSPECT".to_owned(), work).await
    }
}
