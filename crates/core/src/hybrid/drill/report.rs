//! What a drill found.

use std::collections::BTreeSet;
use std::fmt;

use driftline_model::format::Damage;
use driftline_model::{BucketId, Digest, Seq, Stream, TenantId};
use driftline_ports::{Error, ErrorKind, RestoreProof};

/// What became of each tenant that was drilled.
#[derive(Debug)]
pub struct DrillReport {
    /// The bucket that was restored from.
    pub bucket: BucketId,
    /// Per tenant, in byte order of their names.
    pub tenants: Vec<(TenantId, Drilled)>,
    /// What it found, and could not put on record.
    pub unrecorded: Option<Unrecorded>,
}

/// Tenants of which the database does not know what the drill found: what an earlier one proved still stands there.
#[derive(Debug)]
pub struct Unrecorded {
    /// The tenants, which the drill did not prove.
    pub tenants: BTreeSet<TenantId>,
    /// Why.
    pub error: Error,
}

/// What became of one tenant.
#[derive(Debug)]
pub enum Drilled {
    /// Everything that is said to be in the bucket came back and is what the database holds; that is on record now.
    Proven {
        /// What was put on record.
        proof: RestoreProof,
        /// What was compared.
        compared: Compared,
    },
    /// Nothing of it was said to be in the bucket when the drill began.
    Nothing,
    /// What came back is not what the database holds. Nothing was put on record.
    Different {
        /// The first of the differences.
        differences: Vec<Difference>,
        /// How many more there are.
        more: u64,
        /// What was compared.
        compared: Compared,
    },
    /// It could not be drilled.
    Failed(Error),
}

/// What a comparison covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Entries on both sides, over all streams.
    pub entries: u64,
    /// Their content in bytes.
    pub bytes: u64,
    /// Damaged indexes and pages whose entries came back all the same.
    pub worked_around: Vec<Damage>,
}

/// Something that is not the same in the database and in what came back from the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The bucket holds a tenant that the database does not know.
    UnknownTenant,
    /// The database says that the tenant is shadowed, but the bucket holds nothing of it.
    NotInBucket,
    /// An object could not be restored.
    Damaged(Damage),
    /// These entries did not come back.
    NotRestored {
        /// Of which stream.
        stream: Stream,
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
    /// These entries came back, but the database lacks them.
    NotInDatabase {
        /// Of which stream.
        stream: Stream,
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
    /// A field of an entry.
    Field {
        /// Of which stream.
        stream: Stream,
        /// Which entry.
        seq: Seq,
        /// The field, as documents name it.
        field: &'static str,
        /// What the database holds.
        database: String,
        /// What came back.
        restored: String,
    },
    /// The content of an entry, by the SHA-256 of its bytes.
    Content {
        /// Of which stream.
        stream: Stream,
        /// Which entry.
        seq: Seq,
        /// Of the database's bytes.
        database: Digest,
        /// Of the bytes that came back.
        restored: Digest,
    },
    /// The content of an entry is the same on both sides, and is not what its checksum says.
    Checksum {
        /// Of which stream.
        stream: Stream,
        /// Which entry.
        seq: Seq,
        /// On record.
        recorded: Digest,
        /// Of the bytes.
        actual: Digest,
    },
    /// The state that folds out of the entries.
    State {
        /// Which part of it, as documents name it.
        field: &'static str,
        /// The database's.
        database: String,
        /// What came back.
        restored: String,
    },
}

impl DrillReport {
    /// Whether anything differs, or is damaged.
    pub fn has_differences(&self) -> bool {
        self.tenants.iter().any(|(_, drilled)| match drilled {
            Drilled::Different { .. } => true,
            Drilled::Proven { compared, .. } => !compared.worked_around.is_empty(),
            Drilled::Failed(error) => is_damage(error),
            Drilled::Nothing => false,
        })
    }

    /// Whether the drill proved anything.
    pub fn has_proofs(&self) -> bool {
        let mut drilled = self.tenants.iter().map(|(_, drilled)| drilled);
        drilled.any(|it| matches!(it, Drilled::Proven { .. }))
    }

    /// Whether a tenant could not be drilled, for a reason that says nothing about what is stored.
    pub fn has_failures(&self) -> bool {
        self.tenants
            .iter()
            .any(|(_, drilled)| matches!(drilled, Drilled::Failed(error) if !is_damage(error)))
    }
}

/// Whether the error is about what is stored.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Damaged | ErrorKind::DivergentHistory
    )
}

impl Difference {
    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownTenant => "unknownTenant",
            Self::NotInBucket => "notInBucket",
            Self::Damaged(_) => "damaged",
            Self::NotRestored { .. } => "notRestored",
            Self::NotInDatabase { .. } => "notInDatabase",
            Self::Field { .. } => "field",
            Self::Content { .. } => "content",
            Self::Checksum { .. } => "checksum",
            Self::State { .. } => "state",
        }
    }

    /// The stream and the first entry that it is about, if it is about one.
    pub fn place(&self) -> Option<(Stream, Seq)> {
        match self {
            Self::NotRestored { stream, from, .. } | Self::NotInDatabase { stream, from, .. } => {
                Some((*stream, *from))
            }
            Self::Field { stream, seq, .. }
            | Self::Content { stream, seq, .. }
            | Self::Checksum { stream, seq, .. } => Some((*stream, *seq)),
            Self::UnknownTenant | Self::NotInBucket | Self::Damaged(_) | Self::State { .. } => None,
        }
    }
}

/// `manifests/3`, or `manifests/3 to 7`.
struct Range(Stream, Seq, Seq);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(stream, from, to) = self;
        write!(f, "{stream}/{from}")?;
        if from == to {
            Ok(())
        } else {
            write!(f, " to {to}")
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTenant => {
                f.write_str("the bucket holds it, but the database does not know it")
            }
            Self::NotInBucket => f.write_str(
                "the database says that it is shadowed, but the bucket holds nothing of it",
            ),
            Self::Damaged(damage) => write!(f, "not restored: {damage}"),
            Self::NotRestored { stream, from, to } => {
                let range = Range(*stream, *from, *to);
                write!(
                    f,
                    "{range}: in the database, but it did not come back from the bucket"
                )
            }
            Self::NotInDatabase { stream, from, to } => {
                let range = Range(*stream, *from, *to);
                write!(
                    f,
                    "{range}: came back from the bucket, but the database lacks it"
                )
            }
            Self::Field {
                stream,
                seq,
                field,
                database,
                restored,
            } => {
                let range = Range(*stream, *seq, *seq);
                write!(
                    f,
                    "{range}: {field} is {database} in the database, but {restored} came back"
                )
            }
            Self::Content {
                stream,
                seq,
                database,
                restored,
            } => {
                let range = Range(*stream, *seq, *seq);
                write!(
                    f,
                    "{range}: the content's SHA-256 is {database} in the database, but {restored} came back"
                )
            }
            Self::Checksum {
                stream,
                seq,
                recorded,
                actual,
            } => {
                let range = Range(*stream, *seq, *seq);
                write!(
                    f,
                    "{range}: the content's SHA-256 is {actual}, but {recorded} is on record on both sides"
                )
            }
            Self::State {
                field,
                database,
                restored,
            } => write!(
                f,
                "{field} is {database} in the database, but {restored} came back"
            ),
        }
    }
}
