//! The form of a live document: every member of it is known, and stands there once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::actual::{ActualState, ObservationError, Types};
use crate::json;

/// A live document as it was written.
pub(super) struct Document(pub(super) ActualState);

/// Of two resources with one id, which is the live one?
struct Unique<T>(BTreeMap<String, T>);

/// An error as an observer writes it.
struct Told(ObservationError);

/// Errors as an observer writes them.
struct All(Vec<ObservationError>);

const MEMBERS: [&str; 5] = ["observedAt", "tenant", "resources", "settings", "errors"];
const OF_ERRORS: [&str; 3] = ["type", "id", "message"];

fn unknown<E: Error>(name: &str, known: &[&'static str]) -> E {
    let meant = json::similar(name, known.iter().copied()).map_or_else(
        || format!("known are `{}`", known.join("`, `")),
        |meant| format!("`{meant}` is meant, perhaps"),
    );
    let name = name.escape_debug();
    E::custom(format_args!("the member `{name}` is not known ({meant})"))
}

fn twice<E: Error>(name: &str) -> E {
    let name = name.escape_debug();
    E::custom(format_args!("the key `{name}` is there twice"))
}

/// An error in a member, as seen from around it: pointers grow from within.
fn within<E: Error>(name: &str, error: &E) -> E {
    let name = super::actual::push("", &name.escape_debug().to_string());
    let error = error.to_string();
    let colon = if error.starts_with('/') { "" } else { ": " };
    E::custom(format_args!("{name}{colon}{error}"))
}

/// The value of a member, once.
fn member<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    slot: &mut Option<T>,
    name: &str,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(twice(name));
    }
    let value: T = map.next_value().map_err(|error| within(name, &error))?;
    *slot = Some(value);
    Ok(())
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `resources`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let (mut at, mut tenant, mut resources, mut settings, mut errors) =
                    (None, None, None, None, None);
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "observedAt" => member(&mut map, &mut at, &name)?,
                        "tenant" => member(&mut map, &mut tenant, &name)?,
                        "resources" => member(&mut map, &mut resources, &name)?,
                        "settings" => member::<A, Box<RawValue>>(&mut map, &mut settings, &name)?,
                        "errors" => member::<A, All>(&mut map, &mut errors, &name)?,
                        _ => return Err(unknown(&name, &MEMBERS)),
                    }
                }
                let Some(Unique(types)) = resources else {
                    return Err(A::Error::missing_field("resources"));
                };
                let types = types.into_iter();
                let types: Types = types
                    .map(|(name, Unique(listed)): (String, Unique<Box<RawValue>>)| (name, listed))
                    .collect();
                Ok(Document(ActualState {
                    observed_at: at.flatten(),
                    tenant: tenant.flatten(),
                    resources: Arc::new(types),
                    settings: settings.map(Arc::from),
                    errors: errors.map(|All(errors)| errors).unwrap_or_default(),
                }))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for All {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = All;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of errors")
            }

            fn visit_unit<E: Error>(self) -> Result<All, E> {
                Ok(All(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<All, A::Error> {
                let mut errors = Vec::new();
                loop {
                    let place = errors.len();
                    let next = seq
                        .next_element::<Told>()
                        .map_err(|error| within(&place.to_string(), &error))?;
                    match next {
                        Some(Told(error)) => errors.push(error),
                        None => return Ok(All(errors)),
                    }
                }
            }
        }

        deserializer.deserialize_any(Elements)
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Told;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a `message`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Told, A::Error> {
                let (mut resource_type, mut id, mut message) = (None, None, None);
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "type" => member(&mut map, &mut resource_type, &name)?,
                        "id" => member(&mut map, &mut id, &name)?,
                        "message" => member(&mut map, &mut message, &name)?,
                        _ => return Err(unknown(&name, &OF_ERRORS)),
                    }
                }
                Ok(Told(ObservationError {
                    resource_type: resource_type.flatten(),
                    id: id.flatten(),
                    message: message.ok_or_else(|| A::Error::missing_field("message"))?,
                }))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

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
                while let Some(key) = map.next_key::<String>()? {
                    let value = map
                        .next_value::<T>()
                        .map_err(|error| within(&key, &error))?;
                    if members.contains_key(&key) {
                        return Err(twice(&key));
                    }
                    members.insert(key, value);
                }
                Ok(Unique(members))
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}
