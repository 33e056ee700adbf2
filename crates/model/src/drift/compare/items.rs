//! What stands in the report: one item for every resource, counted.

use super::documents::Resource;
use super::resource::Resolved;
use super::{Findings, settings};
use crate::drift::plan::{Action, Step};
use crate::drift::{Item, Kind, Unmanaged, UnusedRule, Verdict};

impl Findings<'_, '_> {
    pub(super) fn add(&mut self, resolved: &Resolved<'_>, resource: &Resource<'_>) {
        // Settings have none.
        let there = |id: &&str| !id.is_empty() || resource.id != settings::ID;
        let Resolved { verdict, kind, .. } = *resolved;
        let (resource_type, id) = (resource.of_type, resource.id);
        for unused in &resolved.unused {
            let known = &mut self.report.unused_rules;
            let is_same = |other: &&mut UnusedRule| {
                unused.rule.is_some()
                    && (&other.rule, &other.reason) == (&unused.rule, &unused.reason)
            };
            match known.iter_mut().find(is_same) {
                Some(known) => known.resources += 1,
                None => known.push(unused.clone()),
            }
        }
        let item = Item {
            verdict,
            kind,
            resource_type: resource_type.to_owned(),
            manifest_id: Some(id.to_owned()),
            external_id: resolved
                .external_id
                .or(resource.external_id)
                .filter(there)
                .map(str::to_owned),
            recorded_external_id: resource
                .external_id
                .filter(|_| kind == Some(Kind::Mismatch))
                .map(str::to_owned),
            severity: self
                .comparison
                .policy
                .severity(resource_type, id, verdict, kind),
            changes: resolved.changes.clone(),
            actual_digest: resolved.actual_digest,
            acknowledgement: resolved.acknowledgement.clone(),
            accepted: resolved.accepted_fields.clone(),
            onset: None,
            reason: resolved.reason.clone(),
        };
        self.count(item);
    }

    pub(super) fn unmanaged(&mut self, resource_type: &str, external_id: &str, may_delete: bool) {
        let policy = self.comparison.policy;
        if policy.unmanaged == Unmanaged::Ignore
            || policy.scope(resource_type, external_id).ignores_all
        {
            self.report.summary.ignored += 1;
            return;
        }
        let (verdict, kind) = (Verdict::Unmanaged, Some(Kind::Extra));
        if policy.unmanaged == Unmanaged::Delete && may_delete && self.comparison.plan {
            self.steps.push(Step {
                action: Action::Delete,
                resource_type: resource_type.to_owned(),
                manifest_id: None,
                external_id: Some(external_id.to_owned()),
                renamed_from: None,
                reason: None,
                withheld: Vec::new(),
            });
        }
        self.count(Item {
            verdict,
            kind,
            resource_type: resource_type.to_owned(),
            manifest_id: None,
            external_id: Some(external_id.to_owned()),
            recorded_external_id: None,
            severity: policy.severity(resource_type, external_id, verdict, kind),
            changes: Vec::new(),
            actual_digest: None,
            acknowledgement: None,
            accepted: Vec::new(),
            onset: None,
            reason: None,
        });
    }

    fn count(&mut self, item: Item) {
        let summary = &mut self.report.summary;
        *summary.by_verdict.entry(item.verdict).or_default() += 1;
        summary.acknowledged += u64::from(item.acknowledgement.is_some());
        if item.verdict == Verdict::InSync {
            if self.comparison.all {
                self.report.items.push(item);
            }
            return;
        }
        if let Some(kind) = item.kind {
            *summary.by_kind.entry(kind).or_default() += 1;
        }
        *summary
            .by_type
            .entry(item.resource_type.clone())
            .or_default() += 1;
        self.report.items.push(item);
    }
}
