//! The report `driftline.drift.v1`. Members are added, never changed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ObservationError, Step};
use crate::integrity::RowDamage;
use crate::{Digest, Seq, ShortText, TenantId, Timestamp};

/// The type and the id under which a tenant's settings, all of a manifest that is no collection, stand among the items. Where
/// resources are called that, the type is `(settings)`.
pub const SETTINGS: &str = "settings";

/// What a resource, or a tenant's settings, are called.
pub fn name(resource_type: &str, id: &str) -> String {
    match (resource_type, id) {
        ("settings" | "(settings)", SETTINGS) => SETTINGS.to_owned(),
        _ => format!("{resource_type}/{id}"),
    }
}

/// The report's schema tag.
pub const REPORT_SCHEMA: &str = "driftline.drift.v1";

/// Which of the three states of a resource differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Desired = recorded = actual.
    InSync,
    /// Recorded = actual ≠ desired: not applied yet.
    Pending,
    /// Desired = recorded ≠ actual: somebody changed or deleted it outside.
    Drifted,
    /// Desired = actual ≠ recorded: done by hand as desired; to be recorded, not applied again.
    Adopted,
    /// All three differ.
    Conflict,
    /// What was recorded cannot be relied on: its checksum fails, or its reference to a version is void.
    LedgerSuspect,
    /// The observer could not see it. Never counted as drift.
    Unknown,
    /// It is live, and neither desired nor recorded.
    Unmanaged,
}

impl Verdict {
    /// Every verdict, the worst first.
    pub const ALL: [Self; 8] = [
        Self::LedgerSuspect,
        Self::Conflict,
        Self::Drifted,
        Self::Adopted,
        Self::Pending,
        Self::Unknown,
        Self::Unmanaged,
        Self::InSync,
    ];

    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Pending => "pending",
            Self::Drifted => "drifted",
            Self::Adopted => "adopted",
            Self::Conflict => "conflict",
            Self::LedgerSuspect => "ledger_suspect",
            Self::Unknown => "unknown",
            Self::Unmanaged => "unmanaged",
        }
    }

    /// Whether it raises an alarm, unless somebody accepted it.
    pub const fn is_drift(self) -> bool {
        matches!(
            self,
            Self::Drifted | Self::Adopted | Self::Conflict | Self::LedgerSuspect
        )
    }

    /// Whether something differs: drift, or a change that is not applied yet.
    pub const fn is_difference(self) -> bool {
        self.is_drift() || matches!(self, Self::Pending)
    }
}

/// How the actual state (without one, or where the two agree, the recorded state) differs from the desired one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Desired, and not there.
    Missing,
    /// There, and not desired.
    Extra,
    /// There with other fields.
    Modified,
    /// There under another external id than the recorded one.
    Mismatch,
}

impl Kind {
    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Modified => "modified",
            Self::Mismatch => "mismatch",
        }
    }
}

/// How much an item matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Worth waking somebody.
    Error,
}

impl Severity {
    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a report rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All three states were there.
    Compared,
    /// The tenant has no manifest: there is nothing to compare with.
    NoManifest,
    /// Nothing was ever recorded as applied.
    NeverApplied,
    /// Nothing was observed: desired and recorded are compared alone.
    NotObserved,
}

impl Status {
    /// The word that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compared => "compared",
            Self::NoManifest => "no_manifest",
            Self::NeverApplied => "never_applied",
            Self::NotObserved => "not_observed",
        }
    }
}

/// Why what was seen is not what is live now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untimely {
    /// It was seen too long ago.
    Stale,
    /// The observer says that it will be seen.
    Future,
}

impl Untimely {
    /// By how much the clocks of observers may be ahead.
    pub const CLOCKS_DIFFER: Duration = Duration::from_mins(5);

    /// Judges when something was seen that counts `until` a time.
    pub fn judge(observed_at: Timestamp, until: Timestamp, now: Timestamp) -> Option<Self> {
        if observed_at > now.saturating_add(Self::CLOCKS_DIFFER) {
            return Some(Self::Future);
        }
        (until < now).then_some(Self::Stale)
    }

    /// In words, of a live state of this time.
    pub fn words(self, observed_at: Timestamp) -> String {
        match self {
            Self::Stale => format!(
                "the live state is from {observed_at}, too long ago to tell what is live now"
            ),
            Self::Future => format!(
                "the live state is from {observed_at}, which is still to come: a clock is wrong"
            ),
        }
    }
}

/// Whether what was seen is what is live now, as a list of reports shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timeliness {
    /// It was seen at a time that counts.
    Timely,
    /// It was seen too long ago.
    Stale,
    /// The observer says that it will be seen.
    Future,
}

impl Timeliness {
    const ALL: [Self; 3] = [Self::Timely, Self::Stale, Self::Future];

    /// Of a report; `None` where nothing live was seen.
    pub fn of(report: &DriftReport) -> Option<Self> {
        report.observed_at?;
        Some(match report.untimely {
            None => Self::Timely,
            Some(Untimely::Stale) => Self::Stale,
            Some(Untimely::Future) => Self::Future,
        })
    }

