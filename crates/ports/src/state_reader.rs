//! The database, read only: what an audit may do to it.

use std::fmt;

use async_trait::async_trait;

use super::StoreResult;
use driftline_model::{Entry, Seq, Stream, TenantId, TenantState};

/// Everything that the database knows about one tenant's drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDocuments {
    /// The tenant.
    pub state: TenantState,
    /// The active version; `None` without one, or when its row is lost.
    pub desired: Option<Entry>,
    /// The newest apply that is there.
    pub apply: Option<Entry>,
    /// The row under the version's number that the apply names, whatever its chain; `None` when it is not there.
    pub applied: Option<Entry>,
    /// The decisions after [`Asked::decided`] that are there, oldest first.
    pub decisions: Vec<Entry>,
}

/// Whose documents are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The tenant.
    pub tenant: TenantId,
    /// Decisions up to this number are known already.
    pub decided: Seq,
}

impl From<TenantId> for Asked {
    /// Every decision is asked for.
    fn from(tenant: TenantId) -> Self {
        Self {
            tenant,
            decided: Seq::default(),
        }
    }
}

/// What the database says of the session that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSession {
    /// The role; `None` where the database knows none.
    pub role: Option<String>,
    /// The transactions of the session cannot write.
    pub read_only: bool,
}

/// Reads what drift is compared with. It has no way to write.
///
/// Contents carry the checksum on record and were not hashed again.
#[async_trait]
pub trait StateReader: Send + Sync + fmt::Debug {
    /// Tenants in byte order of their names, after `after`.
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>>;

    /// The documents of these tenants, in their order, each tenant's of one moment; unknown tenants are left out. It ends early
    /// after the tenant with which the content exceeds `max_bytes`: the answer's second part is how many of `tenants` were
    /// looked at, at least one.
    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)>;

    /// One entry.
    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>>;

    /// Who reads, and whether it could write: asked of the server in a transaction like those of the other methods.
    async fn session(&self) -> StoreResult<ReadSession>;
}
