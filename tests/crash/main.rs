//! The program dies by SIGKILL at any moment, and nothing that it acknowledged is lost, or there twice.
//!
//! Databases wait for the disk here, as in production.

#[path = "../support/mod.rs"]
mod support;

mod adoption;
mod program;
mod random;
mod recovery;
mod replicator;
mod writer;
