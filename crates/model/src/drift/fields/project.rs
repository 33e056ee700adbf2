//! The part of a live value that counts, its digest, and the part of it that a pointer names.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::lists::{Alignment, Lists, Part, aligned};
use super::{Sides, Triple, Walk, is_blank, scalar, token};
use crate::Digest;
use crate::content::canonicalize;
use crate::drift::ListKind;
use crate::drift::actual::push;
use crate::drift::policy::Scope;

/// The actual value without members that neither the desired nor the recorded value names, and without what the policy
/// ignores.
pub(in crate::drift) fn project(
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
        Value::Array(_) => {
            let Alignment::Parts(parts) = aligned(scope, path, triple).0 else {
                let live = several(scope, strict, path, &Lists::of(triple));
                return Some(Value::Array(
                    live.into_iter().map(|(_, value)| value).collect(),
                ));
            };
            let mut live: Vec<(usize, Value)> = Vec::new();
            for part in parts {
                match part {
                    Part::One {
                        token,
                        live_place,
                        triple,
                    } => {
                        let Some(place) = live_place else { continue };
                        live.push((place, element(scope, strict, &push(path, &token), triple)));
                    }
                    Part::Several {
                        token,
                        live_places,
                        lists,
                    } => {
                        let all = several(scope, strict, &push(path, &token), &lists);
                        let all = all.into_iter();
                        live.extend(all.map(|(at, value)| (live_places[at], value)));
                    }
                }
            }
            live.sort_by_key(|(place, _)| *place);
            Value::Array(live.into_iter().map(|(_, value)| value).collect())
        }
        scalar => scalar.clone(),
    })
}

fn element(scope: &Scope<'_>, strict: bool, path: &str, triple: Triple<'_>) -> Value {
    let is_named = triple.desired.is_some() || triple.recorded.is_some();
    match triple.actual {
        // What nothing corresponds to is shown whole: all of it is what differs.
        Some(whole) if !is_named => whole.clone(),
        _ => project(scope, strict, path, triple).unwrap_or_default(),
    }
}

/// The live elements with what says the same, where lists are not aligned, and their places.
pub(super) fn several(
    scope: &Scope<'_>,
    strict: bool,
    path: &str,
    lists: &Lists<'_>,
) -> Vec<(usize, Value)> {
    let Some(live) = &lists.actual else {
        return Vec::new();
    };
    let matched = Walk::new(scope, strict, Sides::ALL)
        .bounded_by(lists)
        .starting_at(path)
        .matched(lists);
    let path = push(path, token::ANY);
    let partners = matched.partners.into_iter().zip(live).enumerate();
    let elements = partners.map(|(place, ((desired, recorded), actual))| {
        let triple = Triple {
            desired,
            recorded,
            actual: Some(*actual),
        };
        (place, element(scope, strict, &path, triple))
    });
    elements.collect()
}

/// In which form values are digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drift) enum Form {
    /// Whatever counts as the same has the same digest.
    Current,
    /// As builds did that knew neither rules for equality nor that empty is absent: acknowledgements may name such digests.
    Older,
}

/// The SHA-256 of a live value in a form that no noise changes: `1` is `1.0`, keys and sets are sorted, and what is empty is left
/// out of objects.
pub(in crate::drift) fn digest(
    scope: &Scope<'_>,
    path: &mut String,
    value: &Value,
    form: Form,
) -> Digest {
    let plain = match form {
        // Fields that say nothing are as good as absent.
        Form::Current if !path.is_empty() && is_blank(value) => Value::Null,
        _ => plain(scope, path, value, form),
    };
    let text = plain.to_string();
    // Live values may hold numbers that content may not: then their own text has to do.
    canonicalize(text.as_bytes())
        .map_or_else(|_| Digest::of(text.as_bytes()), |text| Digest::of(&text))
}

