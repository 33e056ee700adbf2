//! What every connection shares: certificates, and URLs that can be read in two ways.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod misread;
#[cfg(feature = "tls")]
pub mod tls;
