//! One verdict for every resource.

mod bind;
mod documents;
mod items;
mod renames;
mod resource;
mod settings;
mod steps;

use serde_json::Value;
use serde_json::value::RawValue;

use self::bind::{Live, Seen};
use self::documents::{Collections, Resource};
use self::resource::{Found, Resolved};
use super::fields::Form;
use super::plan::{Action, Step};
use super::{
    Acknowledgement, ActualState, DriftReport, Item, Policy, REPORT_SCHEMA, Status, Summary,
    UnusedRule, Verdict, shown,
};
use crate::content::Content;
use crate::{Resources, Seq, TenantId, Timestamp, json};

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
    /// What got which external id; empty when that cannot be read.
    pub resources: &'a Resources,
    /// The content of that version, or why the record cannot be relied on.
    pub content: Result<&'a Content, &'a str>,
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

/// Content that is not the content of a manifest. It was checked when it was committed: the row is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the content of version {version} cannot be read: {reason}")]
pub struct Unreadable {
    version: Seq,
    reason: String,
}

/// The members that name a resource rather than describe it.
pub(super) fn is_name(member: &str) -> bool {
    matches!(member, "id" | "manifestId")
}

/// Compares the three states. Fails when the desired content cannot be read.
pub fn compare(comparison: &Comparison<'_>) -> Result<DriftReport, Unreadable> {
    let mut report = DriftReport {
        schema: REPORT_SCHEMA.to_owned(),
        tenant: comparison.tenant.clone(),
        status: comparison.status(),
        desired_version: comparison
            .desired
            .map_or(Seq::default(), |desired| desired.version),
        recorded_version: comparison.recorded.map(|recorded| recorded.version),
        observed_at: comparison.actual.and_then(|actual| actual.observed_at),
        untimely: None,
        has_drift: false,
        items: Vec::new(),
        summary: Summary::default(),
        reason: None,
        unused_rules: comparison.misplaced(),
        errors: comparison
            .actual
            .map_or_else(Vec::new, |actual| actual.errors.clone()),
        damaged_rows: Vec::new(),
        plan: None,
    };
    let Some(desired) = comparison.desired else {
        return Ok(report);
    };
    let unreadable = |reason: serde_json::Error| Unreadable {
        version: desired.version,
        reason: json::words(&reason),
    };
    let wanted = Collections::read(desired.content).map_err(unreadable)?;
    let (recorded, suspect) = comparison.record(desired, &wanted);
    let mut findings = Findings {
        comparison,
        suspect,
        report: &mut report,
        steps: Vec::new(),
    };
    findings.all(&wanted, recorded.as_ref())?;
    let steps = findings.finish();
    if comparison.plan {
        report.plan = Some(steps);
    }
    Ok(report)
}

impl<'a> Comparison<'a> {
    /// Every field counts: somebody asked for it, or the policy does.
    fn is_strict(&self) -> bool {
        self.strict || self.policy.strict
    }

    /// Rules that no resource can use. They are refused today; they were not always.
    fn misplaced(&self) -> Vec<UnusedRule> {
        let rules = self.policy.misplaced().into_iter();
        let unused = rules.map(|(rule, reason)| UnusedRule {
            rule: Some(rule),
            pointer: None,
            resource: None,
            resources: 0,
            reason: reason.to_owned(),
        });
        unused.collect()
    }

    fn status(&self) -> Status {
        let unseen =
            |actual: &ActualState| actual.resources.is_empty() && !actual.errors.is_empty();
        if self.desired.is_none() {
            Status::NoManifest
        } else if self.recorded.is_none() {
            Status::NeverApplied
        } else if self.actual.is_none_or(unseen) {
            Status::NotObserved
        } else {
            Status::Compared
        }
    }

    /// The applied version's collections, or why what was recorded cannot be relied on.
    fn record(
        &self,
        desired: Desired<'a>,
        wanted: &Collections<'a>,
    ) -> (Option<Collections<'a>>, Option<String>) {
        match self.recorded.map(|recorded| recorded.content) {
            None => (None, None),
            Some(Err(reason)) => (None, Some(reason.to_owned())),
            Some(Ok(content)) if content.checksum() == desired.content.checksum() => {
                (Some(wanted.clone()), None)
            }
            Some(Ok(content)) => match Collections::read(content) {
                Ok(collections) => (Some(collections), None),
                Err(error) => (
                    None,
                    Some(format!("the applied version cannot be read: {error}")),
                ),
            },
        }
    }
}

/// What an absent record holds.
static NONE: Resources = Resources::new();

/// What was found so far.
struct Findings<'a, 'r> {
    comparison: &'a Comparison<'a>,
    suspect: Option<String>,
    report: &'r mut DriftReport,
    steps: Vec<Step>,
}

