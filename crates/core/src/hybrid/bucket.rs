//! The bucket in the words of the model: identities, indexes, pages and snapshots instead of keys and bytes.
//!
//! Every read is verified, and read once more before damage is believed: a torn answer is not a damaged object. Conditional
//! writes are retried here and nowhere else. After an answer that was lost the object is read back; if that fails too, the
//! outcome stays unknown and is reported so. Nothing is overwritten or deleted on doubt.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;

use super::blocking::off_thread;
use driftline_model::format::{
    BUCKET_KEY, BucketIdentity, Damage, Index, IndexEntry, Page, Problem, Snapshot, index_key,
    most_bytes, most_bytes_of, most_bytes_to_move, page_key,
};
use driftline_model::{Stream, TenantId};
use driftline_ports::{
    ETag, Error, Fault, Object, Oversize, Precondition, PutOutcome, Side, SnapshotStore, StoreError,
};

/// How often an index that is damaged is looked at again until two looks agree on which one it is.
const LOOKS: usize = 4;

/// A failed read or write of the bucket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BucketError {
    /// The store failed.
    #[error("{}", .0.report())]
    Store(StoreError),
    /// What the store returned is not what it should be.
    #[error(transparent)]
    Damage(#[from] Damage),
}

impl From<StoreError> for BucketError {
    fn from(error: StoreError) -> Self {
        match error.oversize() {
            Some(Oversize {
                key, size, most, ..
            }) => {
                let (size, most) = (*size, *most);
                Self::Damage(Damage::new(key, Problem::TooLarge { size, most }))
            }
            None => Self::Store(error),
        }
    }
}

impl From<BucketError> for Error {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::Store(error) => error.into(),
            BucketError::Damage(damage) => damage.into(),
        }
    }
}

pub(crate) type BucketResult<T> = Result<T, BucketError>;

/// What a create-only write found.
#[derive(Debug)]
pub(crate) enum Created {
    /// The object is there with these very bytes.
    Written,
    /// Another object is there.
    Exists(Object),
}

/// What a compare-and-set did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// The object is there with these very bytes.
    Written(ETag),
    /// Something else is there by now.
    Moved,
}

/// A verified view of a [`SnapshotStore`].
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<dyn SnapshotStore>,
}

impl Bucket {
    pub(crate) fn new(store: Arc<dyn SnapshotStore>) -> Self {
        Self { store }
    }

    pub(crate) fn store(&self) -> &dyn SnapshotStore {
        self.store.as_ref()
    }

    /// Whose bucket this is; `None` when nobody claimed it.
    pub(crate) async fn identity(&self) -> BucketResult<Option<(BucketIdentity, ETag)>> {
        self.read(BUCKET_KEY, |object| BucketIdentity::parse(&object.bytes))
            .await
    }

    /// A stream's index.
    pub(crate) async fn index(
        &self,
        tenant: &TenantId,
        stream: Stream,
    ) -> BucketResult<Option<(Index, ETag)>> {
        let of = tenant.clone();
        self.read(&index_key(tenant, stream), move |object| {
            Index::parse(&of, stream, &object.bytes)
        })
        .await
    }

    /// A stream's index, or what is wrong with it, and the version of the very object that was looked at: whoever replaces what is
    /// damaged must not meet an index that somebody made up anew meanwhile.
    pub(crate) async fn index_or_damage(
        &self,
        tenant: &TenantId,
        stream: Stream,
    ) -> BucketResult<(Option<Result<Index, Damage>>, Option<ETag>)> {
        let damage = match self.index(tenant, stream).await {
            Ok(Some((index, etag))) => return Ok((Some(Ok(index)), Some(etag))),
            Ok(None) => return Ok((None, None)),
            Err(BucketError::Damage(damage)) => damage,
            Err(error) => return Err(error),
        };
        // This answer may be torn as well, and of an index that is whole by now: two of the same version have to agree.
        let (key, mut seen) = (index_key(tenant, stream), None);
        for _ in 0..LOOKS {
            let etag = match self.store.get(&key, most_bytes(&key)).await {
                Ok(Some(object)) => {
                    let (of, etag) = (tenant.clone(), object.etag.clone());
                    let parsed = off_thread(object.bytes.len(), move || {
                        Index::parse(&of, stream, &object.bytes)
                    });
                    match parsed.await {
                        Ok(index) => return Ok((Some(Ok(index)), Some(etag))),
                        Err(found) if seen.as_ref() == Some(&etag) => {
                            return Ok((Some(Err(found)), Some(etag)));
                        }
                        Err(_) => etag,
                    }
                }
                Ok(None) => return Ok((Some(Err(damage)), None)),
                Err(error) => match error.oversize() {
                    Some(Oversize {
                        etag: Some(etag), ..
                    }) => return Ok((Some(Err(damage)), Some(etag.clone()))),
                    _ => return Err(error.into()),
                },
            };
            seen = Some(etag);
        }
        let message = format!("read {key}: it is damaged, and another one at each look");
        Err(StoreError::new(Side::Bucket, Fault::Unavailable, message).into())
    }

