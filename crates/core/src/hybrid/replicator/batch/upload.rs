//! The immutable objects of a batch: snapshots and pages are created, or adopted where they are already.

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Batch, BatchError, LOOKS};
use crate::hybrid::blocking::snapshot_of;
use crate::hybrid::bucket::{Bucket, BucketError, Created};
use crate::hybrid::crash;
use driftline_model::format::{Damage, IndexEntry, Page, Problem, page_key, snapshot_key};
use driftline_model::{Digest, Entry, Seq, Stream};
use driftline_ports::{Fault, Side, StoreError};

impl Batch<'_> {
    /// Creates the rows' snapshots, several at once, and adopts those that are there already. When that takes long the last
    /// rows are left for the next batch: what is there gets its place in the index while the lease still holds.
    pub(super) async fn upload(
        &self,
        bucket: &Bucket,
        stream: Stream,
        rows: &[Entry],
    ) -> Result<Vec<IndexEntry>, BatchError> {
        let until = Instant::now() + self.settings.lease / 3;
        let in_time = |place: &usize| ready(*place == 0 || Instant::now() < until);
        // A tenant whose uploads take long may hold all that are shared: each has one that nobody can take.
        let own = &Semaphore::new(1);
        let mut entries: Vec<(usize, IndexEntry)> = stream::iter(0..rows.len())
            .take_while(in_time)
            .map(|place| async move {
                let _permit = tokio::select! {
                    biased;
                    own = own.acquire() => own,
                    shared = self.requests.acquire() => shared,
                };
                Ok::<_, BatchError>((place, self.create(bucket, stream, &rows[place]).await?))
            })
            .buffer_unordered(self.settings.concurrent_requests)
            .try_collect()
            .await?;
        entries.sort_unstable_by_key(|(place, _)| *place);
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn create(
        &self,
        bucket: &Bucket,
        stream: Stream,
        row: &Entry,
    ) -> Result<IndexEntry, BatchError> {
        let ((bytes, digest), meta) = (snapshot_of(row).await, &row.meta);
        let key = snapshot_key(&meta.tenant, stream, meta.seq, meta.epoch);
        let created = bucket
            .create(&key, &bytes)
            .await
            .map_err(|error| self.bucket_error(error))?;
        crash::point("batch-one-snapshot");
        let prefix = bucket.store().prefix();
        match created {
            Created::Written => Ok(IndexEntry::new(
                prefix,
                meta.clone(),
                bytes.len() as u64,
                digest,
            )),
            Created::Exists(_) => self.adopt_snapshot(bucket, row, &key, prefix).await,
        }
    }

    pub(super) async fn create_page(
        &self,
        bucket: &Bucket,
        stream: Stream,
        page: &Page,
    ) -> Result<(), BatchError> {
        let key = page_key(self.tenant(), stream, page.number);
        let created = bucket
            .create(&key, &page.to_bytes())
            .await
            .map_err(|error| self.bucket_error(error))?;
        match created {
            Created::Written => Ok(()),
            Created::Exists(_) => self.adopt_page(bucket, stream, page, &key).await,
        }
    }

    /// Another object is where the row's snapshot belongs. It is ours if it holds the same entry.
    async fn adopt_snapshot(
        &self,
        bucket: &Bucket,
        row: &Entry,
        key: &str,
        prefix: &str,
    ) -> Result<IndexEntry, BatchError> {
        let (meta, tenant) = (&row.meta, self.tenant());
        let found = match bucket.unnamed_snapshot(tenant, meta.stream, key).await {
            Ok(Some(found)) if found.entry.meta == *meta => {
                return Ok(IndexEntry::of(prefix, &found));
            }
            // It has our chain and members that the chain was not made of, or the other way round: no other history, but damage.
            // An index that named them would be one that nobody can read.
            Ok(Some(found)) if found.entry.meta.is_copy_of(meta) => {
                let damage = Damage::malformed(key, "its members are not those of its chain");
                self.persistent_damage(bucket, key, &snapshot_of(row).await.0, damage.into())
                    .await?
            }
            Ok(Some(found)) => found.entry.meta.chain,
            Ok(None) => {
                let message =
                    format!("write {key}: the store says both that it is there and that it is not");
                return Err(StoreError::new(Side::Bucket, Fault::Unavailable, message).into());
            }
            Err(error) => {
                self.persistent_damage(bucket, key, &snapshot_of(row).await.0, error)
                    .await?
            }
        };
        let reason = format!(
            "{key} in the bucket is not the database's {} of {}",
            meta.seq, meta.stream
        );
        Err(self.divergent(meta.stream, meta.seq, meta.chain, found, reason))
    }

    async fn adopt_page(
        &self,
        bucket: &Bucket,
        stream: Stream,
        page: &Page,
        key: &str,
    ) -> Result<(), BatchError> {
        let found = match bucket.page(self.tenant(), stream, page.number).await {
            Ok(there)
                if there.latest_chain() == page.latest_chain()
                    && there.prev_chain == page.prev_chain =>
            {
                return Ok(());
            }
            Ok(there) => there.latest_chain(),
            Err(error) => {
                self.persistent_damage(bucket, key, &page.to_bytes(), error)
                    .await?
            }
        };
        let last = page
            .entries
            .last()
            .map(|last| (last.meta.seq, last.meta.chain));
        let (seq, chain) = last.unwrap_or((Seq::default(), page.prev_chain));
        let reason = format!("{key} in the bucket does not hold the entries that the index names");
        Err(self.divergent(stream, seq, chain, found, reason))
    }

    /// The digest of an object that is no such entry at every look. A look may have met a torn answer: the tenant backs off
    /// and looks again before anything is halted, and a part of what belongs there is never taken for another history.
    async fn persistent_damage(
        &self,
        bucket: &Bucket,
        key: &str,
        ours: &[u8],
        error: BucketError,
    ) -> Result<Digest, BatchError> {
        if let BucketError::Damage(damage) = &error
            && damage.problem != Problem::OtherBytes
            && self.work.attempts >= LOOKS
            && let Some(object) = bucket
                .get(key)
                .await
                .map_err(|error| self.bucket_error(error))?
            && !ours.starts_with(&object.bytes)
        {
            return Ok(Digest::of(&object.bytes));
        }
        Err(self.bucket_error(error))
    }
}
