//! Whose bucket this is: the check that stands before the first write and before every batch.
//!
//! A database never starts a second history by accident. It is created unclaimed and takes no writes until this check has
//! read `bucket.json`. Once it is claimed, refusing needs positive evidence: a bucket that cannot be read refuses nothing.

pub(crate) mod copied;

use driftline_model::format::{BUCKET_KEY, BucketIdentity, Damage};
use driftline_model::{BucketId, Epoch, Stream, TenantId};
use driftline_ports::{DatabaseIdentity, Error, ErrorKind, Hint, Ownership, Reason, Whereabouts};

use super::bucket::{BucketError, Created, Swapped};
use super::settings::{OnClone, OnFailover, Settings, Sides};

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The database owns the bucket.
    Owner(BucketIdentity),
    /// The server's timeline moved on, and the setting says to recover first.
    FailedOver,
    /// Writes or shadowing are refused, and why.
    Refused(Reason),
    /// Writes go on, but nothing is shadowed until somebody decides, and why: the database or its bucket is not where it was.
    Undecided(Reason),
}

/// Compares the database with `bucket.json`, and claims a bucket that nobody owns.
///
/// Idempotent, and safe with any number of processes at once: the bucket's conditional write picks one winner.
pub(crate) async fn check(sides: &Sides, settings: &Settings) -> Result<Standing, Error> {
    let bucket = sides.bucket();
    for _ in 0..8 {
        let database = sides.database.identity().await?;
        if database.whereabouts == Whereabouts::Elsewhere {
            if database.ownership == Ownership::Unclaimed {
                // Nothing is known of it anywhere; but whoever it was copied from may use the same identifier.
                let id = sides.entropy.uuid();
                sides.database.settle(&database, Some(id)).await?;
                continue;
            }
            if settings.on_clone == OnClone::Refuse {
                return Ok(Standing::Undecided(copied::reason(&database)));
            }
            if copied::adopt(sides, &database).await? {
                tracing::warn!(before = %database.id, "the database takes the place of the one that it was copied from");
                return Ok(Standing::FailedOver);
            }
            continue;
        }
        let read = match bucket.identity().await {
            Err(BucketError::Damage(damage)) if !damage.is_newer() => {
                match unreadable(sides, &database, &damage).await? {
                    Some(standing) => return Ok(standing),
                    None => continue,
                }
            }
            read => read?,
        };
        let Some((found, etag)) = read else {
            if database.ownership == Ownership::AwaitingRecovery {
                if !stop(sides, &database).await? {
                    continue;
                }
                return Ok(Standing::Refused(awaiting("the database awaits recovery")));
            }
            if database.ownership == Ownership::Unclaimed && holds_tenants(sides).await? {
                if !recover_first(sides, &database).await? {
                    continue;
                }
                return Ok(Standing::Refused(awaiting(
                    "the bucket holds tenants, and no bucket.json says whose they are",
                )));
            }
            if let Some(own) = shadows_to(&database) {
                return Ok(Standing::Undecided(absent(sides, &database, own).await?));
            }
            let fresh = BucketId(sides.entropy.uuid());
            // Whoever wins, the next round reads what is there.
            create(sides, &database, fresh).await?;
            continue;
        };
        if found.database_id == database.id {
            match settle(sides, &database, found).await? {
                Some(standing) => return Ok(standing),
                None => continue,
            }
        }
        let promoted = found.database_id.id == database.id.id
            && found.database_id.timeline < database.id.timeline;
        let trusted = settings.on_failover == OnFailover::Trust;
        if promoted && trusted && found.generation <= database.generation {
            let more = copied::surpassed(sides, settings).await?;
            if !more.is_empty() {
                return Ok(Standing::Undecided(copied::behind(&database, &more)));
            }
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
            if !recover_first(sides, &database).await? || !allow(sides, &database).await? {
                continue;
            }
            return Ok(Standing::FailedOver);
        }
        if let Some(standing) = refuse_foreign(sides, &database, found).await? {
            return Ok(standing);
        }
    }
    Err(unsettled())
}

