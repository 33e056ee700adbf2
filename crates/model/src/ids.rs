//! The names and numbers of the model, each a type of its own that cannot hold an invalid value.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An identifier or text that does not have the required form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} `{text}`: {rule}")]
pub struct InvalidName {
    what: &'static str,
    text: String,
    rule: &'static str,
}

impl InvalidName {
    fn new(what: &'static str, text: &str, rule: &'static str) -> Self {
        let text = text.chars().take(80).collect::<String>();
        Self {
            what,
            text: text.escape_debug().to_string(),
            rule,
        }
    }
}

/// The unit of isolation and of numbering.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

impl TenantId {
    const RULE: &'static str =
        "1 to 128 of the characters A-Z a-z 0-9 . _ - are expected, the first a letter or a digit";

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if first && rest && text.len() <= 128 {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::new("tenant", text, Self::RULE))
        }
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0.as_ref().to_owned()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The following number.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The number as a database's signed integer; numbers beyond it cannot be stored by any backend.
            pub fn to_i64(self) -> i64 {
                i64::try_from(self.0).unwrap_or(i64::MAX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = std::num::TryFromIntError;

            fn try_from(number: i64) -> Result<Self, Self::Error> {
                u64::try_from(number).map(Self)
            }
        }
    };
}

number! {
    /// An entry's number in its stream, dense from 1; 0 stands before the first. In the manifests it is the version.
    Seq
}

number! {
    /// Which history a number belongs to. Recovery takes the next one; the database's *generation* is the newest it may use.
    Epoch
}

impl Epoch {
    /// The epoch of a history that was never recovered.
    pub const FIRST: Self = Self(1);
}

/// The permanent identifier of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub Uuid);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which bucket this is: written into `bucket.json` once, and the owner of every watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BucketId(pub Uuid);

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The permanent identifier of one stored audit report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportId(pub Uuid);

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The permanent identifier of something that is told to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which database this is: an identifier of its own and the server's timeline, so that a promotion shows.
///
/// As text: `<uuid>/<timeline>`. Backends without timelines use 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseId {
    /// The identifier that the migration gave to the database.
    pub id: Uuid,
    /// The server's timeline; it moves on with every promotion and point-in-time restore.
    pub timeline: u32,
}

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.timeline)
    }
}

impl FromStr for DatabaseId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidName::new("databaseId", text, "`<uuid>/<timeline>` is expected");
        let (id, timeline) = text.split_once('/').ok_or_else(invalid)?;
        Ok(Self {
            id: id.parse().map_err(|_| invalid())?,
            timeline: timeline.parse().map_err(|_| invalid())?,
        })
    }
}

impl TryFrom<String> for DatabaseId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DatabaseId> for String {
    fn from(id: DatabaseId) -> Self {
        id.to_string()
    }
}

/// A text that people read on one line: who, or why. No control characters, at most 1,024 characters, not empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortText(Arc<str>);

impl ShortText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShortText {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "1 to 1024 characters without control characters are expected";
        let length = text.chars().take(1025).count();
        if length == 0 || length > 1024 || text.chars().any(char::is_control) {
            return Err(InvalidName::new("text", text, rule));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ShortText {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ShortText> for String {
    fn from(text: ShortText) -> Self {
        text.0.as_ref().to_owned()
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_names_follow_their_rule() {
        for good in ["a", "A.b_c-9", "0", &"x".repeat(128)] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".a",
            "_driftline",
            "-a",
            "a/b",
            "a b",
            "é",
            "a\n",
            "..",
            &"x".repeat(129),
        ] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn short_texts_have_no_control_characters() {
        assert!("deploy: öffne 日本".parse::<ShortText>().is_ok());
        for bad in ["", "a\nb", "\u{7f}", "a\u{85}", &"x".repeat(1025)] {
            assert!(bad.parse::<ShortText>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_database_id_survives_its_text() {
        let id = DatabaseId {
            id: Uuid::from_u128(7),
            timeline: 3,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("7/3".parse::<DatabaseId>().is_err());
    }
}
