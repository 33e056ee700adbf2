//! How a tenant's shadowing stands, as a pure function of its record: what may be leased, what a release changes.

use std::time::Duration;

use crate::{
    Backlog, FailedDrill, LONGEST_HOLD, LeaseRequest, RestoreProof, ShadowFailure, ShadowFault,
    WorkerId,
};
use driftline_model::{Halt, PerStream, Seq, Stream, TenantState, Timestamp};

/// One tenant's shadowing on record. The watermarks belong to the database's current bucket.
#[derive(Debug, Clone, Default)]
pub struct Shadowing {
    /// What is proven to be in the bucket.
    pub watermarks: PerStream<Seq>,
    /// Who has the tenant, and until when.
    pub lease: Option<(WorkerId, Timestamp)>,
    /// Failures in a row.
    pub attempts: u32,
    /// The last of them.
    pub last_error: Option<String>,
    /// What that comes to.
    pub fault: ShadowFault,
    /// When that was.
    pub failed_at: Option<Timestamp>,
    /// When the tenant is tried again.
    pub retry_at: Option<Timestamp>,
    /// Shadowing stopped.
    pub halted: Option<Halt>,
    /// The last time that it was proven to be restorable.
    pub proof: Option<RestoreProof>,
    /// The newest drill, if it did not prove that.
    pub failed_drill: Option<FailedDrill>,
}

/// What keeps a tenant that has something pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is pending.
    Idle,
    /// Nothing keeps it.
    Ready,
    /// This worker has it.
    Leased(WorkerId),
    /// It failed and waits for its next try.
    BackingOff,
    /// It is halted, or awaits recovery.
    Stopped,
}

/// The end of what begins now: never further ahead than anybody believes.
fn end(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_add(duration.min(LONGEST_HOLD))
}

/// Whether a time on record is still to come. One that no hold reaches is of a clock that was set back since.
fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now && at <= end(now, LONGEST_HOLD)
}

/// Whether what is on record is newer than what comes late. A time that is still to come is of a clock that was wrong.
fn is_newer(on_record: Timestamp, late: Timestamp, now: Timestamp) -> bool {
    on_record > late && on_record <= now
}

impl Shadowing {
    /// How the tenant stands at `now`.
    pub fn standing(&self, state: &TenantState, now: Timestamp) -> Standing {
        if Stream::ALL
            .into_iter()
            .all(|stream| state.heads[stream].seq <= self.watermarks[stream])
        {
            Standing::Idle
        } else if state.awaiting_recovery || self.halted.is_some() {
            Standing::Stopped
        } else if let Some((worker, _)) = self.lease.filter(|(_, until)| is_ahead(*until, now)) {
            Standing::Leased(worker)
        } else if self.retries_at(now).is_some() {
            Standing::BackingOff
        } else {
            Standing::Ready
        }
    }

    /// Whether whoever asks may take the tenant at `now`.
    pub fn is_free_for(&self, request: &LeaseRequest, state: &TenantState, now: Timestamp) -> bool {
        let worker = request.worker;
        match self.standing(state, now) {
            _ if request.except.contains(&state.tenant) => false,
            Standing::Ready => true,
            Standing::Leased(holder) => holder == worker && self.retries_at(now).is_none(),
            Standing::Idle | Standing::BackingOff | Standing::Stopped => false,
        }
    }

    /// When the tenant is tried again, if that is still to come.
    fn retries_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.retry_at.filter(|at| is_ahead(*at, now))
    }

    /// The same as `status` tells it: a time that has come is told as well, one that keeps nobody is not.
    pub fn told_retry_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.retry_at.filter(|at| *at <= now || is_ahead(*at, now))
    }

    /// Gives the tenant to `worker`.
    pub fn lease(&mut self, worker: WorkerId, now: Timestamp, duration: Duration) {
        self.lease = Some((worker, end(now, duration)));
    }

    fn is_held_by(&self, worker: WorkerId) -> bool {
        self.lease.is_some_and(|(holder, _)| holder == worker)
    }

    /// Keeps the tenant for longer, if `worker` has it; the answer tells.
    pub fn renew(&mut self, worker: WorkerId, now: Timestamp, duration: Duration) -> bool {
        let is_held = self.is_held_by(worker);
        if is_held {
            self.lease(worker, now, duration);
        }
        is_held
    }

    /// Gives the tenant back as it was, if `worker` has it; the answer tells.
    pub fn hand_back(&mut self, worker: WorkerId) -> bool {
        let is_held = self.is_held_by(worker);
        if is_held {
            self.lease = None;
        }
        is_held
    }

    /// It was proven to be restorable. What a newer drill said stands.
    pub fn prove(&mut self, proof: RestoreProof, now: Timestamp) {
        let is_late = |at| is_newer(at, proof.at, now);
        let refuted = self.failed_drill.as_ref().filter(|it| it.refutes);
        if self.proof.is_some_and(|it| is_late(it.at)) || refuted.is_some_and(|it| is_late(it.at)) {
            return;
        }
        self.proof = Some(proof);
        self.failed_drill = None;
    }

    /// A drill did not prove it. That one could not be carried out takes nothing back, and what a newer one said stands.
    pub fn fail_drill(&mut self, failed: &FailedDrill, now: Timestamp) {
        let is_late = |at| is_newer(at, failed.at, now);
        let stays = |it: &FailedDrill| match (it.refutes, failed.refutes) {
            (true, false) => true,
            (false, true) => false,
            (true, true) | (false, false) => is_late(it.at),
        };
        if self.proof.is_some_and(|it| is_late(it.at))
            || self.failed_drill.as_ref().is_some_and(stays)
        {
            return;
        }
        if failed.refutes {
            self.proof = None;
        }
        self.failed_drill = Some(failed.clone());
    }

    /// Nothing is proven, nor refuted, of another bucket.
    pub fn forget_drills(&mut self) {
        self.proof = None;
        self.failed_drill = None;
    }

    /// No failure is on record any more.
    pub fn forget_failures(&mut self) {
        self.attempts = 0;
        self.last_error = None;
        self.fault = ShadowFault::default();
        self.failed_at = None;
        self.retry_at = None;
    }

    /// Gives the tenant back, if `worker` has it; the answer tells.
    pub fn release(
        &mut self,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
        now: Timestamp,
    ) -> bool {
        if !self.hand_back(worker) {
            return false;
        }
        self.attempts = failure.map_or(0, |_| self.attempts.saturating_add(1));
        self.last_error = failure.map(|failure| failure.message.clone());
        self.fault = failure.map_or_else(ShadowFault::default, |failure| failure.fault.clone());
        self.failed_at = failure.map(|_| now);
        self.retry_at = failure.map(|failure| end(now, failure.retry_after));
        true
    }
}

impl Backlog {
    /// Counts one tenant.
    pub fn count(&mut self, standing: Standing) {
        match standing {
            Standing::Idle => {}
            Standing::Ready => self.ready += 1,
            Standing::Leased(_) => self.leased += 1,
            Standing::BackingOff => self.backing_off += 1,
            Standing::Stopped => self.stopped += 1,
        }
    }
}