/// Whose the bucket is cannot be read. That it is somebody's is plain: a database that has no bucket yet begins none there.
async fn unreadable(
    sides: &Sides,
    database: &DatabaseIdentity,
    damage: &Damage,
) -> Result<Option<Standing>, Error> {
    if shadows_to(database).is_some() {
        let message = format!("{damage}: nothing is shadowed before it is written anew");
        let reason = Reason::new(message, Hint::MendBucket);
        return Ok(Some(Standing::Undecided(reason)));
    }
    if database.ownership != Ownership::AwaitingRecovery && !recover_first(sides, database).await? {
        return Ok(None);
    }
    Ok(Some(Standing::Refused(awaiting(&damage.to_string()))))
}

/// Lets every tenant await recovery. `false`, and nothing changes, when the database is not as it was read: somebody else may
/// have claimed or recovered it while the bucket was asked, and then what was found of the two says nothing.
async fn recover_first(sides: &Sides, database: &DatabaseIdentity) -> Result<bool, Error> {
    Ok(sides.database.await_recovery(Some(database), None).await?)
}

/// Makes the database the owner of the bucket that was found. `false`, and nothing changes, when it is not as it was read.
async fn claim(
    sides: &Sides,
    database: &DatabaseIdentity,
    found: BucketIdentity,
) -> Result<bool, Error> {
    let BucketIdentity {
        bucket_id,
        generation,
        ..
    } = found;
    let claimed = sides.database.claim(Some(database), bucket_id, generation);
    Ok(claimed.await?)
}

fn unsettled() -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("claim {BUCKET_KEY}: it changed at every look"),
    )
    .hint(Hint::WaitForOthers)
}

/// Puts on record that writes are allowed on this server and this timeline: what would be lost is known, or nothing is taken
/// before it is. `false` when the database is on another one by now, and has to be looked at again.
async fn allow(sides: &Sides, database: &DatabaseIdentity) -> Result<bool, Error> {
    if database.whereabouts == Whereabouts::Here {
        return Ok(true);
    }
    Ok(sides.database.settle(database, None).await?)
}

/// On another timeline every tenant awaits recovery anew: what was dealt with may have been lost on the way.
async fn stop(sides: &Sides, database: &DatabaseIdentity) -> Result<bool, Error> {
    if database.whereabouts == Whereabouts::Promoted && !recover_first(sides, database).await? {
        return Ok(false);
    }
    allow(sides, database).await
}

/// The bucket names this very database, and the timeline that it is on. `None` when that changed meanwhile.
async fn settle(
    sides: &Sides,
    database: &DatabaseIdentity,
    found: BucketIdentity,
) -> Result<Option<Standing>, Error> {
    if found.generation > database.generation {
        if !recover_first(sides, database).await? {
            return Ok(None);
        }
        let reason = awaiting("a recovery was cut off before it reached the database");
        let allowed = allow(sides, database).await?;
        return Ok(allowed.then_some(Standing::Refused(reason)));
    }
    if database.ownership == Ownership::Claimed
        && database.bucket_id.is_some_and(|own| own != found.bucket_id)
    {
        return Ok(Some(Standing::Undecided(moved(sides, database, found))));
    }
    if !allow(sides, database).await? {
        return Ok(None);
    }
    let standing = match database.ownership {
        Ownership::AwaitingRecovery => {
            Ok(Standing::Refused(awaiting("the database awaits recovery")))
        }
        Ownership::Claimed if database.bucket_id == Some(found.bucket_id) => {
            Ok(Standing::Owner(found))
        }
        Ownership::Claimed | Ownership::Unclaimed => {
            if !claim(sides, database, found).await? {
                return Ok(None);
            }
            Ok(Standing::Owner(found))
        }
    };
    standing.map(Some)
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
    let found = match sides.bucket().identity().await {
        Err(BucketError::Damage(_)) => None,
        found => found?.map(|(found, _)| found),
    };
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
) -> Result<Option<Standing>, Error> {
    // A claimed database that is pointed at some other bucket by mistake goes on taking writes: only its own bucket in
    // other hands is evidence that its history went on elsewhere.
    let own_bucket = database.bucket_id == Some(found.bucket_id);
    if database.ownership != Ownership::Claimed || own_bucket {
        if !recover_first(sides, database).await? {
            return Ok(None);
        }
        let reason = awaiting(&format!(
            "the bucket belongs to the database {}, this one is {}",
            found.database_id, database.id
        ));
        let allowed = allow(sides, database).await?;
        return Ok(allowed.then_some(Standing::Refused(reason)));
    }
    Ok(Some(Standing::Undecided(foreign(database, found))))
}

