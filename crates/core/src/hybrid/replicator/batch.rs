//! One batch: a tenant's pending entries go to the bucket.
//!
//! Order: `bucket.json` and the index are read; snapshots are created; pages that are due are created; the index is replaced
//! by compare-and-set; the watermark follows. What the index does not name is not part of the state, so that a crash between
//! any two steps leaves nothing but objects that the next batch finds and adopts. The base of a batch is the index that was
//! just read: one that is missing or behind is filled from the database's rows before anything new is added.
//!
//! Cancellation is a crash: safe at every await.

mod error;
mod upload;

use std::sync::Arc;

use futures::future::{join, join_all};
use tokio::sync::Semaphore;

use crate::hybrid::blocking::digest_of;
use crate::hybrid::bucket::{BucketError, Swapped};
use crate::hybrid::crash;
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::format::{Index, index_key};
use driftline_model::{
    BucketId, Digest, Entry, Halt, Head, PerStream, Seq, Stream, TenantId, VersionRef,
};
use driftline_ports::{DatabaseIdentity, ETag, HaltGuard, Mark, StoreError, Work};

pub(crate) use self::error::{BatchError, fault_of};

/// How a tenant's batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Entries that the indexes name now and did not before.
    pub(crate) shadowed: u64,
    /// There is more to do at once.
    pub(crate) more: bool,
}

/// Everything that one tenant's batch needs.
pub(crate) struct Batch<'a> {
    pub(crate) sides: &'a Sides,
    pub(crate) settings: &'a Settings,
    pub(crate) requests: &'a Arc<Semaphore>,
    pub(crate) database: DatabaseIdentity,
    /// The database's bucket.
    pub(crate) bucket_id: BucketId,
    pub(crate) work: &'a Work,
}

/// What a step starts from: the index as it was read, and the rows after it.
struct Base {
    index: Index,
    /// The index object's version; `None` when there is none.
    etag: Option<ETag>,
    rows: Vec<Entry>,
}

/// The first look at each stream that has something pending.
pub(crate) struct Opening(PerStream<Option<Result<Base, BatchError>>>);

/// What became of one look at a stream.
enum Step {
    Settled,
    Shadowed(u64),
    Waiting,
    Moved,
}

/// Tries of one stream while others change its index.
const TRIES: u32 = 4;

/// Batches in a row that must find an object unreadable before it counts as what is there.
const LOOKS: u32 = 3;

