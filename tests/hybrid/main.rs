//! The hybrid core over memory adapters: invariants, named interleavings, and a bucket that misbehaves.

#[path = "../support/mod.rs"]
mod support;

mod divergence;
mod drill;
mod faults;
mod handbook;
mod integrity;
mod interleavings;
mod invariants;
mod legacy;
mod listing;
mod losses;
mod moved_away;
mod order;
mod overlay;
mod projection;
mod reads;
mod retire;
mod scene;
mod slow;
mod split;
mod whereabouts;
