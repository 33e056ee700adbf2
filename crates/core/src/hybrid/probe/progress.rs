//! How far a probe is, for whoever watches.

use std::sync::{Mutex, PoisonError};

/// What a probe is at.
#[derive(Debug, Default)]
pub struct ProbeProgress(Mutex<(&'static str, usize)>);

impl ProbeProgress {
    /// The check that is tried, and the round of it.
    pub fn now(&self) -> (&'static str, usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, check: &'static str) {
        self.round(check, 1);
    }

    pub(super) fn round(&self, check: &'static str, round: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (check, round);
    }
}
