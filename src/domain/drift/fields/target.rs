//! What a live value has to become.

use serde_json::{Map, Value};

use super::lists::{elements, keyed};
use super::{Sides, Triple, Walk, scalar};
use crate::domain::drift::ListKind;
use crate::domain::drift::actual::push;
use crate::domain::drift::compare::is_name;
use crate::domain::drift::policy::Scope;

/// Makes a live value what is desired, and leaves alone what counts for nothing: members that nobody names, fields that the
/// policy ignores, and fields whose live value was accepted.
struct Target<'p> {
    scope: &'p Scope<'p>,
    strict: bool,
    accepted: &'p [String],
}

/// The attributes that a live resource has to get.
pub(in crate::domain::drift) fn target(
    scope: &Scope<'_>,
    strict: bool,
    accepted: &[String],
    triple: Triple<'_>,
) -> Value {
    let target = Target {
        scope,
        strict,
        accepted,
    };
    let mut object = triple
        .actual
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    target.members(&mut object, "", triple, is_name);
    Value::Object(object)
}

impl Target<'_> {
    fn value(&self, path: &str, triple: Triple<'_>) -> Option<Value> {
        let Triple {
            desired,
            recorded,
            actual,
        } = triple.without_nulls();
        if self.scope.ignores(path) || self.accepted.iter().any(|accepted| accepted == path) {
            return triple.actual.cloned();
        }
        match (desired, actual) {
            (None, Some(Value::Object(object))) if !self.strict => {
                // Only what was recorded goes; the rest was never ours.
                let Some(Value::Object(_)) = recorded else {
                    return None;
                };
                let mut object = object.clone();
                self.members(&mut object, path, triple, |_| false);
                (!object.is_empty()).then_some(Value::Object(object))
            }
            (None, _) => None,
            (Some(Value::Object(_)), Some(Value::Object(object))) => {
                let mut object = object.clone();
                self.members(&mut object, path, triple, |_| false);
                Some(Value::Object(object))
            }
            (Some(list @ Value::Array(_)), Some(live @ Value::Array(_))) => {
                Some(self.list(path, list, recorded, live))
            }
            (Some(desired), Some(actual)) if scalar::is_same(desired, actual) => {
                Some(actual.clone())
            }
            (Some(desired), _) => Some(desired.clone()),
        }
    }

    fn members(
        &self,
        object: &mut Map<String, Value>,
        path: &str,
        triple: Triple<'_>,
        skipped: impl Fn(&str) -> bool,
    ) {
        let sides = Sides {
            recorded: true,
            actual: true,
        };
        for name in Walk::new(self.scope, self.strict, sides).names(triple) {
            if skipped(name) {
                continue;
            }
            match self.value(&push(path, name), triple.member(name)) {
                Some(value) => object.insert(name.to_owned(), value),
                None => object.remove(name),
            };
        }
    }

    fn list(&self, path: &str, desired: &Value, recorded: Option<&Value>, live: &Value) -> Value {
        let element = |place: usize, desired: &Value, recorded: Option<&Value>, actual: &Value| {
            let triple = Triple {
                desired: Some(desired),
                recorded,
                actual: Some(actual),
            };
            self.value(&push(path, &place.to_string()), triple)
                .unwrap_or_default()
        };
        match self.scope.list(path) {
            Some(ListKind::Set) => {
                let sides = Sides {
                    recorded: false,
                    actual: true,
                };
                let triple = Triple {
                    desired: Some(desired),
                    recorded: None,
                    actual: Some(live),
                };
                let mut walk = Walk::new(self.scope, self.strict, sides).starting_at(path);
                if walk.list(triple, false).0.desired_actual {
                    return live.clone();
                }
                return desired.clone();
            }
            Some(ListKind::KeyedBy(key)) => {
                let all = (keyed(desired, key), keyed(live, key));
                if let (Some(wanted), Some(found)) = all {
                    let recorded = recorded.and_then(|list| keyed(list, key));
                    let mut list = Vec::new();
                    let mut kept: Vec<_> = found.iter().collect();
                    kept.sort_by_key(|(_, (place, _))| *place);
                    for (name, (_, live)) in kept {
                        if let Some((place, desired)) = wanted.get(name) {
                            let recorded = recorded.as_ref().and_then(|list| list.get(name));
                            let recorded = recorded.map(|(_, recorded)| *recorded);
                            list.push(element(*place, desired, recorded, live));
                        }
                    }
                    let mut new: Vec<_> = wanted
                        .iter()
                        .filter(|(name, _)| !found.contains_key(*name))
                        .map(|(_, found)| found)
                        .collect();
                    new.sort_by_key(|(place, _)| *place);
                    list.extend(new.into_iter().map(|(_, element)| (*element).clone()));
                    return Value::Array(list);
                }
            }
            None => {}
        }
        let (wanted, found) = (elements(desired), elements(live));
        if wanted.len() != found.len() {
            return desired.clone();
        }
        let recorded = recorded
            .map(elements)
            .filter(|recorded| recorded.len() == wanted.len());
        let list = wanted.iter().zip(found).enumerate();
        let list = list.map(|(place, (desired, live))| {
            element(place, desired, recorded.map(|list| &list[place]), live)
        });
        Value::Array(list.collect())
    }
}
