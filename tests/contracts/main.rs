//! One suite per driven port, over every adapter of that port.

#[path = "../support/mod.rs"]
mod support;

mod audit_log;
mod bucket;
mod database;
mod state_reader;
