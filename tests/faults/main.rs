//! One fault of each kind, at every single call to the database and to the bucket, one at a time.
//!
//! An operation runs once without a fault, and its calls are counted. Then it runs again for each call and each fault that the
//! call can meet, from the same beginning. Whatever happens: an answer that it is done is true, nothing that was acknowledged is
//! lost, nothing is there twice, and the same operation once more, by a process that meets no fault, ends in the same state.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod mending;
mod operations;
mod questions;
mod site;
mod sweep;
