//! Resources that got another name in the manifest. What is live stays as it is: it is recorded under its new name, rather
//! than created anew and deleted.
//!
//! A rename is believed on evidence alone: the live resource names its new manifest id itself; or the new resource has, to
//! the letter, the attributes that the old one had when it was applied; or a whole collection is called something else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize as _;
use serde_json::Value;

use super::Findings;
use super::documents::Collections;
use super::steps::without_id;
use crate::Resources;
use crate::drift::fields::{Triple, operations, read as read_live};
use crate::drift::plan::{Action, Named, Step};
use crate::drift::{Status, Verdict, shown};

/// A recorded resource that is not desired any more.
struct Old<'a> {
    of_type: &'a str,
    id: &'a str,
    external_id: &'a str,
    /// What it was when it was applied, without its id.
    applied: Option<Value>,
}

/// A desired resource that was never recorded.
type New<'s> = (&'s str, &'s str);

/// Where old resources are found again; each is one new resource at most.
struct Olds<'a> {
    all: Vec<Old<'a>>,
    by_external_id: BTreeMap<New<'a>, usize>,
    by_attributes: BTreeMap<String, VecDeque<usize>>,
    by_id: BTreeMap<&'a str, VecDeque<usize>>,
    /// What each is now.
    moved: BTreeMap<usize, Named>,
}

impl<'a> Findings<'a, '_> {
    /// Turns what is to be created and deleted into records, where it is one and the same.
    pub(super) fn fold_renames(
        &mut self,
        wanted: &Collections<'a>,
        applied: Option<&Collections<'a>>,
        resources: &Resources,
    ) {
        let is_asked = self.comparison.plan && self.suspect.is_none();
        if !is_asked || self.report.status != Status::Compared {
            return;
        }
        let mut olds = Olds::new(wanted, applied, resources);
        if olds.all.is_empty() {
            return;
        }
        let unseen = self.report.items.iter();
        let unseen: Vec<(String, String)> = unseen
            .filter(|item| item.verdict == Verdict::Unknown)
            .filter_map(|item| Some((item.resource_type.clone(), item.manifest_id.clone()?)))
            .collect();
        let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
        let mut steps = Vec::with_capacity(self.steps.len());
        for mut step in std::mem::take(&mut self.steps) {
            let of_type = step.resource_type.clone();
            let Some(id) = step.manifest_id.clone() else {
                steps.push(step);
                continue;
            };
            let new = (of_type.as_str(), id.as_str());
            if !is_new(new, wanted, resources) {
                steps.push(step);
                continue;
            }
            let found = match &step.external_id {
                // The live resource says itself which one it is.
                Some(external_id) => {
                    let named = olds.by_external_id.get(&(&*of_type, &**external_id));
                    named.copied()
                }
                None => self.same(&mut olds, new, wanted, applied),
            };
            let Some(place) = found else {
                steps.push(step);
                continue;
            };
            olds.moved.insert(place, named(new));
            let old = &olds.all[place];
            step.renamed_from = Some(named((old.of_type, old.id)));
            if step.external_id.is_none() {
                taken.insert((of_type.clone(), old.external_id.to_owned()));
                self.change(new, old, wanted, &mut steps);
                step.action = Action::Record;
                step.withheld.clear();
                step.external_id = Some(old.external_id.to_owned());
            }
            steps.push(step);
        }
        // Of a collection that is called something else, the observer may not know the new name yet.
        for (of_type, id) in &unseen {
            let new = (of_type.as_str(), id.as_str());
            if !is_new(new, wanted, resources) {
                continue;
            }
            if let Some(place) = self.same(&mut olds, new, wanted, applied) {
                olds.moved.insert(place, named(new));
                let old = &olds.all[place];
                steps.push(Step {
                    action: Action::Record,
                    resource_type: of_type.clone(),
                    manifest_id: Some(id.clone()),
                    external_id: Some(old.external_id.to_owned()),
                    renamed_from: Some(named((old.of_type, old.id))),
                    reason: None,
                    withheld: Vec::new(),
                });
            }
        }
        // The old name is recorded as gone; what was live under it is not.
        let gone: BTreeSet<New<'_>> = olds
            .moved
            .keys()
            .map(|place| olds.all[*place].name())
            .collect();
        steps.retain(|step| {
            let id = step.manifest_id.as_deref();
            id.is_none_or(|id| !gone.contains(&(step.resource_type.as_str(), id)))
        });
        for (place, new) in &olds.moved {
            let old = &olds.all[*place];
            steps.push(Step {
                action: Action::Record,
                resource_type: old.of_type.to_owned(),
                manifest_id: Some(old.id.to_owned()),
                external_id: None,
                renamed_from: None,
                reason: Some(format!(
                    "it is {}/{} now, and live as {}",
                    new.resource_type, new.manifest_id, old.external_id
                )),
                withheld: Vec::new(),
            });
        }
        steps.retain(|step| {
            let live = step.external_id.clone().unwrap_or_default();
            step.manifest_id.is_some() || !taken.contains(&(step.resource_type.clone(), live))
        });
        self.steps = steps;
    }

    /// The old resource that a new one is, by its attributes or by its collection.
    fn same(
        &self,
        olds: &mut Olds<'_>,
        (of_type, id): New<'_>,
        wanted: &Collections<'_>,
        applied: Option<&Collections<'_>>,
    ) -> Option<usize> {
        let live = &self.comparison.actual?.resources;
        let is_live = |of_type: &str, external_id: &str| {
            let listed = live.get(of_type);
            listed.is_some_and(|listed| listed.contains_key(external_id))
        };
        let fits = |old: &Old<'_>| {
            if old.of_type == of_type {
                return is_live(of_type, old.external_id);
            }
            // The whole collection is called something else.
            wanted.of(old.of_type).is_none()
                && applied.is_none_or(|applied| applied.of(of_type).is_none())
                && (is_live(of_type, old.external_id) || is_live(old.of_type, old.external_id))
        };
        let desired = without_id(&read(wanted, of_type, id)?);
        let Olds {
            all,
            by_attributes,
            by_id,
            moved,
            ..
        } = olds;
        let first = |places: Option<&mut VecDeque<usize>>, fits: &dyn Fn(&Old<'_>) -> bool| {
            let places = places?;
            while places
                .front()
                .is_some_and(|place| moved.contains_key(place))
            {
                places.pop_front();
            }
            let mut open = places.iter().filter(|place| !moved.contains_key(place));
            open.find(|place| fits(&all[**place])).copied()
        };
        first(by_attributes.get_mut(&desired.to_string()), &fits).or_else(|| {
            let is_another_type = |old: &Old<'_>| old.of_type != of_type && fits(old);
            first(by_id.get_mut(id), &is_another_type)
        })
    }

    /// What is to be changed of a live resource that got another name.
    fn change(
        &self,
        (of_type, id): New<'_>,
        old: &Old<'_>,
        wanted: &Collections<'_>,
        steps: &mut Vec<Step>,
    ) {
        let comparison = self.comparison;
        let raw = comparison
            .actual
            .and_then(|actual| actual.resources.get(of_type)?.get(old.external_id));
        let (Some(desired), Some(raw)) = (read(wanted, of_type, id), raw) else {
            return;
        };
        let (scope, strict) = (comparison.policy.scope(of_type, id), comparison.is_strict());
        let by = [Some(&desired), old.applied.as_ref()];
        let Ok(live) = read_live(raw, &scope, strict, by) else {
            return;
        };
        if live.is_null() {
            return;
        }
        let triple = Triple {
            desired: Some(&desired),
            recorded: old.applied.as_ref(),
            actual: Some(&live),
        };
        let operations = operations(&scope, strict, &[], triple);
        if operations.is_empty() {
            return;
        }
        let (patch, withheld) = shown::patch(&scope, operations);
        steps.push(Step {
            action: Action::Update { patch },
            resource_type: of_type.to_owned(),
            manifest_id: Some(id.to_owned()),
            external_id: Some(old.external_id.to_owned()),
            renamed_from: Some(named((old.of_type, old.id))),
            reason: None,
            withheld,
        });
    }
}

