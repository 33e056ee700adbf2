//! Pure rules: no async, no I/O, no clock. Everything here is a function of its arguments.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod content;
mod decided;
mod digest;
pub mod drift;
mod entry;
pub mod format;
mod ids;
pub mod integrity;
pub mod json;
mod losses;
mod projection;
mod records;
pub mod recovery;
mod stream;
mod time;
#[cfg(test)]
mod vectors;

pub use decided::Decided;
pub use digest::{Digest, InvalidDigest};
pub use entry::{Entry, EntryMeta, genesis, identity, link};
pub use ids::{
    BucketId, DatabaseId, EntryId, Epoch, EventId, InvalidName, ReportId, Seq, ShortText, TenantId,
};
pub use losses::AcceptedLosses;
pub use projection::{Fold, Projection};
pub use records::{
    Activation, Apply, Decision, Halt, Head, Moved, Renumbering, Resources, TenantState,
    VersionRef, retires,
};
pub use stream::{PerStream, Stream};
pub use time::{InvalidTime, Timestamp};
