//! From actions to deeds, each with a last look at what it is about to change.

mod removal;

use futures::FutureExt;
use futures::stream::{self, StreamExt};

use self::removal::move_away;
use super::{Action, RepairPlan, TenantRepair, plan};
use crate::hybrid::blocking::snapshot_of;
use crate::hybrid::bucket::{BucketError, Created, Swapped};
use crate::hybrid::crash;
use crate::hybrid::integrity::look::Look;
use crate::hybrid::integrity::{ReadData, rows};
use crate::hybrid::marker::{self, Marker};
use crate::hybrid::quarantine;
use crate::hybrid::referring::waits_for;
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::format::{
    BUCKET_KEY, BucketIdentity, Index, IndexEntry, PAGE_SIZE, Page, index_key, snapshot_key,
};
use driftline_model::integrity::Verdict;
use driftline_model::{Digest, Entry, Seq, Stream, TenantId};
use driftline_ports::{Error, ErrorKind, Hint, Result, TenantStatus};

/// Rows that are read at once, and their content in bytes.
const ROWS: u32 = 512;
const ROWS_BYTES: u64 = 8 * 1024 * 1024;

/// What became of a plan.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// `bucket.json` was written anew.
    pub bucket: bool,
    /// Per tenant: how many actions were carried out, or why it stopped.
    pub tenants: Vec<(TenantId, Result<usize>)>,
}

/// Carries a plan out. `Stale`, and nothing changed, when anything that it rests on has moved.
pub(crate) async fn apply(
    sides: &Sides,
    settings: &Settings,
    plan: &RepairPlan,
) -> Result<RepairReport> {
    let look = &Look::new(sides, settings, ReadData::All).await?;
    let identity = sides.database.identity().await?;
    if identity.id != plan.database_id || identity.bucket_id != plan.bucket_id {
        return Err(stale("the plan was made for another database or bucket"));
    }
    let bucket = plan::of_bucket(look).await?;
    if (&bucket.0, &bucket.1) != (&plan.bucket, &plan.bucket_left) {
        return Err(stale("the bucket itself moved since"));
    }
    let owner = match bucket.0 {
        Some(repair) => {
            let owner = BucketIdentity {
                bucket_id: repair.bucket_id,
                database_id: repair.database_id,
                generation: repair.generation,
            };
            Some((owner, repair.sha256))
        }
        None => None,
    };
    let mended = owner;
    let owner = match mended {
        Some((owner, _)) => Some(owner),
        None => sides.bucket().identity().await?.map(|(owner, _)| owner),
    };
    if owner.is_none_or(|owner| {
        owner.database_id != identity.id || Some(owner.bucket_id) != identity.bucket_id
    }) {
        return Err(Error::new(
            ErrorKind::Refused,
            "repair: the bucket belongs to another database",
        )
        .hint(Hint::FindOwner));
    }
    for planned in &plan.tenants {
        let now = plan::of_tenant(look, &planned.tenant).await?;
        if (now.epoch, &now.actions) != (planned.epoch, &planned.actions) {
            return Err(stale(&format!("{} moved since", planned.tenant)));
        }
    }
    let mut report = RepairReport::default();
    if let Some((identity, sha256)) = mended {
        write_bucket(look, identity, sha256).await?;
        report.bucket = true;
    }
    for planned in &plan.tenants {
        if !planned.actions.is_empty() {
            let outcome = carry_out(look, planned).await;
            report.tenants.push((planned.tenant.clone(), outcome));
        }
    }
    Ok(report)
}

fn stale(what: &str) -> Error {
    Error::new(ErrorKind::Stale, format!("repair: {what}")).hint(Hint::PlanRepairAgain {
        nothing_changed: true,
    })
}

