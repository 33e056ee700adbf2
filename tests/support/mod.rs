//! What the integration tests share: real services that stop with the test process, and faults.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

#[cfg(feature = "postgres")]
pub mod postgres;
pub mod service;
