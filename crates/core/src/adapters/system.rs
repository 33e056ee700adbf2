//! The machine's clock and randomness: the one place that may ask for them.

use uuid::Uuid;

use driftline_model::Timestamp;
use driftline_ports::{Clock, Entropy};

/// The machine's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter that provides the clock"
    )]
    fn now(&self) -> Timestamp {
        let micros = jiff::Timestamp::now().as_microsecond();
        Timestamp::from_micros(micros).unwrap_or(Timestamp::EPOCH)
    }
}

impl Entropy for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter that provides identifiers"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter that provides randomness"
    )]
    fn fraction(&self) -> f64 {
        rand::random()
    }
}
