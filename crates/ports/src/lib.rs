//! The traits between the core and the world.
//!
//! Driving: [`ManifestProvider`], what a control plane calls, the sum of one trait a use case; [`prelude`] brings the methods of
//! all of them. Driven: [`Database`] (four ports of one backend) and
//! [`AuditLog`] (the same backends, apart), [`SnapshotStore`] (the bucket), [`Clock`] and [`Entropy`]. Every port is
//! object safe, because URLs choose at run time what is behind it.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod actual_state_source;
mod audit_log;
mod driving;
mod environment;
mod error;
mod hint;
mod manifest_store;
mod notifier;
mod recovery_store;
pub mod rules;
mod shadow_ledger;
mod snapshot_store;
mod state_reader;
mod store_error;

pub use actual_state_source::{ActualStateSource, ObserveRequest, SourceError};
pub use audit_log::{
    AuditClaim, AuditLog, AuditOutcome, AuditScope, AuditedTenant, Delivery, DeliveryOutcome,
    EventStatus, LONGEST_CLAIM, NewEvent, NewReport, ReportFilter, ReportSummary, Retention,
    StoredReport,
};
pub use driving::{
    Adoption, Applies, CheckUp, CreateManifest, Created, DecideDrift, Drift, DriftDecision,
    Durability, Health, HistoryPage, Integrity, LegacyMapping, Manifest, ManifestProvider,
    Manifests, RecordApply, RecoverTarget, Recoveries, Recovery, RecoveryRequest, RecoveryState,
    ShadowState, SideHealth, Source, Stats, Tenants,
};
pub use environment::{Clock, Entropy};
pub use error::{Error, ErrorKind, Result};
pub use hint::{Hint, Reason};
pub use manifest_store::{
    Appended, BackendInfo, Expectation, IDEMPOTENCY_WINDOW, ManifestStore, NewEntry, Refusal,
    Stored,
};
pub use notifier::{DeliveryError, Notifier};
pub use recovery_store::{
    DatabaseIdentity, FailedDrill, Ownership, RecoveryStore, Restore, RestoreProof, Server,
    Whereabouts,
};
pub use shadow_ledger::{
    AtRisk, Backlog, HaltGuard, LONGEST_HOLD, Lease, LeaseRequest, Mark, ShadowFailure,
    ShadowFault, ShadowLedger, TenantStatus, Work, WorkerId,
};
pub use snapshot_store::{
    ETag, Folders, Inspection, Listed, Listing, Object, Precondition, PutOutcome, SnapshotStore,
    Unread, Verdict, within,
};
pub use state_reader::{Asked, ReadSession, StateReader, TenantDocuments};
pub use store_error::{Fault, Oversize, Side, StoreError, StoreResult};

/// The database: manifests, the record of what is shadowed, recovery, and what audits read.
pub trait Database: ManifestStore + ShadowLedger + RecoveryStore + StateReader {}

impl<T: ManifestStore + ShadowLedger + RecoveryStore + StateReader> Database for T {}

/// The methods of all driving ports: `use driftline_ports::prelude::*`, and a repository has them.
pub mod prelude {
    pub use super::ManifestProvider;
    pub use super::{
        Applies as _, Drift as _, Integrity as _, Manifests as _, Recoveries as _, Tenants as _,
    };
}
