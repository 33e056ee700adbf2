//! Why a batch stopped.

use crate::domain::format::Damage;
use crate::domain::{Halt, Seq, Stream, TenantId};
use crate::ports::{HaltGuard, StoreError};

/// Why a batch stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    /// A side failed; the tenant is tried again later.
    #[error("{}", .0.report())]
    Store(#[from] StoreError),
    /// The bucket holds damaged or misplaced objects where the batch has to build on.
    #[error(
        "{0}; `driftline verify --tenant {1}` names what is damaged, `driftline repair --plan FILE` mends it"
    )]
    Damage(Box<Damage>, TenantId),
    /// The bucket is not, or no longer, this database's.
    #[error("{0}")]
    NotOwner(String),
    /// The bucket is in a later epoch.
    #[error(
        "recovery unfinished: the index {0} is in epoch {1}, the database in epoch {2}: run `driftline recover --tenant {3}`"
    )]
    Fenced(String, crate::domain::Epoch, crate::domain::Epoch, TenantId),
    /// The bucket knows entries that the database lacks.
    #[error(
        "the database is behind its bucket: {stream} of {tenant} end at {head}, the index at {latest}"
    )]
    Behind {
        tenant: TenantId,
        stream: Stream,
        head: Seq,
        latest: Seq,
    },
    /// A row below the head is missing or does not fit its chain.
    #[error(
        "the database is damaged: {stream}/{seq} of {tenant} {problem}; run `driftline recover --tenant {tenant}`"
    )]
    DamagedRow {
        tenant: TenantId,
        stream: Stream,
        seq: Seq,
        problem: &'static str,
    },
    /// The tenant is held by somebody else by now, or the database does not say.
    #[error("its lease was lost")]
    LeaseLost,
    /// Others kept changing the index.
    #[error("the index {0} changed under every try; another replicator is at work")]
    Contended(String),
    /// Two valid histories disagree. The halt is stored unless what was compared has moved.
    #[error("{}", .0.reason)]
    Divergent(Box<Halt>, Box<HaltGuard>),
}
