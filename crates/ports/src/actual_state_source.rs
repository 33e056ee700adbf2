//! The live system, as an observer sees it.

use std::fmt;

use async_trait::async_trait;

use driftline_model::drift::ActualState;
use driftline_model::{Resources, TenantId};

/// What is to be observed.
#[derive(Debug, Clone, Copy)]
pub struct ObserveRequest<'a> {
    /// Whose resources.
    pub tenant: &'a TenantId,
    /// What was recorded as live: a source that cannot list everything looks for these.
    pub expected: &'a Resources,
}

/// A source that could not observe anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Verb, object, reason; without secrets.
    pub message: String,
    /// Whether trying again later may help.
    pub retryable: bool,
}

/// Observes the live system. Reads only.
///
/// An error means that nothing was seen; what was seen in part is a state that carries its own errors. Neither ever makes a
/// resource `missing`. Implementations keep to a deadline and a size limit of their own.
#[async_trait]
pub trait ActualStateSource: Send + Sync + fmt::Debug {
    /// What it observes, for reports; without secrets.
    fn name(&self) -> String;

    /// Observes one tenant.
    async fn observe(&self, request: ObserveRequest<'_>) -> Result<ActualState, SourceError>;
}
