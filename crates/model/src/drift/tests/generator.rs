//! Random documents, and the noise that a live system makes of them.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use super::super::*;

/// Lists named `sets` are sets, those named `keyed` are keyed by `k`, and members named `ignored` do not matter.
pub(super) fn policy() -> Policy {
    serde_json::from_value(json!({
        "lists": [{ "pointer": "/**/sets", "as": "set" }, { "pointer": "/**/keyed", "as": { "keyedBy": "k" } }],
        "ignore": [{ "pointer": "/**/ignored" }],
    }))
    .unwrap()
}

pub(super) struct Generator {
    pub(super) random: StdRng,
}

const NAMES: [&str; 8] = ["a", "b", "name", "a/b", "til~de", "ü", "on", "Z"];

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.random.random_range(0..limit)
    }

    pub(super) fn scalar(&mut self) -> Value {
        match self.below(7) {
            0 => json!(self.below(3)),
            1 => json!(-1),
            2 => json!(0.5),
            3 => json!(9_007_199_254_740_992_u64),
            4 => json!(self.below(2) == 0),
            5 => json!(""),
            _ => json!(["x", "y", "é"].choose(&mut self.random)),
        }
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 4 } else { 8 }) {
            0..=3 => self.scalar(),
            4 => Value::Array((0..self.below(3)).map(|_| self.scalar()).collect()),
            5 => Value::Array(
                (0..self.below(3))
                    .map(|_| Value::Object(self.object(depth - 1)))
                    .collect(),
            ),
            _ => Value::Object(self.object(depth - 1)),
        }
    }

    /// An object; never with a null, which would be an absent member.
    pub(super) fn object(&mut self, depth: u64) -> Map<String, Value> {
        let mut object = Map::new();
        for _ in 0..self.below(4) {
            let name = *NAMES.choose(&mut self.random).unwrap();
            object.insert(name.to_owned(), self.value(depth));
        }
        if depth > 0 {
            if self.below(4) == 0 {
                let list = (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                object.insert("sets".to_owned(), list);
            }
            if self.below(4) == 0 {
                let keyed = (0..self.below(4)).map(|key| {
                    let mut element = self.object(depth - 1);
                    element.insert("k".to_owned(), json!(key));
                    Value::Object(element)
                });
                object.insert("keyed".to_owned(), keyed.collect());
            }
            if self.below(6) == 0 {
                object.insert("ignored".to_owned(), self.value(depth - 1));
            }
        }
        object
    }

    /// A manifest's collections.
    pub(super) fn manifest(&mut self) -> Value {
        let mut manifest = Map::new();
        for resource_type in ["roles", "channels"] {
            let ids = (0..self.below(4)).map(|id| {
                let mut resource = self.object(2);
                resource.insert("id".to_owned(), json!(format!("{resource_type}-{id}")));
                Value::Object(resource)
            });
            let ids: Vec<Value> = ids.collect();
            manifest.insert(resource_type.to_owned(), Value::Array(ids));
        }
        Value::Object(manifest)
    }

    /// External ids for some of a manifest's resources, at least for `share` in ten.
    pub(super) fn ids(&mut self, manifest: &Value, share: u64) -> Value {
        let mut ids = json!({});
        for (resource_type, resources) in manifest.as_object().unwrap() {
            ids[resource_type] = json!({});
            for resource in resources.as_array().unwrap() {
                if self.below(10) < share {
                    let id = resource["id"].as_str().unwrap();
                    ids[resource_type][id] = json!(format!("live-{id}"));
                }
            }
        }
        ids
    }

    /// The text of a live value that says the same: members in another order and more of them, whole numbers as fractions,
    /// nulls for what is absent, and lists in another order where that does not matter.
    pub(super) fn noisy(&mut self, value: &Value, list: Option<&str>) -> String {
        match value {
            Value::Number(number) if self.below(3) == 0 => match number.as_i64() {
                Some(whole) if whole.abs() < 1 << 53 => format!("{whole}.0"),
                _ => number.to_string(),
            },
            Value::Object(object) => {
                let mut members: Vec<String> = object
                    .iter()
                    .map(|(name, value)| {
                        let value = if name == "ignored" {
                            self.scalar()
                        } else {
                            value.clone()
                        };
                        format!("{}: {}", json!(name), self.noisy(&value, Some(name)))
                    })
                    .collect();
                if self.below(2) == 0 {
                    members.push(format!("\"added by the server\": {}", self.value(1)));
                }
                if self.below(3) == 0 {
                    members.push("\"absent\": null".to_owned());
                }
                members.shuffle(&mut self.random);
                format!("{{{}}}", members.join(", "))
            }
            Value::Array(elements) => {
                let mut elements: Vec<String> = elements
                    .iter()
                    .map(|element| self.noisy(element, None))
                    .collect();
                if matches!(list, Some("sets" | "keyed")) {
                    elements.shuffle(&mut self.random);
                }
                format!("[{}]", elements.join(", "))
            }
            other => other.to_string(),
        }
    }

    /// The live state, noise and unmanaged resources included, of `ids`' resources as `manifest` has them.
    pub(super) fn live(&mut self, manifest: &Value, ids: &Value) -> String {
        let mut types = Vec::new();
        for (resource_type, resources) in manifest.as_object().unwrap() {
            let mut listed = Vec::new();
            for resource in resources.as_array().unwrap() {
                let id = resource["id"].as_str().unwrap();
                let Some(external_id) = ids[resource_type][id].as_str() else {
                    continue;
                };
                let mut attributes = resource.clone();
                if self.below(2) == 0 {
                    attributes["manifestId"] = json!(id);
                }
                attributes.as_object_mut().unwrap().remove("id");
                listed.push(format!(
                    "{}: {}",
                    json!(external_id),
                    self.noisy(&attributes, None)
                ));
            }
            if self.below(4) == 0 {
                listed.push("\"nobody's\": {\"name\": \"x\"}".to_owned());
            }
            listed.shuffle(&mut self.random);
            types.push(format!(
                "{}: {{{}}}",
                json!(resource_type),
                listed.join(", ")
            ));
        }
        types.shuffle(&mut self.random);
        format!("{{\"resources\": {{{}}}}}", types.join(", "))
    }

    /// Changes one thing below `value`, and tells under which pointer that has to show.
    pub(super) fn change(&mut self, value: &mut Value, path: &str) -> String {
        let deeper = |path: &str, member: &str| super::super::actual::push(path, member);
        match value {
            Value::Object(object) if !object.is_empty() => {
                let names: Vec<String> = object
                    .keys()
                    .filter(|name| !matches!(name.as_str(), "id" | "manifestId" | "k" | "ignored"))
                    .cloned()
                    .collect();
                let Some(name) = names.choose(&mut self.random) else {
                    return String::new();
                };
                let path = deeper(path, name);
                // What is empty is absent already.
                if self.below(5) == 0 && !super::super::fields::is_blank(&object[name]) {
                    object.remove(name);
                    return path;
                }
                if name == "sets" {
                    object[name].as_array_mut().unwrap().push(json!("injected"));
                    return path;
                }
                self.change(&mut object[name], &path)
            }
            Value::Array(elements) => {
                let is_keyed = path.ends_with("/keyed");
                if is_keyed && (elements.is_empty() || self.below(4) == 0) {
                    elements.push(json!({ "k": "injected" }));
                    return deeper(path, "[k=injected]");
                }
                if elements.is_empty() || (!is_keyed && self.below(4) == 0) {
                    elements.push(json!("injected"));
                    return path.to_owned();
                }
                let place = usize::try_from(self.below(elements.len() as u64)).unwrap();
                let token = match &elements[place]["k"] {
                    key if is_keyed => format!("[k={key}]").replace('"', ""),
                    _ => place.to_string(),
                };
                let path = deeper(path, &token);
                self.change(&mut elements[place], &path)
            }
            other => {
                *other = json!("injected");
                path.to_owned()
            }
        }
    }
}