async fn carry_out(look: &Look<'_>, planned: &TenantRepair) -> Result<usize> {
    let tenant = &planned.tenant;
    let mut rows = Vec::new();
    let mut is_restored = false;
    for action in &planned.actions {
        if let Action::RestoreRow { .. } = action {
            rows.push(action);
            continue;
        }
        // All rows come back in one transaction, before anything is made from them.
        if !is_restored && !matches!(action, Action::Quarantine { .. }) {
            restore_rows(look, tenant, &rows).await?;
            is_restored = true;
        }
        match action {
            Action::Quarantine { object, sha256 } => {
                move_away(look, planned, object, *sha256).await?;
            }
            Action::Reshadow {
                stream,
                seq,
                object,
                sha256,
            } => reshadow(look, planned, (*stream, *seq), object, *sha256).await?,
            Action::RebuildPage {
                stream,
                page,
                object,
                chain,
            } => rebuild_page(look, tenant, (*stream, *page), object, *chain).await?,
            Action::RebuildIndex {
                stream,
                object,
                sha256,
            } => rebuild_index(look, planned, *stream, object, *sha256).await?,
            Action::RestoreRow { .. } => {}
        }
        crash::point("repair-action");
    }
    if !is_restored {
        restore_rows(look, tenant, &rows).await?;
    }
    if !(planned.left.iter()).any(|it| it.verdict == Verdict::Divergent) {
        lift_halt(look, tenant).await?;
    }
    Ok(planned.actions.len())
}

/// What shadowing halted or failed at may be gone: the next batch looks anew at once, and says so again if it is not.
async fn lift_halt(look: &Look<'_>, tenant: &TenantId) -> Result<()> {
    let database = &look.sides.database;
    let status = database.status(Some(tenant), None, 1).await?;
    let is_well = |it: &TenantStatus| it.halted.is_none() && it.last_error.is_none();
    if status.iter().all(is_well) {
        return Ok(());
    }
    let identity = database.identity().await?;
    let restore = database.begin_restore(tenant).await?;
    let watermarks = restore.watermarks();
    if let (Some(state), Some(bucket)) = (restore.state().cloned(), identity.bucket_id) {
        restore.commit(&state, bucket, &watermarks).await?;
    }
    Ok(())
}

fn moved(key: &str) -> Error {
    Error::new(ErrorKind::Stale, format!("repair: {key} changed meanwhile")).hint(
        Hint::PlanRepairAgain {
            nothing_changed: false,
        },
    )
}

fn makes_anew(planned: &TenantRepair, stream: Stream) -> bool {
    let mut actions = planned.actions.iter();
    actions.any(|it| matches!(it, Action::RebuildIndex { stream: of, .. } if *of == stream))
}

/// The newest number that the stream's index names; 0 without a readable one.
async fn named(look: &Look<'_>, tenant: &TenantId, stream: Stream) -> Result<Seq> {
    match look.bucket.index(tenant, stream).await {
        Ok(index) => Ok(index.map_or(Seq::default(), |(index, _)| index.latest())),
        Err(BucketError::Damage(_)) => Ok(Seq::default()),
        Err(error) => Err(error.into()),
    }
}

/// Writes `bucket.json` anew if it still is what the plan saw.
async fn write_bucket(look: &Look<'_>, identity: BucketIdentity, sha256: Digest) -> Result<()> {
    match marker::read(&look.bucket).await? {
        Marker::Damaged(damaged) if damaged.sha256() == sha256 => {
            damaged.replace(&look.bucket, identity).await
        }
        _ => Err(moved(BUCKET_KEY)),
    }
}

async fn reshadow(
    look: &Look<'_>,
    planned: &TenantRepair,
    (stream, seq): (Stream, Seq),
    key: &str,
    sha256: Digest,
) -> Result<()> {
    let (tenant, database) = (&planned.tenant, look.sides.database.as_ref());
    let gone = || moved(&format!("{stream}/{seq} of {tenant}"));
    let row = rows::row(database, tenant, stream, seq).await?;
    let row = row.ok_or_else(gone)?;
    let (bytes, digest) = snapshot_of(&row).await;
    if digest != sha256 {
        return Err(gone());
    }
    // The plan may rest on an index of manifests that it made up anew, and that came to name less than was foreseen.
    if stream != Stream::Manifests && makes_anew(planned, Stream::Manifests) {
        let manifests = named(look, tenant, Stream::Manifests).await?;
        if waits_for(database, &row, manifests).await? && named(look, tenant, stream).await? < seq {
            return Err(moved(&index_key(tenant, Stream::Manifests)));
        }
    }
    match look.bucket.create(key, &bytes).await? {
        Created::Written => Ok(()),
        Created::Exists(_) => Err(moved(key)),
    }
}

