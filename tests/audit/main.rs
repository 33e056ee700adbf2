//! Audits over memory adapters on simulated time: onsets, schedules, crashes, receivers, and what an audit cannot do.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod kubernetes;
mod onset;
mod receivers;
mod records;
mod schedules;
mod writing;
