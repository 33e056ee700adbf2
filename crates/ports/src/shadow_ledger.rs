//! The database, part two: what is shadowed, what is pending, who works on it.
//!
//! Pending is derived: (watermark, head]. Nothing else has to be written for an entry to be shadowed one day.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{DatabaseIdentity, FailedDrill, Hint, Reason, RestoreProof, StoreResult};
use driftline_model::{
    BucketId, DatabaseId, Digest, Entry, Epoch, Halt, PerStream, Seq, Stream, TenantId,
    TenantState, Timestamp,
};

/// The longest time that a tenant is kept from others, or left alone after a failure: whoever asks for more is given this.
///
/// A time on record that is further ahead than that was put there by a clock that has been set back since. It keeps nobody.
pub const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// One replicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub Uuid);

/// Asks for tenants to work on.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// At most so many tenants.
    pub limit: u32,
    /// How long they are kept from other workers; at most [`LONGEST_HOLD`].
    pub duration: Duration,
    /// Not these: whoever asks is at work on them still, even where their leases ended.
    pub except: Vec<TenantId>,
}

/// What was leased.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The database as it was when the lease was taken.
    pub identity: DatabaseIdentity,
    /// The tenants, longest waiting first.
    pub work: Vec<Work>,
}

/// A tenant with something pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its state.
    pub state: TenantState,
    /// What is proven to be in the database's current bucket.
    pub watermarks: PerStream<Seq>,
    /// Failures in a row so far.
    pub attempts: u32,
}

/// A point that a stream's index in the bucket is known to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which stream.
    pub stream: Stream,
    /// The newest number in the index.
    pub seq: Seq,
    /// The chain that the index names there.
    pub chain: Digest,
}

/// Why a batch did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowFailure {
    /// What happened, for an operator.
    pub message: String,
    /// What that comes to.
    pub fault: ShadowFault,
    /// How long the tenant is left alone; at most [`LONGEST_HOLD`].
    pub retry_after: Duration,
}

/// What a failure of shadowing comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShadowFault {
    /// What to do next, if there is something to say.
    pub hint: Option<Hint>,
    /// No retry mends it: a side refuses us, or what is stored is damaged.
    pub lasting: bool,
}

/// What a halt rests on: it is stored only while all of this still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaltGuard {
    /// The database that was compared.
    pub database: DatabaseId,
    /// The tenant's epoch then.
    pub epoch: Epoch,
    /// The rows that were compared: their numbers and chains. An absent chain stands for "no such row".
    pub compared: Vec<(Stream, Seq, Option<Digest>)>,
}

/// What would be lost with the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// Entries that are not in the bucket yet, over all streams.
    pub entries: u64,
    /// Their content in bytes.
    pub bytes: u64,
    /// When the oldest of them was committed.
    pub oldest_at: Option<Timestamp>,
}

/// A tenant as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStatus {
    /// Its state.
    pub state: TenantState,
    /// What is proven to be in the database's current bucket.
    pub watermarks: PerStream<Seq>,
    /// What is not.
    pub at_risk: AtRisk,
    /// Two histories disagree: shadowing stopped.
    pub halted: Option<Halt>,
    /// The last failure of its shadowing, until a success.
    pub last_error: Option<String>,
    /// What that comes to. Nothing is known of a failure that an older build put on record.
    pub fault: ShadowFault,
    /// When it failed last, if that is known.
    pub failed_at: Option<Timestamp>,
    /// When it is tried again, if it failed. Absent also where what is on record is a time that keeps nobody
    /// ([`LONGEST_HOLD`]).
    pub retry_at: Option<Timestamp>,
    /// The last time that it was proven to be restorable from the database's current bucket.
    pub proof: Option<RestoreProof>,
    /// The newest drill, if it did not prove that.
    pub failed_drill: Option<FailedDrill>,
}

