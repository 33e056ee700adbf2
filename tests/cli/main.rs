//! The command as people and scripts see it: the real binary, what it prints, and how it exits.

mod audits;
mod bad_input;
mod config;
mod create;
mod decisions;
mod demo;
mod drift;
mod drill;
mod health;
mod help;
mod hostile;
mod import;
mod integrity;
mod legacy;
mod messages;
mod misfits;
mod missing;
mod observations;
mod outage;
#[cfg(feature = "postgres")]
mod postgres;
mod private;
mod processes;
mod reading;
mod recovery;
mod rotten;
#[cfg(all(feature = "postgres", feature = "s3"))]
mod s3;
mod session;
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(feature = "postgres", feature = "s3", feature = "http"))]
mod tls;
mod unwritten;
#[cfg(feature = "postgres")]
mod waiting;
mod whereabouts;
