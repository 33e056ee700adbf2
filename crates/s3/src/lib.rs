//! The bucket on S3 and stores that speak its language.
//!
//! - A PUT carries its condition, and the SHA-256 of its body in `x-amz-checksum-sha256`, and is sent once: the SDK's retries
//!   are off for it. What it left behind when no answer came is for the caller to find out.
//! - GET, LIST and HEAD are retried by the SDK; a GET whose body breaks off is begun anew. The body's length is checked
//!   here, its digest by whoever knows it.
//! - ETags are kept and sent without quotes: S3 takes both, some other stores only these.
//! - Errors are told apart by status and code, never by their text. An error says [`Fault::OutcomeUnknown`] unless it is
//!   certain that nothing was written.
//!
//! The store must honour `If-None-Match: *` and `If-Match` on PUT, atomically; `driftline_core::hybrid::probe` finds out.
//!
//! [`Fault::OutcomeUnknown`]: driftline_ports::Fault::OutcomeUnknown

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connect;
mod errors;
mod inspect;
mod options;
mod snapshot_store;

pub use options::{Encryption, S3Options, StaticCredentials};
pub use snapshot_store::S3SnapshotStore;
