//! The bytes in the bucket: where each object lies, how it is written, and how it is read and checked.
//!
//! Writing is deterministic: a snapshot is a function of its row and a page a function of its entries, so that whoever
//! writes them again writes the same bytes. Reading never trusts: `selfSha256`, the object's digest, the checksum of the
//! content and the chain are recomputed, and a failure names the object and both digests.

mod bucket;
mod extras;
mod index;
mod keys;
pub mod legacy;
mod limits;
mod snapshot;
#[cfg(test)]
mod tests;

pub use bucket::BucketIdentity;
pub use index::{Index, IndexEntry, PAGE_SIZE, Page};
pub use keys::{
    BUCKET_KEY, index_key, page_key, parse_snapshot_key, snapshot_key, stream_of, stream_prefix,
    tenant_of,
};
pub use limits::{MAX_CONTENT_BYTES, most_bytes, most_bytes_of, most_bytes_to_move};
pub use snapshot::Snapshot;

use super::content::ContentError;
use super::json::unlike;
use super::{Digest, Seq};

/// Bytes in the bucket that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {problem}")]
pub struct Damage {
    /// The object's key, relative to the prefix.
    pub object: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The object is not there.
    #[error("the object is missing")]
    Missing,
    /// The object cannot be parsed.
    #[error("the object is malformed: {0}")]
    Malformed(String),
    /// The object was written by a newer build.
    #[error("the format `{0}` is not known to this build; a newer driftline wrote it")]
    UnknownFormat(String),
    /// The object is larger than anything that belongs there.
    #[error("{}", too_large(*.size, *.most))]
    TooLarge {
        /// Its size in bytes, if the store told.
        size: Option<u64>,
        /// The bound that was set for it.
        most: u64,
    },
    /// The object says what its row or its entries say, and is not the bytes that they make.
    #[error(
        "the object says what belongs there in other bytes: line ends, white space or the order of its members were changed"
    )]
    OtherBytes,
    /// A recomputed digest is another than the one on record.
    #[error("{what} is {actual}, but {expected} is on record")]
    Mismatch {
        /// Which digest.
        what: &'static str,
        /// The digest on record.
        expected: Digest,
        /// The digest of what is there.
        actual: Digest,
    },
    /// Bytes that are no JSON at all, where an object with another digest is on record.
    #[error("{what}: its SHA-256 is {actual}, but {expected} is on record")]
    NotJson {
        /// What they are, as a sentence.
        what: String,
        /// The digest on record.
        expected: Digest,
        /// The digest of what is there.
        actual: Digest,
    },
    /// A valid object where the database has another valid entry.
    #[error("its chain is {bucket}, but the database's is {database}: two histories disagree")]
    Diverged {
        /// The database's chain.
        database: Digest,
        /// The bucket's chain.
        bucket: Digest,
    },
    /// A valid object where the database's entry is lost, and was another one.
    #[error(
        "its chain is {bucket}, and the database's {next} does not follow it: two histories disagree"
    )]
    Unfollowed {
        /// The number of the database's next entry.
        next: Seq,
        /// The bucket's chain.
        bucket: Digest,
    },
    /// A row of the database's own history that is lost, or accepted as lost, and was never in the bucket.
    #[error(
        "the database's own entry is lost: no row of it is left that is whole, and the bucket never had it"
    )]
    RowLost,
    /// A valid object that belongs elsewhere.
    #[error("the object is about {found}, but {expected} is expected here")]
    Misplaced {
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An entry of the older layout that nothing proves.
    #[error("unverifiable_legacy: {}, its content has {actual}", digest_on_record(*.stored))]
    UnverifiableLegacy {
        /// The digest on record, if there is one.
        stored: Option<Digest>,
        /// The digest of the content as it is now.
        actual: Digest,
    },
    /// A version of the older layout that the object and another one give different contents.
    #[error("{other} holds other content for the same version, and nothing tells which is right")]
    Contradicted {
        /// The other object's key.
        other: String,
    },
    /// Content that this system does not take.
    #[error("the content is refused: {0}")]
    Refused(ContentError),
    /// A version of the older layout that was left out when the tenant was taken over.
    #[error(
        "an earlier recovery went on without it, and its place in the history is taken; create it anew to have it back"
    )]
    LeftOut,
}

fn too_large(size: Option<u64>, most: u64) -> String {
    match size {
        Some(size) => {
            format!("the object has {size} bytes, and no more than {most} are expected there")
        }
        None => format!("the object has more than the {most} bytes that are expected there"),
    }
}

fn digest_on_record(stored: Option<Digest>) -> String {
    stored.map_or_else(
        || "no digest is on record".to_owned(),
        |stored| format!("the digest on record is {stored}"),
    )
}

impl Damage {
    /// A newer build wrote it, and reads it: that is none of this one's to mend.
    pub fn is_newer(&self) -> bool {
        matches!(self.problem, Problem::UnknownFormat(_))
    }

    /// What is wrong with the object that has this key.
    pub fn new(object: &str, problem: Problem) -> Self {
        Self {
            object: object.to_owned(),
            problem,
        }
    }

    /// The object is not of its form, for this reason.
    pub fn malformed(object: &str, reason: impl Into<String>) -> Self {
        Self::new(object, Problem::Malformed(reason.into()))
    }

    /// Refuses an object in which `what` (its digest, or a chain) is not the one that is expected.
    pub fn check(
        object: &str,
        what: &'static str,
        expected: Digest,
        actual: Digest,
    ) -> Result<(), Self> {
        if expected == actual {
            return Ok(());
        }
        Err(Self::new(
            object,
            Problem::Mismatch {
                what,
                expected,
                actual,
            },
        ))
    }

    /// Refuses an object that is not the one on record.
    pub fn check_object(object: &str, expected: Digest, bytes: &[u8]) -> Result<(), Self> {
        let actual = Digest::of(bytes);
        match unlike(bytes).filter(|_| actual != expected) {
            Some(what) => Err(Self::new(
                object,
                Problem::NotJson {
                    what,
                    expected,
                    actual,
                },
            )),
            None => Self::check(object, "the object's SHA-256", expected, actual),
        }
    }

    /// Refuses what says the same in other bytes: others read it by its lines, and its digest is not on record.
    pub(crate) fn check_bytes(object: &str, made: &[u8], found: &[u8]) -> Result<(), Self> {
        if made == found {
            return Ok(());
        }
        Err(Self::new(object, Problem::OtherBytes))
    }

    /// The object is of another history than the database's: their chains at this place.
    pub fn diverged(object: &str, database: Digest, bucket: Digest) -> Self {
        Self::new(object, Problem::Diverged { database, bucket })
    }

    /// The object says that it is `found`, and its key that it is `expected`.
    pub fn misplaced(object: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(
            object,
            Problem::Misplaced {
                expected: expected.into(),
                found: found.into(),
            },
        )
    }
}

/// Refuses a `format` tag of another kind or of a newer version than `known`.
fn check_format(object: &str, known: &str, found: &str) -> Result<(), Damage> {
    if known == found {
        Ok(())
    } else {
        Err(Damage::new(
            object,
            Problem::UnknownFormat(found.to_owned()),
        ))
    }
}
