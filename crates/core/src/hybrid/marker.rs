//! `bucket.json` where it is damaged: what it has to say is made up from what the database and the bucket prove.
//!
//! Nothing is overwritten on doubt. What is there is copied to the quarantine and read back, and only that very version is
//! replaced. An object of a newer build's format is not damaged, and is left alone.

use super::bucket::{Bucket, BucketError, BucketResult, Swapped};
use super::settings::Sides;
use super::{ownership, quarantine};
use crate::hybrid::crash;
use crate::hybrid::recovery::highest_epoch;
use driftline_model::Digest;
use driftline_model::format::{BUCKET_KEY, BucketIdentity, Damage};
use driftline_ports::{ETag, Error, ErrorKind, Hint, Object, Ownership, Result};

/// `bucket.json` as it was found.
pub(crate) enum Marker {
    /// There is none.
    Absent,
    /// It is as it was written.
    Whole(BucketIdentity, ETag),
    /// It is not.
    Damaged(Box<DamagedMarker>),
}

/// A `bucket.json` that is not as it was written.
pub(crate) struct DamagedMarker {
    /// What is wrong.
    pub(crate) damage: Damage,
    /// What is there.
    pub(crate) object: Object,
    /// What it says, as far as that can be read all the same.
    pub(crate) says: Option<BucketIdentity>,
}

/// Reads it, once more before damage is believed.
pub(crate) async fn read(bucket: &Bucket) -> BucketResult<Marker> {
    let mut last = Marker::Absent;
    for _ in 0..2 {
        let object = match bucket.get(BUCKET_KEY).await {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(Marker::Absent),
            Err(BucketError::Damage(damage)) => return too_large(bucket, damage).await,
            Err(error) => return Err(error),
        };
        let damage = match BucketIdentity::parse_exactly(&object.bytes) {
            Ok(identity) => return Ok(Marker::Whole(identity, object.etag)),
            Err(damage) if damage.is_newer() => return Err(damage.into()),
            Err(damage) => damage,
        };
        let says = BucketIdentity::parse_leniently(&object.bytes);
        last = Marker::Damaged(Box::new(DamagedMarker {
            damage,
            object,
            says,
        }));
    }
    Ok(last)
}

/// One that is too large is read to be moved away, and nothing that it says counts.
async fn too_large(bucket: &Bucket, damage: Damage) -> BucketResult<Marker> {
    let object = bucket.get_to_move(BUCKET_KEY).await?;
    Ok(object.map_or(Marker::Absent, |object| {
        Marker::Damaged(Box::new(DamagedMarker {
            damage,
            object,
            says: None,
        }))
    }))
}

impl DamagedMarker {
    /// The digest of its bytes.
    pub(crate) fn sha256(&self) -> Digest {
        Digest::of(&self.object.bytes)
    }

    /// What it has to say: bucket and database as the database's record has them, and the newest generation that anything
    /// proves. `Refused` when nothing proves that the bucket is this database's.
    pub(crate) async fn proven(&self, sides: &Sides) -> Result<BucketIdentity> {
        let database = sides.database.identity().await?;
        let refused = |why: String| {
            let hint = Hint::Recover {
                tenant: None,
                dry_run: false,
            };
            Error::new(ErrorKind::Refused, format!("{}; {why}", self.damage)).hint(hint)
        };
        let known = database
            .bucket_id
            .filter(|_| database.ownership == Ownership::Claimed);
        let Some(bucket_id) = known else {
            return Err(refused(
                "this database has no record of the bucket to write it anew from".to_owned(),
            ));
        };
        match self.says {
            Some(says) if (says.database_id, says.bucket_id) != (database.id, bucket_id) => {
                return Err(refused(format!(
                    "it names the database {} and the bucket {}, while this database ({}) shadows to {bucket_id}",
                    says.database_id, says.bucket_id, database.id
                )));
            }
            Some(_) => {}
            None if ownership::is_own(sides).await? => {}
            None => {
                return Err(refused(
                    "no index there names an entry of this database, so nothing proves whose bucket it is".to_owned(),
                ));
            }
        }
        let said = self.says.map(|says| says.generation).unwrap_or_default();
        Ok(BucketIdentity {
            bucket_id,
            database_id: database.id,
            generation: database
                .generation
                .max(said)
                .max(highest_epoch(sides).await?),
        })
    }

    /// Writes it anew, with a copy of what is there in the quarantine.
    pub(crate) async fn replace(&self, bucket: &Bucket, identity: BucketIdentity) -> Result<()> {
        self.set_aside(bucket).await?;
        let etag = Some(&self.object.etag);
        match bucket.swap(BUCKET_KEY, &identity.to_bytes(), etag).await? {
            Swapped::Written(_) => Ok(()),
            Swapped::Moved => Err(Error::new(
                ErrorKind::Stale,
                format!("write {BUCKET_KEY}: it changed meanwhile"),
            )
            .hint(Hint::WaitForOthers)),
        }
    }

    /// Copies what is there to the quarantine.
    pub(crate) async fn set_aside(&self, bucket: &Bucket) -> Result<()> {
        quarantine::copy(bucket, BUCKET_KEY, &self.object.bytes, self.sha256()).await?;
        crash::point("marker-copied");
        Ok(())
    }
}

/// Mends a damaged `bucket.json` if the database's record and the bucket prove what it has to say. The damage, mended or not.
pub(crate) async fn mend(sides: &Sides) -> Result<Option<Damage>> {
    let bucket = sides.bucket();
    let Marker::Damaged(damaged) = read(&bucket).await? else {
        return Ok(None);
    };
    match damaged.proven(sides).await {
        Ok(identity) => damaged.replace(&bucket, identity).await?,
        Err(error) if error.kind() == ErrorKind::Refused => {}
        Err(error) => return Err(error),
    }
    Ok(Some(damaged.damage))
}
