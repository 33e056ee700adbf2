//! What a drill that proved nothing leaves behind.
//!
//! One that found a difference or damage takes the earlier proof away: that one is of what the bucket held then. One that could
//! not be carried out says nothing about what is stored, and is kept beside the proof.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::DrillProgress;
use super::report::{Drilled, Unrecorded, is_damage};
use crate::hybrid::settings::Sides;
use driftline_model::{BucketId, TenantId};
use driftline_ports::{Error, FailedDrill, Result, StoreResult};

/// Tenants that are put on record at once.
const AT_ONCE: usize = 1000;

/// Tenants that a line of a log names.
const TOLD: usize = 100;

/// The live database's record of drills from its bucket.
pub(super) struct Record<'a> {
    live: &'a Sides,
    /// Told of what is not on record, for whoever interrupts the drill.
    progress: &'a DrillProgress,
    /// None, if the database has not seen one: then there is nothing that a drill could say of it.
    bucket: Option<BucketId>,
    /// The tenants of which the drill has said something.
    said: Mutex<BTreeSet<TenantId>>,
    /// What could not be put on record.
    owed: Mutex<Vec<(TenantId, FailedDrill)>>,
}

impl<'a> Record<'a> {
    pub(super) async fn of(live: &'a Sides, progress: &'a DrillProgress) -> Result<Self> {
        let identity = live.database.identity().await?;
        let bucket = identity.bucket_id;
        Ok(Self {
            live,
            progress,
            bucket,
            said: Mutex::default(),
            owed: Mutex::default(),
        })
    }

    /// Keeps what did not prove the tenant. That this fails changes nothing about what the drill found, which is told.
    pub(super) async fn keep(&self, tenant: &TenantId, drilled: &Drilled) {
        locked(&self.said).insert(tenant.clone());
        let (reason, refutes) = match drilled {
            Drilled::Proven { .. } | Drilled::Nothing => return,
            Drilled::Different {
                differences, more, ..
            } => {
                let first = differences.first().map(ToString::to_string);
                let others = match more + differences.len().saturating_sub(1) as u64 {
                    0 => String::new(),
                    1 => "; and another difference".to_owned(),
                    others => format!("; and {others} other differences"),
                };
                (first.unwrap_or_default() + &others, true)
            }
            Drilled::Failed(error) => (error.to_string(), is_damage(error)),
        };
        let failed = self.failed(&reason, refutes);
        self.note(&[(tenant.clone(), failed)]).await;
    }

    /// Keeps that those of these of which nothing is said yet could not be drilled.
    pub(super) async fn could_not(&self, tenants: impl Iterator<Item = &TenantId>, error: &Error) {
        let failed = self.failed(&error.to_string(), false);
        let all: Vec<_> = {
            let said = locked(&self.said);
            let left = tenants.filter(|tenant| !said.contains(*tenant));
            left.map(|it| (it.clone(), failed.clone())).collect()
        };
        for some in all.chunks(AT_ONCE) {
            self.note(some).await;
        }
    }

    /// Tries once more to put on record what could not be. What cannot be even now is told: earlier proofs still stand there.
    pub(super) async fn finish(&self) -> Option<Unrecorded> {
        let owed = std::mem::take(&mut *locked(&self.owed));
        let mut unrecorded = None;
        for some in owed.chunks(AT_ONCE) {
            if let Err(error) = self.put(some).await {
                let (_, tenants) = unrecorded.get_or_insert((error, BTreeSet::new()));
                tenants.extend(some.iter().map(|(tenant, _)| tenant.clone()));
            }
        }
        unrecorded.map(|(error, tenants)| Unrecorded {
            tenants,
            error: error.into(),
        })
    }

    /// Puts it on record, later if not now.
    async fn note(&self, failed: &[(TenantId, FailedDrill)]) {
        if let Err(error) = self.put(failed).await {
            let tenants = named(failed.iter().map(|(tenant, _)| tenant));
            tracing::warn!(tenants, error = %error.report(), "what the drill found could not be put on record; it is tried again at its end");
            locked(&self.owed).extend_from_slice(failed);
        }
    }

    fn failed(&self, reason: &str, refutes: bool) -> FailedDrill {
        FailedDrill {
            at: self.live.now(),
            // No text of a database holds this one.
            reason: reason.replace('\0', "\u{fffd}"),
            refutes,
        }
    }

    async fn put(&self, failed: &[(TenantId, FailedDrill)]) -> StoreResult<()> {
        let Some(bucket) = self.bucket else {
            return Ok(());
        };
        let tenants = || failed.iter().map(|(tenant, _)| tenant);
        // Whoever is interrupted meanwhile does not know.
        self.progress.record(tenants(), false);
        let database = &self.live.database;
        database.record_failed_drills(bucket, failed).await?;
        self.progress.record(tenants(), true);
        Ok(())
    }
}

/// The tenants' names as a line of a log has them.
pub(super) fn named<'a>(tenants: impl ExactSizeIterator<Item = &'a TenantId>) -> String {
    let others = tenants.len().saturating_sub(TOLD);
    let told: Vec<_> = tenants.take(TOLD).map(TenantId::as_str).collect();
    match others {
        0 => told.join(", "),
        _ => format!("{} and {others} more", told.join(", ")),
    }
}

pub(super) fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
