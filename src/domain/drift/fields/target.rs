//! What a live value has to become.

use serde_json::{Map, Value};

use super::lists::{aligned, elements};
use super::{Sides, Triple, Walk, scalar};
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
    /// Whether the policy or somebody who accepted the live value says so.
    fn is_left_alone(&self, path: &str) -> bool {
        self.scope.ignores(path) || self.accepted.iter().any(|accepted| accepted == path)
    }

    fn value(&self, path: &str, triple: Triple<'_>) -> Option<Value> {
        let live = triple.actual;
        let triple = triple.without_nulls();
        let Triple {
            desired,
            recorded,
            actual,
        } = triple;
        if self.is_left_alone(path) || (desired.is_none() && actual.is_none()) {
            return live.cloned();
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
            (Some(Value::Array(_)), Some(Value::Array(_))) => Some(self.list(path, triple)),
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

    fn list(&self, path: &str, triple: Triple<'_>) -> Value {
        let Some(mut all) = aligned(self.scope, path, triple) else {
            return self.unaligned(path, triple);
        };
        // What is there keeps its order; what is new comes after it.
        all.sort_by_key(|element| {
            (
                element.live_place.is_none(),
                element.live_place,
                element.place,
            )
        });
        let kept = all.into_iter().filter_map(|element| {
            let path = push(path, &element.place.to_string());
            let Triple {
                desired, actual, ..
            } = element.triple;
            match (desired, actual) {
                (_, Some(actual)) if self.is_left_alone(&path) => Some(actual.clone()),
                (Some(_), _) => Some(self.value(&path, element.triple).unwrap_or_default()),
                (None, _) => None,
            }
        });
        Value::Array(kept.collect())
    }

    /// Sets, and lists of different lengths: elements that say what is desired stay as they are, the others are replaced.
    fn unaligned(&self, path: &str, triple: Triple<'_>) -> Value {
        let (Some(desired), Some(actual)) = (triple.desired, triple.actual) else {
            return triple.desired.cloned().unwrap_or_default();
        };
        let sides = Sides {
            recorded: true,
            actual: true,
        };
        let live = elements(actual);
        let mut walk = Walk::new(self.scope, self.strict, sides).starting_at(path);
        let matched = walk.matched(triple, live);
        if walk.list(triple, false).0.desired_actual {
            return actual.clone();
        }
        let all = elements(desired).iter().zip(&matched.live).enumerate();
        let all = all.map(|(place, (desired, live_place))| match live_place {
            Some(live_place) => {
                let element = Triple {
                    desired: Some(desired),
                    recorded: matched.named_by(*live_place),
                    actual: live.get(*live_place),
                };
                self.value(&push(path, &place.to_string()), element)
                    .unwrap_or_default()
            }
            None => desired.clone(),
        });
        Value::Array(all.collect())
    }
}
