//! The verdict on one resource.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::documents::Resource;
use super::{Comparison, is_name};
use crate::Digest;
use crate::drift::fields::{
    Difference, Form, Same, Sides, Triple, Unkeyed, Walk, digest, find, goes_by_place, project,
    read,
};
use crate::drift::policy::Scope;
use crate::drift::{
    Acknowledged, Acknowledgement, Change, Kind, ListKind, UnusedRule, Verdict, shown,
};

/// A resource's attributes in the three states, as far as it is there.
pub(super) struct Found<'a> {
    resource_type: &'a str,
    id: &'a str,
    desired: Option<Value>,
    /// `None` when the applied attributes are the desired ones, byte by byte.
    applied: Option<Value>,
    is_recorded: bool,
    is_observed: bool,
    live: Option<(&'a str, Value)>,
    /// It is there under another external id than the recorded one.
    is_elsewhere: bool,
}

/// A verdict and what goes with it.
pub(super) struct Resolved<'a> {
    pub(super) verdict: Verdict,
    pub(super) kind: Option<Kind>,
    pub(super) external_id: Option<&'a str>,
    pub(super) changes: Vec<Change>,
    pub(super) actual_digest: Option<Digest>,
    pub(super) acknowledgement: Option<Acknowledged>,
    /// Fields whose live value was accepted, also when others were not.
    pub(super) accepted: Vec<String>,
    /// Who accepted them, when others were not.
    pub(super) accepted_fields: Vec<Acknowledged>,
    pub(super) reason: Option<String>,
    /// Rules and acknowledgements that could not be used.
    pub(super) unused: Vec<UnusedRule>,
}

impl Resolved<'_> {
    pub(super) fn without_comparison(verdict: Verdict, reason: String) -> Self {
        Self {
            verdict,
            kind: None,
            external_id: None,
            changes: Vec::new(),
            actual_digest: None,
            acknowledgement: None,
            accepted: Vec::new(),
            accepted_fields: Vec::new(),
            reason: Some(reason),
            unused: Vec::new(),
        }
    }
}

impl<'a> Found<'a> {
    /// Reads the attributes, those that are live as far as somebody names them. Fails when the desired or the recorded ones
    /// cannot be read; the inner error says why those that are live cannot.
    pub(super) fn read(
        resource: &Resource<'a>,
        is_observed: bool,
        live: Option<(&'a str, &RawValue)>,
        scope: &Scope<'_>,
        strict: bool,
    ) -> Result<Result<Self, String>, String> {
        let value = |raw: &RawValue| Value::deserialize(raw).map_err(|error| error.to_string());
        let desired = resource.desired.map(value).transpose()?;
        let is_recorded = resource.external_id.is_some();
        let same = match (resource.desired, resource.applied) {
            (Some(desired), Some(applied)) => desired.get() == applied.get(),
            _ => false,
        };
        let applied = match resource.applied {
            Some(applied) if is_recorded && !same => Some(value(applied)?),
            // Recorded, although the applied version does not have it: there, with no attributes.
            None if is_recorded => Some(json!({})),
            _ => None,
        };
        let mut found = Self {
            resource_type: resource.of_type,
            id: resource.id,
            desired,
            applied,
            is_recorded,
            is_observed,
            live: None,
            is_elsewhere: false,
        };
        if let Some((external_id, raw)) = live {
            found.is_elsewhere = resource
                .external_id
                .is_some_and(|recorded| recorded != external_id);
            let named = [found.desired(), found.recorded()];
            match read(raw, scope, strict, named) {
                Ok(attributes) => found.live = Some((external_id, attributes)),
                Err((pointer, why)) => {
                    let message = format!(
                        "the live attributes of `{external_id}` cannot be read at {pointer}: {why}"
                    );
                    return Ok(Err(message));
                }
            }
        }
        Ok(Ok(found))
    }

    pub(super) fn desired(&self) -> Option<&Value> {
        self.desired.as_ref()
    }

    fn recorded(&self) -> Option<&Value> {
        if self.is_recorded {
            self.applied.as_ref().or(self.desired.as_ref())
        } else {
            None
        }
    }

    /// The live attributes; without an actual state the recorded ones.
    pub(super) fn live(&self) -> Option<&Value> {
        if self.is_observed {
            self.live.as_ref().map(|(_, attributes)| attributes)
        } else {
            self.recorded()
        }
    }

    /// The external id of [`Found::live`].
    pub(super) fn live_id<'b>(&'b self, resource: &Resource<'b>) -> Option<&'b str> {
        if self.is_observed {
            self.live.as_ref().map(|(id, _)| *id)
        } else {
            resource.external_id
        }
    }

    pub(super) fn triple_for_target(&self) -> Triple<'_> {
        Triple {
            desired: self.desired(),
            recorded: self.recorded(),
            actual: self.live(),
        }
    }