fn plain(scope: &Scope<'_>, path: &mut String, value: &Value, form: Form) -> Value {
    let length = path.len();
    let mut at = |member: &str, value: &Value| {
        *path = push(path, member);
        let value = plain(scope, path, value, form);
        path.truncate(length);
        value
    };
    match value {
        Value::Object(object) => {
            let counts = |value: &Value| match form {
                Form::Current => !is_blank(value),
                Form::Older => !value.is_null(),
            };
            let members = object.iter().filter(|(_, value)| counts(value));
            let members = members.map(|(name, value)| (name.clone(), at(name, value)));
            Value::Object(members.collect())
        }
        Value::Array(list) => {
            let places = list.iter().enumerate();
            let mut plain: Vec<(String, Value)> = places
                .map(|(place, element)| {
                    let token = token_of(scope, &path[..length], place, element);
                    *path = push(path, &token);
                    let value = self::plain(scope, path, element, form);
                    path.truncate(length);
                    (token, value)
                })
                .collect();
            match scope.list(path) {
                Some((_, ListKind::Set)) => plain.sort_by_key(|(_, value)| value.to_string()),
                Some((_, ListKind::KeyedBy(keys))) => plain.sort_by_key(|(token, value)| {
                    let values = keys.names().iter().map(|key| value.get(key));
                    let key = values.map(|value| value.map(Value::to_string));
                    (
                        token == token::WITHOUT_KEY,
                        key.collect::<Vec<_>>(),
                        value.to_string(),
                    )
                }),
                None => {}
            }
            Value::Array(plain.into_iter().map(|(_, value)| value).collect())
        }
        scalar if form == Form::Current => scalar::plain(scalar, scope.equality(path)),
        scalar => scalar::plain_number(scalar),
    }
}

/// The member by which pointers name an element of a list.
pub(in crate::drift) fn token_of(
    scope: &Scope<'_>,
    list: &str,
    place: usize,
    element: &Value,
) -> String {
    match scope.list(list) {
        None => place.to_string(),
        Some((_, ListKind::Set)) => token::ANY.to_owned(),
        Some((_, ListKind::KeyedBy(keys))) => match token::key(scope, list, keys, element) {
            Some(_) => token::of(keys, element),
            None => token::WITHOUT_KEY.to_owned(),
        },
    }
}

/// What a pointer names in a value: an element of a keyed list by its key, or all that have it. What is not there is null; `None`
/// for what has no place of its own.
pub(in crate::drift) fn find(scope: &Scope<'_>, value: &Value, pointer: &str) -> Option<Value> {
    if goes_by_place(scope, pointer) {
        return None;
    }
    let mut found = Cow::Borrowed(value);
    let mut path = String::new();
    for member in pointer.split('/').skip(1) {
        let name = member.replace("~1", "/").replace("~0", "~");
        let next = match found {
            Cow::Borrowed(Value::Object(object)) => object.get(&name).map(Cow::Borrowed),
            Cow::Owned(Value::Object(mut object)) => object.remove(&name).map(Cow::Owned),
            Cow::Borrowed(Value::Array(list)) => of_list(scope, &path, list, &name).map(Cow::Owned),
            Cow::Owned(Value::Array(list)) => of_list(scope, &path, &list, &name).map(Cow::Owned),
            _ => None,
        };
        let Some(next) = next else {
            return Some(Value::Null);
        };
        found = next;
        path.push('/');
        path.push_str(member);
    }
    Some(found.into_owned())
}

fn of_list(scope: &Scope<'_>, path: &str, list: &[Value], name: &str) -> Option<Value> {
    if scope.list(path).is_none() {
        return list.get(name.parse::<usize>().ok()?).cloned();
    }
    let all = list.iter().enumerate();
    let mut all = all.filter(|(place, element)| token_of(scope, path, *place, element) == name);
    let first = all.next()?.1.clone();
    let mut rest: Vec<Value> = all.map(|(_, element)| element.clone()).collect();
    if rest.is_empty() && name != token::WITHOUT_KEY {
        return Some(first);
    }
    rest.insert(0, first);
    Some(Value::Array(rest))
}

/// Whether a pointer names an element by its place in a list that has no places.
pub(in crate::drift) fn goes_by_place(scope: &Scope<'_>, pointer: &str) -> bool {
    pointer.match_indices('/').any(|(end, _)| {
        let (list, rest) = pointer.split_at(end);
        let member = rest[1..].split('/').next().unwrap_or_default();
        match scope.list(list) {
            None => false,
            Some((_, ListKind::Set)) => true,
            Some((_, ListKind::KeyedBy(keys))) => !token::is_of(member, keys),
        }
    })
}
