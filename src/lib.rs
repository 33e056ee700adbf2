//! driftline keeps a control plane's desired state: committed to a database, shadowed to a bucket, recovered from it.

pub mod adapters;
pub mod domain;
pub mod hybrid;
pub mod ports;
