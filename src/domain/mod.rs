//! Pure rules: no async, no I/O, no clock. Everything here is a function of its arguments.

pub mod content;
mod digest;

pub use digest::{Digest, InvalidDigest};
