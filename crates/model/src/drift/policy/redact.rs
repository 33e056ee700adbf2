//! Fields whose values are secrets.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as DeError, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A field, and all below it, of which nothing but a digest is ever shown or stored. A text alone is its pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactRule {
    /// The resource type, as a glob; absent for every type.
    pub resource_type: Option<String>,
    /// The manifest id, as a glob; absent for every id.
    pub id: Option<String>,
    /// The field, as a JSON pointer whose members are globs, `**` for any number of members.
    pub pointer: String,
}

#[derive(Serialize, Deserialize)]
struct Object {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    pointer: String,
}

impl Serialize for RedactRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.resource_type.is_none() && self.id.is_none() {
            return serializer.serialize_str(&self.pointer);
        }
        let object = Object {
            resource_type: self.resource_type.clone(),
            id: self.id.clone(),
            pointer: self.pointer.clone(),
        };
        object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RedactRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rule;

        impl<'de> Visitor<'de> for Rule {
            type Value = RedactRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON pointer, or an object with one")
            }

            fn visit_str<E: DeError>(self, pointer: &str) -> Result<RedactRule, E> {
                Ok(RedactRule {
                    resource_type: None,
                    id: None,
                    pointer: pointer.to_owned(),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RedactRule, A::Error> {
                let Object {
                    resource_type,
                    id,
                    pointer,
                } = Object::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RedactRule {
                    resource_type,
                    id,
                    pointer,
                })
            }
        }

        deserializer.deserialize_any(Rule)
    }
}
