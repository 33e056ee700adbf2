//! What the members of a manifest are: collections of resources, or settings, some of which look like a collection.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Content;

/// What a top-level member of a manifest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// Resources, by these ids.
    Collection(BTreeSet<String>),
    /// A setting that could have been meant as resources: an object of nothing but objects, as if by id, or an array of objects
    /// without ids.
    Lookalike,
    /// Any other setting.
    Setting,
}

impl Member {
    fn of(value: &Value) -> Self {
        match value {
            Value::Array(elements) => {
                let ids = elements.iter().map(|one| one.get("id")?.as_str());
                match ids.map(|id| id.map(str::to_owned)).collect() {
                    Some(ids) => Self::Collection(ids),
                    None if elements.iter().all(Value::is_object) => Self::Lookalike,
                    None => Self::Setting,
                }
            }
            Value::Object(members) if members.values().all(Value::is_object) => Self::Lookalike,
            _ => Self::Setting,
        }
    }
}

impl Content {
    /// The top-level members by name. Fails only when the bytes came from a store and are not JSON.
    pub fn members(&self) -> serde_json::Result<BTreeMap<String, Member>> {
        let Value::Object(members) = self.to_value()? else {
            return Ok(BTreeMap::new());
        };
        let members = members.into_iter();
        Ok(members
            .map(|(name, value)| (name, Member::of(&value)))
            .collect())
    }
}
