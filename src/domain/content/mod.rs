//! A manifest's content: parsed, checked, canonical, hashed.

use bytes::Bytes;

use super::Digest;

/// Canonical (RFC 8785) bytes with their checksum. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Bytes,
    checksum: Digest,
}

/// Content that is refused, with the JSON pointer to what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ContentError {
    message: String,
}

impl Content {
    /// The default limit of the raw input and of the canonical form, in bytes.
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

    /// Any JSON object.
    pub fn parse_object(raw: &[u8], _limit: usize) -> Result<Self, ContentError> {
        let value: serde_json::Value =
            serde_json::from_slice(raw).map_err(|error| ContentError { message: error.to_string() })?;
        let bytes = serde_json::to_vec(&value).map_err(|error| ContentError { message: error.to_string() })?;
        Ok(Self::from_stored(bytes.into()))
    }

    /// A manifest's content.
    pub fn parse_manifest(raw: &[u8], limit: usize) -> Result<Self, ContentError> {
        Self::parse_object(raw, limit)
    }

    /// Bytes read back from a store; they are hashed.
    pub fn from_stored(canonical: Bytes) -> Self {
        let checksum = Digest::of(&canonical);
        Self { bytes: canonical, checksum }
    }

    /// Bytes read back from a row, with the checksum on record.
    pub fn trusted(canonical: Bytes, checksum: Digest) -> Self {
        Self { bytes: canonical, checksum }
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the canonical bytes.
    pub fn checksum(&self) -> Digest {
        self.checksum
    }

    /// Length of the canonical bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
