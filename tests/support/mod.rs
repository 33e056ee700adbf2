//! What the integration tests share beyond `driftline-conformance`: driftline itself on its services, and worlds to test it in.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

#[cfg(all(feature = "postgres", feature = "sqlite", feature = "s3"))]
pub mod audit;
pub mod by_hand;
pub mod legacy;
#[cfg(feature = "s3")]
pub mod localstack;
#[cfg(all(feature = "postgres", feature = "sqlite", feature = "s3"))]
pub mod pairs;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod reading;
pub mod vectors;
pub mod world;

/// The repository.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
