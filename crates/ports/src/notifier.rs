//! Who is told.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::NewEvent;

/// An event that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// Verb, object, reason; without secrets.
    pub message: String,
    /// Whether trying again later may help.
    pub retryable: bool,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}

/// Delivers events to one receiver. It may deliver an event more than once, always under the same identifier; it does not
/// try again by itself.
#[async_trait]
pub trait Notifier: Send + Sync + fmt::Debug {
    /// Delivers one event.
    async fn deliver(&self, event: &NewEvent) -> Result<(), DeliveryError>;
}
