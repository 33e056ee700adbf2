//! What makes a key of a list's elements.

use std::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The members whose values together tell an element from the others: at least one, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<String>);

impl Keys {
    /// The members, in the order in which pointers name them.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl From<&str> for Keys {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Serialize for Keys {
    /// One member is written as older builds wrote it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Keys, E> {
                Ok(Keys::from(name))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
                let mut names: Vec<String> = Vec::new();
                while let Some(name) = list.next_element::<String>()? {
                    if names.contains(&name) {
                        let name = name.escape_debug();
                        return Err(A::Error::custom(format_args!(
                            "the key names `{name}` twice"
                        )));
                    }
                    names.push(name);
                }
                if names.is_empty() {
                    return Err(A::Error::custom("a key needs at least one member"));
                }
                Ok(Keys(names))
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}
