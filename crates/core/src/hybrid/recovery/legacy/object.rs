//! One version of the older layout, and what it is worth.

use driftline_model::content::{Content, ContentError};
use driftline_model::format::legacy::LegacyFacts;
use driftline_model::format::{Damage, Problem};
use driftline_model::{Digest, EntryId, Seq};

/// One version of the older layout.
#[derive(Debug)]
pub(crate) struct LegacyObject {
    pub(crate) version: Seq,
    /// Its key; where the object is missing, the one that it should have.
    pub(crate) key: String,
    pub(crate) verdict: LegacyVerdict,
    /// What tells its content from others: the checksum, or that system's digest where the content is refused.
    pub(crate) told: Option<Digest>,
    /// What it says, unless it is missing, malformed or refused.
    pub(super) manifest: Option<LegacyManifest>,
}

/// What an object of the older layout is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LegacyVerdict {
    /// The digest on record is that of its content.
    Verified,
    /// It is not, or there is none: nothing proves the content.
    Unverifiable {
        /// The digest on record.
        stored: Option<Digest>,
        /// The digest of the content as it is.
        actual: Digest,
    },
    /// Another object has other content for the same version.
    Contradicted {
        /// That object's key.
        other: String,
    },
    /// The content is none that this system takes; the error names the place.
    Refused(ContentError),
    /// The object cannot be read, or belongs elsewhere.
    Malformed(Problem),
    /// The index names it, and it is not there.
    Missing,
}

/// What a readable object says.
#[derive(Debug)]
pub(super) struct LegacyManifest {
    /// The object's or the index's if that is a UUID and no other version's, or one that follows from version and content.
    pub(super) id: EntryId,
    /// What the object says, or else the index.
    pub(super) facts: LegacyFacts,
    /// Of the canonical content.
    pub(super) checksum: Digest,
    pub(super) content_bytes: u64,
    pub(super) object_sha256: Digest,
    /// The canonical content, if it was kept.
    pub(super) content: Option<Content>,
}

impl LegacyObject {
    /// Why it cannot be restored; `None` when it can.
    pub(crate) fn damage(&self, accept_unverified: bool) -> Option<Damage> {
        let problem = match &self.verdict {
            LegacyVerdict::Verified => return None,
            LegacyVerdict::Unverifiable { .. } if accept_unverified => return None,
            LegacyVerdict::Unverifiable { stored, actual } => Problem::UnverifiableLegacy {
                stored: *stored,
                actual: *actual,
            },
            LegacyVerdict::Contradicted { other } => Problem::Contradicted {
                other: other.clone(),
            },
            LegacyVerdict::Refused(error) => Problem::Refused(error.clone()),
            LegacyVerdict::Malformed(problem) => problem.clone(),
            LegacyVerdict::Missing => Problem::Missing,
        };
        Some(Damage::new(&self.key, problem))
    }
}
