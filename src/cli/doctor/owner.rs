//! Whose bucket it is.

use std::borrow::Cow;

use driftline::domain::format::{BUCKET_KEY, BucketIdentity, most_bytes};
use driftline::ports::{DatabaseIdentity, Error, Fault, Ownership};
use serde::Serialize;

use driftline_host::Opened;

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// This database's.
    This,
    /// Another's.
    Another,
    /// This database's, before it failed over.
    Former,
    /// Nobody's yet.
    Nobody,
    /// Nobody's, although the database shadows already: it is another bucket, or an emptied one.
    Gone,
    /// What says so is damaged, and how.
    Damaged(String),
    /// A side could not be asked.
    Unknown,
}

impl Serialize for Owner {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::This => "this",
            Self::Another | Self::Former => "another",
            Self::Nobody | Self::Gone => "nobody",
            Self::Damaged(_) => "damaged",
            Self::Unknown => "unknown",
        })
    }
}

pub(super) async fn owner(
    opened: &Opened,
    identity: Option<&DatabaseIdentity>,
) -> anyhow::Result<Owner> {
    let bound = most_bytes(BUCKET_KEY);
    let found = match opened.sides.snapshots.get(BUCKET_KEY, bound).await {
        Ok(found) => found,
        Err(error) if error.fault() == Fault::Corrupt => return Ok(Owner::Damaged(error.report())),
        Err(error) => return Err(Error::from(error).into()),
    };
    Ok(match (found, identity) {
        (None, Some(identity)) if identity.ownership == Ownership::Claimed => Owner::Gone,
        (None, _) => Owner::Nobody,
        (Some(object), Some(identity)) => match BucketIdentity::parse_exactly(&object.bytes) {
            Ok(found) if found.database_id == identity.id => Owner::This,
            Ok(found)
                if found.database_id.id == identity.id.id
                    && found.database_id.timeline < identity.id.timeline =>
            {
                Owner::Former
            }
            Ok(_) => Owner::Another,
            Err(damage) => Owner::Damaged(damage.to_string()),
        },
        (Some(_), None) => Owner::Unknown,
    })
}

pub(super) fn describe(owner: &Owner) -> Cow<'static, str> {
    Cow::Borrowed(match owner {
        Owner::Damaged(problem) => {
            return Cow::Owned(format!(
                "cannot be read: {problem}; `driftline repair --plan FILE` writes it anew, or `driftline recover --all-tenants` where the database is lost"
            ));
        }
        Owner::This => "the bucket belongs to this database",
        Owner::Another => "the bucket belongs to another database",
        Owner::Former => "the bucket belongs to this database, before it failed over",
        Owner::Nobody => "the bucket belongs to nobody yet",
        Owner::Gone => {
            "the bucket belongs to nobody, and this database shadowed to one: is it the right one? `driftline replicate --new-bucket` fills a new one"
        }
        Owner::Unknown => "unknown",
    })
}
