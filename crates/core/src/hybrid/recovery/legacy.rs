//! Taking over a tenant from the older layout.
//!
//! Its objects are epoch 0 and never written: what they prove becomes the beginning of a history in the new epoch, numbered
//! densely and chained as today, and goes into the database with nothing shadowed, so that the replicator writes all of it
//! anew under keys of that epoch. The one object that both layouts keep under the same key is the index. Before it is
//! replaced it is copied under `_driftline/legacy/`, and that copy says from then on that the tenant was taken over: keys
//! like the older layout's are its objects and none of today's.
//!
//! The copy comes first, then the index, then the database. Cut off anywhere, the next run finds in the history at hand
//! which versions it holds already and takes the ones after them; no version gets a second place, and none gets a place
//! before one that is there.

mod choice;
mod object;
mod origin;
mod stock;

use std::collections::BTreeSet;

use self::choice::{Unproven, choose, contradiction};
pub(crate) use self::object::{LegacyObject, LegacyVerdict};
pub(crate) use self::origin::taken_over;
pub(super) use self::origin::todays;
use self::origin::{Origin, look_again, origin};
pub(crate) use self::stock::take_stock;
use self::stock::{Limits, take_stock_within};
use super::Context;
use super::inventory::{self, Recoverable};
use super::plan::Plan;
use crate::hybrid::bucket::{Bucket, BucketError, BucketResult, Created};
use crate::hybrid::crash;
use driftline_model::content::Content;
use driftline_model::format::legacy::{
    LEGACY_PREFIX, LegacySnapshot, legacy_index_key, lost_legacy_index, parse_legacy_key,
};
use driftline_model::format::{Damage, IndexEntry, Problem, index_key};
use driftline_model::{Digest, Entry, EntryMeta, Epoch, Seq, Stream, TenantId, genesis};
use driftline_ports::{
    Error, ErrorKind, Fault, Hint, LegacyMapping, RecoveryState, Result, Side, StoreError,
};

/// What the older layout has to do with a tenant's recovery.
pub(super) struct Legacy {
    /// There is no index of today's format yet: the takeover is due, whatever can be restored.
    due: bool,
    /// The first number that is taken from the older layout.
    first: Seq,
    /// What is taken.
    mapping: Vec<LegacyMapping>,
    /// How many wait for a decision.
    held: u64,
    /// Some are left out, because somebody decided so.
    leaves_out: bool,
}

/// Completes a plan with what only the older layout holds. Of a tenant that has nothing to do with it, this reads no more
/// than what tells so, and only where the index is lost or damaged.
pub(super) async fn take_in(context: &Context<'_>, plan: &mut Plan, keys: &[String]) -> Result<()> {
    let (bucket, tenant) = (context.sides.bucket(), plan.tenant.clone());
    let known = context.taken_over.contains(&tenant);
    let inventory = &plan.streams[Stream::Manifests];
    let Some(origin) = origin(&bucket, &tenant, keys, inventory, known).await? else {
        return Ok(());
    };
    let limits = Limits {
        content: context.settings.content_limit,
        memory: context.settings.recovery_memory,
        requests: context.settings.concurrent_requests,
    };
    let mut stock = None;
    if !known {
        let found = take_stock_within(&bucket, &tenant, keys, limits).await?;
        if origin.is_mistaken(&found, known) {
            return Ok(());
        }
        stock = Some(found);
        look(context, plan, keys, &[]).await?;
    }
    let due = origin == Origin::Index || !known;
    let mut there = history(context, plan).await?;
    let versions: BTreeSet<_> = keys
        .iter()
        .filter_map(|key| parse_legacy_key(&tenant, key))
        .collect();
    let accept = context.request.accept_unverified;
    plan.legacy = Some(Legacy {
        due,
        first: Seq::new(u64::MAX),
        mapping: Vec::new(),
        held: 0,
        leaves_out: false,
    });
    // A history that is as long as the older layout's holds what was taken from it.
    if !due && !accept && there.len() >= versions.len() {
        return Ok(());
    }
    let stock = match stock {
        Some(stock) => stock,
        None => take_stock_within(&bucket, &tenant, keys, limits).await?,
    };
    if !stock.todays.is_empty() {
        look(context, plan, keys, &stock.todays).await?;
        there = history(context, plan).await?;
    }
    let unproven = unproven(context, plan, due).await?;
    let inventory = &mut plan.streams[Stream::Manifests];
    if origin == Origin::Index {
        let index = index_key(&tenant, Stream::Manifests);
        inventory
            .worked_around
            .retain(|damage| damage.object != index);
    }
    let from = inventory.entries.len();
    let choice = choose(&stock, &there, from, unproven);
    if due && choice.is_foreign {
        plan.state = RecoveryState::Diverged;
        plan.failures.extend(contradiction(&stock, &there));
        return Ok(());
    }
    let first = Seq::new(there.len() as u64 + 1);
    let mapping = choice.mapping(first);
    let (held, leaves_out) = (choice.held, choice.leaves_out);
    choice.append(&bucket, &tenant, inventory, &there);
    plan.failures.extend(choice.failures);
    inventory.worked_around.extend(stock.index);
    plan.legacy = Some(Legacy {
        due,
        first,
        mapping,
        held,
        leaves_out,
    });
    Ok(())
}

