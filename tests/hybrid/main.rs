//! The hybrid core over memory adapters: invariants, named interleavings, and a bucket that misbehaves.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod handbook;
mod interleavings;
mod invariants;
