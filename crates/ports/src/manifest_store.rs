//! The database, part one: entries are appended and read.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{DatabaseIdentity, StoreResult};
use driftline_model::content::Content;
use driftline_model::{
    Activation, Digest, Entry, EntryId, EntryMeta, Head, Seq, ShortText, Stream, TenantId,
    TenantState, Timestamp, VersionRef,
};

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

/// What a writer believes the newest version of the manifests to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Its number; 0 for "there is none yet".
    Version(Seq),
    /// Its checksum.
    Checksum(Digest),
    /// Its chain.
    Chain(Digest),
}

/// An entry to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// To which stream.
    pub stream: Stream,
    /// Its identifier, chosen by the caller.
    pub id: EntryId,
    /// Its content.
    pub content: Content,
    /// The caller's time.
    pub created_at: Timestamp,
    /// Who.
    pub created_by: Option<ShortText>,
    /// Why.
    pub message: Option<ShortText>,
    /// Append only if the head of the *manifests* is this.
    pub expect: Option<Expectation>,
    /// The same key and checksum within [`IDEMPOTENCY_WINDOW`] answers with the entry that the first call made. Each stream
    /// of a tenant has its own keys.
    pub idempotency_key: Option<ShortText>,
    /// A manifest whose checksum is that of the active version is not appended.
    pub skip_unchanged: bool,
    /// Append only if the manifests hold this very version.
    pub refers_to: Option<VersionRef>,
    /// For an `activate` decision: what it activates. `decision` is filled in by the store.
    pub activation: Option<Activation>,
}

impl NewEntry {
    /// The digest that the chain covers: see [`driftline_model::identity`].
    pub fn identity(&self) -> Digest {
        driftline_model::identity(
            self.id,
            self.content.checksum(),
            self.created_at,
            self.created_by.as_ref(),
            self.message.as_ref(),
        )
    }
}

/// Why a tenant takes no writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No start-up check has looked at the bucket yet.
    Unclaimed,
    /// The bucket knows more than the database, or belongs to another one.
    AwaitingRecovery,
    /// A decision ended the tenant; nothing but a [`driftline_model::Decision::Reinstate`] is taken.
    Retired,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Committed, with the active version after it.
    Committed {
        /// The entry.
        meta: EntryMeta,
        /// The active version after it; 0 when there is none.
        active: Seq,
    },
    /// Nothing new: the idempotency key made this entry before.
    Replayed {
        /// The entry that the first call made.
        meta: EntryMeta,
        /// The active version now.
        active: Seq,
    },
    /// Nothing new: the active version has this content already.
    Unchanged {
        /// The active version's entry.
        meta: EntryMeta,
    },
    /// The head is not what was expected.
    Conflict {
        /// The head of the manifests.
        head: Head,
        /// The checksum of that version; `None` when there is no version.
        checksum: Option<Digest>,
    },
    /// The idempotency key was used for other content.
    KeyReused {
        /// The number of the entry that it made.
        seq: Seq,
    },
    /// `refers_to` names no version of this tenant.
    NoSuchVersion,
    /// The tenant takes no writes.
    Refused(Refusal),
}

/// An entry with what the database knows about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The entry; its content carries the checksum on record and was not hashed again.
    pub entry: Entry,
    /// The tenant's active version.
    pub active: Seq,
    /// The watermark of the entry's stream.
    pub watermark: Seq,
    /// A decision ended the tenant.
    pub retired: bool,
}

/// What a backend says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendInfo {
    /// Product and version, as an operator would name it.
    pub version: String,
    /// Its own clock, when it tells.
    pub now: Option<Timestamp>,
}

/// Appends and reads entries.
///
/// Every method is isolated by the tenant that it names, and sees all that was committed before it began.
#[async_trait]
pub trait ManifestStore: Send + Sync + fmt::Debug {
    /// Appends an entry under the tenant's lock, in one transaction and one round trip: numbered, stamped
    /// (`committed_at` is the database's clock, never before the tenant's newest entry) and linked. Atomic: after an error
    /// with [`super::Fault::OutcomeUnknown`] it is there whole or not at all. A tenant's first entry creates the tenant, at the
    /// database's generation, if the database is claimed. Checks happen in the order refusal, idempotency key, expectation,
    /// reference, unchanged.
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended>;

    /// The same on a server that no check allowed: the very one, and the very timeline, of `at`. On any other it fails with
    /// [`super::Fault::Elsewhere`].
    async fn append_at(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: &DatabaseIdentity,
    ) -> StoreResult<Appended>;

    /// The tenant's state; `None` when it has never been written to.
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>>;

    /// Tenants in byte order of their names, after `after`.
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>>;

    /// The active manifest, in one round trip; `None` without one, or when its row is lost.
    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>>;

    /// One entry, in one round trip.
    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>>;

    /// The newest entry of a stream that was committed at or before `until`.
    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>>;

    /// The newest apply that names this version's number.
    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>>;

    /// Entries without their content, newest first, with numbers below `before`.
    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>>;

    /// Reaches the database and tells what it is.
    async fn ping(&self) -> StoreResult<BackendInfo>;

    /// Tries a write and takes it back: a server that only reads (a standby, a setting, a full disk, a role without the right)
    /// is an error that names it. Without one of its own, an adapter is reached and no more.
    async fn can_write(&self) -> StoreResult<()> {
        self.ping().await.map(drop)
    }

    /// Creates what the database needs, or brings it up to date. Safe to run twice and by several at once.
    async fn migrate(&self) -> StoreResult<()>;
}
