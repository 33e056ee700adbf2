//! Carrying a plan out: fence the bucket, then commit the database.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::stream::{self, StreamExt};

use super::Context;
use super::legacy;
use super::plan::{Plan, place, read};
use crate::hybrid::bucket::{BucketError, Created, Swapped};
use crate::hybrid::crash;
use crate::hybrid::quarantine;
use crate::hybrid::referring::waits_for;
use driftline_model::format::{Damage, Index, IndexEntry, Page, Problem, index_key, page_key};
use driftline_model::{Entry, Epoch, PerStream, Seq, Stream, TenantId, TenantState};
use driftline_ports::{Error, ErrorKind, Hint, Restore, Result};

/// Content inserted by one statement, in bytes, and rows.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;
const CHUNK_ROWS: usize = 256;
/// Rows that are read at once.
const ROWS: u32 = 512;

/// Restores the tenant, in a new epoch if `renew`, and returns its state afterwards.
pub(super) async fn run(
    context: &Context<'_>,
    plan: &mut Plan,
    renew: bool,
    awaiting: bool,
) -> Result<TenantState> {
    let epoch = if renew {
        context
            .takeover
            .epoch(Some(&plan.tenant), plan.epoch())
            .await?
    } else {
        plan.seen.as_ref().map_or(Epoch::FIRST, |state| state.epoch)
    };
    legacy::chain(plan, epoch);
    let outcome = plan.outcome(epoch);
    if !renew && !awaiting && plan.restored() == 0 && !is_halted(context, &plan.tenant).await? {
        return Ok(outcome);
    }
    let named = if renew {
        legacy::preserve(context, plan).await?;
        let named = fence(context, plan, epoch).await?;
        crash::point("recover-index");
        named
    } else {
        let latest = |index: &Option<Index>| index.as_ref().map_or(Seq::default(), Index::latest);
        PerStream::from_fn(|stream| latest(&plan.streams[stream].index))
    };
    legacy::remember(context, plan).await?;
    let mut restore = context.sides.database.begin_restore(&plan.tenant).await?;
    if !unmoved(plan.seen.as_ref(), restore.state()) {
        return Err(Error::new(
            ErrorKind::Stale,
            format!("recover {}: it was written to meanwhile", plan.tenant),
        )
        .hint(Hint::RecoverAgain));
    }
    insert(context, plan, restore.as_mut()).await?;
    let bucket = context.takeover.bucket().await.ok_or_else(|| {
        Error::new(
            ErrorKind::Stale,
            format!("recover {}: the bucket is nobody's", plan.tenant),
        )
        .hint(Hint::RecoverAgain)
    })?;
    restore.commit(&outcome, bucket, &named).await?;
    crash::point("recover-commit");
    Ok(outcome)
}

/// The lock row is what the plan saw; that the tenant awaits recovery by now is our own doing.
pub(super) fn unmoved(seen: Option<&TenantState>, now: Option<&TenantState>) -> bool {
    match (seen, now) {
        (Some(seen), Some(now)) => {
            TenantState {
                awaiting_recovery: now.awaiting_recovery,
                ..seen.clone()
            } == *now
        }
        // Marking an unknown tenant as awaiting recovery creates its lock row, without any entry.
        (None, Some(now)) => now.heads.iter().all(|(_, head)| head.seq == Seq::default()),
        (None, None) => true,
        (Some(_), None) => false,
    }
}

async fn is_halted(context: &Context<'_>, tenant: &TenantId) -> Result<bool> {
    let status = context.sides.database.status(Some(tenant), None, 1).await?;
    Ok(status.first().is_some_and(|status| status.halted.is_some()))
}

/// Writes the epoch into the index of every stream: whoever is still at work in an older one loses its compare-and-set. Returns
/// what the indexes name now.
pub(super) async fn fence(
    context: &Context<'_>,
    plan: &mut Plan,
    epoch: Epoch,
) -> Result<PerStream<Seq>> {
    let manifests = in_turn(context, plan, Stream::Manifests, Seq::default()).await?;
    let versions = Seq::new(manifests as u64);
    let streams = Stream::ALL.map(async |stream| {
        let end = if stream == Stream::Manifests {
            manifests
        } else {
            in_turn(context, plan, stream, versions).await?
        };
        fence_stream(context, plan, stream, end, epoch).await
    });
    let mut named = PerStream::from_fn(|_| Seq::default());
    for (stream, fenced) in Stream::ALL.into_iter().zip(join_all(streams).await) {
        let (latest, damage) = fenced?;
        named[stream] = latest;
        plan.failures.extend(damage);
    }
    Ok(named)
}

/// The same for one stream, up to the `end`th entry; what its index names, and the damage of a page that could not be sealed.
async fn fence_stream(
    context: &Context<'_>,
    plan: &Plan,
    stream: Stream,
    end: usize,
    epoch: Epoch,
) -> Result<(Seq, Option<Damage>)> {
    let inventory = &plan.streams[stream];
    let mut index = match &inventory.index {
        Some(index) => index.clone(),
        None => Index::empty(&plan.tenant, stream, epoch, context.sides.now()),
    };
    let known = usize::try_from(index.latest().get()).unwrap_or(usize::MAX);
    // What comes from the older layout is not there in today's format yet: the replicator brings it.
    for entry in inventory.entries[..end].iter().skip(known) {
        index.push(entry.named.clone());
    }
    index.epoch = epoch;
    index.updated_at = context.sides.now();
    let damage = match &inventory.index {
        Some(_) => None,
        None => seal(context, &mut index).await?,
    };
    let (key, etag) = (index_key(&plan.tenant, stream), inventory.etag.as_ref());
    let bucket = context.sides.bucket();
    if bucket.swap(&key, &index.to_bytes(), etag).await? == Swapped::Moved {
        return Err(Error::new(
            ErrorKind::Stale,
            format!("recover {}: {key} changed meanwhile", plan.tenant),
        )
        .hint(Hint::WaitForOthers));
    }
    Ok((index.latest(), damage))
}