impl<'a> Findings<'a, '_> {
    fn all(
        &mut self,
        wanted: &Collections<'a>,
        applied: Option<&Collections<'a>>,
    ) -> Result<(), Unreadable> {
        let live = self.comparison.actual.map(Live::new);
        let resources = self
            .comparison
            .recorded
            .map_or(&NONE, |recorded| recorded.resources);
        let mut types: Vec<&str> = wanted
            .types()
            .chain(resources.keys().map(String::as_str))
            .collect();
        if let Some(actual) = self.comparison.actual {
            types.extend(actual.resources.keys().map(String::as_str));
        }
        types.sort_unstable();
        types.dedup();
        for resource_type in types {
            let desired = wanted.of(resource_type);
            let applied = applied.and_then(|applied| applied.of(resource_type));
            let recorded = resources.get(resource_type);
            let mut ids: Vec<&str> = Vec::new();
            ids.extend(
                desired
                    .into_iter()
                    .flat_map(|all| all.keys().map(|id| &**id)),
            );
            ids.extend(
                recorded
                    .into_iter()
                    .flat_map(|all| all.keys().map(String::as_str)),
            );
            ids.sort_unstable();
            ids.dedup();
            let bound = live
                .as_ref()
                .map(|live| live.bind(resource_type, &ids, recorded));
            let unknown_before = self.report.count(Verdict::Unknown);
            for id in ids {
                let external_id = recorded.and_then(|all| all.get(id)).map(String::as_str);
                let resource = Resource {
                    of_type: resource_type,
                    id,
                    desired: desired.and_then(|all| all.get(id)).copied(),
                    external_id,
                    applied: applied.and_then(|all| all.get(id)).copied(),
                };
                let seen = bound.as_ref().map(|bound| bound.seen(id, external_id));
                self.one(&resource, seen)?;
            }
            // What a record that cannot be relied on would bind is not known: nothing is unmanaged then.
            if let Some(bound) = bound.filter(|_| self.suspect.is_none()) {
                // Whatever was not seen, or was never recorded, may be live under an id that nobody knows.
                let unknown = self.report.count(Verdict::Unknown);
                let may_delete = self.report.status == Status::Compared
                    && bound.is_complete()
                    && unknown == unknown_before;
                for external_id in bound.unmanaged() {
                    self.unmanaged(resource_type, external_id, may_delete);
                }
            }
        }
        self.fold_renames(wanted, applied, resources);
        self.settings(wanted, applied)
    }

    fn one(&mut self, resource: &Resource<'_>, seen: Option<Seen<'_>>) -> Result<(), Unreadable> {
        let comparison = self.comparison;
        let scope = comparison.policy.scope(resource.of_type, resource.id);
        if scope.ignores_all {
            self.report.summary.ignored += 1;
            return Ok(());
        }
        let resolved = if let Some(reason) = &self.suspect {
            Resolved::without_comparison(Verdict::LedgerSuspect, reason.clone())
        } else {
            let is_observed = seen.is_some();
            match live(seen) {
                Err(reason) => Resolved::without_comparison(Verdict::Unknown, reason),
                Ok(live) => {
                    let strict = comparison.is_strict();
                    let found = Found::read(resource, is_observed, live, &scope, strict);
                    let found = found.map_err(|reason| Unreadable {
                        version: self.report.desired_version,
                        reason,
                    })?;
                    match found {
                        Err(reason) => Resolved::without_comparison(Verdict::Unknown, reason),
                        Ok(found) => {
                            let resolved = found.resolve(comparison, &scope);
                            self.plan(resource, &scope, &found, &resolved);
                            resolved
                        }
                    }
                }
            }
        };
        self.add(&resolved, resource);
        Ok(())
    }

    /// The worst first; steps in an order that is safe to run.
    fn finish(self) -> Vec<Step> {
        let report = self.report;
        report.items.sort_by(|one, other| {
            let key = |item: &Item| {
                (
                    !item.alarms(),
                    std::cmp::Reverse(item.severity),
                    rank(item.verdict),
                )
            };
            key(one).cmp(&key(other)).then_with(|| {
                let name = |item: &Item| {
                    (
                        item.resource_type.clone(),
                        item.manifest_id.clone(),
                        item.external_id.clone(),
                    )
                };
                name(one).cmp(&name(other))
            })
        });
        report.reason.clone_from(&self.suspect);
        report.has_drift = self.suspect.is_some() || report.items.iter().any(Item::alarms);
        let policy = self.comparison.policy;
        let mut steps = self.steps;
        // Nothing goes before what takes its place is there, and what was made last goes first.
        steps.sort_by(|one, other| {
            let phase = |step: &Step| match step.action {
                Action::Create { .. } => 0,
                Action::Update { .. } => 1,
                Action::Record => 2,
                Action::Delete => 3,
            };
            let order =
                |step: &Step| (policy.rank(&step.resource_type), step.resource_type.clone());
            let types = order(one).cmp(&order(other));
            let types = if phase(one) == 3 {
                types.reverse()
            } else {
                types
            };
            phase(one).cmp(&phase(other)).then(types)
        });
        steps
    }
}

/// A live resource's external id and attributes; `None` when it is not there. An error says why it could not be seen.
fn live(seen: Option<Seen<'_>>) -> Result<Option<(&str, &RawValue)>, String> {
    match seen {
        None | Some(Seen::Absent) => Ok(None),
        Some(Seen::Unknown(reason)) => Err(reason),
        Some(Seen::There(external_id, raw)) if raw.get() == "null" => Err(format!(
            "`{external_id}` is there, but its attributes were not seen"
        )),
        Some(Seen::There(external_id, raw)) => Ok(Some((external_id, raw))),
    }
}

fn rank(verdict: Verdict) -> usize {
    let place = Verdict::ALL.iter().position(|other| *other == verdict);
    place.unwrap_or(Verdict::ALL.len())
}

/// The digest that an acknowledgement of one field names: that of its live value as reports show it.
pub fn value_digest(
    policy: &Policy,
    resource_type: &str,
    id: &str,
    pointer: &str,
    value: &Value,
) -> crate::Digest {
    let scope = policy.scope(resource_type, id);
    super::fields::digest(&scope, &mut pointer.to_owned(), value, Form::Current)
}

/// A value of one field as it may be shown.
pub fn shown_value(
    policy: &Policy,
    resource_type: &str,
    id: &str,
    pointer: &str,
    value: &Value,
) -> Value {
    shown::redacted(&policy.scope(resource_type, id), pointer, value)
}
