//! Where live states come from, and where what was found goes.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(feature = "http")]
mod http;
pub mod sources;
mod text;
#[cfg(feature = "http")]
pub mod webhook;