impl Batch<'_> {
    /// Reads what every stream with something pending starts from.
    pub(crate) async fn open(&self) -> Opening {
        let looks = Stream::ALL.map(|stream| async move {
            if self.is_pending(stream) {
                Some(self.base(stream).await)
            } else {
                None
            }
        });
        let mut looks = join_all(looks).await.into_iter();
        Opening(PerStream::from_fn(|_| looks.next().flatten()))
    }

    fn is_pending(&self, stream: Stream) -> bool {
        // Without a row there can still be an index, but nothing that would have to go there.
        self.work.watermarks[stream] < self.work.state.heads[stream].seq
    }

    /// Shadows at most one batch of each stream, manifests first.
    pub(crate) async fn run(&self, opening: Opening) -> Result<Progress, BatchError> {
        let mut progress = Progress {
            shadowed: 0,
            more: false,
        };
        // What the manifests' index names, as far as this batch knows it.
        let mut named = None;
        let Opening(mut bases) = opening;
        for stream in Stream::ALL {
            let Some(mut base) = bases[stream].take() else {
                continue;
            };
            let mut tries = 0;
            loop {
                match self.step(stream, base?, &mut named).await? {
                    Step::Settled => break,
                    Step::Shadowed(count) => {
                        progress.shadowed += count;
                        progress.more = true;
                        break;
                    }
                    // The manifests it refers to come with a later batch.
                    Step::Waiting => {
                        progress.more = true;
                        break;
                    }
                    Step::Moved => {
                        tries += 1;
                        if tries == TRIES {
                            return Err(BatchError::Contended(index_key(self.tenant(), stream)));
                        }
                        base = self.base(stream).await;
                    }
                }
            }
        }
        Ok(progress)
    }

    fn tenant(&self) -> &TenantId {
        &self.work.state.tenant
    }

    /// Reads the index, and the rows that it lacks: beside it those that it lacks if it ends at the watermark, as it does
    /// unless something went wrong.
    async fn base(&self, stream: Stream) -> Result<Base, BatchError> {
        let (bucket, tenant) = (self.sides.bucket(), self.tenant());
        let expected = self.work.watermarks[stream];
        let (read, rows) = join(bucket.index(tenant, stream), self.pending(stream, expected)).await;
        let (index, etag) = match read.map_err(|error| self.bucket_error(error))? {
            Some((index, etag)) => (index, Some(etag)),
            None => (
                Index::empty(tenant, stream, self.work.state.epoch, self.sides.now()),
                None,
            ),
        };
        let rows = if index.latest() == expected {
            rows?
        } else {
            self.pending(stream, index.latest()).await?
        };
        Ok(Base { index, etag, rows })
    }

    async fn pending(&self, stream: Stream, after: Seq) -> Result<Vec<Entry>, StoreError> {
        let Settings {
            batch_entries,
            batch_bytes,
            ..
        } = *self.settings;
        let database = &self.sides.database;
        database
            .pending(self.tenant(), stream, after, batch_entries, batch_bytes)
            .await
    }

    async fn step(
        &self,
        stream: Stream,
        base: Base,
        named: &mut Option<Seq>,
    ) -> Result<Step, BatchError> {
        let (bucket, database, tenant) = (self.sides.bucket(), &self.sides.database, self.tenant());
        let Base {
            mut index,
            etag,
            rows,
        } = base;
        if index.epoch > self.work.state.epoch {
            let key = index_key(tenant, stream);
            return Err(BatchError::Fenced(
                key,
                index.epoch,
                self.work.state.epoch,
                tenant.clone(),
            ));
        }
        let base = Head {
            seq: index.latest(),
            chain: index.latest_chain(),
        };
        if stream == Stream::Manifests {
            *named = Some(base.seq);
        }
        if rows.is_empty() {
            return self.settle(stream, &index, base).await;
        }
        self.check_rows(stream, base, &rows).await?;
        if base.seq < self.work.watermarks[stream] {
            tracing::warn!(%tenant, %stream, index = %base.seq, watermark = %self.work.watermarks[stream],
                "the index is behind the watermark; shadowing again what it lacks");
            database
                .lower_watermark(tenant, self.bucket_id, stream, base.seq)
                .await?;
        }
        let rows = self.ready(stream, rows, named).await?;
        if rows.is_empty() {
            return Ok(Step::Waiting);
        }
        crash::point("batch-read");
        let entries = self.upload(&bucket, stream, &rows).await?;
        crash::point("batch-snapshots");
        let pages = index.seal();
        let sealed = pages
            .iter()
            .map(|page| self.create_page(&bucket, stream, page));
        for created in join_all(sealed).await {
            created?;
        }
        crash::point("batch-page");
        let shadowed = entries.len() as u64;
        for entry in entries {
            index.push(entry);
        }
        index.epoch = self.work.state.epoch;
        index.updated_at = self.sides.now();
        let swapped = bucket
            .swap(&index_key(tenant, stream), &index.to_bytes(), etag.as_ref())
            .await;
        match swapped.map_err(|error| self.bucket_error(error))? {
            Swapped::Moved => return Ok(Step::Moved),
            Swapped::Written(_) => {}
        }
        crash::point("batch-index");
        if stream == Stream::Manifests {
            *named = Some(index.latest());
        }
        let mark = Mark {
            stream,
            seq: index.latest(),
            chain: index.latest_chain(),
        };
        if !database
            .advance_watermark(tenant, self.bucket_id, &mark)
            .await?
        {
            // The database is not the one whose rows went out: the next batch compares anew.
            tracing::warn!(%tenant, %stream, seq = %mark.seq, "the watermark was not advanced: the database moved");
        }
        crash::point("batch-watermark");
        Ok(Step::Shadowed(shadowed))
    }

    /// The index names everything that the database gave us: the watermark follows, or the database is behind.
    async fn settle(&self, stream: Stream, index: &Index, base: Head) -> Result<Step, BatchError> {
        let (database, tenant) = (&self.sides.database, self.tenant());
        let mark = Mark {
            stream,
            seq: base.seq,
            chain: base.chain,
        };
        let is_marked = base.seq > Seq::default()
            && database
                .advance_watermark(tenant, self.bucket_id, &mark)
                .await?;
        // Where the head is beyond, its row is lost: that is no end, or the tenant would be leased again at once, for ever.
        if is_marked && self.work.state.heads[stream].seq <= base.seq {
            return Ok(Step::Settled);
        }
        // The lease may be a moment old: look at the head as it is now.
        let state = database
            .tenant(tenant)
            .await?
            .unwrap_or_else(|| self.work.state.clone());
        let head = state.heads[stream];
        if head.seq > base.seq {
            let lost = database
                .pending(tenant, stream, base.seq, 1, 0)
                .await?
                .is_empty();
            if lost {
                let seq = base.seq.next();
                return Err(self.damaged_row(stream, seq, "is missing"));
            }
            return Ok(Step::Moved);
        }
        if head == base {
            return Ok(if base.seq == Seq::default() {
                Step::Settled
            } else {
                Step::Moved
            });
        }
        let at_head = index.chain_at(head.seq);
        if at_head.is_some_and(|chain| chain != head.chain) {
            let reason = format!(
                "the index names another chain at the head of {stream}, {}",
                head.seq
            );
            return Err(self.divergent(
                stream,
                head.seq,
                head.chain,
                at_head.unwrap_or(base.chain),
                reason,
            ));
        }
        Err(BatchError::Behind {
            tenant: tenant.clone(),
            stream,
            head: head.seq,
            latest: base.seq,
        })
    }

    /// The rows continue the index's chain, and are what they were when they were committed.
    async fn check_rows(
        &self,
        stream: Stream,
        base: Head,
        rows: &[Entry],
    ) -> Result<(), BatchError> {
        let mut chain = base.chain;
        for row in rows {
            let meta = &row.meta;
            if meta.expected_chain(chain) != meta.chain {
                if meta.seq == base.seq.next() {
                    let reason = format!(
                        "the database's {stream} do not continue the index: {} has a chain that does not follow the index's last",
                        meta.seq
                    );
                    return Err(self.divergent(stream, meta.seq, meta.chain, base.chain, reason));
                }
                return Err(self.damaged_row(stream, meta.seq, "does not fit the chain"));
            }
            if digest_of(&row.content).await != meta.checksum {
                return Err(self.damaged_row(
                    stream,
                    meta.seq,
                    "has content that does not match its checksum",
                ));
            }
            chain = meta.chain;
        }
        Ok(())
    }

    /// The longest run of rows that refer only to manifests that their index names already, or to none at all.
    async fn ready(
        &self,
        stream: Stream,
        mut rows: Vec<Entry>,
        named: &mut Option<Seq>,
    ) -> Result<Vec<Entry>, BatchError> {
        if stream.refers_to().is_none() {
            return Ok(rows);
        }
        let mut void = None;
        for place in 0..rows.len() {
            for reference in stream.references(&rows[place].content) {
                let shadowed = if let Some(latest) = *named {
                    latest
                } else {
                    let index = self
                        .sides
                        .bucket()
                        .index(self.tenant(), Stream::Manifests)
                        .await;
                    let index = index.map_err(|error| self.bucket_error(error))?;
                    *named.insert(index.map_or(Seq::default(), |(index, _)| index.latest()))
                };
                if reference.version <= shadowed || void == Some(reference) {
                    continue;
                }
                // A reference that does not resolve is void, and waits for nothing.
                if self.resolves(reference).await? {
                    self.expect_again(shadowed).await?;
                    rows.truncate(place);
                    return Ok(rows);
                }
                void = Some(reference);
            }
        }
        Ok(rows)
    }

    /// Lowers the watermark of manifests to where their index was found to end: a batch that finds nothing pending does not
    /// look, and what is waited for would never come.
    async fn expect_again(&self, named: Seq) -> Result<(), StoreError> {
        if named >= self.work.watermarks[Stream::Manifests] {
            return Ok(());
        }
        tracing::warn!(tenant = %self.tenant(), index = %named, watermark = %self.work.watermarks[Stream::Manifests],
            "the index of manifests is behind its watermark; shadowing again what it lacks");
        self.sides
            .database
            .lower_watermark(self.tenant(), self.bucket_id, Stream::Manifests, named)
            .await
    }

    async fn resolves(&self, reference: VersionRef) -> Result<bool, StoreError> {
        let row = self
            .sides
            .database
            .history(
                self.tenant(),
                Stream::Manifests,
                Some(reference.version.next()),
                1,
            )
            .await?;
        Ok(row
            .first()
            .is_some_and(|meta| meta.seq == reference.version && meta.chain == reference.chain))
    }

    fn divergent(
        &self,
        stream: Stream,
        seq: Seq,
        database: Digest,
        bucket: Digest,
        reason: String,
    ) -> BatchError {
        let at = self.sides.now();
        let halt = Halt {
            stream,
            seq,
            database,
            bucket,
            bucket_id: self.bucket_id,
            reason,
            at,
        };
        let guard = HaltGuard {
            database: self.database.id,
            epoch: self.work.state.epoch,
            compared: vec![(stream, seq, Some(database))],
        };
        BatchError::Divergent(Box::new(halt), Box::new(guard))
    }

    fn damaged_row(&self, stream: Stream, seq: Seq, problem: &'static str) -> BatchError {
        BatchError::DamagedRow {
            tenant: self.tenant().clone(),
            stream,
            seq,
            problem,
        }
    }

    fn bucket_error(&self, error: BucketError) -> BatchError {
        match error {
            BucketError::Store(error) => error.into(),
            BucketError::Damage(damage) => {
                BatchError::Damage(Box::new(damage), self.tenant().clone())
            }
        }
    }
}
