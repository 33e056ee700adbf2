//! One verdict for every resource.

use super::{Acknowledgement, ActualState, DriftReport, Policy};
use crate::domain::content::{Content, ContentError};
use crate::domain::{Resources, Seq, TenantId, Timestamp};

/// What is desired.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// The version that is compared.
    pub version: Seq,
    /// Its content.
    pub content: &'a Content,
}

/// What was recorded as applied last.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The version that was applied.
    pub version: Seq,
    /// Its content, and what got which external id; or why neither can be relied on.
    pub state: Result<(&'a Content, &'a Resources), &'a str>,
}

/// The three states, and how they are compared.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// What is desired.
    pub desired: Option<Desired<'a>>,
    /// What was recorded.
    pub recorded: Option<Recorded<'a>>,
    /// What was seen.
    pub actual: Option<&'a ActualState>,
    /// What the operators decided.
    pub policy: &'a Policy,
    /// What they accepted.
    pub acknowledgements: &'a [Acknowledgement],
    /// The time by which acknowledgements expire.
    pub now: Timestamp,
    /// Compare every field, also those that neither the desired nor the recorded state names.
    pub strict: bool,
    /// List the resources in sync too.
    pub all: bool,
    /// Make a plan.
    pub plan: bool,
}

/// Compares the three states. Fails when the desired content is not the content of a manifest.
pub fn compare(comparison: &Comparison<'_>) -> Result<DriftReport, ContentError> {
    let _ = comparison;
    unimplemented!()
}
