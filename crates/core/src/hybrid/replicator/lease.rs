//! A tenant that is held, for as long as its batch takes and no longer than its lease.
//!
//! The lease is renewed well before it ends. A batch whose lease was lost, or may have been because the database does not
//! answer, is dropped: nothing that it would still send can come between others that hold the tenant by then.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::Replicator;
use super::batch::{BatchError, Progress};
use driftline_ports::{DatabaseIdentity, LONGEST_HOLD, Work, WorkerId};

/// A tenant that is held.
pub(super) struct Hold {
    /// In whose name.
    pub(super) worker: WorkerId,
    /// Until when, seen from here: counted from before the lease was asked for.
    pub(super) until: Instant,
    /// The database as it was when the lease was taken.
    pub(super) database: DatabaseIdentity,
    pub(super) work: Work,
}

impl Replicator {
    /// How long a tenant is held, unless that is renewed.
    pub(super) fn lease(&self) -> Duration {
        self.settings.lease.min(LONGEST_HOLD)
    }

    /// Runs the tenant's batch for as long as it is held.
    pub(super) async fn held(&self, hold: &Hold) -> Result<Progress, BatchError> {
        let tenant = &hold.work.state.tenant;
        let duration = self.lease();
        let mut until = hold.until;
        let mut renew_at = until - duration * 2 / 3;
        let mut batch = std::pin::pin!(self.batch(hold.database, &hold.work));
        loop {
            tokio::select! {
                biased;
                () = sleep_until(renew_at) => {}
                outcome = &mut batch => return outcome,
            }
            let asked = Instant::now();
            let renewal = self.sides.database.renew(tenant, hold.worker, duration);
            let renewed = if asked < until {
                tokio::select! {
                    biased;
                    outcome = &mut batch => return outcome,
                    renewed = timeout_at(until, renewal) => renewed,
                }
            } else {
                // The process slept: somebody else may hold the tenant, and nothing is sent before that is known.
                timeout_at(asked + duration / 3, renewal).await
            };
            match renewed {
                Ok(Ok(true)) => {
                    until = asked + duration;
                    renew_at = asked + duration / 3;
                }
                Ok(Err(_)) if Instant::now() < until => {
                    renew_at = until.min(Instant::now() + duration / 15);
                }
                Ok(Ok(false) | Err(_)) | Err(_) => return Err(BatchError::LeaseLost),
            }
        }
    }
}
