//! What lies in a bucket, for as long as buckets are kept: read by other programs, damaged, and written by older builds.

#[path = "../support/mod.rs"]
mod support;

mod by_hand;
mod flips;
mod golden;
