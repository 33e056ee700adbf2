//! The hybrid adapter: [`HybridManifestRepository`] implements [`driftline_ports::ManifestProvider`] on a database and a bucket.

pub mod audit;
mod blocking;
mod bucket;
mod checkup;
mod crash;
mod drift;
pub mod drill;
mod fallback;
mod handbook;
mod history;
pub mod inspection;
pub mod integrity;
mod marker;
mod ownership;
pub mod probe;
mod projection;
mod proven;
mod provider;
mod quarantine;
mod recovery;
mod referring;
mod replicator;
mod repository;
mod retire;
mod settings;
mod shadowed;

pub use ownership::Standing;
pub use recovery::{PlanSink, Progress, RecoveryDocument, RecoveryReport, Whom};
pub use replicator::{Drained, Replicator};
pub use repository::HybridManifestRepository;
pub use settings::{OnClone, OnFailover, Settings, Sides};
