//! `bucket.json`: whose bucket this is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BUCKET_KEY, Damage, check_format};
use crate::{BucketId, DatabaseId, Epoch, json};

const FORMAT: &str = "driftline.bucket.v1";
const MEMBERS: usize = 4;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The identity of a bucket, and of the database that owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketIdentity {
    /// Which bucket; given once, when the first database claimed it.
    pub bucket_id: BucketId,
    /// The database that may shadow to it.
    pub database_id: DatabaseId,
    /// The newest epoch that this database may use.
    pub generation: Epoch,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    bucket_id: BucketId,
    database_id: DatabaseId,
    generation: Epoch,
    format: String,
}

impl BucketIdentity {
    /// The object's bytes.
    pub fn to_bytes(self) -> Bytes {
        let Self {
            bucket_id,
            database_id,
            generation,
        } = self;
        Bytes::from(format!(
            "{{\n\"bucketId\":\"{bucket_id}\",\n\"databaseId\":\"{database_id}\",\n\"generation\":{generation},\n\"format\":\"{FORMAT}\"\n}}\n"
        ))
    }

    /// Reads the object.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        // A newer build may write other members: that is told by its format, and no damage.
        if let Ok(Tag { format }) = serde_json::from_slice(bytes) {
            check_format(BUCKET_KEY, FORMAT, &format)?;
        }
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| Damage::malformed(BUCKET_KEY, unreadable(bytes, &error)))?;
        let Document {
            bucket_id,
            database_id,
            generation,
            ..
        } = document;
        Ok(Self {
            bucket_id,
            database_id,
            generation,
        })
    }
}

/// Only the format.
#[derive(Deserialize)]
struct Tag {
    format: String,
}

impl BucketIdentity {
    /// Reads the object, and sees that nobody wrote it in other bytes. Members that this build does not know are no damage.
    pub fn parse_exactly(bytes: &[u8]) -> Result<Self, Damage> {
        let identity = Self::parse(bytes)?;
        let has_more = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes)
            .is_ok_and(|members| members.len() > MEMBERS);
        if has_more || identity.to_bytes() == bytes {
            return Ok(identity);
        }
        let reason = "it says what it should, in other bytes than were written";
        Err(Damage::malformed(BUCKET_KEY, reason))
    }

    /// What damaged bytes say all the same: those behind a byte order mark, or with other line ends.
    pub fn parse_leniently(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes.strip_prefix(MARK).unwrap_or(bytes)).ok()
    }
}

/// What is wrong with bytes that are no JSON, as a person would say it.
fn unreadable(bytes: &[u8], error: &serde_json::Error) -> String {
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return format!("it is {} zero bytes", bytes.len());
    }
    if bytes.starts_with(MARK) {
        return "it begins with a byte order mark".to_owned();
    }
    json::explain(bytes, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_its_bytes() {
        let identity = BucketIdentity {
            bucket_id: BucketId(uuid::Uuid::from_u128(1)),
            database_id: DatabaseId {
                id: uuid::Uuid::from_u128(2),
                timeline: 1,
            },
            generation: Epoch::new(3),
        };
        assert_eq!(BucketIdentity::parse(&identity.to_bytes()), Ok(identity));
        assert!(BucketIdentity::parse(b"{}").is_err());
        let bytes = identity.to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(BucketIdentity::parse_exactly(&bytes), Ok(identity));
        let more = text.replace("{\n", "{\"more\":1,");
        assert_eq!(BucketIdentity::parse_exactly(more.as_bytes()), Ok(identity));
        for (damaged, readable) in [
            (String::new(), false),
            ("\0\0\0".to_owned(), false),
            (text[..40].to_owned(), false),
            (format!("\u{feff}{text}"), true),
            (text.replace('\n', "\r\n"), true),
            (text.trim_end().to_owned(), true),
        ] {
            assert!(BucketIdentity::parse_exactly(damaged.as_bytes()).is_err());
            let read = BucketIdentity::parse_leniently(damaged.as_bytes());
            assert_eq!(read.is_some(), readable, "{damaged:?}");
        }
        let newer = BucketIdentity::parse(br#"{"format":"driftline.bucket.v2"}"#);
        assert!(newer.unwrap_err().is_newer());
        let newer = String::from_utf8(identity.to_bytes().to_vec())
            .unwrap()
            .replace("bucket.v1", "bucket.v2");
        assert!(matches!(
            BucketIdentity::parse(newer.as_bytes()),
            Err(Damage { .. })
        ));
    }
}