/// How many of the stream's entries its index may name, where that of manifests will name so many `versions`. What refers to a
/// version follows the index that names that version, and what a repair is about to remove does not get a place: where the
/// database has all that lies there from such an entry on, shadowing brings it in its turn. What only the bucket has is named all
/// the same, and all before it: left out, it would be given up.
async fn in_turn(
    context: &Context<'_>,
    plan: &Plan,
    stream: Stream,
    versions: Seq,
) -> Result<usize> {
    let inventory = &plan.streams[stream];
    let entries = &inventory.entries[..inventory.shadowed()];
    let known = inventory.index.as_ref();
    let known = known.map_or(Seq::default(), Index::latest);
    let seen = plan.seen.as_ref();
    let head = seen.map_or(Seq::default(), |state| state.heads[stream].seq);
    let leaving = leaving(context, plan, stream, known).await?;
    if stream == Stream::Manifests && leaving.is_empty() {
        return Ok(entries.len());
    }
    let comes_back = plan.restore[stream].iter().copied();
    let comes_back = comes_back.filter(|seq| place(*seq) < entries.len()).max();
    let (mut after, mut early) = (known.max(comes_back.unwrap_or_default()), None);
    while place(after.next()) < entries.len() {
        if after >= head {
            return Ok(entries.len());
        }
        let database = &context.sides.database;
        let run = database
            .pending(&plan.tenant, stream, after, ROWS, CHUNK_BYTES)
            .await?;
        if run.is_empty() {
            (after, early) = (after.next(), None);
            continue;
        }
        for row in run {
            let Some(entry) = entries.get(place(row.meta.seq)) else {
                break;
            };
            if entry.chain() != Some(row.meta.chain) {
                return Ok(entries.len());
            }
            let seq = row.meta.seq;
            after = seq;
            if early.is_none()
                && (leaving.contains(&seq) || waits_for(database.as_ref(), &row, versions).await?)
            {
                early = Some(place(seq));
            }
        }
    }
    Ok(early.unwrap_or(entries.len()))
}

/// The entries beyond the end of the index of which a copy lies in the quarantine. Without an index a copy proves nothing: what
/// was moved away once may have come back, and have been named.
async fn leaving(
    context: &Context<'_>,
    plan: &Plan,
    stream: Stream,
    known: Seq,
) -> Result<BTreeSet<Seq>> {
    let inventory = &plan.streams[stream];
    let beyond = inventory.entries[..inventory.shadowed()].get(place(known.next())..);
    let beyond = beyond.filter(|beyond| !beyond.is_empty() && inventory.index.is_some());
    let Some(beyond) = beyond else {
        return Ok(BTreeSet::new());
    };
    let copies = quarantine::copies(&context.sides.bucket(), &plan.tenant, stream).await?;
    let named = beyond.iter().map(|entry| &entry.named);
    let is_leaving = |named: &&IndexEntry| {
        copies.contains(&quarantine::place(&named.key(), named.object_sha256))
    };
    Ok(named
        .filter(is_leaving)
        .map(|named| named.meta.seq)
        .collect())
}

/// Seals the pages of an index that was rebuilt. A page that is there and holds something else stays, and its entries stay
/// in the index.
async fn seal(context: &Context<'_>, index: &mut Index) -> Result<Option<Damage>> {
    let bucket = context.sides.bucket();
    let mut sealed = index.clone();
    for page in sealed.seal() {
        let key = page_key(&index.tenant, index.stream, page.number);
        match bucket.create(&key, &page.to_bytes()).await? {
            Created::Written => {}
            Created::Exists(found) => {
                let same = Page::parse(&index.tenant, index.stream, page.number, &found.bytes);
                let same = same.is_ok_and(|there| there.latest_chain() == page.latest_chain());
                if !same {
                    let reason = "it is not the page that the snapshots make up; the index was written without pages";
                    return Ok(Some(Damage::new(
                        &key,
                        Problem::Malformed(reason.to_owned()),
                    )));
                }
            }
        }
    }
    *index = sealed;
    Ok(None)
}

/// Inserts what the database lacks, chunk by chunk. Content that was not kept is read and verified once more.
async fn insert(context: &Context<'_>, plan: &Plan, restore: &mut dyn Restore) -> Result<()> {
    for stream in Stream::ALL {
        let entries = &plan.streams[stream].entries;
        let mut reads = stream::iter(0..plan.restore[stream].len())
            .map(|at| read(context, &entries[place(plan.restore[stream][at])]))
            .buffered(context.settings.concurrent_requests);
        let (mut chunk, mut bytes) = (Vec::<Entry>::new(), 0);
        while let Some(entry) = reads.next().await {
            let entry = entry.map_err(|error: BucketError| Error::from(error))?;
            bytes += entry.meta.content_bytes;
            chunk.push(entry);
            if bytes >= CHUNK_BYTES || chunk.len() == CHUNK_ROWS {
                restore.insert(&chunk).await?;
                chunk.clear();
                bytes = 0;
            }
        }
        if !chunk.is_empty() {
            restore.insert(&chunk).await?;
        }
    }
    Ok(())
}
