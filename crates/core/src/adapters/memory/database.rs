//! The database in memory.
//!
//! One mutex over ordered maps: a call happens at once and whole, nothing is durable, and the same calls at the same times
//! give the same answers. It is never held across an await.

mod append;
mod audits;
mod ledger;
mod reading;
mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::audits::Audits;
use driftline_model::content::Content;
use driftline_model::{
    BucketId, DatabaseId, Digest, Entry, EntryMeta, Epoch, PerStream, Seq, Stream, TenantId,
    TenantState, Timestamp,
};
use driftline_ports::rules::append::applied_version;
use driftline_ports::rules::shadow::Shadowing;
use driftline_ports::{
    Appended, BackendInfo, Clock, DatabaseIdentity, Entropy, ManifestStore, NewEntry, Ownership,
    Server, Side, StoreError, StoreResult, Stored, Whereabouts,
};

/// A database that lives as long as this value.
#[derive(Debug)]
pub struct MemoryDatabase {
    tables: Arc<Mutex<Tables>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Tables {
    identity: DatabaseIdentity,
    /// The server and the timeline that a check allowed.
    allowed: (Server, u32),
    tenants: BTreeMap<TenantId, Tenant>,
    probed: BTreeSet<BucketId>,
    audits: Audits,
}

#[derive(Debug, Clone)]
struct Tenant {
    state: TenantState,
    entries: PerStream<BTreeMap<Seq, Entry>>,
    /// Per stream and idempotency key: what it made, and when.
    keys: BTreeMap<(Stream, String), (Seq, Timestamp)>,
    shadowing: Shadowing,
}

impl MemoryDatabase {
    /// An empty, unclaimed database with an identifier of its own.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "every database is made from shared ports"
    )]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let identity = DatabaseIdentity {
            id: DatabaseId {
                id: entropy.uuid(),
                timeline: 0,
            },
            ownership: Ownership::Unclaimed,
            generation: Epoch::FIRST,
            bucket_id: None,
            server: Server([1, 0, 0]),
            whereabouts: Whereabouts::Here,
        };
        let tables = Tables {
            identity,
            allowed: (identity.server, identity.id.timeline),
            tenants: BTreeMap::new(),
            probed: BTreeSet::new(),
            audits: Audits::default(),
        };
        Self {
            tables: Arc::new(Mutex::new(tables)),
            clock,
        }
    }

    /// A copy as it is now, one timeline later: a replica that lags from this moment on, and is promoted.
    #[must_use]
    pub fn fork(&self) -> Self {
        let fork = self.backup();
        let timeline = self.tables().identity.id.timeline;
        fork.tables().identity.id.timeline = timeline.saturating_add(1);
        fork
    }

    /// A copy as it is now, on another server: a dump that is restored elsewhere.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = self.backup();
        copy.tables().identity.server.0[0] += 1;
        copy
    }

    /// The same, put on another timeline while it is in use: the connections lead to a replica that was promoted.
    pub fn promote(&self) {
        let mut tables = self.tables();
        tables.identity.id.timeline = tables.identity.id.timeline.saturating_add(1);
    }

    /// A copy as it is now, under the same identity: a backup that is restored without anything that would tell.
    #[must_use]
    pub fn backup(&self) -> Self {
        Self {
            tables: Arc::new(Mutex::new(self.tables().clone())),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Loses a row, as a damaged disk does: the lock row still counts it.
    pub fn lose_row(&self, tenant: &TenantId, stream: Stream, seq: Seq) {
        if let Some(tenant) = self.tables().tenants.get_mut(tenant) {
            tenant.entries[stream].remove(&seq);
        }
    }

    /// Changes a row's content under its checksum, as a damaged disk does.
    pub fn damage_row(&self, tenant: &TenantId, stream: Stream, seq: Seq, content: &'static str) {
        if let Some(tenant) = self.tables().tenants.get_mut(tenant)
            && let Some(row) = tenant.entries[stream].get_mut(&seq)
        {
            row.content = Content::trusted(content.as_bytes().into(), row.meta.checksum);
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        lock(&self.tables)
    }
}

/// The tables; a panic elsewhere in a test does not make them unreadable.
fn lock(tables: &Mutex<Tables>) -> MutexGuard<'_, Tables> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(fault: driftline_ports::Fault, message: impl Into<String>) -> StoreError {
    StoreError::new(Side::Database, fault, message)
}

impl Tables {
    /// Who the database is, and where.
    fn identity(&self) -> DatabaseIdentity {
        let (server, timeline) = self.allowed;
        let whereabouts = if server != self.identity.server {
            Whereabouts::Elsewhere
        } else if timeline != self.identity.id.timeline {
            Whereabouts::Promoted
        } else {
            Whereabouts::Here
        };
        DatabaseIdentity {
            whereabouts,
            ..self.identity
        }
    }

    /// Refuses to write where no check allowed it.
    fn here(&self) -> StoreResult<()> {
        let identity = self.identity();
        if identity.whereabouts == Whereabouts::Here || identity.ownership == Ownership::Unclaimed {
            return Ok(());
        }
        Err(elsewhere())
    }
}

fn elsewhere() -> StoreError {
    error(
        driftline_ports::Fault::Elsewhere,
        "write: the database is not where it was when it was checked",
    )
}

impl Tenant {
    fn new(state: TenantState) -> Self {
        Self {
            state,
            entries: PerStream::default(),
            keys: BTreeMap::new(),
            shadowing: Shadowing::default(),
        }
    }

    fn get(&self, stream: Stream, seq: Seq) -> Option<&Entry> {
        self.entries[stream].get(&seq)
    }

    fn version(&self, version: Seq) -> Option<&EntryMeta> {
        self.get(Stream::Manifests, version)
            .map(|entry| &entry.meta)
    }

    fn chain(&self, stream: Stream, seq: Seq) -> Option<Digest> {
        self.get(stream, seq).map(|entry| entry.meta.chain)
    }

    fn stored(&self, stream: Stream, seq: Seq) -> Option<Stored> {
        let entry = self.get(stream, seq)?.clone();
        Some(Stored {
            entry,
            active: self.state.active_version(),
            watermark: self.shadowing.watermarks[stream],
            retired: self.state.retired.is_some(),
        })
    }
}

#[async_trait]
impl ManifestStore for MemoryDatabase {
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.here()?;
        Ok(tables.append(tenant, entry, now))
    }

    async fn append_at(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: &DatabaseIdentity,
    ) -> StoreResult<Appended> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if !tables.is_at(at) {
            return Err(elsewhere());
        }
        Ok(tables.append(tenant, entry, now))
    }

    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        Ok(self
            .tables()
            .tenants
            .get(tenant)
            .map(|tenant| tenant.state.clone()))
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>> {
        let tables = self.tables();
        Ok(page(&tables.tenants, after, limit)
            .map(|tenant| tenant.state.clone())
            .collect())
    }

    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>> {
        let tables = self.tables();
        let tenant = tables.tenants.get(tenant);
        Ok(tenant
            .and_then(|tenant| tenant.stored(Stream::Manifests, tenant.state.active_version())))
    }

    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>> {
        Ok(self
            .tables()
            .tenants
            .get(tenant)
            .and_then(|tenant| tenant.stored(stream, seq)))
    }

    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>> {
        let tables = self.tables();
        let Some(tenant) = tables.tenants.get(tenant) else {
            return Ok(None);
        };
        let mut newest_first = tenant.entries[stream].values().rev();
        Ok(newest_first
            .find(|entry| until.is_none_or(|until| entry.meta.committed_at <= until))
            .cloned())
    }

    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>> {
        let tables = self.tables();
        let Some(tenant) = tables.tenants.get(tenant) else {
            return Ok(None);
        };
        let mut newest_first = tenant.entries[Stream::Applies].values().rev();
        Ok(newest_first
            .find(|entry| applied_version(Stream::Applies, &entry.content) == Some(version))
            .cloned())
    }

    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>> {
        let tables = self.tables();
        let Some(tenant) = tables.tenants.get(tenant) else {
            return Ok(Vec::new());
        };
        let below = tenant.entries[stream].range(..before.unwrap_or(Seq::new(u64::MAX)));
        Ok(below
            .rev()
            .take(limit as usize)
            .map(|(_, entry)| entry.meta.clone())
            .collect())
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        Ok(BackendInfo {
            version: "memory".to_owned(),
            now: Some(self.clock.now()),
        })
    }

    async fn migrate(&self) -> StoreResult<()> {
        Ok(())
    }
}

/// At most `limit` tenants after `after`, in byte order.
fn page<'a>(
    tenants: &'a BTreeMap<TenantId, Tenant>,
    after: Option<&TenantId>,
    limit: u32,
) -> impl Iterator<Item = &'a Tenant> {
    use std::ops::Bound::{Excluded, Unbounded};
    let from = after.map_or(Unbounded, |after| Excluded(after.clone()));
    tenants
        .range((from, Unbounded))
        .take(limit as usize)
        .map(|(_, tenant)| tenant)
}
