//! The driving ports on the two sides: one file a use case.

mod append;
mod applies;
mod drift;
mod integrity;
mod manifests;
mod recoveries;
mod serve;
mod tenants;

use driftline_ports::{Error, ErrorKind, Result};

/// The largest page of a history.
const MAX_PAGE: u32 = 1000;

fn check_limit(limit: u32) -> Result<()> {
    if limit <= MAX_PAGE {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("read a history: a limit of 0 to {MAX_PAGE} is expected, not {limit}"),
    ))
}
