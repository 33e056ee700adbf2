//! Whose bucket this is: the check that stands before the first write and before every batch.
//!
//! A database never starts a second history by accident. It is created unclaimed and takes no writes until this check has
//! read `bucket.json`. Once it is claimed, refusing needs positive evidence: a bucket that cannot be read refuses nothing.

use crate::domain::format::{BUCKET_KEY, BucketIdentity, tenant_of};
use crate::domain::{BucketId, Epoch};
use crate::ports::{DatabaseIdentity, Error, ErrorKind, Hint, Ownership};

use super::bucket::{Created, Swapped};
use super::settings::{OnFailover, Sides};

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The database owns the bucket.
    Owner(BucketIdentity),
    /// The server's timeline moved on, and the setting says to recover first.
    FailedOver,
    /// Writes or shadowing are refused, and why.
    Refused(String),
}

/// Compares the database with `bucket.json`, and claims a bucket that nobody owns.
///
/// Idempotent, and safe with any number of processes at once: the bucket's conditional write picks one winner.
pub(crate) async fn check(sides: &Sides, on_failover: OnFailover) -> Result<Standing, Error> {
    let bucket = sides.bucket();
    for _ in 0..8 {
        let database = sides.database.identity().await?;
        let Some((found, etag)) = bucket.identity().await? else {
            if database.ownership == Ownership::AwaitingRecovery {
                return Ok(Standing::Refused(awaiting("the database awaits recovery")));
            }
            if database.ownership == Ownership::Unclaimed && holds_tenants(sides).await? {
                sides.database.await_recovery(None).await?;
                return Ok(Standing::Refused(awaiting(
                    "the bucket holds tenants, and no bucket.json says whose they are",
                )));
            }
            let fresh = BucketIdentity {
                bucket_id: BucketId(sides.entropy.uuid()),
                database_id: database.id,
                generation: database.generation.max(Epoch::FIRST),
            };
            // Whoever wins, the next round reads what is there.
            if matches!(
                bucket.create(BUCKET_KEY, &fresh.to_bytes()).await?,
                Created::Written
            ) {
                tracing::info!(bucket = %fresh.bucket_id, database = %fresh.database_id, "claimed the bucket");
            }
            continue;
        };
        if found.database_id == database.id {
            return settle(sides, &database, found).await;
        }
        let promoted = found.database_id.id == database.id.id
            && found.database_id.timeline < database.id.timeline;
        if promoted && on_failover == OnFailover::Trust && found.generation <= database.generation {
            let taken = BucketIdentity {
                database_id: database.id,
                ..found
            };
            if let Swapped::Written(_) = bucket
                .swap(BUCKET_KEY, &taken.to_bytes(), Some(&etag))
                .await?
            {
                tracing::warn!(database = %database.id, before = %found.database_id, "took the bucket over after a failover");
            }
            continue;
        }
        if promoted {
            sides.database.await_recovery(None).await?;
            return Ok(Standing::FailedOver);
        }
        return refuse_foreign(sides, &database, found).await;
    }
    Err(Error::new(
        ErrorKind::Internal,
        format!("claim {BUCKET_KEY}: it changed at every look"),
    )
    .hint(Hint::WaitForOthers))
}

/// The bucket names this very database.
async fn settle(
    sides: &Sides,
    database: &DatabaseIdentity,
    found: BucketIdentity,
) -> Result<Standing, Error> {
    if found.generation > database.generation {
        sides.database.await_recovery(None).await?;
        return Ok(Standing::Refused(awaiting(
            "a recovery was cut off before it reached the database",
        )));
    }
    match database.ownership {
        Ownership::AwaitingRecovery => {
            Ok(Standing::Refused(awaiting("the database awaits recovery")))
        }
        Ownership::Claimed if database.bucket_id == Some(found.bucket_id) => {
            Ok(Standing::Owner(found))
        }
        Ownership::Claimed | Ownership::Unclaimed => {
            sides
                .database
                .claim(found.bucket_id, found.generation)
                .await?;
            Ok(Standing::Owner(found))
        }
    }
}

/// The bucket, if a recovery took it over for this database and has not dealt with every tenant yet.
///
/// Tenants that it has dealt with take writes, and those have to be shadowed: one that cannot be recovered holds up nobody
/// else. The others are not leased for as long as they await recovery.
pub(crate) async fn taken_over(sides: &Sides) -> Result<Option<BucketIdentity>, Error> {
    let database = sides.database.identity().await?;
    if database.ownership != Ownership::AwaitingRecovery {
        return Ok(None);
    }
    let found = sides.bucket().identity().await?.map(|(found, _)| found);
    Ok(found.filter(|found| {
        found.database_id == database.id
            && found.generation == database.generation
            && database.bucket_id == Some(found.bucket_id)
    }))
}

/// The bucket names another database.
async fn refuse_foreign(
    sides: &Sides,
    database: &DatabaseIdentity,
    found: BucketIdentity,
) -> Result<Standing, Error> {
    // A claimed database that is pointed at some other bucket by mistake goes on taking writes: only its own bucket in
    // other hands is evidence that its history went on elsewhere.
    let own_bucket = database.bucket_id == Some(found.bucket_id);
    if database.ownership != Ownership::Claimed || own_bucket {
        sides.database.await_recovery(None).await?;
        return Ok(Standing::Refused(awaiting(&format!(
            "the bucket belongs to the database {}, this one is {}",
            found.database_id, database.id
        ))));
    }
    Ok(Standing::Refused(format!(
        "this bucket ({}) belongs to the database {}, while this database ({}) shadows to the bucket {}: check the --snapshots URL; to move here, run `driftline recover --all-tenants`",
        found.bucket_id,
        found.database_id,
        database.id,
        database
            .bucket_id
            .map_or_else(|| "none".to_owned(), |bucket| bucket.to_string())
    )))
}

/// Whether anything below the prefix belongs to a tenant.
async fn holds_tenants(sides: &Sides) -> Result<bool, Error> {
    let listing = sides.snapshots.list("", None, 1000).await?;
    Ok(listing
        .objects
        .iter()
        .any(|object| tenant_of(&object.key).is_some()))
}

fn awaiting(reason: &str) -> String {
    format!("{reason}: run `driftline recover --all-tenants`")
}
