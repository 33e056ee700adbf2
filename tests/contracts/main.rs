//! One suite per driven port, over every adapter of that port.

mod database;

#[path = "../support/mod.rs"]
mod support;
