//! What a control plane calls: one trait a use case, and their sum.

mod applies;
mod drift;
mod integrity;
mod manifests;
mod recoveries;
mod tenants;

pub use self::applies::{Applies, RecordApply, ShadowState};
pub use self::drift::{DecideDrift, Drift, DriftDecision};
pub use self::integrity::{CheckUp, Health, Integrity, SideHealth};
pub use self::manifests::{
    CreateManifest, Created, Durability, HistoryPage, Manifest, Manifests, Source,
};
pub use self::recoveries::{
    Adoption, LegacyMapping, RecoverTarget, Recoveries, Recovery, RecoveryRequest, RecoveryState,
};
pub use self::tenants::{Stats, Tenants};

/// A repository of one control plane's desired state, per tenant: all that it can be asked for.
///
/// Cancelling a call (dropping its future) leaves every entry there whole or not at all. Errors say by their kind what to
/// do; see [`super::ErrorKind`]. Requests and answers are plain data, so that the other end may be in another process.
pub trait ManifestProvider: Manifests + Applies + Drift + Recoveries + Integrity + Tenants {}

impl<T: Manifests + Applies + Drift + Recoveries + Integrity + Tenants> ManifestProvider for T {}
