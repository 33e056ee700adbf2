//! What audits learn from one another: since when something drifts, how often it did, and what there is to tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DriftReport, Item, Kind, Onset, SETTINGS, Severity, Status, Verdict};
use crate::{Digest, EventId, ReportId, TenantId, Timestamp};

/// What the audits of one tenant remember from one to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// When the last audit that saw the live state took place.
    pub last_seen_at: Option<Timestamp>,
    /// Every resource that ever drifted.
    pub tracks: Vec<Track>,
    /// Resources that the last audit could not see.
    pub unseen: Vec<Unseen>,
}

/// A resource that the last audit could not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unseen {
    /// Its type.
    pub resource_type: String,
    /// Its manifest id.
    pub id: String,
    /// The last audit that did see it; `None` when none ever did.
    pub seen_at: Option<Timestamp>,
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
    /// What raised an alarm at the last audit that saw the resource; `None` when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
    /// The alarm that the outside was told of, and whose end it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Alarm>,
}

/// What raised an alarm: another one is told anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// The kind of difference.
    pub kind: Option<Kind>,
    /// The live value, as [`Item::actual_digest`] has it.
    pub actual: Option<Digest>,
}

impl Alarm {
    fn of(item: &Item) -> Self {
        Self {
            kind: item.kind,
            actual: item.actual_digest,
        }
    }

    /// Whether the resource changed once more. What is not known on one side is no change.
    fn is_another(&self, earlier: &Self) -> bool {
        fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.zip(other).is_some_and(|(one, other)| one != other)
        }
        differ(self.kind, earlier.kind) || differ(self.actual, earlier.actual)
    }
}

/// How a report differs from the audits before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Drifts that raise an alarm and did not before, or another one.
    pub new: Vec<Subject>,
    /// Drifts that raise an alarm as they did before.
    pub continuing: Vec<Subject>,
    /// Alarms that ended: in order again, or accepted.
    pub resolved: Vec<Subject>,
    /// What is to be told now. Not the same as what is new or resolved: an alarm that came up while there was nobody to tell is
    /// told to the first who can be.
    pub to_tell: ToTell,
}

/// What an audit has to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToTell {
    /// Alarms that the outside does not know.
    pub new: Vec<Subject>,
    /// Ends of alarms that it knows.
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

impl Changes {
    /// Whether there is something to tell.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.resolved.is_empty()
    }
}

impl Memory {
    /// Takes in the report of an audit that took place at `at`: gives each drift in it its onset, and tells what is new, what
    /// goes on and what ended. What the audit could not see changes nothing. Without `has_listeners` there is nobody to tell.
    pub fn observe(
        &mut self,
        report: &mut DriftReport,
        at: Timestamp,
        has_listeners: bool,
    ) -> Changes {
        type Key = (String, String);
        let mut changes = Changes::default();
        let mut tracks: BTreeMap<Key, Track> = std::mem::take(&mut self.tracks)
            .into_iter()
            .map(|track| ((track.resource_type.clone(), track.id.clone()), track))
            .collect();
        let unseen: BTreeMap<Key, Option<Timestamp>> = std::mem::take(&mut self.unseen)
            .into_iter()
            .map(|unseen| ((unseen.resource_type, unseen.id), unseen.seen_at))
            .collect();
        // What was live at another time begins drifts, so that nobody misses them, and ends none.
        let is_seen = matches!(report.status, Status::Compared | Status::NeverApplied)
            && report.observed_at.is_some()
            && report.untimely.is_none();
        if report.summary.settings_not_observed {
            let listed =
                |item: &&Item| is_settings(&item.resource_type, item.manifest_id.as_deref());
            if !report.items.iter().any(|item| listed(&item)) {
                let key = (SETTINGS.to_owned(), SETTINGS.to_owned());
                let seen_at = unseen.get(&key).copied().unwrap_or(self.last_seen_at);
                self.unseen.push(Unseen {
                    resource_type: key.0,
                    id: key.1,
                    seen_at,
                });
            }
        }
        for item in &mut report.items {
            let Some(id) = &item.manifest_id else {
                continue;
            };
            let key = (item.resource_type.clone(), id.clone());
            if item.verdict == Verdict::Unknown {
                self.unseen.push(Unseen {
                    resource_type: key.0.clone(),
                    id: key.1.clone(),
                    seen_at: unseen.get(&key).copied().unwrap_or(self.last_seen_at),
                });
            }
            if !item.verdict.is_drift() {
                continue;
            }
            let after = unseen.get(&key).copied().unwrap_or(self.last_seen_at);
            // Observers may answer with what they saw before: no onset ends before it begins.
            let after = after.map(|after| after.min(at));
            let track = tracks
                .entry(key)
                .or_insert_with_key(|(resource_type, id)| Track {
                    resource_type: resource_type.clone(),
                    id: id.clone(),
                    onset: Onset {
                        after,
                        before: at,
                        occurrence: 0,
                    },
                    verdict: item.verdict,
                    // The first time begins below, like every other.
                    resolved_at: Some(at),
                    alarm: None,
                    told: None,
                });
            if track.resolved_at.take().is_some() {
                track.onset = Onset {
                    after,
                    before: at,
                    occurrence: track.onset.occurrence.saturating_add(1),
                };
            }
            track.verdict = item.verdict;
            item.onset = Some(track.onset.clone());
            track.judge(item, has_listeners, &mut changes);
        }
        // What is in order is not among the items.
        let open: BTreeMap<(&str, &str), Verdict> = report
            .items
            .iter()
            .filter_map(|item| {
                let id = item.manifest_id.as_deref()?;
                Some(((item.resource_type.as_str(), id), item.verdict))
            })
            .collect();
        for ((resource_type, id), track) in &mut tracks {
            let is_hidden =
                report.summary.settings_not_observed && is_settings(resource_type, Some(id));
            let is_judged = !is_hidden
                && match open.get(&(resource_type.as_str(), id.as_str())) {
                    Some(verdict) => !verdict.is_drift() && *verdict != Verdict::Unknown,
                    None => true,
                };
            if track.resolved_at.is_none() && is_seen && is_judged {
                track.resolved_at = Some(at);
                if track.alarm.take().is_some() {
                    changes.resolved.push(track.subject(None));
                }
            }
            if has_listeners && track.alarm.is_none() && track.told.take().is_some() {
                changes.to_tell.resolved.push(track.subject(None));
            }
        }
        self.tracks = tracks.into_values().collect();
        if is_seen {
            self.last_seen_at = Some(at);
        }
        changes
    }

