//! Members that a later build wrote and this one does not know: they pass through as they are, byte for byte, where they stood.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member that this build does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extra {
    /// The known member behind it; `None` at the end.
    before: Option<String>,
    /// Its name and value, as they are written.
    text: String,
}

/// The members of an object that this build does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras(Vec<Extra>);

/// The members of a JSON object as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl Extras {
    /// Those of `text`, an object that can be read.
    pub(super) fn of(text: &str, known: &[&str]) -> Self {
        let Ok(Members(members)) = serde_json::from_str(text) else {
            return Self::default();
        };
        let mut extras = Vec::new();
        let mut waiting = 0;
        for (name, value) in members {
            if known.contains(&name.as_str()) {
                for extra in extras.iter_mut().skip(waiting) {
                    let extra: &mut Extra = extra;
                    extra.before = Some(name.clone());
                }
                waiting = extras.len();
            } else {
                let name = serde_json::to_string(&name).unwrap_or_default();
                extras.push(Extra {
                    before: None,
                    text: format!("{name}:{value}"),
                });
            }
        }
        Self(extras)
    }

    /// Writes those that stand before a known member, each with `end` behind it.
    pub(super) fn before(&self, member: &str, end: &str, out: &mut String) {
        let here = |extra: &&Extra| extra.before.as_deref() == Some(member);
        for extra in self.0.iter().filter(here) {
            out.push_str(&extra.text);
            out.push_str(end);
        }
    }

    /// An object on one line, with these among its members.
    pub(super) fn within(&self, object: String) -> String {
        if self.0.is_empty() {
            return object;
        }
        let Ok(Members(members)) = serde_json::from_str(&object) else {
            return object;
        };
        let mut text = String::with_capacity(object.len() + 64);
        text.push('{');
        for (name, value) in members {
            self.before(&name, ",", &mut text);
            let name = serde_json::to_string(&name).unwrap_or_default();
            text.push_str(&name);
            text.push(':');
            text.push_str(value.get());
            text.push(',');
        }
        for extra in self.0.iter().filter(|extra| extra.before.is_none()) {
            text.push_str(&extra.text);
            text.push(',');
        }
        text.pop();
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_where_they_stood_and_as_they_were_written() {
        let known = ["a", "b"];
        for text in [
            r#"{"a":1,"b":2}"#,
            r#"{"x":1.0,"a":1,"y":{"b": [ 1 ]},"z":"\u00e4","b":2}"#,
            r#"{"a":1,"b":2,"later":null}"#,
        ] {
            let extras = Extras::of(text, &known);
            assert_eq!(extras.within(r#"{"a":1,"b":2}"#.to_owned()), text);
        }
    }
}