    /// As JSON and databases have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timely => "timely",
            Self::Stale => "stale",
            Self::Future => "future",
        }
    }

    /// The one of that name. A name of a later build is not known.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether it says nothing of what is live now.
    pub fn is_untimely(self) -> bool {
        self != Self::Timely
    }
}

/// A field that is not the same in all states. An absent value is null. A value that is not shown as it is has a
/// [`super::Placeholder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The field, as a JSON pointer. An element of a keyed list is named by its key: `/ports/[port=80,protocol=TCP]/name`.
    pub pointer: String,
    /// Its desired value.
    pub desired: Value,
    /// Its recorded value.
    pub recorded: Value,
    /// Its actual value, as far as the desired or the recorded state names it; null without an actual state.
    pub actual: Value,
    /// The SHA-256 that an acknowledgement of the actual value names, where that is not shown as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_digest: Option<Digest>,
}

/// A rule of the policy, or an acknowledgement, that could not be used as it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnusedRule {
    /// The rule, as a JSON pointer into the policy; `None` for an acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where in the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The first resource that it concerns, as `type/id`; `None` for a rule that no resource can use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// How many resources it concerns.
    pub resources: u64,
    /// Why, and what was done instead.
    pub reason: String,
}

/// Since when a drift is there, as far as audits can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Onset {
    /// The last audit that did not see it; `None` when the first audit saw it already.
    pub after: Option<Timestamp>,
    /// The first audit that saw it.
    pub before: Timestamp,
    /// How often the resource drifted so far, this time included.
    pub occurrence: u32,
}

/// The acknowledgement that keeps an item silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: ShortText,
    /// Who.
    pub by: Option<ShortText>,
    /// The accepted fields, as JSON pointers; empty for the whole resource.
    pub pointers: Vec<String>,
}

/// One resource's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The verdict.
    pub verdict: Verdict,
    /// The kind of difference, where there is one.
    pub kind: Option<Kind>,
    /// The resource's type.
    pub resource_type: String,
    /// Its manifest id; `None` for an unmanaged resource.
    pub manifest_id: Option<String>,
    /// Its live external id, or else the recorded one.
    pub external_id: Option<String>,
    /// The recorded external id, where it is not the live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_external_id: Option<String>,
    /// How much it matters.
    pub severity: Severity,
    /// The fields that are not the same in all states.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// SHA-256 of the live value as acknowledgements see it: of `null` when the resource is not there, or else of its external
    /// id, a line feed, and the hex SHA-256 of the fields that the desired or the recorded state names, in canonical form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual_digest: Option<Digest>,
    /// Somebody accepted all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Acknowledged>,
    /// Fields of it that somebody accepted, while others raise the alarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Acknowledged>,
    /// Since when it drifts; only in stored reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<Onset>,
    /// Why the verdict is not a comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Item {
    /// Whether it raises an alarm.
    pub fn alarms(&self) -> bool {
        self.verdict.is_drift() && self.acknowledgement.is_none()
    }
}

/// The report in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Resources by verdict, those in sync included.
    pub by_verdict: BTreeMap<Verdict, u64>,
    /// Differences by kind.
    pub by_kind: BTreeMap<Kind, u64>,
    /// Resources that are not in sync, by type.
    pub by_type: BTreeMap<String, u64>,
    /// Items that somebody accepted.
    #[serde(default)]
    pub acknowledged: u64,
    /// Resources that the policy ignores.
    #[serde(default)]
    pub ignored: u64,
    /// The observer saw resources and did not say what is live of the tenant's settings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settings_not_observed: bool,
}

/// What a comparison of one tenant found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// [`REPORT_SCHEMA`].
    pub schema: String,
    /// Whose.
    pub tenant: TenantId,
    /// What it rests on.
    pub status: Status,
    /// The version that is compared; 0 when there is none.
    pub desired_version: Seq,
    /// The version that was recorded as applied last; `None` when none ever was.
    pub recorded_version: Option<Seq>,
    /// When the actual state was seen; `None` without one.
    pub observed_at: Option<Timestamp>,
    /// Why what was seen is not what is live now, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untimely: Option<Untimely>,
    /// Whether anything raises an alarm.
    pub has_drift: bool,
    /// Why what was recorded cannot be relied on, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is not in sync, the worst first.
    pub items: Vec<Item>,
    /// In numbers.
    pub summary: Summary,
    /// Rules that could not be used as they are meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused_rules: Vec<UnusedRule>,
    /// What the observer could not see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ObservationError>,
    /// Rows of the database that are not what was committed: the bucket's proven copies were compared in their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_rows: Vec<RowDamage>,
    /// What brings the actual state to the desired one, in an order that is safe to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<Step>>,
}

impl DriftReport {
    /// Why the live state is of no time that counts, in words.
    pub fn untimely_words(&self) -> Option<String> {
        Some(self.untimely?.words(self.observed_at?))
    }

    /// Resources with this verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.summary
            .by_verdict
            .get(&verdict)
            .copied()
            .unwrap_or_default()
    }
}
