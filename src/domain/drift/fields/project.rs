//! The part of a live value that counts, and its digest.

use serde_json::{Map, Value};

use super::lists::{Element, aligned, keyed};
use super::{Sides, Triple, Walk, scalar};
use crate::domain::Digest;
use crate::domain::content::canonicalize;
use crate::domain::drift::ListKind;
use crate::domain::drift::actual::push;
use crate::domain::drift::policy::Scope;

/// The actual value without members that neither the desired nor the recorded value names, and without what the policy
/// ignores.
pub(in crate::domain::drift) fn project(
    scope: &Scope<'_>,
    strict: bool,
    path: &str,
    triple: Triple<'_>,
) -> Option<Value> {
    let Triple {
        desired,
        recorded,
        actual,
    } = triple;
    let actual = actual?;
    if scope.ignores(path) {
        return None;
    }
    let at = |member: &str, triple: Triple<'_>| project(scope, strict, &push(path, member), triple);
    Some(match actual {
        Value::Object(object) => {
            let named = |name: &str| {
                let names =
                    |value: Option<&Value>| value.is_some_and(|value| value.get(name).is_some());
                strict || names(desired) || names(recorded)
            };
            // What stands in the place of something else is shown whole.
            let is_named = [desired, recorded]
                .into_iter()
                .flatten()
                .any(Value::is_object);
            let mut kept = Map::new();
            for (name, value) in object {
                if !is_named || named(name) {
                    let member = Triple {
                        actual: Some(value),
                        ..triple.member(name)
                    };
                    if let Some(value) = at(name, member) {
                        kept.insert(name.clone(), value);
                    }
                }
            }
            Value::Object(kept)
        }
        Value::Array(list) => {
            let elements = match aligned(scope, path, triple) {
                Some(mut elements) => {
                    elements.sort_by_key(|element| element.live_place);
                    elements
                }
                None => matched(scope, strict, path, triple, list),
            };
            let live = elements
                .into_iter()
                .filter(|element| element.live_place.is_some());
            let projected = live.map(|element| {
                let is_named =
                    element.triple.desired.is_some() || element.triple.recorded.is_some();
                match element.triple.actual {
                    // What nothing corresponds to is shown whole: all of it is what differs.
                    Some(whole) if !is_named => whole.clone(),
                    _ => at(&element.place.to_string(), element.triple).unwrap_or_default(),
                }
            });
            Value::Array(projected.collect())
        }
        scalar => scalar.clone(),
    })
}

/// The live elements with what says the same, where lists are not aligned.
fn matched<'a>(
    scope: &Scope<'_>,
    strict: bool,
    path: &str,
    triple: Triple<'a>,
    live: &'a [Value],
) -> Vec<Element<'a>> {
    let sides = Sides {
        recorded: true,
        actual: true,
    };
    let matched = Walk::new(scope, strict, sides)
        .starting_at(path)
        .matched(triple, live);
    let partners = matched.partners.into_iter().zip(live).enumerate();
    let elements = partners.map(|(place, ((desired, recorded), actual))| Element {
        place,
        live_place: Some(place),
        triple: Triple {
            desired,
            recorded,
            actual: Some(actual),
        },
    });
    elements.collect()
}

/// The SHA-256 of a live value in a form that no noise changes: `1` is `1.0`, keys and sets are sorted.
pub(in crate::domain::drift) fn digest(
    scope: &Scope<'_>,
    path: &mut String,
    value: &Value,
) -> Digest {
    let plain = plain(scope, path, value);
    let text = plain.to_string();
    // Live values may hold numbers that content may not: then their own text has to do.
    canonicalize(text.as_bytes())
        .map_or_else(|_| Digest::of(text.as_bytes()), |text| Digest::of(&text))
}

fn plain(scope: &Scope<'_>, path: &mut String, value: &Value) -> Value {
    let length = path.len();
    let mut at = |member: &str, value: &Value| {
        *path = push(path, member);
        let value = plain(scope, path, value);
        path.truncate(length);
        value
    };
    match value {
        Value::Number(number) => {
            let whole = scalar::whole(number).and_then(|number| i64::try_from(number).ok());
            whole.map_or_else(|| value.clone(), Value::from)
        }
        Value::Object(object) => {
            let members = object.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(name, value)| (name.clone(), at(name, value)));
            Value::Object(members.collect())
        }
        Value::Array(list) => {
            let mut plain: Vec<Value> = list
                .iter()
                .enumerate()
                .map(|(place, element)| at(&place.to_string(), element))
                .collect();
            match scope.list(path) {
                Some(ListKind::Set) => plain.sort_by_key(Value::to_string),
                Some(ListKind::KeyedBy(key)) if keyed(value, key).is_some() => {
                    plain.sort_by_key(|element| element.get(key).map(Value::to_string));
                }
                _ => {}
            }
            Value::Array(plain)
        }
        other => other.clone(),
    }
}
