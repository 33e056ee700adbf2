//! The database, part three: who it is, whether it may write, and how lost entries come back.

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreResult;
use driftline_model::{
    BucketId, DatabaseId, Entry, Epoch, PerStream, Seq, Stream, TenantId, TenantState, Timestamp,
};

/// Whether the database may take writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Created, and no start-up check has read `bucket.json` yet. Writes are refused.
    Unclaimed,
    /// It owns its bucket. Writes are taken, except for tenants that still await recovery.
    Claimed,
    /// The bucket knows more. Writes are refused but for tenants that recovery has dealt with.
    AwaitingRecovery,
}

/// On which server a database sits, in numbers that only its adapter understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server(pub [i64; 3]);

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [system, base, relation] = self.0;
        write!(f, "{system}-{base}-{relation}")
    }
}

/// Where a database is, beside where a start-up check last allowed it to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// There, or no check has had its say yet.
    Here,
    /// On the same server's data, but another timeline of it: a replica was promoted, or a backup restored.
    Promoted,
    /// On another server: a copy, or the original after it moved. Only an operator can tell.
    Elsewhere,
}

/// Who the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseIdentity {
    /// Its own identifier and the server's timeline at this moment.
    pub id: DatabaseId,
    /// Whether it may take writes.
    pub ownership: Ownership,
    /// The newest epoch that it may use; a new tenant starts at it.
    pub generation: Epoch,
    /// The bucket that it shadows to.
    pub bucket_id: Option<BucketId>,
    /// The server that it is on at this moment.
    pub server: Server,
    /// Whether that is where it was allowed to be.
    pub whereabouts: Whereabouts,
}

/// That a tenant was restored from its bucket, into a database of its own, and was what the live database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreProof {
    /// The newest version that was restored and compared.
    pub version: Seq,
    /// When.
    pub at: Timestamp,
}

/// That the newest drill of a tenant did not prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDrill {
    /// When.
    pub at: Timestamp,
    /// What was found, or what was in the way, in words.
    pub reason: String,
    /// What came back is not what the database holds, or is damaged: no earlier proof stands. Otherwise the drill could not be
    /// carried out, and says nothing about what is stored.
    pub refutes: bool,
}

/// Ownership and recovery. All methods see and change every tenant.
///
/// A check allows one server and one timeline of it ([`RecoveryStore::settle`]). Whatever writes entries, heads or watermarks
/// anywhere else fails with [`super::Fault::Elsewhere`], within its own transaction; a database that is unclaimed takes none.
#[async_trait]
pub trait RecoveryStore: Send + Sync + fmt::Debug {
    /// Who the database is.
    async fn identity(&self) -> StoreResult<DatabaseIdentity>;

    /// Makes the database the owner of `bucket`: claimed, with at least this generation. With another bucket than before every
    /// watermark starts at 0. Tenants that await recovery go on waiting. Idempotent.
    ///
    /// With `seen` only if the database is still as it was then, in one transaction: `false`, and nothing changes, when
    /// somebody else claimed, recovered or moved it meanwhile. Always `true` without.
    async fn claim(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
    ) -> StoreResult<bool>;

    /// Puts on record that a check allowed the server and the timeline of `at`, and gives the database another identifier if
    /// one is given. `false`, and nothing changes, when it is on another one by now, or has another identifier than `at`: two
    /// that decide at once do not both name it.
    async fn settle(&self, at: &DatabaseIdentity, id: Option<Uuid>) -> StoreResult<bool>;

    /// Makes one tenant await recovery (one that the database does not know included), or the database and every tenant in
    /// it. Idempotent. `seen`, and the answer, are those of [`RecoveryStore::claim`].
    async fn await_recovery(
        &self,
        seen: Option<&DatabaseIdentity>,
        tenant: Option<&TenantId>,
    ) -> StoreResult<bool>;

    /// Records that recovery took over `bucket` with at least this generation. The ownership stays what it is. With another
    /// bucket than before every watermark starts at 0.
    async fn take_generation(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()>;

    /// Keeps, per tenant, that its newest proven entries were restored from `bucket` and were the same; a failed drill that is
    /// on record is over. Nothing happens when the database's bucket is another one; tenants that it does not know are left
    /// out, and so are those of which a newer proof or refutation is on record. One whose time is still to come by the
    /// database's clock is not newer.
    async fn record_proofs(
        &self,
        bucket: BucketId,
        proofs: &[(TenantId, RestoreProof)],
    ) -> StoreResult<()>;

    /// Keeps, per tenant, that a drill from `bucket` did not prove it. One that refutes takes the earlier proof away; one that
    /// does not leaves proofs, and refutations, as they are. One that is older than the proof on record, or than another of its
    /// kind, changes nothing: it is told late. The rest is as for [`RecoveryStore::record_proofs`].
    async fn record_failed_drills(
        &self,
        bucket: BucketId,
        failed: &[(TenantId, FailedDrill)],
    ) -> StoreResult<()>;

    /// Takes the tenant's lock for a restore. Dropping the restore undoes everything.
    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>>;
}

/// A tenant's restore: one transaction that holds the tenant's lock.
#[async_trait]
pub trait Restore: Send {
    /// The tenant's state under the lock; `None` when the database does not know it.
    fn state(&self) -> Option<&TenantState>;

    /// The tenant's watermarks under the lock: none of them is lowered until the restore ends.
    fn watermarks(&self) -> PerStream<Seq>;

    /// Inserts lost entries as they are: number, epoch, times and chain stay. A number that exists already is an error with
    /// [`super::Fault::Refused`], and after an error the restore can no longer be committed.
    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()>;

    /// Takes entries out: damaged ones before they are inserted as they should be, or those that come back under other
    /// numbers. The idempotency keys that name them follow the entry's identifier: whoever repeats a write under its key is
    /// answered with the number that the entry has then. A key whose entry does not come back is forgotten. A number that is
    /// not there is passed over.
    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()>;

    /// Commits: the tenant has this state (`awaiting_recovery` included), is no longer halted, and its watermarks of `bucket` are
    /// these. Fails with [`super::Fault::Unavailable`], and changes nothing, when the tenant moved since the restore began, or the
    /// database's bucket is another one.
    async fn commit(
        self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()>;
}