impl TenantStatus {
    /// What keeps the tenant from being shadowed, as far as that is known.
    pub fn hindrance(&self) -> Option<Reason> {
        if let Some(halt) = &self.halted {
            return Some(format!("shadowing is halted: {}", halt.reason).into());
        }
        if self.state.awaiting_recovery {
            return Some("it awaits recovery".to_owned().into());
        }
        self.failure()
    }

    /// The last failure of its shadowing, until a success, with what may be done about it.
    pub fn failure(&self) -> Option<Reason> {
        Some(Reason {
            message: self.last_error.clone()?,
            hint: self.fault.hint.clone(),
        })
    }
}

/// How many tenants have something pending, by what keeps them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Nothing keeps them.
    pub ready: u64,
    /// Another worker has them.
    pub leased: u64,
    /// They failed and wait for their next try.
    pub backing_off: u64,
    /// They are halted, or await recovery.
    pub stopped: u64,
}

/// The record of what is shadowed.
///
/// Times are the database's, and none is believed to keep a tenant that is further ahead than [`LONGEST_HOLD`]. Watermarks belong
/// to the database's current bucket ([`DatabaseIdentity::bucket_id`]): with another one they all stand at 0.
#[async_trait]
pub trait ShadowLedger: Send + Sync + fmt::Debug {
    /// Leases tenants that have something pending and are neither leased, nor backing off, nor halted, nor awaiting recovery.
    /// A worker may be given a tenant that it holds already.
    async fn lease(&self, request: &LeaseRequest) -> StoreResult<Lease>;

    /// Gives a tenant back. Without a failure its count of failures starts anew. Does nothing when another worker has it by
    /// now.
    async fn release(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
    ) -> StoreResult<()>;

    /// Gives back a tenant that nothing was tried for: what is known of its failures, and when it is tried again, stays as it
    /// is. Does nothing when another worker has it by now.
    async fn hand_back(&self, tenant: &TenantId, worker: WorkerId) -> StoreResult<()>;

    /// Keeps a tenant for `duration` from now, if `worker` has it; the answer tells. A lease that has ended is renewed too, as
    /// long as nobody else took the tenant.
    async fn renew(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        duration: Duration,
    ) -> StoreResult<bool>;

    /// Entries after `after`, in order: at most `limit`, and no more after their content exceeds `max_bytes` (the entry with
    /// which it does is the last). The run is dense: it ends before a row that is missing.
    async fn pending(
        &self,
        tenant: &TenantId,
        stream: Stream,
        after: Seq,
        limit: u32,
        max_bytes: u64,
    ) -> StoreResult<Vec<Entry>>;

    /// Moves a watermark of `bucket` forward. Nothing happens, and the answer is `false`, when the database's bucket is another
    /// one, or the row at `mark.seq` does not have the chain of the mark (so it never passes the head). A watermark that is
    /// further already stays, and the answer is `true`.
    async fn advance_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        mark: &Mark,
    ) -> StoreResult<bool>;

    /// Lowers a watermark, under the tenant's lock, because the index was found to end at `to`.
    async fn lower_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        stream: Stream,
        to: Seq,
    ) -> StoreResult<()>;

    /// The watermarks of the database's current bucket; all 0 for an unknown tenant.
    async fn watermarks(&self, tenant: &TenantId) -> StoreResult<PerStream<Seq>>;

    /// Stops the tenant's shadowing, under its lock, if the guard still holds; the answer tells. `halt.at` is set by the store.
    async fn halt(&self, tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> StoreResult<bool>;

    /// The status of one tenant, or of all after `after`, in byte order.
    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantStatus>>;

    /// What is pending over all tenants.
    async fn backlog(&self) -> StoreResult<Backlog>;

    /// Whether this bucket's conditional writes were probed and held.
    async fn probe_passed(&self, bucket: BucketId) -> StoreResult<bool>;

    /// Puts on record that they were.
    async fn record_probe(&self, bucket: BucketId) -> StoreResult<()>;
}
