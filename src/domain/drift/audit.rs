//! What audits learn from one another: since when something drifts, how often it did, and what there is to tell.

use serde::{Deserialize, Serialize};

use super::{Onset, Severity, Verdict};
use crate::domain::{EventId, ReportId, TenantId, Timestamp};

/// What the audits of one tenant remember from one to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// When the last audit that saw the live state took place.
    pub last_seen_at: Option<Timestamp>,
    /// Every resource that ever drifted.
    pub tracks: Vec<Track>,
}

/// A resource that drifts, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// Its type.
    pub resource_type: String,
    /// Its manifest id.
    pub id: String,
    /// Since when it drifts, or did last.
    pub onset: Onset,
    /// The verdict when it was last seen to drift.
    pub verdict: Verdict,
    /// The first audit that saw it in order again; `None` while it drifts.
    pub resolved_at: Option<Timestamp>,
    /// It was told to the outside, and its end was not.
    pub announced: bool,
}

/// How a report differs from the audits before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Drifts that raise an alarm and did not before.
    pub new: Vec<Subject>,
    /// Drifts that raise an alarm as they did before.
    pub continuing: Vec<Subject>,
    /// Alarms that ended: in order again, or accepted.
    pub resolved: Vec<Subject>,
}

/// A drift as events show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The resource's type.
    pub resource_type: String,
    /// Its manifest id.
    pub manifest_id: String,
    /// The verdict; of a resolved drift the last one that raised an alarm.
    pub verdict: Verdict,
    /// How much it matters; `None` for a resolved drift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Since when it drifts, or did.
    pub onset: Onset,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    /// Something drifts that did not.
    #[serde(rename = "drift.new")]
    DriftNew,
    /// Something that drifted is in order again, or accepted.
    #[serde(rename = "drift.resolved")]
    DriftResolved,
    /// No audit succeeded for too long.
    #[serde(rename = "audit.stale")]
    AuditStale,
    /// An audit succeeded again.
    #[serde(rename = "audit.recovered")]
    AuditRecovered,
}

impl EventKind {
    /// The word that events use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DriftNew => "drift.new",
            Self::DriftResolved => "drift.resolved",
            Self::AuditStale => "audit.stale",
            Self::AuditRecovered => "audit.recovered",
        }
    }
}

/// Something to tell, as `driftline.event.v1`. It may be told more than once, always under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `driftline.event.v1`.
    pub schema: String,
    /// Its identifier: a receiver that has seen it ignores it.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Whose.
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// The report that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportId>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifts: Vec<Subject>,
    /// In words.
    pub message: String,
}

/// The event's schema tag.
pub const EVENT_SCHEMA: &str = "driftline.event.v1";
