//! What of a value is shown and kept: all of it, as much as fits, or its digest alone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::actual::push;
use super::fields::{Form, Operation, digest, token_of};
use super::policy::Scope;
use super::{Change, DriftReport};
use crate::Digest;

/// Bytes of a value, as JSON, that a stored report keeps.
pub const KEPT: usize = 4096;

/// A value that a plan needs and does not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Where it belongs: in the attributes to be created, or in those that are live.
    pub pointer: String,
    /// Its SHA-256 as acknowledgements see it.
    pub sha256: Digest,
}

/// What stands in the place of a value that is not shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder<'v> {
    /// `{"redacted": {"sha256": …}}`: the policy says that nobody may see it.
    Redacted {
        /// The value's SHA-256 as acknowledgements see it.
        sha256: &'v str,
    },
    /// `{"cut": {"sha256": …, "bytes": …, "begins": …}}`: it was too long to be kept.
    Cut {
        /// The SHA-256 of its JSON text.
        sha256: &'v str,
        /// The length of that text.
        bytes: u64,
        /// What that text begins with.
        begins: &'v str,
    },
}

impl<'v> Placeholder<'v> {
    /// The placeholder that a value is, if it is one.
    pub fn of(value: &'v Value) -> Option<Self> {
        let object = value.as_object().filter(|object| object.len() == 1)?;
        let text = |value: &'v Value, name: &str| value.get(name).and_then(Value::as_str);
        if let Some(redacted) = object.get("redacted") {
            let sha256 = text(redacted, "sha256").filter(|sha256| is_digest(sha256))?;
            let is_alone = redacted
                .as_object()
                .is_some_and(|members| members.len() == 1);
            return is_alone.then_some(Self::Redacted { sha256 });
        }
        let cut = object.get("cut")?;
        Some(Self::Cut {
            sha256: text(cut, "sha256").filter(|sha256| is_digest(sha256))?,
            bytes: cut.get("bytes").and_then(Value::as_u64)?,
            begins: text(cut, "begins")?,
        })
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A value as it may be shown.
pub(super) fn redacted(scope: &Scope<'_>, path: &str, value: &Value) -> Value {
    if scope.redacts_nothing()
        || value.is_null()
        || matches!(Placeholder::of(value), Some(Placeholder::Redacted { .. }))
    {
        return value.clone();
    }
    if scope.redacts_around(path) {
        return placeholder(scope, path, value);
    }
    below(scope, path, value)
}

fn placeholder(scope: &Scope<'_>, path: &str, value: &Value) -> Value {
    let sha256 = digest(scope, &mut path.to_owned(), value, Form::Current);
    json!({ "redacted": { "sha256": sha256 } })
}

fn below(scope: &Scope<'_>, path: &str, value: &Value) -> Value {
    if scope.redacts(path) && !value.is_null() {
        return placeholder(scope, path, value);
    }
    match value {
        Value::Object(object) => {
            let members = object
                .iter()
                .map(|(name, value)| (name.clone(), below(scope, &push(path, name), value)));
            Value::Object(members.collect())
        }
        Value::Array(list) => {
            let places = list.iter().enumerate();
            let elements = places.map(|(place, element)| {
                let token = token_of(scope, path, place, element);
                below(scope, &push(path, &token), element)
            });
            Value::Array(elements.collect())
        }
        scalar => scalar.clone(),
    }
}

/// A difference as it may be shown. What acknowledgements name stays known.
pub(super) fn change(scope: &Scope<'_>, change: Change) -> Change {
    if scope.redacts_nothing() {
        return change;
    }
    let shown = |value: &Value| redacted(scope, &change.pointer, value);
    let (desired, recorded) = (shown(&change.desired), shown(&change.recorded));
    let actual = shown(&change.actual);
    let is_hidden = actual != change.actual;
    let actual_digest = is_hidden.then(|| {
        let path = &mut change.pointer.clone();
        digest(scope, path, &change.actual, Form::Current)
    });
    Change {
        pointer: change.pointer,
        desired,
        recorded,
        actual,
        actual_digest,
    }
}

/// Attributes to be created, without what may not be shown.
pub(super) fn attributes(scope: &Scope<'_>, mut value: Value) -> (Value, Vec<Withheld>) {
    let mut withheld = Vec::new();
    if !scope.redacts_nothing() {
        withhold(scope, "", &mut value, &mut withheld);
    }
    (value, withheld)
}

/// An RFC 6902 patch. An operation whose value may not be shown has none, so that nothing can run it by mistake.
pub(super) fn patch(scope: &Scope<'_>, operations: Vec<Operation>) -> (Value, Vec<Withheld>) {
    let mut withheld = Vec::new();
    let all = operations.into_iter().map(|operation| {
        let Operation {
            op,
            path,
            pointer,
            value,
        } = operation;
        let mut shown = json!({ "op": op, "path": path });
        if let Some(mut value) = value {
            if scope.redacts_around(&pointer) {
                withheld.push(Withheld {
                    sha256: digest(scope, &mut pointer.clone(), &value, Form::Current),
                    pointer: pointer.clone(),
                });
            } else {
                if !scope.redacts_nothing() {
                    withhold(scope, &pointer, &mut value, &mut withheld);
                }
                shown["value"] = value;
            }
        }
        if pointer.contains("/[") && pointer != path {
            shown["pointer"] = Value::String(pointer);
        }
        shown
    });
    let all = Value::Array(all.collect());
    (all, withheld)
}

/// Takes out what may not be shown.
fn withhold(scope: &Scope<'_>, path: &str, value: &mut Value, withheld: &mut Vec<Withheld>) {
    match value {
        Value::Object(object) => object.retain(|name, value| {
            let path = push(path, name);
            if value.is_null() || !scope.redacts(&path) {
                withhold(scope, &path, value, withheld);
                return true;
            }
            withheld.push(Withheld {
                sha256: digest(scope, &mut path.clone(), value, Form::Current),
                pointer: path,
            });
            false
        }),
        Value::Array(list) => {
            for (place, element) in list.iter_mut().enumerate() {
                let path = push(path, &token_of(scope, path, place, element));
                if scope.redacts(&path) && !element.is_null() {
                    withheld.push(Withheld {
                        sha256: digest(scope, &mut path.clone(), element, Form::Current),
                        pointer: path,
                    });
                    *element = Value::Null;
                } else {
                    withhold(scope, &path, element, withheld);
                }
            }
        }
        _ => {}
    }
}

impl DriftReport {
    /// Cuts values that are longer than [`KEPT`] bytes: reports are kept for long, and say what differs, not all of it.
    pub fn cut(&mut self, policy: &super::Policy) {
        for item in &mut self.items {
            let id = item.manifest_id.as_deref().unwrap_or_default();
            let scope = policy.scope(&item.resource_type, id);
            for change in &mut item.changes {
                if let Some(cut) = cut(&change.actual) {
                    let path = &mut change.pointer.clone();
                    change
                        .actual_digest
                        .get_or_insert_with(|| digest(&scope, path, &change.actual, Form::Current));
                    change.actual = cut;
                }
                for value in [&mut change.desired, &mut change.recorded] {
                    if let Some(cut) = cut(value) {
                        *value = cut;
                    }
                }
            }
        }
    }
}

fn cut(value: &Value) -> Option<Value> {
    if matches!(value, Value::Null | Value::Bool(_) | Value::Number(_)) {
        return None;
    }
    let text = value.to_string();
    if text.len() <= KEPT {
        return None;
    }
    let mut end = KEPT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let sha256 = Digest::of(text.as_bytes());
    Some(json!({ "cut": { "sha256": sha256, "bytes": text.len(), "begins": text[..end] } }))
}
