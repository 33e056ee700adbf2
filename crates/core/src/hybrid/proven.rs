//! Entries that are what was committed.
//!
//! A row may rot or be tampered with: every one that is served is hashed first. Where the digest is not the one on record the
//! bucket's copy takes its place, if the index proves it and its chain is the row's; that is said, and counted. Where neither
//! is good nothing is served.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::blocking::digest_of;
use super::bucket::Bucket;
use super::fallback::{self, Found};
use super::settings::Sides;
use driftline_model::integrity::RowDamage;
use driftline_model::{Entry, Seq, Stream, TenantId};
use driftline_ports::{Database, Error, ErrorKind, Hint, Result, StoreError};

/// Damaged rows that were met, tenant by tenant, since the process began.
#[derive(Debug, Default)]
pub(crate) struct DamagedReads(Mutex<BTreeMap<TenantId, u64>>);

impl DamagedReads {
    fn count(&self, tenant: &TenantId) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(tenant.clone()).or_default() += 1;
    }

    /// How many of this tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(tenant).copied().unwrap_or_default()
    }
}

/// An entry that is what was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) entry: Entry,
    /// The row is not, and the bucket's copy took its place.
    pub(crate) damage: Option<RowDamage>,
}

/// Stands between the rows and whoever reads them.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    bucket: Bucket,
    counts: Arc<DamagedReads>,
}

/// The digest of an entry's bytes, if it is another than the one on record.
pub(crate) async fn damage_of(entry: &Entry) -> Option<RowDamage> {
    let meta = &entry.meta;
    let actual = digest_of(&entry.content).await;
    (actual != meta.checksum).then_some(RowDamage {
        stream: meta.stream,
        seq: meta.seq,
        recorded: meta.checksum,
        actual,
    })
}

impl Guard {
    pub(crate) fn new(bucket: Bucket, counts: Arc<DamagedReads>) -> Self {
        Self { bucket, counts }
    }

    /// The entry of a row that was read, or the bucket's copy of it.
    pub(crate) async fn entry(&self, row: Entry) -> Result<Proven> {
        let Some(damage) = damage_of(&row).await else {
            return Ok(Proven {
                entry: row,
                damage: None,
            });
        };
        let meta = row.meta;
        self.counts.count(&meta.tenant);
        let why = match fallback::entry(&self.bucket, &meta.tenant, meta.stream, meta.seq).await {
            Ok(Some(Found { entry, .. })) if entry.meta.chain == meta.chain => {
                tracing::warn!(tenant = %meta.tenant, row = %damage.place(), recorded = %damage.recorded, actual = %damage.actual,
                    "the row's content is not what was committed; the bucket's proven copy is served instead; a repair of the tenant brings it back");
                return Ok(Proven {
                    entry,
                    damage: Some(damage),
                });
            }
            Ok(Some(_)) => "the bucket's entry there is another one".to_owned(),
            Ok(None) => "no index of the bucket names a copy".to_owned(),
            Err(error) => format!("the bucket's copy cannot be had: {error}"),
        };
        Err(damaged(&meta.tenant, &damage, &why))
    }

    /// For those who change what they read rather than serve it: nobody asks them how often.
    pub(crate) fn of(sides: &Sides) -> Self {
        Self::new(sides.bucket(), Arc::default())
    }

    /// The same where there may be no row.
    pub(crate) async fn optional(&self, row: Option<Entry>) -> Result<Option<Proven>> {
        match row {
            Some(row) => Ok(Some(self.entry(row).await?)),
            None => Ok(None),
        }
    }

    /// The bucket's copy of a row that cannot be read at all, which is `error`. It is proven when the database's own history
    /// has the chain with which the index ends.
    pub(crate) async fn unreadable(
        &self,
        database: &dyn Database,
        tenant: &TenantId,
        (stream, seq): (Stream, Seq),
        error: StoreError,
    ) -> Result<Found> {
        self.counts.count(tenant);
        let Ok(Some(found)) = fallback::entry(&self.bucket, tenant, stream, seq).await else {
            return Err(Error::from(error));
        };
        let (latest, chain) = found.end;
        let head = database.tenant(tenant).await?;
        let head = head.map(|state| state.heads[stream]);
        let ours = match head {
            Some(head) if head.seq == latest => Some(head.chain),
            _ => {
                let rows = database.history(tenant, stream, Some(latest.next()), 1);
                let rows = rows.await.unwrap_or_default();
                let row = rows.first().filter(|row| row.seq == latest);
                row.map(|row| row.chain)
            }
        };
        if ours != Some(chain) {
            return Err(Error::from(error));
        }
        tracing::warn!(%tenant, row = format_args!("{stream}/{seq}"), error = %error.report(),
            "the row cannot be read; the bucket's proven copy is served instead; a repair of the tenant brings it back");
        Ok(found)
    }
}

/// That a row is damaged, and nothing can take its place.
pub(crate) fn damaged(tenant: &TenantId, damage: &RowDamage, why: &str) -> Error {
    let RowDamage {
        recorded, actual, ..
    } = damage;
    let message = format!(
        "read {} of {tenant}: the row's content has the digest {actual}, on record is the digest {recorded}, and {why}",
        damage.place()
    );
    Error::new(ErrorKind::Damaged, message).hint(Hint::Repair {
        tenant: tenant.clone(),
    })
}
