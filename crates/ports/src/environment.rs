//! Time and randomness, so that a test or a simulation can give its own.

use std::fmt;

use uuid::Uuid;

use driftline_model::Timestamp;

/// Wall-clock time. Waiting goes through tokio's timer, which a test can pause.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Randomness.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// A fresh random (version 4) identifier.
    fn uuid(&self) -> Uuid;

    /// A number in `0.0..1.0`, for jitter.
    fn fraction(&self) -> f64;
}
