//! `bucket.json`: whose bucket this is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BUCKET_KEY, Damage, check_format};
use crate::domain::{BucketId, DatabaseId, Epoch};

const FORMAT: &str = "driftline.bucket.v1";

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
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| Damage::malformed(BUCKET_KEY, error.to_string()))?;
        check_format(BUCKET_KEY, FORMAT, &document.format)?;
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
        let newer = String::from_utf8(identity.to_bytes().to_vec())
            .unwrap()
            .replace("bucket.v1", "bucket.v2");
        assert!(matches!(
            BucketIdentity::parse(newer.as_bytes()),
            Err(Damage { .. })
        ));
    }
}
