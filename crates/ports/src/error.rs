//! Errors of [`super::ManifestProvider`]: few kinds, each telling the caller what to do.

use std::error::Error as StdError;
use std::fmt;

use super::{Fault, Hint, Reason, Side, StoreError};
use driftline_model::content::ContentError;
use driftline_model::format::{BUCKET_KEY, Damage, Problem};
use driftline_model::{Digest, Seq};

/// What an error means for the caller. Codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Fix the input. Nothing changed.
    InvalidInput,
    /// There is no such tenant, version or object.
    NotFound,
    /// Somebody else was first: read the head again. Nothing changed.
    VersionConflict {
        /// The newest version; 0 when there is none.
        head: Seq,
        /// Its checksum.
        checksum: Option<Digest>,
        /// Its chain.
        chain: Digest,
    },
    /// The idempotency key was used for other content. Nothing changed.
    IdempotencyConflict,
    /// What was planned against has moved: plan again. Nothing changed.
    Stale,
    /// A precheck refused: the database is unclaimed or awaits recovery, or the store does not keep its promises.
    Refused,
    /// A side cannot be reached. Nothing changed; safe to try again.
    Unavailable(Side),
    /// The answer was lost: it happened whole or not at all. Safe to try again under the same idempotency key.
    OutcomeUnknown(Side),
    /// A side refuses us: credentials, permissions, configuration.
    Misconfigured(Side),
    /// A side is not there, and nothing was made. It is made by who means to.
    Absent(Side),
    /// What is stored fails its verification. Look at the data.
    Damaged,
    /// The database and the bucket hold two valid histories that disagree.
    DivergentHistory,
    /// Something that driftline thought impossible. Report a bug.
    Internal,
}

/// An error, with a message for people and a hint what to do next.
///
/// Boxed, so that results stay small.
#[derive(Debug)]
pub struct Error(Box<Report>);

#[derive(Debug)]
struct Report {
    kind: ErrorKind,
    message: String,
    hint: Option<Hint>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of the driving port.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The error as part of a document. The words for its hint are left to whoever shows it.
    pub fn document(&self) -> serde_json::Value {
        let mut document = serde_json::json!({
            "code": self.code(),
            "message": self.to_string(),
            "hint": null,
            "retryable": self.retryable(),
        });
        if let Some(hint) = self.hinted() {
            let (code, data) = hint.parts();
            document["hintCode"] = code;
            if let Some(data) = data {
                document["hintData"] = data;
            }
        }
        document
    }

    /// An error with its message: verb, object, identifier.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::build(kind, message.into(), None, None)
    }

    fn build(
        kind: ErrorKind,
        message: String,
        hint: Option<Hint>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self(Box::new(Report {
            kind,
            message,
            hint,
            source,
        }))
    }

    /// What is refused for this reason.
    pub fn refused(reason: Reason) -> Self {
        Self::build(ErrorKind::Refused, reason.message, reason.hint, None)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: Hint) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// What it means for the caller.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do next, if there is something to say.
    pub fn hinted(&self) -> Option<&Hint> {
        self.0.hint.as_ref()
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self.0.kind {
            ErrorKind::InvalidInput => "invalid_input",
            ErrorKind::NotFound | ErrorKind::Absent(_) => "not_found",
            ErrorKind::VersionConflict { .. } => "version_conflict",
            ErrorKind::IdempotencyConflict => "idempotency_conflict",
            ErrorKind::Stale => "stale",
            ErrorKind::Refused => "refused",
            ErrorKind::Unavailable(Side::Database) => "database_unavailable",
            ErrorKind::Unavailable(Side::Bucket) => "bucket_unavailable",
            ErrorKind::OutcomeUnknown(_) => "outcome_unknown",
            ErrorKind::Misconfigured(_) => "misconfigured",
            ErrorKind::Damaged => "damaged",
            ErrorKind::DivergentHistory => "divergent_history",
            ErrorKind::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without any change.
    pub fn retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Unavailable(_) | ErrorKind::OutcomeUnknown(_)
        )
    }
}

impl Error {
    /// Whether the same call fails until somebody changes something.
    pub fn is_lasting(&self) -> bool {
        use ErrorKind::{Absent, Damaged, DivergentHistory, Misconfigured, Refused};
        matches!(
            self.0.kind,
            Refused | Misconfigured(_) | Absent(_) | Damaged | DivergentHistory
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let side = error.side();
        let (kind, hint) = match error.fault() {
            Fault::Unavailable | Fault::Elsewhere => (ErrorKind::Unavailable(side), Hint::TryAgain),
            Fault::OutcomeUnknown => (ErrorKind::OutcomeUnknown(side), Hint::TryAgainWithTheKey),
            Fault::Refused => (ErrorKind::Misconfigured(side), Hint::CheckAccess { side }),
            Fault::Absent if side == Side::Database => {
                (ErrorKind::Absent(side), Hint::MakeDatabase)
            }
            Fault::Absent => (ErrorKind::Absent(side), Hint::CheckBucketUrl),
            Fault::Corrupt if side == Side::Bucket => (ErrorKind::Damaged, Hint::RecoverProven),
            Fault::Corrupt => (ErrorKind::Damaged, Hint::RecoverRow),
        };
        let hint = error.hinted().cloned().unwrap_or(hint);
        Self::build(kind, error.report(), Some(hint), Some(error.into()))
    }
}

impl From<ContentError> for Error {
    fn from(error: ContentError) -> Self {
        Self::build(
            ErrorKind::InvalidInput,
            error.to_string(),
            None,
            Some(error.into()),
        )
    }
}

impl From<Damage> for Error {
    fn from(error: Damage) -> Self {
        let hint = if error.is_newer() {
            Hint::UseNewerBuild
        } else if error.object == BUCKET_KEY {
            Hint::MendBucket
        } else if matches!(error.problem, Problem::UnverifiableLegacy { .. }) {
            Hint::AcceptUnverified
        } else {
            Hint::RecoverProven
        };
        Self::build(
            ErrorKind::Damaged,
            error.to_string(),
            Some(hint),
            Some(error.into()),
        )
    }
}
