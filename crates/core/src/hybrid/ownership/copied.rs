//! A database on another server than the one that it was on, or on a timeline that lacks something: who decides, and what is
//! taken until then.
//!
//! A copy and an original that moved look alike: a dump that is restored elsewhere, a template, a file that was copied, a
//! server that was upgraded. Until an operator decides nothing is shadowed, and no write is taken for a tenant of which the
//! bucket knows more than the database: its number would be given twice.

use futures::TryStreamExt;

use crate::hybrid::bucket::{BucketError, Swapped};
use crate::hybrid::crash;
use crate::hybrid::recovery::Lister;
use crate::hybrid::settings::{OnFailover, Settings, Sides};
use driftline_model::format::{BUCKET_KEY, BucketIdentity};
use driftline_model::{Digest, Head, Seq, Stream, TenantId, TenantState, genesis};
use driftline_ports::{
    Adoption, DatabaseIdentity, Error, ErrorKind, Hint, Ownership, Reason, Result, Side,
    Whereabouts,
};

/// What the bucket has of a stream, and the database has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct More {
    tenant: TenantId,
    stream: Stream,
    head: Seq,
    latest: Seq,
    /// Its index cannot be read, so that nobody can tell what there is.
    unreadable: bool,
}

/// How many tenants are named in a message.
const NAMED: usize = 20;

/// What is said of a database on another server.
pub(crate) fn reason(database: &DatabaseIdentity) -> Reason {
    let message = format!(
        "the database {} sits on another server than it was on, or is another file: it is a copy, or has moved. Nothing is shadowed, and tenants of which the bucket knows more take no writes, until that is decided",
        database.id
    );
    Reason::new(message, Hint::Adopt)
}

/// What is said of a promoted replica that is trusted, but lacks what the bucket has.
pub(crate) fn behind(database: &DatabaseIdentity, more: &[More]) -> Reason {
    let named = more.iter().take(NAMED).map(|more| {
        let More {
            tenant,
            stream,
            head,
            latest,
            ..
        } = more;
        format!("{stream} of {tenant} end at {head}, in the bucket at {latest}")
    });
    let named: Vec<_> = named.collect();
    let rest = more.len().saturating_sub(NAMED);
    let rest = if rest > 0 {
        format!("; and {rest} more")
    } else {
        String::new()
    };
    let message = format!(
        "the database {} failed over, and on-failover says to trust it, but the bucket knows more: {}{rest}. Nothing is written or shadowed until that is decided",
        database.id,
        named.join("; ")
    );
    Reason::new(message, Hint::RecoverOrAdopt)
}

/// Makes a copy the one that goes on: under an identifier of its own, and after a recovery. `false` when it moved meanwhile.
pub(crate) async fn adopt(sides: &Sides, database: &DatabaseIdentity) -> Result<bool> {
    // In this order: whoever dies in between finds it undecided still.
    if !sides.database.await_recovery(Some(database), None).await? {
        return Ok(false);
    }
    crash::point("adopt-awaiting");
    let id = sides.entropy.uuid();
    Ok(sides.database.settle(database, Some(id)).await?)
}

/// Everything that the bucket has beyond the database, or otherwise than it.
pub(crate) async fn surpassed(sides: &Sides, settings: &Settings) -> Result<Vec<More>> {
    let found = Lister::all(sides.snapshots.as_ref()).tenants();
    let more: Vec<Vec<More>> = found
        .map_err(Error::from)
        .map_ok(|(tenant, keys)| async move {
            keys?;
            let state = sides.database.tenant(&tenant).await?;
            Ok(of_tenant(sides, &tenant, state.as_ref())
                .await?
                .into_iter()
                .collect())
        })
        .try_buffer_unordered(settings.concurrent_requests)
        .try_collect()
        .await?;
    let mut more: Vec<_> = more.into_iter().flatten().collect();
    more.sort_by(|left, right| left.tenant.cmp(&right.tenant));
    Ok(more)
}

/// The first stream of a tenant of which the bucket knows more, or other things, than the database.
async fn of_tenant(
    sides: &Sides,
    tenant: &TenantId,
    state: Option<&TenantState>,
) -> Result<Option<More>> {
    let bucket = sides.bucket();
    for stream in Stream::ALL {
        let head = state.map_or_else(
            || Head {
                seq: Seq::default(),
                chain: genesis(tenant, stream),
            },
            |state| state.heads[stream],
        );
        let (latest, unreadable) = match bucket.index(tenant, stream).await {
            Ok(None) => continue,
            Ok(Some((index, _))) => {
                let latest = index.latest();
                let same = if latest > head.seq {
                    false
                } else {
                    chain_at(sides, tenant, stream, head, latest).await?
                        == Some(index.latest_chain())
                };
                if same {
                    continue;
                }
                (latest, false)
            }
            // It names something, whatever that is.
            Err(BucketError::Damage(_)) => (head.seq.next(), true),
            Err(error) => return Err(error.into()),
        };
        return Ok(Some(More {
            tenant: tenant.clone(),
            stream,
            head: head.seq,
            latest,
            unreadable,
        }));
    }
    Ok(None)
}

/// Whether the bucket's history of the tenant goes on where the database's ends, or the database has none at all.
pub(crate) async fn lags(sides: &Sides, tenant: &TenantId) -> Result<bool> {
    let state = sides.database.tenant(tenant).await?;
    let more = of_tenant(sides, tenant, state.as_ref()).await?;
    Ok(more.is_some_and(|more| more.latest > more.head && !more.unreadable))
}