/// What is said of another database's bucket.
fn foreign(database: &DatabaseIdentity, found: BucketIdentity) -> Reason {
    let message = format!(
        "this bucket ({}) belongs to the database {}, while this database ({}) shadows to the bucket {}",
        found.bucket_id,
        found.database_id,
        database.id,
        named(database.bucket_id)
    );
    Reason::new(message, Hint::CheckBucketUrlOrMove)
}

/// Why nothing is shadowed until somebody decides, if so: what [`check`] would find, without changing anything.
pub(crate) async fn undecided(sides: &Sides) -> Result<Option<Reason>, Error> {
    let database = sides.database.identity().await?;
    if let Some(reason) = copied::undecided(&database) {
        return Ok(Some(reason));
    }
    let Some(own) = shadows_to(&database) else {
        return Ok(None);
    };
    Ok(match sides.bucket().identity().await? {
        None => Some(absent(sides, &database, own).await?),
        Some((found, _)) if found.bucket_id == own => None,
        Some((found, _)) if found.database_id.id == database.id.id => {
            Some(moved(sides, &database, found))
        }
        Some((found, _)) => Some(foreign(&database, found)),
    })
}

/// The bucket that the database shadows to. It was claimed for that one, and moves to no other one by itself.
fn shadows_to(database: &DatabaseIdentity) -> Option<BucketId> {
    (database.bucket_id).filter(|_| database.ownership == Ownership::Claimed)
}

/// Writes a `bucket.json` where none is. The answer tells whether it is this one.
async fn create(
    sides: &Sides,
    database: &DatabaseIdentity,
    bucket_id: BucketId,
) -> Result<bool, Error> {
    let fresh = BucketIdentity {
        bucket_id,
        database_id: database.id,
        generation: database.generation.max(Epoch::FIRST),
    };
    let created = sides.bucket().create(BUCKET_KEY, &fresh.to_bytes()).await?;
    let written = matches!(created, Created::Written);
    if written {
        tracing::info!(bucket = %fresh.bucket_id, database = %fresh.database_id, "claimed the bucket");
    }
    Ok(written)
}

/// What is said of a place without a `bucket.json`, when the database shadows to a bucket already.
async fn absent(
    sides: &Sides,
    database: &DatabaseIdentity,
    own: BucketId,
) -> Result<Reason, Error> {
    let (url, id) = (sides.snapshots.url(), database.id);
    Ok(if holds_tenants(sides).await? {
        let message = format!(
            "the bucket at {url} holds tenants but no bucket.json, while this database ({id}) shadows to the bucket {own}: nothing is shadowed"
        );
        Reason::new(message, Hint::RecoverIdentity)
    } else {
        let message = format!(
            "nothing is at {url}, while this database ({id}) shadows to the bucket {own}: nothing is shadowed"
        );
        Reason::new(message, Hint::CheckBucketUrlOrFill { empty: true })
    })
}

/// What is said of a bucket that names this database, which shadows to another one.
fn moved(sides: &Sides, database: &DatabaseIdentity, found: BucketIdentity) -> Reason {
    let (url, own) = (sides.snapshots.url(), named(database.bucket_id));
    let message = format!(
        "the bucket at {url} is {}, while this database ({}) shadows to the bucket {own}: nothing is shadowed",
        found.bucket_id, database.id
    );
    Reason::new(message, Hint::CheckBucketUrlOrFill { empty: false })
}

fn named(bucket: Option<BucketId>) -> String {
    bucket.map_or_else(|| "none".to_owned(), |bucket| bucket.to_string())
}