    /// Forgets drifts that ended before this time: what drifts again later begins to count anew.
    pub fn forget(&mut self, before: Timestamp) {
        self.tracks
            .retain(|track| track.resolved_at.is_none_or(|at| at >= before));
    }
}

fn is_settings(resource_type: &str, id: Option<&str>) -> bool {
    matches!(resource_type, "settings" | "(settings)") && id == Some(SETTINGS)
}

impl Track {
    /// Takes in whether its drift raises an alarm, and what that changes.
    fn judge(&mut self, item: &Item, has_listeners: bool, changes: &mut Changes) {
        if !item.alarms() {
            if self.alarm.take().is_some() {
                changes.resolved.push(self.subject(None));
            }
            return;
        }
        let subject = self.subject(Some(item.severity));
        let alarm = Alarm::of(item);
        let is_news =
            |earlier: Option<&Alarm>| earlier.is_none_or(|earlier| alarm.is_another(earlier));
        if has_listeners && is_news(self.told.as_ref()) {
            changes.to_tell.new.push(subject.clone());
            self.told = Some(alarm.clone());
        }
        if is_news(self.alarm.as_ref()) {
            changes.new.push(subject);
        } else {
            changes.continuing.push(subject);
        }
        self.alarm = Some(alarm);
    }

    fn subject(&self, severity: Option<Severity>) -> Subject {
        Subject {
            resource_type: self.resource_type.clone(),
            manifest_id: self.id.clone(),
            verdict: self.verdict,
            severity,
            onset: self.onset.clone(),
        }
    }
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

/// What an audit could have done to what it audited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The role that read the database; `None` where the database knows none.
    pub role: Option<String>,
    /// The database said of that session's transactions that they cannot write.
    pub transaction_read_only: bool,
    /// Requests that the auditor sent to the bucket so far, by method.
    pub requests: BTreeMap<String, u64>,
    /// Why the bucket did not answer, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_error: Option<String>,
}

/// The audit's schema tag.
pub const AUDIT_SCHEMA: &str = "driftline.audit.v1";

/// The stored result of an audit of one tenant, as `driftline.audit.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// [`AUDIT_SCHEMA`].
    pub schema: String,
    /// Its identifier.
    pub id: ReportId,
    /// Whose.
    pub tenant: TenantId,
    /// When the tenant was read.
    pub started_at: Timestamp,
    /// When the comparison was done.
    pub finished_at: Timestamp,
    /// What was observed; `None` when desired and recorded were compared alone.
    pub source: Option<String>,
    /// What the audit could have done.
    pub proof: Proof,
    /// Drifts that raise an alarm and did not before, or another one.
    pub new: Vec<Subject>,
    /// Drifts that raise an alarm as they did before.
    pub continuing: Vec<Subject>,
    /// Alarms that ended: in order again, or accepted.
    pub resolved: Vec<Subject>,
    /// The comparison, each drift in it with its onset.
    pub drift: DriftReport,
}
