//! What an observer saw, which may be only a part.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::document::Document;
use crate::{TenantId, Timestamp, json};

/// The live state of one tenant's resources as an observer saw it.
///
/// A resource type that is listed is complete, unless an error names it; one that is not listed was not looked at.
/// Attributes stay the text that they were: only what is compared is ever read.
#[derive(Debug, Clone, Default)]
pub struct ActualState {
    /// When it was seen; `None` when the observer does not say.
    pub observed_at: Option<Timestamp>,
    /// Whose it is; `None` when the observer does not say.
    pub tenant: Option<String>,
    /// Resource type → external id → attributes. Shared, so that a comparison on another thread costs no copy.
    pub(super) resources: Arc<Types>,
    /// What is live of the settings; `None` when that was not looked at.
    pub(super) settings: Option<Arc<RawValue>>,
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

impl ActualState {
    /// Reads `{observedAt?, tenant?, resources: {type: {externalId: {…attributes, manifestId?}}}, settings?: {…}, errors?:
    /// [{type?, id?, message}]}`. A resource that is given as `null` is one whose attributes were not seen.
    ///
    /// A member that is not among these is refused: dropped in silence, a misspelt one would make the live state look better
    /// than it is.
    pub fn parse(raw: &[u8]) -> Result<Self, InvalidActualState> {
        if let Some(objection) = json::objection(raw) {
            return Err(InvalidActualState(objection));
        }
        let read = serde_json::from_slice::<Document>(raw);
        let Document(state) = read.map_err(|error| {
            InvalidActualState(if error.is_data() {
                json::words(&error)
            } else {
                json::explain(raw, &error)
            })
        })?;
        let expect_object = |at: String, raw: &RawValue| {
            if matches!(raw.get().as_bytes().first(), Some(b'{' | b'n')) {
                return Ok(());
            }
            let message = format!("{at}: an object with attributes is expected");
            Err(InvalidActualState(message))
        };
        for (resource_type, listed) in &*state.resources {
            for (id, attributes) in listed {
                expect_object(pointer(&["resources", resource_type, id]), attributes)?;
            }
        }
        if let Some(settings) = &state.settings {
            expect_object(pointer(&["settings"]), settings)?;
        }
        Ok(Self {
            settings: state.settings.filter(|raw| raw.get() != "null"),
            ..state
        })
    }

    /// Refuses a state that says it is another tenant's.
    pub fn check_tenant(&self, tenant: &TenantId) -> Result<(), InvalidActualState> {
        match &self.tenant {
            Some(other) if other != tenant.as_str() => {
                let other: String = other.chars().take(200).collect();
                let message = format!(
                    "/tenant: it is of `{}`, not of {tenant}",
                    other.escape_debug()
                );
                Err(InvalidActualState(message))
            }
            _ => Ok(()),
        }
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

    /// Says what is live of the settings.
    pub fn set_settings(&mut self, settings: &Value) -> serde_json::Result<()> {
        self.settings = Some(serde_json::value::to_raw_value(settings)?.into());
        Ok(())
    }

    /// How many resources were seen.
    pub fn len(&self) -> usize {
        self.resources.values().map(BTreeMap::len).sum()
    }

    /// The bytes of all attributes.
    pub fn bytes(&self) -> usize {
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
        if let Some(tenant) = &self.tenant {
            document.insert("tenant".to_owned(), Value::String(tenant.clone()));
        }
        if let Some(settings) = &self.settings {
            document.insert("settings".to_owned(), Value::deserialize(&**settings)?);
        }
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