async fn chain_at(
    sides: &Sides,
    tenant: &TenantId,
    stream: Stream,
    head: Head,
    seq: Seq,
) -> Result<Option<Digest>> {
    if seq == head.seq {
        return Ok(Some(head.chain));
    }
    if seq == Seq::default() {
        return Ok(Some(genesis(tenant, stream)));
    }
    let database = &sides.database;
    let rows = database
        .history(tenant, stream, Some(seq.next()), 1)
        .await?;
    Ok(rows
        .first()
        .filter(|row| row.seq == seq)
        .map(|row| row.chain))
}

/// Refuses a write on a copy that nobody decided about, if the bucket knows more of the tenant. Of a tenant that the database
/// does not know a bucket that cannot be asked refuses as well: a dump may be empty, and restore without an error.
pub(crate) async fn may_write(sides: &Sides, tenant: &TenantId) -> Result<()> {
    let state = sides.database.tenant(tenant).await?;
    let known = state.is_some();
    let more = match of_tenant(sides, tenant, state.as_ref()).await {
        Ok(more) => more,
        Err(error) if known && error.kind() == ErrorKind::Unavailable(Side::Bucket) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let latest = match more {
        Some(more) => Some(format!(
            "{} of it end at {} in the bucket, at {} here",
            more.stream, more.latest, more.head
        )),
        None if known => None,
        // Without an index its objects tell.
        None => {
            let listing = sides.snapshots.list(&format!("{tenant}/"), None, 1).await?;
            let any = listing.objects.first();
            any.map(|object| format!("the bucket holds {}, and here is nothing of it", object.key))
        }
    };
    let Some(latest) = latest else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Refused,
        format!("write {tenant}: the database is a copy, or has moved, and the bucket knows more: {latest}"),
    )
    .hint(Hint::Adopt))
}

/// Why nothing is shadowed until somebody decides, if so. Asks only the database: see [`super::check`] for the rest.
pub(crate) fn undecided(database: &DatabaseIdentity) -> Option<Reason> {
    let copied = database.whereabouts == Whereabouts::Elsewhere
        && database.ownership != Ownership::Unclaimed;
    copied.then(|| reason(database))
}

/// Lets tenants of which the bucket has more await recovery: their numbers would be given twice. The others go on at once.
/// `false` when the database is not as it was read: somebody else decided meanwhile, and may have recovered them since.
async fn await_recovery(
    sides: &Sides,
    database: &DatabaseIdentity,
    tenants: &[TenantId],
) -> Result<bool> {
    for tenant in tenants {
        let stopped = sides.database.await_recovery(Some(database), Some(tenant));
        if !stopped.await? {
            return Ok(false);
        }
        crash::point("adopt-tenant");
    }
    Ok(true)
}

/// Somebody decided to trust the database, and did not get to put that on record there: the bucket is its own already. The
/// answer is the one that was not given then; `None` when the database moved meanwhile.
async fn finish(
    sides: &Sides,
    database: &DatabaseIdentity,
    found: BucketIdentity,
) -> Result<Option<Adoption>> {
    let is_taken = found.database_id == database.id
        && found.generation == database.generation
        && database.ownership == Ownership::Claimed
        && database.bucket_id == Some(found.bucket_id);
    let is_unfinished = is_taken && database.whereabouts == Whereabouts::Promoted;
    if !is_unfinished {
        return Ok(Some(Adoption::Settled));
    }
    if !sides.database.settle(database, None).await? {
        return Ok(None);
    }
    let (mut awaiting, mut after) = (Vec::new(), None);
    loop {
        let page = sides.database.tenants(after.as_ref(), 1000).await?;
        let Some(last) = page.last() else {
            return Ok(Some(Adoption::Trusted(awaiting)));
        };
        after = Some(last.tenant.clone());
        let waits = page.into_iter().filter(|state| state.awaiting_recovery);
        awaiting.extend(waits.map(|state| state.tenant));
    }
}

/// Decides that the database goes on where it is now.
pub(crate) async fn decide(
    sides: &Sides,
    settings: &Settings,
    confirmed: bool,
) -> Result<Adoption> {
    for _ in 0..8 {
        let database = sides.database.identity().await?;
        if undecided(&database).is_some() {
            if adopt(sides, &database).await? {
                return Ok(Adoption::Adopted);
            }
            continue;
        }
        let Some((found, etag)) = sides.bucket().identity().await? else {
            return Ok(Adoption::Settled);
        };
        let is_trusted = settings.on_failover == OnFailover::Trust
            && found.database_id.id == database.id.id
            && found.database_id.timeline < database.id.timeline
            && found.generation <= database.generation;
        if !is_trusted {
            match finish(sides, &database, found).await? {
                Some(adoption) => return Ok(adoption),
                None => continue,
            }
        }
        let more = surpassed(sides, settings).await?;
        if !confirmed && !more.is_empty() {
            return Ok(Adoption::Unconfirmed(behind(&database, &more)));
        }
        let mut tenants: Vec<_> = more.into_iter().map(|more| more.tenant).collect();
        tenants.dedup();
        if !await_recovery(sides, &database, &tenants).await? {
            continue;
        }
        let taken = BucketIdentity {
            database_id: database.id,
            ..found
        };
        let bytes = taken.to_bytes();
        let swapped = sides.bucket().swap(BUCKET_KEY, &bytes, Some(&etag)).await?;
        crash::point("adopt-bucket");
        if matches!(swapped, Swapped::Written(_)) && sides.database.settle(&database, None).await? {
            return Ok(Adoption::Trusted(tenants));
        }
    }
    Err(super::unsettled())
}
