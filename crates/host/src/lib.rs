//! Where the parts meet: the only crate that knows every adapter.
//!
//! A program says which sides it wants ([`Given`]: flags or variables, a file, defaults), and gets them opened as ports
//! ([`open`], [`reading`], [`Scratch`]), with what observes tenants and who is told ([`audit_plan`]). Nothing is printed, and no
//! command or option is named: what may be done about a failure is an [`Advice`], and whoever shows it has the words.

mod audits;
mod config;
mod error;
mod open;
mod sources;
pub mod telemetry;

pub use audits::audit_plan;
pub use config::{
    AuditConfig, Config, DATABASE_VARIABLE, DEFAULT_FILE, DatabaseUrl, Given, S3,
    SNAPSHOTS_VARIABLE, SnapshotsUrl, Source, TenantAudit, duration,
};
#[cfg(feature = "http")]
pub use config::{BodyFormat, Kept, Receiver};
pub use error::{Advice, HostError, Problem, ProblemKind};
pub use open::{Begun, Needs, Opened, Reading, Scratch, open, reading};
pub use secrecy::SecretString;
pub use sources::{SourceOptions, Sources, check_for_many, source};
