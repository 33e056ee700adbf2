//! What stands between driftline's ports. No driver is known here, and no adapter of one.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod adapters;
pub mod hybrid;
