//! What one verification works with, and what it asks once for all tenants.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};

use super::{ReadData, rows};
use crate::hybrid::bucket::{Bucket, BucketResult};
use crate::hybrid::ownership;
use crate::hybrid::recovery::legacy;
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::format::{IndexEntry, Snapshot};
use driftline_model::{Digest, EntryMeta, Stream, TenantId};
use driftline_ports::{Error, ErrorKind, Reason, Result};

/// What one verification works with.
pub(super) struct Look<'a> {
    pub(super) sides: &'a Sides,
    pub(super) settings: &'a Settings,
    pub(super) bucket: Bucket,
    requests: Arc<Semaphore>,
    pub(super) read: ReadData,
    /// Tenants that were recovered from an older system's layout.
    pub(super) taken_over: BTreeSet<TenantId>,
    /// What shadowing as a whole waits for; asked once, when something waits for shadowing.
    undecided: OnceCell<Option<Undecided>>,
}

/// What shadowing waits for.
pub(super) struct Undecided {
    pub(super) reason: Reason,
    pub(super) own: Own,
}

/// Whether the bucket is the database's, and so one that a repair may fill.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Yes,
    /// If something of the tenant lies there.
    Perhaps,
    No,
}

impl<'a> Look<'a> {
    pub(super) async fn new(
        sides: &'a Sides,
        settings: &'a Settings,
        read: ReadData,
    ) -> Result<Self> {
        let bucket = sides.bucket();
        Ok(Self {
            sides,
            settings,
            taken_over: legacy::taken_over(&bucket).await?,
            bucket,
            requests: Arc::new(Semaphore::new(settings.concurrent_requests)),
            read,
            undecided: OnceCell::new(),
        })
    }

    /// Why nothing is shadowed before somebody decides, or before `bucket.json` is mended.
    pub(super) async fn undecided(&self) -> Result<Option<&Undecided>> {
        let asked = self.undecided.get_or_try_init(async || {
            let (reason, own) = match ownership::undecided(self.sides).await {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    let (message, hint) = (error.to_string(), error.hinted().cloned());
                    (Reason { message, hint }, Own::Yes)
                }
                // Nothing says whose it is: what lies there does.
                Ok(Some(reason)) if self.bucket.identity().await?.is_none() => {
                    (reason, Own::Perhaps)
                }
                Ok(Some(reason)) => (reason, Own::No),
                Ok(None) => return Ok(None),
                Err(error) => return Err(error),
            };
            Ok::<_, Error>(Some(Undecided { reason, own }))
        });
        Ok(asked.await?.as_ref())
    }

    /// Whether this object is to be read although it is listed.
    pub(super) fn reads(&self, key: &str) -> bool {
        match self.read {
            ReadData::Nothing => false,
            ReadData::All => true,
            ReadData::Subset { part, of } => {
                let digest = Digest::of(key.as_bytes());
                let mut first = [0; 8];
                first.copy_from_slice(&digest.as_bytes()[..8]);
                u64::from_be_bytes(first) % of.max(1) + 1 == part
            }
        }
    }

    pub(super) async fn snapshot(&self, named: &IndexEntry) -> BucketResult<Snapshot> {
        let _permit = self.requests.acquire().await;
        self.bucket.snapshot(named).await
    }

    pub(super) async fn unnamed(
        &self,
        tenant: &TenantId,
        stream: Stream,
        key: &str,
    ) -> BucketResult<Option<Snapshot>> {
        let _permit = self.requests.acquire().await;
        self.bucket.unnamed_snapshot(tenant, stream, key).await
    }

    /// The database has this very entry by now.
    pub(super) async fn is_committed(&self, meta: &EntryMeta) -> BucketResult<bool> {
        let row = rows::row(
            self.sides.database.as_ref(),
            &meta.tenant,
            meta.stream,
            meta.seq,
        );
        Ok(row.await?.is_some_and(|row| row.meta.is_same_as(meta)))
    }
}
