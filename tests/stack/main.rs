//! The hybrid repository on real backends: Postgres and LocalStack, SQLite and a directory.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "cli")]
mod audits;
mod by_hand;
mod flows;
mod outage;
mod round_trip;
mod stress;

use driftline::domain::TenantId;

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

/// Whether there is time for more.
fn soak() -> bool {
    std::env::var_os("DRIFTLINE_SOAK").is_some()
}
