//! Content: a JSON document in the one form that is hashed, stored and shadowed.
//!
//! The canonical form is RFC 8785 (JCS), the checksum the SHA-256 of its bytes. Whatever enters as raw JSON is read
//! strictly (RFC 8259, UTF-8, no byte order mark) and refused, never repaired: two keys that are the same, a number
//! that would change its value, half a surrogate pair, nesting over 128. So two documents have one checksum exactly
//! when they say the same, and nothing that was written is lost on the way to it.
//!
//! Reading takes one pass and time linear in the input (n log n for keys that are out of order), whatever the input:
//! the nesting bounds the stack, and the size limit bounds the memory.

mod collection;
mod error;
mod number;
mod order;
mod parser;
mod shape;
mod string;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::Digest;
pub use error::{ContentError, ContentErrorKind};
use parser::Rules;
pub use shape::Member;

/// Canonical (RFC 8785) bytes with their checksum. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Bytes,
    checksum: Digest,
}

impl Content {
    /// The size limit that is used where nobody sets another: 16 MiB, for the raw input and for the canonical form.
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

    /// Reads any JSON object of at most `limit` bytes, raw and canonical; no manifest rules.
    pub fn parse_object(raw: &[u8], limit: usize) -> Result<Self, ContentError> {
        Self::parse(raw, Rules::Object, limit)
    }

    /// Reads the content of a manifest: an object of at most `limit` bytes, raw and canonical, with a string
    /// `schemaVersion`, whose collections hold nothing but resources with unique ids.
    ///
    /// A collection is a top-level array in which any element is an object with a string `id`; then all must be. An array of
    /// objects of which any has an `id` that is no string is refused, too.
    pub fn parse_manifest(raw: &[u8], limit: usize) -> Result<Self, ContentError> {
        Self::parse(raw, Rules::Manifest, limit)
    }

    /// Reads the content of a manifest that was committed before, here or by another system: ids that are no strings were
    /// taken then, and their array was no collection.
    pub fn parse_committed(raw: &[u8], limit: usize) -> Result<Self, ContentError> {
        Self::parse(raw, Rules::Committed, limit)
    }

    fn parse(raw: &[u8], rules: Rules, limit: usize) -> Result<Self, ContentError> {
        parser::canonical(raw, rules, limit).map(|canonical| Self::from_stored(canonical.into()))
    }

    /// Wraps bytes read back from a store. They are hashed, not read: the caller compares the checksum with the one on
    /// record.
    pub fn from_stored(canonical: Bytes) -> Self {
        let checksum = Digest::of(&canonical);
        Self::trusted(canonical, checksum)
    }

    /// Wraps bytes read back from a database row with the checksum stored beside them; they are not hashed again.
    pub const fn trusted(canonical: Bytes, checksum: Digest) -> Self {
        Self {
            bytes: canonical,
            checksum,
        }
    }

    /// Whether the bytes still have the checksum that was on record beside them.
    pub fn is_intact(&self) -> bool {
        Digest::of(&self.bytes) == self.checksum
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical bytes, to be shared.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The SHA-256 of the canonical bytes.
    pub const fn checksum(&self) -> Digest {
        self.checksum
    }

    /// How many bytes the canonical form has.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes at all: never so for what was parsed.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The document as a value, its fractions as exact as serde_json reads them (see its feature `float_roundtrip`). Fails
    /// only when the bytes came from a store and are not JSON.
    pub fn to_value(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.bytes).or_else(|error| self.to_value_by_member().ok_or(error))
    }

    /// serde_json stops at 127 levels, one short of what content may have: the members are read each on its own.
    fn to_value_by_member(&self) -> Option<Value> {
        type Members<'a> = std::collections::BTreeMap<String, &'a serde_json::value::RawValue>;
        let members: Members<'_> = serde_json::from_slice(&self.bytes).ok()?;
        let members = members
            .into_iter()
            .map(|(key, raw)| Some((key, Value::deserialize(raw).ok()?)));
        members.collect::<Option<_>>().map(Value::Object)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("len", &self.len())
            .field("checksum", &self.checksum)
            .finish_non_exhaustive()
    }
}

/// The canonical (RFC 8785) bytes of any JSON value. There is no size limit.
pub fn canonicalize(raw: &[u8]) -> Result<Vec<u8>, ContentError> {
    parser::canonical(raw, Rules::AnyValue, usize::MAX)
}
