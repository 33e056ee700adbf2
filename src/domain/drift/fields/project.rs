//! The part of a live value that counts, and its digest.

use serde_json::{Map, Value};

use super::lists::{elements, keyed};
use super::{Triple, scalar};
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
    path: &mut String,
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
    let length = path.len();
    let mut at = |member: &str, triple: Triple<'_>| {
        *path = push(path, member);
        let projected = project(scope, strict, path, triple);
        path.truncate(length);
        projected
    };
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
            let partner = |place: usize, named: Option<&Value>| -> Option<Value> {
                // Elements of a list are mostly of one kind: of those beyond the named ones the last one tells what counts.
                let named = elements(named?);
                named.get(place).or(named.last()).cloned()
            };
            let projected = list.iter().enumerate().map(|(place, element)| {
                let (desired, recorded) = (partner(place, desired), partner(place, recorded));
                let element = Triple {
                    desired: desired.as_ref(),
                    recorded: recorded.as_ref(),
                    actual: Some(element),
                };
                at(&place.to_string(), element).unwrap_or_default()
            });
            Value::Array(projected.collect())
        }
        scalar => scalar.clone(),
    })
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