/// Makes the place at hand the database's bucket, although it shadows to another one: an empty place, or one that names this
/// database. Nothing happens to a database that is there already. All watermarks start at 0.
pub(crate) async fn new_bucket(sides: &Sides) -> Result<(), Error> {
    let refused = |reason: String| Error::new(ErrorKind::Refused, reason);
    let url = sides.snapshots.url();
    for _ in 0..8 {
        let database = sides.database.identity().await?;
        if let Some(reason) = copied::undecided(&database) {
            // The bucket on record is the original's, and what an adoption recovers from.
            let message = format!("start a new bucket at {url}: {}", reason.message);
            return Err(refused(message).hint(Hint::Adopt));
        }
        match sides.bucket().identity().await? {
            Some((found, _)) if found.database_id != database.id => {
                let message = format!(
                    "start a new bucket at {url}: the bucket there ({}) belongs to the database {}, this one is {}",
                    found.bucket_id, found.database_id, database.id
                );
                return Err(refused(message));
            }
            Some((found, _)) => {
                let is_due = database.ownership == Ownership::Claimed
                    && found.generation <= database.generation
                    && database.bucket_id != Some(found.bucket_id);
                if is_due && !claim(sides, &database, found).await? {
                    continue;
                }
                return Ok(());
            }
            None if database.ownership == Ownership::AwaitingRecovery => {
                let reason = "the database awaits recovery, which makes one itself";
                let reason = awaiting(&format!("start a new bucket at {url}: {reason}"));
                return Err(Error::refused(reason));
            }
            None => {
                if holds_tenants(sides).await? {
                    let reason =
                        "there are objects of tenants, and no bucket.json says whose they are";
                    return Err(refused(format!("start a new bucket at {url}: {reason}")));
                }
                create(sides, &database, BucketId(sides.entropy.uuid())).await?;
            }
        }
    }
    Err(unsettled())
}

/// Writes a lost `bucket.json` anew for a bucket that is proven to be the database's: an index there names a chain that a row
/// has. Refused for a place that proves nothing.
pub(crate) async fn put_back(sides: &Sides) -> Result<(), Error> {
    let database = sides.database.identity().await?;
    let Some(own) = shadows_to(&database) else {
        return Ok(());
    };
    if sides.bucket().identity().await?.is_some() {
        return Ok(());
    }
    if !is_own(sides).await? {
        let reason = absent(sides, &database, own).await?;
        return Err(Error::refused(reason));
    }
    create(sides, &database, own).await?;
    Ok(())
}

/// Whether an index in the bucket names the chain of one of the database's rows.
pub(crate) async fn is_own(sides: &Sides) -> Result<bool, Error> {
    let (bucket, mut after) = (sides.bucket(), None);
    loop {
        let page = sides.database.tenants(after.as_ref(), 1000).await?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        after = Some(last.tenant.clone());
        for state in &page {
            for stream in Stream::ALL {
                let index = match bucket.index(&state.tenant, stream).await {
                    Ok(Some((index, _))) => index,
                    Ok(None) | Err(BucketError::Damage(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                let seq = index.latest().min(state.heads[stream].seq);
                let rows = sides
                    .database
                    .history(&state.tenant, stream, Some(seq.next()), 1)
                    .await?;
                let chain = rows.first().map(|row| row.chain);
                if chain.is_some() && index.chain_at(seq) == chain {
                    return Ok(true);
                }
            }
        }
    }
}

/// Whether anything below the prefix belongs to a tenant. Folders are asked for by name, to the end: however much lies in
/// driftline's own folder, or in others' folders, a tenant is not overlooked.
async fn holds_tenants(sides: &Sides) -> Result<bool, Error> {
    let mut from = None;
    loop {
        let part = sides.snapshots.folders(from.as_deref()).await?;
        let is_tenant = |name: &String| name.parse::<TenantId>().is_ok();
        if part.names.iter().any(is_tenant) {
            return Ok(true);
        }
        from = part.next;
        if from.is_none() {
            return Ok(false);
        }
    }
}

pub(crate) fn awaiting(reason: &str) -> Reason {
    let hint = Hint::Recover {
        tenant: None,
        dry_run: false,
    };
    Reason::new(reason, hint)
}