    /// A sealed page. The index says that it is there, so absence is damage.
    pub(crate) async fn page(
        &self,
        tenant: &TenantId,
        stream: Stream,
        number: u64,
    ) -> BucketResult<Page> {
        let key = page_key(tenant, stream, number);
        let of = tenant.clone();
        let page = self
            .read(&key, move |object| {
                Page::parse(&of, stream, number, &object.bytes)
            })
            .await?;
        page.map(|(page, _)| page)
            .ok_or_else(|| Damage::new(&key, Problem::Missing).into())
    }

    /// The snapshot that an index names, verified against everything the index says of it.
    pub(crate) async fn snapshot(&self, named: &IndexEntry) -> BucketResult<Snapshot> {
        let (key, most) = (named.key(), named.object_bytes);
        let (place, meta, sha256) = (key.clone(), named.meta.clone(), named.object_sha256);
        let verify = move |object: &Object| {
            let key = &place;
            Damage::check_object(key, sha256, &object.bytes)?;
            let snapshot = Snapshot::parse(&meta.tenant, meta.stream, key, &object.bytes)?;
            Damage::check(key, "the chain", meta.chain, snapshot.entry.meta.chain)?;
            Damage::check(
                key,
                "the checksum",
                meta.checksum,
                snapshot.entry.meta.checksum,
            )?;
            Damage::check(
                key,
                "the identity",
                meta.identity(),
                snapshot.entry.meta.identity(),
            )?;
            Ok(snapshot)
        };
        let most = most_bytes_of(&key, most);
        let snapshot = self.read_within(&key, most, verify).await?;
        snapshot
            .map(|(snapshot, _)| snapshot)
            .ok_or_else(|| Damage::new(&key, Problem::Missing).into())
    }

    /// A snapshot that no index vouches for: only its own checksum and its place are verified.
    pub(crate) async fn unnamed_snapshot(
        &self,
        tenant: &TenantId,
        stream: Stream,
        key: &str,
    ) -> BucketResult<Option<Snapshot>> {
        let (of, place) = (tenant.clone(), key.to_owned());
        let read = self
            .read(key, move |object| {
                Snapshot::parse(&of, stream, &place, &object.bytes)
            })
            .await?;
        Ok(read.map(|(snapshot, _)| snapshot))
    }

    /// Reads an object of any kind, within the bound of that kind.
    pub(crate) async fn get(&self, key: &str) -> BucketResult<Option<Object>> {
        Ok(self.store.get(key, most_bytes(key)).await?)
    }

    /// Reads an object that is to be moved away: it may be larger than what belongs there.
    pub(crate) async fn get_to_move(&self, key: &str) -> BucketResult<Option<Object>> {
        Ok(self.store.get(key, most_bytes_to_move(key)).await?)
    }

    /// Reads and parses an object. One that does not verify is read once more: the answer may have been torn. What is long is
    /// parsed on a thread of its own.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        key: &str,
        parse: impl Fn(&Object) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> BucketResult<Option<(T, ETag)>> {
        self.read_within(key, most_bytes(key), parse).await
    }

    async fn read_within<T: Send + 'static>(
        &self,
        key: &str,
        most: u64,
        parse: impl Fn(&Object) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> BucketResult<Option<(T, ETag)>> {
        let parse = Arc::new(parse);
        let parsed = |object: Object| {
            let parse = Arc::clone(&parse);
            off_thread(object.bytes.len(), move || {
                parse(&object).map(|value| (value, object.etag))
            })
        };
        let Some(object) = self.store.get(key, most).await? else {
            return Ok(None);
        };
        match parsed(object).await {
            Ok(value) => Ok(Some(value)),
            Err(_) => match self.store.get(key, most).await? {
                Some(again) => Ok(Some(parsed(again).await?)),
                None => Ok(None),
            },
        }
    }

    /// Writes an immutable object (`If-None-Match: *`).
    pub(crate) async fn create(&self, key: &str, bytes: &Bytes) -> BucketResult<Created> {
        let mut delays = retries();
        loop {
            let unknown = match self
                .store
                .put(key, bytes.clone(), Precondition::Absent)
                .await
            {
                Ok(PutOutcome::Written(_)) => return Ok(Created::Written),
                Ok(PutOutcome::PreconditionFailed) => None,
                Ok(PutOutcome::Conflict) => {
                    wait(&mut delays, conflict(key)).await?;
                    continue;
                }
                Err(error) if error.fault() == Fault::OutcomeUnknown => Some(error),
                Err(error) => return Err(error.into()),
            };
            // Something is there, or may be: our own write whose answer was lost, or somebody else's.
            let most = most_bytes(key).max(bytes.len() as u64);
            match self.store.get(key, most).await.map_err(BucketError::from) {
                Ok(Some(found)) if found.bytes == *bytes => return Ok(Created::Written),
                Ok(Some(found)) => return Ok(Created::Exists(found)),
                Ok(None) => wait(&mut delays, unknown.unwrap_or_else(|| conflict(key))).await?,
                Err(error) => return Err(unknown.map_or(error, Into::into)),
            }
        }
    }

