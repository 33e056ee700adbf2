//! What the integration tests share: real services that stop with the test process, and faults.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

#[cfg(all(feature = "postgres", feature = "sqlite", feature = "s3"))]
pub mod audit;
pub mod by_hand;
pub mod faults;
pub mod legacy;
#[cfg(feature = "s3")]
pub mod localstack;
#[cfg(all(feature = "postgres", feature = "sqlite", feature = "s3"))]
pub mod pairs;
#[cfg(feature = "postgres")]
pub mod pgbouncer;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod reading;
pub mod relay;
#[cfg(feature = "postgres")]
pub mod replica;
pub mod service;
#[cfg(all(feature = "postgres", feature = "http"))]
pub mod tls;
pub mod vectors;
pub mod world;
