//! Whether what driftline says it does can be done now: it is tried, and taken back.
//!
//! One conditional write and its removal below `_driftline/probe/` in the bucket, and one write in the database that is undone.
//! Then each tenant's indexes are compared with the database's record of them, and the tenants that the bucket names with those
//! that the database knows: a dump that is older than its bucket, and an index that something else overwrote, show here before
//! a batch meets them. Every question has its own time limit, and none hides the others.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::bucket::{Bucket, BucketError};
use super::settings::{Settings, Sides};
use driftline_model::format::{Index, index_key, parse_snapshot_key};
use driftline_model::{Seq, Stream, TenantId};
use driftline_ports::{
    CheckUp, ETag, Hint, Precondition, PutOutcome, Reason, SnapshotStore, StoreError, StoreResult,
    TenantStatus,
};

/// How long one question may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Tenants whose indexes are looked at, and tenants that are told to be unknown.
const TENANTS: usize = 1000;

/// Tries both sides. Without `writes_to_bucket`, a bucket in other hands, nothing is written there and no index is looked at.
pub(crate) async fn run(
    sides: &Sides,
    settings: &Settings,
    known: &[TenantStatus],
    writes_to_bucket: bool,
) -> CheckUp {
    let mut checkup = CheckUp {
        database: answer(sides.database.can_write()).await.err(),
        ..CheckUp::default()
    };
    if !writes_to_bucket {
        return checkup;
    }
    checkup.bucket = try_bucket(sides).await.err();
    checkup.unseen = known.len().saturating_sub(TENANTS);
    let bucket = &sides.bucket();
    let looks = known.iter().take(TENANTS).map(|status| {
        async move {
            let found = tokio::time::timeout(PATIENCE, compare(sides, bucket, status)).await;
            let found = found.unwrap_or_else(|_| Err(late()));
            let found = found.unwrap_or_else(|error| Some(error.to_string().into()));
            found.map(|wrong| (status.state.tenant.clone(), wrong))
        }
        .boxed()
    });
    let looks: Vec<_> = looks.collect();
    checkup.tenants = stream::iter(looks)
        .buffered(settings.concurrent_requests)
        .filter_map(|found| async move { found })
        .collect()
        .await;
    match strangers(sides, settings, known).await {
        Ok(strangers) => {
            let told = strangers.into_iter().map(|tenant| {
                let wrong = "the bucket has it, and the database knows nothing of it";
                let hint = Hint::RecoverMissing {
                    tenant: tenant.clone(),
                };
                (tenant, Reason::new(wrong, hint))
            });
            checkup.tenants.extend(told);
        }
        Err(reason) => checkup.unlisted = Some(reason),
    }
    checkup
}

/// Tenants of whom the bucket has something and the database nothing, as many as are told.
async fn strangers(
    sides: &Sides,
    settings: &Settings,
    known: &[TenantStatus],
) -> Result<BTreeSet<TenantId>, String> {
    let known: BTreeSet<_> = known.iter().map(|status| &status.state.tenant).collect();
    let (mut strangers, mut from) = (BTreeSet::new(), None);
    loop {
        let part = answer(sides.snapshots.folders(from.as_deref())).await?;
        let tenants = part.names.iter().filter_map(|name| name.parse().ok());
        let looks: Vec<_> = tenants
            .filter(|tenant| !known.contains(tenant))
            .map(|tenant| stranger(sides, tenant).boxed())
            .collect();
        let mut looks = stream::iter(looks).buffered(settings.concurrent_requests);
        while let Some(looked) = looks.next().await {
            strangers.extend(looked?);
            if strangers.len() >= TENANTS {
                return Ok(strangers);
            }
        }
        from = part.next;
        if from.is_none() {
            return Ok(strangers);
        }
    }
}

/// The tenant, if the database knows nothing of it: somebody may have begun it meanwhile, and a neighbour's folder is nobody's.
async fn stranger(sides: &Sides, tenant: TenantId) -> Result<Option<TenantId>, String> {
    let is_unknown = answer(sides.database.tenant(&tenant)).await?.is_none();
    let is_one = is_unknown && holds_entries(sides.snapshots.as_ref(), &tenant).await?;
    Ok(is_one.then_some(tenant))
}

/// Whether a tenant's folder has an index or a snapshot.
async fn holds_entries(store: &dyn SnapshotStore, tenant: &TenantId) -> Result<bool, String> {
    let part = answer(store.list(&format!("{tenant}/"), None, 1000)).await?;
    let indexes = Stream::ALL.map(|stream| index_key(tenant, stream));
    let mut keys = part.objects.iter().map(|object| object.key.as_str());
    Ok(keys.any(|key| parse_snapshot_key(key).is_some() || indexes.iter().any(|it| it == key)))
}

/// The answer to one question, in words if it is an error.
async fn answer<T>(question: impl Future<Output = StoreResult<T>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| error.report()),
        Err(_) => Err(late().to_string()),
    }
}