/// Inserts rows under the tenant's lock. Their neighbours are immutable, so that what was verified to fit between them still
/// does, whatever was appended since.
async fn restore_rows(look: &Look<'_>, tenant: &TenantId, actions: &[&Action]) -> Result<()> {
    if actions.is_empty() {
        return Ok(());
    }
    let database = &look.sides.database;
    let mut entries = Vec::with_capacity(actions.len());
    let mut replaced = Vec::new();
    for action in actions {
        let Action::RestoreRow {
            stream,
            seq,
            object,
            checksum,
            chain,
            replaces,
        } = action
        else {
            continue;
        };
        let found = look.unnamed(tenant, *stream, object).await?;
        let entry = found
            .map(|found| found.entry)
            .filter(|entry| (entry.meta.checksum, entry.meta.chain) == (*checksum, *chain));
        entries.push(entry.ok_or_else(|| moved(object))?);
        if *replaces {
            replaced.push((*stream, *seq));
        }
    }
    let identity = database.identity().await?;
    let bucket = identity
        .bucket_id
        .ok_or_else(|| stale("the database has no bucket any more"))?;
    let mut restore = database.begin_restore(tenant).await?;
    let watermarks = restore.watermarks();
    let state = restore
        .state()
        .cloned()
        .ok_or_else(|| stale(&format!("{tenant} is gone")))?;
    for stream in Stream::ALL {
        let seqs: Vec<_> = (replaced.iter())
            .filter(|(of, _)| *of == stream)
            .map(|(_, seq)| *seq)
            .collect();
        if !seqs.is_empty() {
            restore.remove(stream, &seqs).await?;
        }
    }
    restore.insert(&entries).await?;
    crash::point("repair-rows");
    Ok(restore.commit(&state, bucket, &watermarks).await?)
}

async fn rebuild_page(
    look: &Look<'_>,
    tenant: &TenantId,
    (stream, number): (Stream, u64),
    key: &str,
    chain: Digest,
) -> Result<()> {
    let database = look.sides.database.as_ref();
    let first = (number - 1) * PAGE_SIZE + 1;
    let mut entries = Vec::new();
    let mut prev_chain = driftline_model::genesis(tenant, stream);
    if first > 1 {
        let before = database
            .history(tenant, stream, Some(Seq::new(first)), 1)
            .await?;
        let before = before.into_iter().find(|meta| meta.seq.get() == first - 1);
        prev_chain = before.ok_or_else(|| moved(key))?.chain;
    }
    let size = u32::try_from(PAGE_SIZE).unwrap_or(u32::MAX);
    let run = database
        .pending(tenant, stream, Seq::new(first - 1), size, u64::MAX)
        .await?;
    if run.len() as u64 != PAGE_SIZE {
        return Err(moved(key));
    }
    for row in run {
        let object = snapshot_key(tenant, stream, row.meta.seq, row.meta.epoch);
        let found = look.unnamed(tenant, stream, &object).await?;
        let found = found.filter(|found| found.entry.meta == row.meta);
        let found = found.ok_or_else(|| moved(&object))?;
        entries.push(IndexEntry::of(look.bucket.store().prefix(), &found));
    }
    let page = Page::new(number, prev_chain, entries);
    // What is written must read back as a page, and end where the index goes on.
    let bytes = page.to_bytes();
    let read = Page::parse(tenant, stream, number, &bytes).map_err(BucketError::from)?;
    if read.latest_chain() != chain {
        return Err(moved(key));
    }
    match look.bucket.create(key, &bytes).await? {
        Created::Written => Ok(()),
        Created::Exists(_) => Err(moved(key)),
    }
}

