//! Errors of the driven ports: what went wrong on which side, and whether it could have happened all the same.

use std::error::Error as StdError;
use std::fmt;

use super::{ETag, Hint};

/// One of the two sides of the hybrid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The database.
    Database,
    /// The bucket.
    Bucket,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Bucket => "bucket",
        })
    }
}

/// What a failed call means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing changed; the side could not be reached or was busy. Try again later.
    Unavailable,
    /// The change may have happened or not, or may still happen. Read back before anything else.
    OutcomeUnknown,
    /// Nothing changed, and trying again does not help: credentials, permissions, configuration, a limit.
    Refused,
    /// The side itself is not there: no such database, or nothing in it that a migration would have made. Nothing changed, and
    /// nothing was made.
    Absent,
    /// What is stored cannot be read.
    Corrupt,
    /// Nothing changed: the database is on another server, or another timeline of it, than a check allowed. It has to be
    /// checked again before it is tried again.
    Elsewhere,
}

/// A failed call to a driven port. Absence and a lost compare-and-set are values, not errors.
#[derive(Debug)]
pub struct StoreError {
    side: Side,
    fault: Fault,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    oversize: Option<Box<Oversize>>,
    hint: Option<Box<Hint>>,
}

/// An object that is larger than its reader takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// Its key, relative to the store's prefix.
    pub key: String,
    /// Its size in bytes, if the store told.
    pub size: Option<u64>,
    /// The reader's bound.
    pub most: u64,
    /// Its version, if the store told.
    pub etag: Option<ETag>,
}

/// The result of a driven port.
pub type StoreResult<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// An error with its message: verb, object, identifier.
    pub fn new(side: Side, fault: Fault, message: impl Into<String>) -> Self {
        Self {
            side,
            fault,
            message: message.into(),
            source: None,
            oversize: None,
            hint: None,
        }
    }

    /// The error that an object is larger than its reader takes.
    pub fn too_large(oversize: Oversize) -> Self {
        let Oversize {
            key, size, most, ..
        } = &oversize;
        let has = size.map_or_else(|| "more".to_owned(), |size| format!("{size} bytes"));
        let message = format!("read {key}: it has {has}, and at most {most} bytes are expected");
        Self {
            oversize: Some(Box::new(oversize)),
            ..Self::new(Side::Bucket, Fault::Corrupt, message)
        }
    }

    /// What was too large, if that is what went wrong.
    pub fn oversize(&self) -> Option<&Oversize> {
        self.oversize.as_deref()
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do next, where its fault alone does not tell.
    #[must_use]
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hint = Some(Box::new(hint));
        self
    }

    /// What to do next, where its fault alone does not tell.
    pub fn hinted(&self) -> Option<&Hint> {
        self.hint.as_deref()
    }

    /// Whether trying again does not help.
    pub fn is_lasting(&self) -> bool {
        matches!(self.fault, Fault::Refused | Fault::Absent | Fault::Corrupt)
    }

    /// Which side failed.
    pub fn side(&self) -> Side {
        self.side
    }

    /// What that means.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The message with those of its causes.
    pub fn report(&self) -> String {
        let mut report = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !report.contains(&text) {
                report.push_str(": ");
                report.push_str(&text);
            }
            cause = error.source();
        }
        report
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