impl<'a> Olds<'a> {
    fn new(
        wanted: &Collections<'_>,
        applied: Option<&Collections<'_>>,
        resources: &'a Resources,
    ) -> Self {
        let mut olds = Self {
            all: Vec::new(),
            by_external_id: BTreeMap::new(),
            by_attributes: BTreeMap::new(),
            by_id: BTreeMap::new(),
            moved: BTreeMap::new(),
        };
        for (of_type, ids) in resources {
            let desired = wanted.of(of_type);
            for (id, external_id) in ids {
                if desired.is_some_and(|desired| desired.contains_key(id.as_str())) {
                    continue;
                }
                let applied = applied.and_then(|applied| read(applied, of_type, id));
                let applied = applied.as_ref().map(without_id);
                let place = olds.all.len();
                olds.by_external_id.insert((of_type, external_id), place);
                let attributes = applied.as_ref().and_then(Value::as_object);
                if let Some(attributes) = attributes {
                    olds.by_id.entry(id).or_default().push_back(place);
                    // Without any, all of them would be the same.
                    if !attributes.is_empty() {
                        let text = Value::Object(attributes.clone()).to_string();
                        olds.by_attributes.entry(text).or_default().push_back(place);
                    }
                }
                olds.all.push(Old {
                    of_type,
                    id,
                    external_id,
                    applied,
                });
            }
        }
        olds
    }
}

impl<'a> Old<'a> {
    const fn name(&self) -> New<'a> {
        (self.of_type, self.id)
    }
}

fn is_new((of_type, id): New<'_>, wanted: &Collections<'_>, resources: &Resources) -> bool {
    let is_desired = wanted
        .of(of_type)
        .is_some_and(|desired| desired.contains_key(id));
    let is_recorded = resources
        .get(of_type)
        .is_some_and(|recorded| recorded.contains_key(id));
    is_desired && !is_recorded
}

fn read(collections: &Collections<'_>, of_type: &str, id: &str) -> Option<Value> {
    let raw = collections.of(of_type)?.get(id)?;
    Value::deserialize(*raw).ok()
}

fn named((of_type, id): New<'_>) -> Named {
    Named {
        resource_type: of_type.to_owned(),
        manifest_id: id.to_owned(),
    }
}
