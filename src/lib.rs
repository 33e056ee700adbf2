//! driftline keeps a control plane's desired state: committed to a database, shadowed to a bucket, recovered from it.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod adapters;
pub mod domain;
pub mod hybrid;
pub mod ports;
#[cfg(test)]
mod vectors;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
