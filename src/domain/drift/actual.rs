//! What an observer saw, which may be only a part.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::Timestamp;

/// The live state of one tenant's resources as an observer saw it.
///
/// A resource type that is listed is complete, unless an error names it; one that is not listed was not looked at.
/// Attributes stay the text that they were: only what is compared is ever read.
#[derive(Debug, Clone, Default)]
pub struct ActualState {
    /// When it was seen; `None` when the observer does not say.
    pub observed_at: Option<Timestamp>,
    /// Resource type → external id → attributes. Shared, so that a comparison on another thread costs no copy.
    pub(super) resources: Arc<Types>,
    /// What could not be seen.
    pub errors: Vec<ObservationError>,
}

pub(super) type Types = BTreeMap<String, BTreeMap<String, Box<RawValue>>>;

/// Something that an observer could not see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationError {
    /// The resource type that is incomplete; with an `id` too, only that resource was not seen. Without a type and an id
    /// nothing at all is complete.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The external id, or else the manifest id, of the one resource that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why.
    pub message: String,
}

/// A document that is no actual state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the actual state cannot be read: {0}")]
pub struct InvalidActualState(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    observed_at: Option<Timestamp>,
    resources: Unique<Unique<Box<RawValue>>>,
    #[serde(default)]
    errors: Vec<ObservationError>,
}

impl ActualState {
    /// Reads `{observedAt?, resources: {type: {externalId: {…attributes, manifestId?}}}, errors?: [{type?, id?, message}]}`.
    /// A resource that is given as `null` is one whose attributes were not seen.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidActualState> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|error| InvalidActualState(error.to_string()))?;
        let mut resources = Types::new();
        for (resource_type, Unique(listed)) in document.resources.0 {
            for (id, attributes) in &listed {
                if !matches!(attributes.get().as_bytes().first(), Some(b'{' | b'n')) {
                    let at = pointer(&["resources", &resource_type, id]);
                    let message = format!("{at}: an object with attributes is expected");
                    return Err(InvalidActualState(message));
                }
            }
            resources.insert(resource_type, listed);
        }
        Ok(Self {
            observed_at: document.observed_at,
            resources: Arc::new(resources),
            errors: document.errors,
        })
    }

    /// Nothing was seen, and why.
    pub fn failed(message: impl Into<String>) -> Self {
        let error = ObservationError {
            message: message.into(),
            ..ObservationError::default()
        };
        Self {
            errors: vec![error],
            ..Self::default()
        }
    }

    /// Lists a type, empty if nothing of it is inserted.
    pub fn list(&mut self, resource_type: &str) {
        Arc::make_mut(&mut self.resources)
            .entry(resource_type.to_owned())
            .or_default();
    }

    /// Lists a resource. Its attributes may name its `manifestId`.
    pub fn insert(
        &mut self,
        resource_type: &str,
        external_id: &str,
        attributes: &Value,
    ) -> serde_json::Result<()> {
        let raw = serde_json::value::to_raw_value(attributes)?;
        Arc::make_mut(&mut self.resources)
            .entry(resource_type.to_owned())
            .or_default()
            .insert(external_id.to_owned(), raw);
        Ok(())
    }

    /// How many resources were seen.
    pub fn len(&self) -> usize {
        self.resources.values().map(BTreeMap::len).sum()
    }

    /// The bytes of all attributes.
    pub(crate) fn bytes(&self) -> usize {
        let all = self.resources.values().flat_map(BTreeMap::values);
        all.map(|attributes| attributes.get().len()).sum()
    }

    /// Whether no resource was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same as a document, as [`ActualState::parse`] reads it.
    pub fn to_value(&self) -> serde_json::Result<Value> {
        let mut resources = serde_json::Map::new();
        for (resource_type, listed) in self.resources.iter() {
            let listed = listed
                .iter()
                .map(|(id, raw)| Ok((id.clone(), Value::deserialize(&**raw)?)));
            let listed = listed.collect::<serde_json::Result<_>>()?;
            resources.insert(resource_type.clone(), Value::Object(listed));
        }
        let mut document = serde_json::Map::new();
        if let Some(at) = self.observed_at {
            document.insert("observedAt".to_owned(), serde_json::to_value(at)?);
        }
        document.insert("resources".to_owned(), Value::Object(resources));
        if !self.errors.is_empty() {
            document.insert("errors".to_owned(), serde_json::to_value(&self.errors)?);
        }
        Ok(Value::Object(document))
    }
}

/// A JSON pointer (RFC 6901) to nested members.
pub(super) fn pointer(members: &[&str]) -> String {
    members
        .iter()
        .fold(String::new(), |path, member| push(&path, member))
}

/// A JSON pointer one member deeper.
pub(super) fn push(path: &str, member: &str) -> String {
    format!("{path}/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// An object in which no key stands twice: of two resources with one id, which is the live one?
struct Unique<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if members.contains_key(&key) {
                        let key = key.escape_debug();
                        return Err(A::Error::custom(format_args!(
                            "the key `{key}` is there twice"
                        )));
                    }
                    members.insert(key, value);
                }
                Ok(Unique(members))
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}
