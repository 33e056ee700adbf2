//! Why a batch stopped.

use driftline_model::format::Damage;
use driftline_model::{Epoch, Halt, Seq, Stream, TenantId};
use driftline_ports::{Error, Fault, HaltGuard, Hint, Reason, ShadowFault, Side, StoreError};

/// Why a batch stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    /// A side failed; the tenant is tried again later.
    #[error("{}", .0.report())]
    Store(#[from] StoreError),
    /// The bucket holds damaged or misplaced objects where the batch has to build on.
    #[error("{0}")]
    Damage(Box<Damage>, TenantId),
    /// The bucket is not, or no longer, this database's.
    #[error("{0}")]
    NotOwner(Reason),
    /// The bucket is in a later epoch.
    #[error("recovery unfinished: the index {0} is in epoch {1}, the database in epoch {2}")]
    Fenced(String, Epoch, Epoch, TenantId),
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
    #[error("the database is damaged: {stream}/{seq} of {tenant} {problem}")]
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

impl BatchError {
    /// What it comes to for whoever looks at the tenant.
    pub(crate) fn fault(&self) -> ShadowFault {
        let recover = |tenant: &TenantId| Hint::Recover {
            tenant: Some(tenant.clone()),
            dry_run: false,
        };
        let (hint, lasting) = match self {
            Self::Store(error) => return of_store(error),
            Self::Damage(damage, _) if damage.is_newer() => (Some(Hint::UseNewerBuild), true),
            Self::Damage(_, tenant) => {
                let tenant = tenant.clone();
                (Some(Hint::Repair { tenant }), true)
            }
            Self::Fenced(.., tenant) | Self::DamagedRow { tenant, .. } => {
                (Some(recover(tenant)), true)
            }
            // Who owns it is looked at anew before the next try.
            Self::NotOwner(reason) => (reason.hint.clone(), reason.hint.is_some()),
            Self::Behind { .. } | Self::LeaseLost | Self::Contended(_) | Self::Divergent(..) => {
                (None, false)
            }
        };
        ShadowFault { hint, lasting }
    }
}

fn of_store(error: &StoreError) -> ShadowFault {
    let access = match (error.fault(), error.side()) {
        (Fault::Refused, side) => Some(Hint::CheckAccess { side }),
        (Fault::Absent, Side::Bucket) => Some(Hint::CheckBucketUrl),
        _ => None,
    };
    ShadowFault {
        hint: error.hinted().cloned().or(access),
        lasting: error.is_lasting(),
    }
}

/// What keeps a replicator from any work comes to this. That it is tried again needs no hint.
pub(crate) fn fault_of(error: &Error) -> ShadowFault {
    let hint = error.hinted().filter(|_| !error.retryable());
    ShadowFault {
        hint: hint.cloned(),
        lasting: error.is_lasting(),
    }
}
