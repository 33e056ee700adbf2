//! What brings the actual state to the desired one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Withheld;

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// Creates the resource.
    Create {
        /// Its desired attributes.
        attributes: Value,
    },
    /// Changes the live resource.
    Update {
        /// An RFC 6902 patch of the live attributes. An operation on an element of a keyed list also has a `pointer`, which
        /// names the element by its key. One without the `value` that it needs is about a value that is withheld.
        patch: Value,
    },
    /// Deletes the live resource.
    Delete,
    /// Changes nothing live: the record of what was applied learns what is there. Without an external id, that nothing is.
    Record,
}

/// The name of a resource in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Its type.
    pub resource_type: String,
    /// Its manifest id.
    pub manifest_id: String,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// The resource's type.
    pub resource_type: String,
    /// Its manifest id; `None` for an unmanaged resource.
    pub manifest_id: Option<String>,
    /// Its live external id; `None` when it is not there.
    pub external_id: Option<String>,
    /// The resource of the applied version that it was called until now, where it got another name: it is the same live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<Named>,
    /// What should be known before it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Values that the step needs and that the policy hides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}