/// What becomes of versions that nothing proves: a tenant that takes writes already, or for which somebody decided before, is
/// not asked about again.
async fn unproven(context: &Context<'_>, plan: &Plan, due: bool) -> Result<Unproven> {
    if context.request.accept_unverified {
        return Ok(Unproven::Taken);
    }
    let seen = plan.seen.as_ref();
    let is_open = !due && seen.is_some_and(|state| !state.awaiting_recovery);
    if context.request.leave_out || is_open {
        return Ok(Unproven::LeftOut);
    }
    let decided = context
        .sides
        .bucket()
        .get(&left_out_key(&plan.tenant))
        .await?;
    Ok(decided.map_or(Unproven::Wait, |_| Unproven::LeftOut))
}

/// Where it is written that a tenant was opened without what nothing proves: that outlives the database.
fn left_out_key(tenant: &TenantId) -> String {
    format!("_driftline/left-out/{tenant}.json")
}

/// Writes down that the tenant is opened without what nothing proves, if that was decided just now.
pub(super) async fn remember(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let leaves_out = plan.legacy.as_ref().is_some_and(|it| it.leaves_out);
    if !leaves_out || !context.request.leave_out {
        return Ok(());
    }
    let left: Vec<_> = plan.failures.iter().map(|damage| &damage.object).collect();
    let (by, at) = (&context.request.by, context.sides.now());
    let document = serde_json::json!({
        "schema": "driftline.left-out.v1", "tenant": plan.tenant, "by": by, "at": at, "objects": left,
    });
    let bytes = format!("{document:#}\n").into();
    let key = left_out_key(&plan.tenant);
    // Whoever decided first decided the same.
    context.sides.bucket().create(&key, &bytes).await?;
    Ok(())
}

impl Legacy {
    /// The index has to be replaced by one of today's format, whatever can be restored.
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    /// How many versions wait for a decision.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Old versions and digests beside the new ones.
    pub(super) fn mapping(&self) -> &[LegacyMapping] {
        &self.mapping
    }
}

/// Gives what was taken from the older layout the epoch that the recovery got.
pub(super) fn chain(plan: &mut Plan, epoch: Epoch) {
    let Some(legacy) = &plan.legacy else { return };
    let inventory = &mut plan.streams[Stream::Manifests];
    let mut chain = genesis(&plan.tenant, Stream::Manifests);
    for Recoverable { named, .. } in &mut inventory.entries {
        if named.meta.seq >= legacy.first {
            named.meta.epoch = epoch;
            named.meta.chain = named.meta.expected_chain(chain);
        }
        chain = named.meta.chain;
    }
}

/// Copies the index of the older layout to where it stays, before today's takes its place.
pub(super) async fn preserve(context: &Context<'_>, plan: &Plan) -> Result<()> {
    if !plan.legacy.as_ref().is_some_and(Legacy::is_due) {
        return Ok(());
    }
    let (bucket, tenant) = (context.sides.bucket(), &plan.tenant);
    let stale = |what: &str| {
        Error::new(
            ErrorKind::Stale,
            format!("recover {tenant}: {what} changed meanwhile"),
        )
        .hint(Hint::WaitForOthers)
    };
    let index = index_key(tenant, Stream::Manifests);
    let bytes = match &plan.streams[Stream::Manifests].etag {
        Some(_) => {
            let object = bucket.get(&index).await?;
            object.ok_or_else(|| stale(&index))?.bytes
        }
        None => lost_legacy_index(tenant),
    };
    let mut key = legacy_index_key(tenant);
    if let Created::Exists(_) = bucket.create(&key, &bytes).await? {
        // The older system went on and replaced today's index: its second one is kept beside the first.
        key = format!("{LEGACY_PREFIX}{tenant}/index-{}.json", Digest::of(&bytes));
        if let Created::Exists(_) = bucket.create(&key, &bytes).await? {
            return Err(stale(&key));
        }
    }
    let kept = bucket.get(&key).await?;
    if kept.is_none_or(|kept| kept.bytes != bytes) {
        return Err(stale(&key));
    }
    crash::point("recover-legacy-copy");
    Ok(())
}

