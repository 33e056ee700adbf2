//! How far a drill is, for whoever watches or interrupts it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::record::locked;
use crate::hybrid::recovery::Progress;
use driftline_model::TenantId;

/// How far a drill is.
#[derive(Debug, Default)]
pub struct DrillProgress {
    recovery: Progress,
    unrecorded: Mutex<BTreeSet<TenantId>>,
}

impl DrillProgress {
    /// How far the recovery into the scratch database is.
    pub fn recovery(&self) -> &Progress {
        &self.recovery
    }

    /// Tenants of which the drill found something that is not on record, or was not yet when it ended: what an earlier one
    /// proved may still stand there.
    pub fn unrecorded(&self) -> BTreeSet<TenantId> {
        locked(&self.unrecorded).clone()
    }

    /// Says of tenants whether what the drill found of them is on record.
    pub(super) fn record<'a>(&self, tenants: impl Iterator<Item = &'a TenantId>, is_there: bool) {
        let mut unrecorded = locked(&self.unrecorded);
        for tenant in tenants {
            if is_there {
                unrecorded.remove(tenant);
            } else {
                unrecorded.insert(tenant.clone());
            }
        }
    }
}