/// The fence stays: the new index is in the tenant's epoch. It names at once all that lies there as its row says: to a recovery
/// that came before shadowing did, what an older epoch wrote beyond the index would be no history. The
/// watermark is lowered first, so that a crash in between leaves nothing that is believed to be shadowed without an index.
async fn rebuild_index(
    look: &Look<'_>,
    planned: &TenantRepair,
    stream: Stream,
    key: &str,
    sha256: Option<Digest>,
) -> Result<()> {
    let (tenant, database) = (&planned.tenant, &look.sides.database);
    let found = look.bucket.get_to_move(key).await?;
    if found.as_ref().map(|found| Digest::of(&found.bytes)) != sha256 {
        return Err(moved(key));
    }
    let there = found
        .as_ref()
        .and_then(|it| Index::parse(tenant, stream, &it.bytes).ok());
    if (there.as_ref()).is_some_and(|there| there.epoch > planned.epoch) {
        return Err(moved(key));
    }
    let bucket = database.identity().await?.bucket_id;
    let bucket = bucket.ok_or_else(|| stale("the database has no bucket any more"))?;
    let index = filled(look, planned, stream, there.as_ref()).await?;
    database
        .lower_watermark(tenant, bucket, stream, Seq::default())
        .await?;
    crash::point("repair-lowered");
    if let (Some(found), Some(sha256)) = (&found, sha256) {
        quarantine::copy(&look.bucket, key, &found.bytes, sha256).await?;
    }
    let etag = found.as_ref().map(|found| &found.etag);
    match look.bucket.swap(key, &index.to_bytes(), etag).await? {
        Swapped::Written(_) => Ok(()),
        Swapped::Moved => Err(moved(key)),
    }
}

/// An index of all entries from the first on that are there with their rows. It is refused when it would lack one that an index
/// that is `there` names: what is named once stays named, or an entry of an older epoch would be no history any more.
async fn filled(
    look: &Look<'_>,
    planned: &TenantRepair,
    stream: Stream,
    there: Option<&Index>,
) -> Result<Index> {
    let (tenant, database) = (&planned.tenant, look.sides.database.as_ref());
    let stays = there.map_or(Seq::default(), Index::latest);
    let mut index = Index::empty(tenant, stream, planned.epoch, look.sides.now());
    let manifests = match stream.refers_to() {
        None => Seq::default(),
        Some(to) => named(look, tenant, to).await?,
    };
    loop {
        let after = index.latest();
        let run = database
            .pending(tenant, stream, after, ROWS, ROWS_BYTES)
            .await?;
        let reads: Vec<_> = run.iter().map(|row| placed(look, row).boxed()).collect();
        let mut found = stream::iter(reads).buffered(look.settings.concurrent_requests);
        for row in &run {
            let Some(entry) = found.next().await.transpose()?.flatten() else {
                break;
            };
            let continues = entry.meta.expected_chain(index.latest_chain()) == entry.meta.chain;
            let waits = row.meta.seq > stays && waits_for(database, row, manifests).await?;
            if !continues || waits {
                break;
            }
            index.push(entry);
        }
        if index.latest().get() < after.get() + run.len() as u64 || run.is_empty() {
            break;
        }
    }
    if there.is_some_and(|there| index.chain_at(stays) != Some(there.latest_chain())) {
        return Err(without_place(planned, stream, index.latest().next()));
    }
    // Pages that are there already are used; where one is not, shadowing seals it.
    let mut sealed = index.clone();
    for page in sealed.seal() {
        match look.bucket.page(tenant, stream, page.number).await {
            Ok(there) if there.to_bytes() == page.to_bytes() => {}
            Ok(_) | Err(BucketError::Damage(_)) => return Ok(index),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sealed)
}

/// What keeps the index from being made up anew: something that the plan left as it is, or that changed since.
fn without_place(planned: &TenantRepair, stream: Stream, seq: Seq) -> Error {
    let key = index_key(&planned.tenant, stream);
    let mut left = planned.left.iter();
    let Some(left) = left.find(|it| (it.stream, it.seq) == (Some(stream), Some(seq))) else {
        return moved(&key);
    };
    let message = format!(
        "repair: {key} names {stream}/{seq}, and one that is made up anew would not: {}",
        left.detail
    );
    Error::new(ErrorKind::Damaged, message).hint(Hint::Verify {
        tenant: planned.tenant.clone(),
    })
}

/// The place in an index of a row whose snapshot is there.
async fn placed(look: &Look<'_>, row: &Entry) -> Result<Option<IndexEntry>> {
    let meta = &row.meta;
    let key = snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch);
    match look.unnamed(&meta.tenant, meta.stream, &key).await {
        Ok(found) => Ok(found
            .filter(|found| found.entry.meta == *meta)
            .map(|found| IndexEntry::of(look.bucket.store().prefix(), &found))),
        Err(BucketError::Damage(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
