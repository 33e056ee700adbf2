//! What a plan does about a resource that differs.

use serde_json::Value;

use super::documents::Resource;
use super::resource::{Found, Resolved};
use super::{Findings, settings};
use crate::drift::fields::operations;
use crate::drift::plan::{Action, Step};
use crate::drift::policy::Scope;
use crate::drift::{Kind, Verdict, Withheld, shown};

impl Findings<'_, '_> {
    pub(super) fn plan(
        &mut self,
        resource: &Resource<'_>,
        scope: &Scope<'_>,
        found: &Found<'_>,
        resolved: &Resolved<'_>,
    ) {
        let verdict = resolved.verdict;
        // What is accepted is not undone. A change that was not applied yet is still to come, if the resource is there.
        let is_accepted = resolved.acknowledgement.is_some();
        let is_done = verdict != Verdict::Conflict || resolved.kind != Some(Kind::Modified);
        if !self.comparison.plan || (is_accepted && is_done) {
            return;
        }
        if !verdict.is_difference() {
            return;
        }
        let mut add_step = |action: Action, external_id: Option<&str>, withheld: Vec<Withheld>| {
            self.steps.push(Step {
                action,
                resource_type: resource.of_type.to_owned(),
                manifest_id: Some(resource.id.to_owned()),
                external_id: external_id
                    .filter(|id| !id.is_empty() || resource.id != settings::ID)
                    .map(str::to_owned),
                renamed_from: None,
                reason: None,
                withheld,
            });
        };
        let live_id = found.live_id(resource);
        if verdict == Verdict::Adopted {
            return add_step(Action::Record, live_id, Vec::new());
        }
        match (found.desired(), found.live()) {
            (Some(desired), None) => {
                let (attributes, withheld) = shown::attributes(scope, without_id(desired));
                add_step(Action::Create { attributes }, None, withheld);
            }
            (None, Some(_)) => {
                add_step(Action::Delete, live_id, Vec::new());
                if resource.applied.is_none() {
                    let reason = self.only_recorded();
                    if let Some(step) = self.steps.last_mut() {
                        step.reason = Some(reason);
                    }
                }
            }
            (Some(_), Some(_)) => {
                let (strict, triple) = (self.comparison.is_strict(), found.triple_for_target());
                let operations = operations(scope, strict, &resolved.accepted, triple);
                let is_done = operations.is_empty();
                if !is_done {
                    let (patch, withheld) = shown::patch(scope, operations);
                    add_step(Action::Update { patch }, live_id, withheld);
                }
                if (is_done && !is_accepted) || resolved.kind == Some(Kind::Mismatch) {
                    add_step(Action::Record, live_id, Vec::new());
                }
            }
            (None, None) => add_step(Action::Record, None, Vec::new()),
        }
    }

    /// Why something is to be deleted that no manifest has.
    fn only_recorded(&self) -> String {
        let versions = match self.comparison.recorded {
            Some(recorded) if recorded.version != self.report.desired_version => {
                format!(
                    "neither version {}, which was applied, nor version {} has it",
                    recorded.version, self.report.desired_version
                )
            }
            _ => format!("version {} does not have it", self.report.desired_version),
        };
        format!("only the record of the last apply names it: {versions}")
    }
}

pub(super) fn without_id(desired: &Value) -> Value {
    let mut desired = desired.clone();
    if let Some(object) = desired.as_object_mut() {
        object.remove("id");
    }
    desired
}