fn late() -> BucketError {
    let seconds = PATIENCE.as_secs();
    StoreError::new(
        driftline_ports::Side::Bucket,
        driftline_ports::Fault::Unavailable,
        format!("no answer within {seconds} seconds"),
    )
    .into()
}

/// One object is created, is not created again, is not replaced for a version that it does not have, and is removed.
async fn try_bucket(sides: &Sides) -> Result<(), String> {
    let store = sides.snapshots.as_ref();
    let key = format!("_driftline/probe/{}/doctor", sides.entropy.uuid());
    let tried = try_object(store, &key).await;
    // Also after a failure: what was reported to fail may be there.
    let removed = answer(store.delete(&key)).await;
    tried.and(removed)
}

async fn try_object(store: &dyn SnapshotStore, key: &str) -> Result<(), String> {
    let put = |condition| answer(store.put(key, Bytes::from_static(b"tried\n"), condition));
    match put(Precondition::Absent).await? {
        PutOutcome::Written(_) => {}
        other => return Err(format!("a new object was not created: {other:?}")),
    }
    if let PutOutcome::Written(_) = put(Precondition::Absent).await? {
        return Err(
            "an object that exists was overwritten: `If-None-Match: *` is not honoured".to_owned(),
        );
    }
    // No store gives such a version.
    let other = ETag("0".repeat(32));
    if let PutOutcome::Written(_) = put(Precondition::Matches(other)).await? {
        return Err(
            "an object was replaced under another's ETag: `If-Match` is not honoured".to_owned(),
        );
    }
    Ok(())
}

/// What is wrong with a tenant's indexes, if anything is.
async fn compare(
    sides: &Sides,
    bucket: &Bucket,
    status: &TenantStatus,
) -> Result<Option<Reason>, BucketError> {
    let state = &status.state;
    // It is told already, and by those who look closer.
    if state.awaiting_recovery || status.halted.is_some() {
        return Ok(None);
    }
    let repair = || Hint::RepairIndex {
        tenant: state.tenant.clone(),
    };
    for stream in Stream::ALL {
        let watermark = status.watermarks[stream];
        let key = index_key(&state.tenant, stream);
        let index = match bucket.index(&state.tenant, stream).await {
            Ok(Some((index, _))) => index,
            Ok(None) if watermark == Seq::default() => continue,
            Ok(None) => {
                return Ok(Some(Reason::new(format!("{key}: it is gone"), repair())));
            }
            Err(BucketError::Damage(damage)) => {
                return Ok(Some(Reason::new(damage.to_string(), repair())));
            }
            Err(error) => return Err(error),
        };
        if let Some(wrong) = compare_stream(sides, status, stream, &index).await? {
            let message = format!("{key}: {}", wrong.message);
            return Ok(Some(Reason { message, ..wrong }));
        }
    }
    Ok(None)
}

async fn compare_stream(
    sides: &Sides,
    status: &TenantStatus,
    stream: Stream,
    index: &Index,
) -> Result<Option<Reason>, BucketError> {
    let (tenant, head) = (&status.state.tenant, status.state.heads[stream]);
    let (latest, watermark) = (index.latest(), status.watermarks[stream]);
    if index.epoch > status.state.epoch {
        let message = format!(
            "it is in epoch {}, the database in epoch {}: a recovery was cut off, or the database is an older copy",
            index.epoch, status.state.epoch
        );
        let hint = Hint::Recover {
            tenant: Some(tenant.clone()),
            dry_run: false,
        };
        return Ok(Some(Reason::new(message, hint)));
    }
    let common = latest.min(head.seq);
    let row = sides
        .database
        .history(tenant, stream, Some(common.next()), 1)
        .await?;
    let row = row.first().filter(|row| row.seq == common);
    if let (Some(row), Some(there)) = (row, index.chain_at(common))
        && common > Seq::default()
        && row.chain != there
    {
        let message = format!(
            "it names another entry {common} than the database has: two histories disagree"
        );
        let hint = Hint::FindDivergence {
            tenant: tenant.clone(),
        };
        return Ok(Some(Reason::new(message, hint)));
    }
    if latest > head.seq {
        // Somebody may have written meanwhile.
        let now = sides.database.tenant(tenant).await?;
        if now.is_some_and(|now| latest > now.heads[stream].seq) {
            let message = format!(
                "the database is behind its bucket: it ends at {}, the index at {latest}",
                head.seq
            );
            let hint = Hint::RecoverMissing {
                tenant: tenant.clone(),
            };
            return Ok(Some(Reason::new(message, hint)));
        }
    }
    if latest < watermark {
        let message = format!(
            "it ends at {latest}, though entries up to {watermark} were shadowed: something else overwrote it"
        );
        let hint = Hint::RepairIndex {
            tenant: tenant.clone(),
        };
        return Ok(Some(Reason::new(message, hint)));
    }
    Ok(None)
}
