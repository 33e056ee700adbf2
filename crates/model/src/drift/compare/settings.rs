//! Settings: all of a manifest that is no collection, as one more item.
//!
//! Without a look at what is live of them, a setting that was not applied yet is still told; and that nobody looked.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::documents::{Collections, Resource, VERSION};
use super::resource::{Found, Resolved};
use super::{Findings, Unreadable};
use crate::drift::{ActualState, SETTINGS, Verdict};
use crate::json;

/// The id under which settings stand among the items.
pub(super) const ID: &str = SETTINGS;

/// The type where some resources are called that, too.
const OTHERWISE: &str = "(settings)";

impl<'a> Findings<'a, '_> {
    pub(super) fn settings(
        &mut self,
        wanted: &Collections<'a>,
        applied: Option<&Collections<'a>>,
    ) -> Result<(), Unreadable> {
        let comparison = self.comparison;
        let live = comparison
            .actual
            .and_then(|actual| actual.settings.as_deref());
        let was_applied = applied.is_some_and(|applied| {
            applied.has_settings() || applied.schema_version() != wanted.schema_version()
        });
        if !wanted.has_settings() && !was_applied && live.is_none() {
            return Ok(());
        }
        let was_never_applied = comparison.recorded.is_none();
        if was_never_applied && live.is_none() {
            // That nothing was applied is the report's status.
            self.report.summary.settings_not_observed = comparison.actual.is_some();
            return Ok(());
        }
        let unreadable = |error: serde_json::Error| Unreadable {
            version: self.report.desired_version,
            reason: json::words(&error),
        };
        let desired = wanted.settings().map_err(unreadable)?;
        let recorded = applied.map(Collections::settings).transpose();
        let recorded = recorded.map_err(unreadable)?;
        let of_type = self.settings_type(wanted, applied);
        let error = self.settings_error(of_type);
        let is_recorded = recorded.is_some() || was_never_applied;
        let mut resource = Resource {
            of_type,
            id: ID,
            desired: Some(&desired),
            external_id: is_recorded.then_some(""),
            applied: recorded.as_deref(),
        };
        let scope = comparison.policy.scope(of_type, ID);
        if scope.ignores_all {
            self.report.summary.ignored += 1;
            return Ok(());
        }
        if let Some(reason) = &self.suspect {
            let suspect = Resolved::without_comparison(Verdict::LedgerSuspect, reason.clone());
            resource.external_id = None;
            self.add(&suspect, &resource);
            return Ok(());
        }
        let seen = match live.map(|live| Self::seen(live, recorded.as_deref().unwrap_or(&desired)))
        {
            Some(Ok(seen)) => Some(seen),
            Some(Err(reason)) => {
                self.add(
                    &Resolved::without_comparison(Verdict::Unknown, reason),
                    &resource,
                );
                return Ok(());
            }
            None => {
                if let Some(reason) = error {
                    self.add(
                        &Resolved::without_comparison(Verdict::Unknown, reason),
                        &resource,
                    );
                    return Ok(());
                }
                None
            }
        };
        // Where nothing was applied, what is live is nobody's: it is no drift.
        resource.applied = resource.applied.or(seen.as_deref());
        let is_observed = seen.is_some();
        // Beside resources that were seen, what was recorded stands for what nobody looked at.
        let live = seen.as_deref().or(comparison.actual.and(resource.applied));
        let live = live.map(|raw| ("", raw));
        let found = Found::read(
            &resource,
            live.is_some(),
            live,
            &scope,
            comparison.is_strict(),
        );
        let found = found.map_err(|reason| Unreadable {
            version: self.report.desired_version,
            reason,
        })?;
        let found = match found {
            Ok(found) => found,
            Err(reason) => {
                self.add(
                    &Resolved::without_comparison(Verdict::Unknown, reason),
                    &resource,
                );
                return Ok(());
            }
        };
        let resolved = found.resolve(comparison, &scope);
        self.report.summary.settings_not_observed = comparison.actual.is_some() && !is_observed;
        if resolved.verdict == Verdict::InSync && self.report.summary.settings_not_observed {
            return Ok(());
        }
        self.plan(&resource, &scope, &found, &resolved);
        self.add(&resolved, &resource);
        Ok(())
    }

    /// What is live of the settings. An observer need not tell the form of our document.
    fn seen(live: &RawValue, known: &RawValue) -> Result<Box<RawValue>, String> {
        type Members<'a> = BTreeMap<String, &'a RawValue>;
        let unreadable = |error: serde_json::Error| {
            format!("the live settings cannot be read: {}", json::words(&error))
        };
        let there: Members<'_> = serde_json::from_str(live.get()).map_err(unreadable)?;
        let known: Members<'_> = serde_json::from_str(known.get()).map_err(unreadable)?;
        let (false, Some(version)) = (there.contains_key(VERSION), known.get(VERSION)) else {
            return Ok(live.to_owned());
        };
        let comma = if there.is_empty() { "" } else { "," };
        let rest = live.get().trim_start().trim_start_matches('{');
        let whole = format!("{{\"{VERSION}\":{version}{comma}{rest}");
        RawValue::from_string(whole).map_err(unreadable)
    }

    /// Why the observer could not look at them, if it says so.
    fn settings_error(&self, of_type: &str) -> Option<String> {
        let errors = self
            .comparison
            .actual
            .map_or(&[][..], |actual| &actual.errors);
        let about = errors
            .iter()
            .find(|error| error.resource_type.as_deref() == Some(of_type) && error.id.is_none());
        about.map(|error| error.message.clone())
    }

    fn settings_type(
        &self,
        wanted: &Collections<'_>,
        applied: Option<&Collections<'_>>,
    ) -> &'static str {
        let comparison = self.comparison;
        let is_listed = |actual: &ActualState| actual.resources.contains_key(SETTINGS);
        let is_taken = wanted.of(SETTINGS).is_some()
            || applied.is_some_and(|applied| applied.of(SETTINGS).is_some())
            || comparison
                .recorded
                .is_some_and(|recorded| recorded.resources.contains_key(SETTINGS))
            || comparison.actual.is_some_and(is_listed);
        if is_taken { OTHERWISE } else { SETTINGS }
    }
}