/// The entry of an object of the older layout, as it was when stock was taken.
pub(super) async fn read(
    context: &Context<'_>,
    key: &str,
    named: &IndexEntry,
) -> BucketResult<Entry> {
    let meta = &named.meta;
    let (of, place, sha256) = (meta.tenant.clone(), key.to_owned(), named.object_sha256);
    let limit = context.settings.content_limit;
    let read = context
        .sides
        .bucket()
        .read(key, move |object| {
            let key = &place;
            Damage::check_object(key, sha256, &object.bytes)?;
            let snapshot = LegacySnapshot::parse(&of, key, &object.bytes)?;
            let raw = snapshot
                .map(|snapshot| snapshot.content)
                .unwrap_or_default();
            Content::parse_committed(&raw, limit)
                .map_err(|error| Damage::new(key, Problem::Refused(error)))
        })
        .await;
    match read {
        Ok(Some((canonical, _))) => Ok(Entry {
            meta: meta.clone(),
            content: canonical,
        }),
        Err(error @ BucketError::Store(_)) => Err(error),
        // It was whole a moment ago. Without it those after it would have no place, so this is no loss of one entry.
        Ok(None) | Err(BucketError::Damage(_)) => Err(StoreError::new(
            Side::Bucket,
            Fault::Unavailable,
            format!("read {key}: it changed meanwhile"),
        )
        .into()),
    }
}

/// What can be recovered of a tenant whose index is none of today's, for readers that change nothing. What comes from the
/// older layout is in epoch 0.
pub(super) async fn recoverable(
    bucket: &Bucket,
    tenant: &TenantId,
    keys: &[String],
) -> BucketResult<Vec<IndexEntry>> {
    let known = bucket.get(&legacy_index_key(tenant)).await?.is_some();
    let visible = todays(tenant, keys, known);
    let mut inventory =
        inventory::take(bucket, None, tenant, Stream::Manifests, &visible, 0).await?;
    let older = match origin(bucket, tenant, keys, &inventory, known).await? {
        Some(origin) => {
            let stock = take_stock(bucket, tenant, keys).await?;
            (!origin.is_mistaken(&stock, known)).then_some(stock)
        }
        None => None,
    };
    if let Some(stock) = older {
        if !known {
            inventory = look_again(bucket, tenant, keys, &[], 0).await?;
        }
        let there = inventory.entries.iter();
        let there: Vec<_> = there.map(|entry| entry.named.meta.clone()).collect();
        let choice = choose(&stock, &there, there.len(), Unproven::LeftOut);
        choice.append(bucket, tenant, &mut inventory, &there);
    }
    let known = inventory.entries.into_iter();
    let known = known.filter(|entry| entry.unknown.is_none());
    Ok(known.map(|entry| entry.named).collect())
}

/// Takes stock of today's objects anew, now that it is clear which are none: keys like the older layout's, but for `todays`.
async fn look(
    context: &Context<'_>,
    plan: &mut Plan,
    keys: &[String],
    todays: &[String],
) -> Result<()> {
    let (bucket, memory) = (context.sides.bucket(), context.settings.recovery_memory);
    let inventory = look_again(&bucket, &plan.tenant, keys, todays, memory).await?;
    plan.streams[Stream::Manifests] = inventory;
    let streams = plan.streams.iter();
    plan.failures = streams
        .flat_map(|(_, inventory)| inventory.failures.clone())
        .collect();
    Ok(())
}

/// The longer of the two histories at hand. That they agree is checked when they are compared.
async fn history(context: &Context<'_>, plan: &Plan) -> Result<Vec<EntryMeta>> {
    let entries = &plan.streams[Stream::Manifests].entries;
    let head = plan
        .seen
        .as_ref()
        .map_or(0, |state| state.heads[Stream::Manifests].seq.get());
    if head <= entries.len() as u64 {
        return Ok(entries
            .iter()
            .map(|entry| entry.named.meta.clone())
            .collect());
    }
    let database = &context.sides.database;
    let (mut newest_first, mut before) = (Vec::new(), None);
    loop {
        let page = database
            .history(&plan.tenant, Stream::Manifests, before, 1000)
            .await?;
        before = page.last().map(|meta| meta.seq);
        let is_last = page.len() < 1000;
        newest_first.extend(page);
        if is_last {
            newest_first.reverse();
            return Ok(newest_first);
        }
    }
}