    /// Replaces an object if it still is `seen` (`If-Match`; `If-None-Match: *` when there was none).
    pub(crate) async fn swap(
        &self,
        key: &str,
        bytes: &Bytes,
        seen: Option<&ETag>,
    ) -> BucketResult<Swapped> {
        let condition = seen.map_or(Precondition::Absent, |etag| {
            Precondition::Matches(etag.clone())
        });
        let mut delays = retries();
        loop {
            let unknown = match self.store.put(key, bytes.clone(), condition.clone()).await {
                Ok(PutOutcome::Written(etag)) => return Ok(Swapped::Written(etag)),
                Ok(PutOutcome::PreconditionFailed) => None,
                Ok(PutOutcome::Conflict) => {
                    wait(&mut delays, conflict(key)).await?;
                    continue;
                }
                Err(error) if error.fault() == Fault::OutcomeUnknown => Some(error),
                Err(error) => return Err(error.into()),
            };
            match self.get(key).await {
                Ok(Some(found)) if found.bytes == *bytes => {
                    return Ok(Swapped::Written(found.etag));
                }
                // Unanswered and not there: the same request again is safe, since its condition still holds or fails.
                Ok(found)
                    if unknown.is_some() && found.as_ref().map(|found| &found.etag) == seen =>
                {
                    wait(&mut delays, unknown.unwrap_or_else(|| conflict(key))).await?;
                }
                Ok(_) => return Ok(Swapped::Moved),
                Err(error) => return Err(unknown.map_or(error, Into::into)),
            }
        }
    }
}

/// The delays between tries of one conditional write.
fn retries() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_times(4)
        .build()
}

/// Waits before the next try, or gives up with `error`.
async fn wait(
    delays: &mut impl Iterator<Item = Duration>,
    error: StoreError,
) -> Result<(), StoreError> {
    match delays.next() {
        Some(delay) => {
            tokio::time::sleep(delay).await;
            Ok(())
        }
        None => Err(error),
    }
}

fn conflict(key: &str) -> StoreError {
    StoreError::new(
        Side::Bucket,
        Fault::Unavailable,
        format!("write {key}: concurrent requests got in the way"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    use async_trait::async_trait;

    use super::*;
    use crate::hybrid::blocking::IN_PLACE;
    use driftline_ports::{BackendInfo, Inspection, Listing, StoreResult};

    /// One object of this size at every key.
    #[derive(Debug)]
    struct Filled(usize);

    #[async_trait]
    impl SnapshotStore for Filled {
        fn prefix(&self) -> &'static str {
            ""
        }

        fn url(&self) -> String {
            String::new()
        }

        async fn get(&self, _key: &str, _most: u64) -> StoreResult<Option<Object>> {
            Ok(Some(Object {
                bytes: vec![b'x'; self.0].into(),
                etag: ETag("x".to_owned()),
            }))
        }

        async fn put(&self, _: &str, _: Bytes, _: Precondition) -> StoreResult<PutOutcome> {
            unreachable!("it is only read")
        }

        async fn list(&self, _: &str, _: Option<&str>, _: usize) -> StoreResult<Listing> {
            unreachable!("it is only read")
        }

        async fn delete(&self, _: &str) -> StoreResult<()> {
            unreachable!("it is only read")
        }

        async fn ping(&self) -> StoreResult<BackendInfo> {
            unreachable!("it is only read")
        }

        async fn inspect(&self, _: &str) -> StoreResult<Vec<Inspection>> {
            unreachable!("it is only read")
        }
    }

    /// On which threads an object of this size is parsed, the second look included.
    async fn parsed_on(bytes: usize) -> Vec<ThreadId> {
        let bucket = Bucket::new(Arc::new(Filled(bytes)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&seen);
        let read = bucket.read("acme/versions/v000001.json", move |_| {
            note.lock().unwrap().push(thread::current().id());
            Err::<(), _>(Damage::malformed("key", "read it again"))
        });
        assert!(read.await.is_err());
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[tokio::test]
    async fn a_long_object_is_parsed_on_a_thread_of_its_own() {
        let here = thread::current().id();
        assert_eq!(parsed_on(IN_PLACE).await, [here; 2]);
        let long = parsed_on(IN_PLACE + 1).await;
        assert_eq!(long.len(), 2);
        assert!(!long.contains(&here));
    }
}