    pub(super) fn resolve(&self, comparison: &Comparison<'_>, scope: &Scope<'_>) -> Resolved<'a> {
        let actual = self.live.as_ref().map(|(_, attributes)| attributes);
        let triple = Triple {
            desired: self.desired(),
            recorded: self.recorded(),
            actual,
        };
        let sides = Sides {
            recorded: triple.recorded.is_some(),
            actual: actual.is_some(),
        };
        let strict = comparison.is_strict();
        let mut walk = Walk::new(scope, strict, sides).bounded(triple);
        let mut same = match triple.present().count() {
            0 | 1 => Same::ALL,
            _ => walk.resource(triple),
        };
        if walk.is_exhausted() {
            let reason = "comparing it takes too much work: its lists have too many elements that nothing tells apart; a key for them (`lists` in the policy) does";
            return Resolved::without_comparison(Verdict::Unknown, reason.to_owned());
        }
        // A missing resource is a value of its own.
        let there = triple.presence();
        same = same.and(there);
        if self.is_elsewhere {
            same.recorded_actual = false;
        }
        let verdict = if self.is_observed {
            verdict(same)
        } else if same.desired_recorded {
            Verdict::InSync
        } else {
            Verdict::Pending
        };
        let kind = self.kind(verdict);
        let is_compared = self.desired.is_some() && (actual.is_some() || !self.is_observed);
        let differences = if is_compared && verdict != Verdict::InSync {
            std::mem::take(&mut walk.differences)
        } else {
            Vec::new()
        };
        let mut resolved = Resolved {
            verdict,
            kind,
            external_id: self.live.as_ref().map(|(id, _)| *id),
            changes: Vec::new(),
            actual_digest: None,
            acknowledgement: None,
            accepted: Vec::new(),
            accepted_fields: Vec::new(),
            reason: None,
            unused: self.unused(comparison, scope, &walk),
        };
        if verdict.is_drift() {
            self.accept(&mut resolved, comparison, scope, triple, &differences);
        }
        let changes = differences.into_iter().map(|found| found.change);
        resolved.changes = changes.map(|change| shown::change(scope, change)).collect();
        resolved
    }

    /// Rules that key a list whose elements have not that key, and acknowledgements of a place that is none.
    fn unused(
        &self,
        comparison: &Comparison<'_>,
        scope: &Scope<'_>,
        walk: &Walk<'_>,
    ) -> Vec<UnusedRule> {
        let resource = format!("{}/{}", self.resource_type, self.id);
        let mut unused = Vec::new();
        for ((rule, unkeyed), list) in &walk.unkeyed {
            let Some(ListKind::KeyedBy(keys)) =
                comparison.policy.lists.get(*rule).map(|rule| &rule.kind)
            else {
                continue;
            };
            let reason = match unkeyed {
                Unkeyed::All => format!(
                    "no element of the list has {keys}, which would be their key: they are compared as a set"
                ),
                Unkeyed::Some => format!(
                    "some elements of the list lack {keys}, which would be their key: those are compared among themselves"
                ),
                Unkeyed::Alike => format!(
                    "some elements of the list have the same {keys}: those are compared among themselves"
                ),
            };
            unused.push(UnusedRule {
                rule: Some(format!("/lists/{rule}")),
                pointer: Some(list.clone()),
                resource: Some(resource.clone()),
                resources: 1,
                reason,
            });
        }
        let in_force = comparison.acknowledgements.iter().filter(|accepted| {
            (accepted.resource_type.as_str(), accepted.id.as_str()) == (self.resource_type, self.id)
                && comparison.now < accepted.until
        });
        for accepted in in_force.filter(|accepted| goes_by_place(scope, &accepted.pointer)) {
            unused.push(UnusedRule {
                rule: None,
                pointer: Some(accepted.pointer.clone()),
                resource: Some(resource.clone()),
                resources: 1,
                reason: "an acknowledgement names a place in a list whose elements have none: it has no effect".to_owned(),
            });
        }
        unused
    }

    fn kind(&self, verdict: Verdict) -> Option<Kind> {
        if verdict == Verdict::InSync {
            return None;
        }
        // Where the actual state is the desired one, it is the record that differs.
        let other = if verdict == Verdict::Adopted && !self.is_elsewhere {
            self.recorded()
        } else {
            self.live()
        };
        Some(match (self.desired(), other) {
            (Some(_), None) => Kind::Missing,
            (None, _) => Kind::Extra,
            (Some(_), Some(_)) if self.is_elsewhere => Kind::Mismatch,
            (Some(_), Some(_)) => Kind::Modified,
        })
    }

    /// Finds out whether what somebody changed outside was accepted.
    fn accept(
        &self,
        resolved: &mut Resolved<'_>,
        comparison: &Comparison<'_>,
        scope: &Scope<'_>,
        triple: Triple<'_>,
        differences: &[Difference],
    ) {
        let mut live = project(scope, comparison.is_strict(), "", triple).unwrap_or_default();
        if let Some(object) = live.as_object_mut() {
            object.retain(|name, _| !is_name(name));
        }
        let whole = |form: Form| match resolved.external_id {
            Some(external_id) => {
                let attributes = digest(scope, &mut String::new(), &live, form);
                Digest::of(format!("{external_id}\n{attributes}").as_bytes())
            }
            None => Digest::of(b"null"),
        };
        let whole = [whole(Form::Current), whole(Form::Older)];
        resolved.actual_digest = Some(whole[0]);
        let in_force = comparison.acknowledgements.iter().filter(|accepted| {
            (accepted.resource_type.as_str(), accepted.id.as_str()) == (self.resource_type, self.id)
                && comparison.now < accepted.until
        });
        let holds = |accepted: &&Acknowledgement| {
            if accepted.pointer.is_empty() {
                return whole.contains(&accepted.value);
            }
            // What a report showed under this pointer is what was accepted.
            let shown = differences
                .iter()
                .find(|found| found.change.pointer == accepted.pointer);
            let value = match shown {
                Some(found) => Some(found.change.actual.clone()),
                None => find(scope, &live, &accepted.pointer),
            };
            value.is_some_and(|value| {
                [Form::Current, Form::Older].into_iter().any(|form| {
                    accepted.value == digest(scope, &mut accepted.pointer.clone(), &value, form)
                })
            })
        };
        let holding: Vec<&Acknowledgement> = in_force.filter(holds).collect();
        resolved.accepted = holding
            .iter()
            .map(|accepted| accepted.pointer.clone())
            .collect();
        if holding.iter().any(|accepted| accepted.pointer.is_empty()) {
            // All that somebody changed outside is accepted; what was not applied yet is still to come.
            let outside = differences.iter().filter(|found| found.outside);
            resolved
                .accepted
                .extend(outside.map(|found| found.change.pointer.clone()));
        }
        let covers = |accepted: &Acknowledgement, pointer: &str| {
            let rest = pointer.strip_prefix(accepted.pointer.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let outside = differences.iter().filter(|found| found.outside);
        let mut outside = outside
            .map(|found| found.change.pointer.as_str())
            .peekable();
        let in_fields = resolved.kind == Some(Kind::Modified) && outside.peek().is_some();
        let used = if let Some(all) = holding.iter().find(|accepted| accepted.pointer.is_empty()) {
            Some(vec![*all])
        } else if in_fields {
            outside
                .map(|pointer| {
                    holding
                        .iter()
                        .find(|accepted| covers(accepted, pointer))
                        .copied()
                })
                .collect()
        } else {
            None
        };
        let shown = |accepted: &Acknowledgement, pointers: Vec<String>| Acknowledged {
            until: accepted.until,
            reason: accepted.reason.clone(),
            by: accepted.by.clone(),
            pointers,
        };
        let all = used.and_then(|used: Vec<&Acknowledgement>| {
            let first = used.iter().min_by_key(|accepted| accepted.until)?;
            let mut pointers: Vec<String> = used
                .iter()
                .map(|accepted| accepted.pointer.clone())
                .collect();
            pointers.sort_unstable();
            pointers.dedup();
            Some(shown(first, pointers))
        });
        if all.is_none() {
            let partly = holding.iter();
            resolved.accepted_fields = partly
                .map(|accepted| shown(accepted, vec![accepted.pointer.clone()]))
                .collect();
        }
        resolved.acknowledgement = all;
    }
}

/// The verdict that follows from which of the three are the same.
fn verdict(same: Same) -> Verdict {
    match (
        same.desired_recorded,
        same.recorded_actual,
        same.desired_actual,
    ) {
        (true, true, true) => Verdict::InSync,
        (false, true, _) => Verdict::Pending,
        (true, _, _) => Verdict::Drifted,
        (false, false, true) => Verdict::Adopted,
        (false, false, false) => Verdict::Conflict,
    }
}
