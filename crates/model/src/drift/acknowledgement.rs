//! "This value, until then, because": a drift that somebody accepts.

use serde::{Deserialize, Serialize};

use crate::{Digest, Seq, ShortText, Timestamp};

/// An accepted live value. It is silent only while the live value is this value, and only until its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// The resource's type.
    pub resource_type: String,
    /// Its manifest id.
    pub id: String,
    /// The field, as a JSON pointer; empty for the whole resource.
    #[serde(default)]
    pub pointer: String,
    /// The SHA-256 of the accepted value in canonical form; see [`super::Item::actual_digest`] for a whole resource.
    pub value: Digest,
    /// From when on it alarms again.
    pub until: Timestamp,
    /// Why.
    pub reason: ShortText,
    /// Who: the author of the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ShortText>,
    /// The decision's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Seq>,
}

impl Acknowledgement {
    /// Whether a later acknowledgement takes the place of this one.
    pub fn is_about_the_same_as(&self, other: &Self) -> bool {
        (&self.resource_type, &self.id, &self.pointer)
            == (&other.resource_type, &other.id, &other.pointer)
    }
}
