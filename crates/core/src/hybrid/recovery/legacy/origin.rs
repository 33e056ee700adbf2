//! Which tenants come from the older layout, and which of their objects are today's.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::stock::LegacyInventory;
use crate::hybrid::bucket::{Bucket, BucketError, BucketResult};
use crate::hybrid::recovery::inventory::{self, Inventory};
use driftline_model::format::legacy::{
    LEGACY_PREFIX, LegacyIndex, LegacySnapshot, parse_legacy_key,
};
use driftline_model::format::{Damage, Problem, index_key, parse_snapshot_key};
use driftline_model::{Epoch, Stream, TenantId};

/// The tenants that were taken over from the older layout.
pub(crate) async fn taken_over(bucket: &Bucket) -> BucketResult<BTreeSet<TenantId>> {
    let mut tenants = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let listing = bucket
            .store()
            .list(LEGACY_PREFIX, after.as_deref(), 1000)
            .await?;
        after = listing.objects.last().map(|object| object.key.clone());
        let names = listing.objects.iter().filter_map(|object| {
            let (name, _) = object.key.strip_prefix(LEGACY_PREFIX)?.split_once('/')?;
            name.parse::<TenantId>().ok()
        });
        tenants.extend(names);
        if !listing.more || after.is_none() {
            return Ok(tenants);
        }
    }
}

/// The keys of a tenant that was taken over, without those of the older layout.
pub(in crate::hybrid::recovery) fn todays<'a>(
    tenant: &TenantId,
    keys: &'a [String],
    was_taken_over: bool,
) -> Cow<'a, [String]> {
    if !was_taken_over {
        return Cow::Borrowed(keys);
    }
    let todays = keys
        .iter()
        .filter(|key| parse_legacy_key(tenant, key).is_none());
    Cow::Owned(todays.cloned().collect())
}

/// How a tenant shows that it comes from the older layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The index in place is that layout's.
    Index,
    /// Its objects are, or the tenant was taken over already.
    Objects,
}

impl Origin {
    /// Whether it was an object that was mistaken: nothing but objects said so, and others are today's.
    pub(super) fn is_mistaken(self, stock: &LegacyInventory, known: bool) -> bool {
        self == Self::Objects && !known && !stock.todays.is_empty()
    }
}

/// Whether the tenant comes from the older layout. An index of today's format that was not taken over says no at once.
pub(super) async fn origin(
    bucket: &Bucket,
    tenant: &TenantId,
    keys: &[String],
    inventory: &Inventory,
    known: bool,
) -> BucketResult<Option<Origin>> {
    let objects = known.then_some(Origin::Objects);
    if inventory.index.is_some() {
        return Ok(objects);
    }
    if inventory.etag.is_some() {
        let key = index_key(tenant, Stream::Manifests);
        let (of, place) = (tenant.clone(), key.clone());
        let read = bucket.read(&key, move |object| {
            LegacyIndex::parse(&of, &place, &object.bytes)
        });
        match read.await {
            Ok(Some((Some(_), _))) => return Ok(Some(Origin::Index)),
            Ok(_) | Err(BucketError::Damage(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if known {
        return Ok(objects);
    }
    if keys.iter().any(|key| is_of_first_epoch(key)) {
        return Ok(None);
    }
    // Without an index that can be read the first readable object tells.
    for key in keys {
        if parse_legacy_key(tenant, key).is_none() {
            continue;
        }
        let (of, place) = (tenant.clone(), key.clone());
        let read = bucket.read(key, move |object| {
            LegacySnapshot::parse(&of, &place, &object.bytes)
        });
        match read.await {
            Ok(Some((found, _))) => return Ok(found.map(|_| Origin::Objects)),
            Ok(None) | Err(BucketError::Damage(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A tenant that comes from the older layout begins in a later epoch: an apply or a decision of the first one says that it does
/// not.
fn is_of_first_epoch(key: &str) -> bool {
    parse_snapshot_key(key)
        .is_some_and(|(stream, _, epoch)| stream != Stream::Manifests && epoch == Epoch::FIRST)
}

/// The stock of today's objects, taken anew once it is clear which objects are none. Of those with keys like the older
/// layout's it counts those in `also`.
pub(super) async fn look_again(
    bucket: &Bucket,
    tenant: &TenantId,
    keys: &[String],
    also: &[String],
    memory: u64,
) -> BucketResult<Inventory> {
    let mut keys = todays(tenant, keys, true).into_owned();
    keys.extend_from_slice(also);
    let mut inventory =
        inventory::take(bucket, None, tenant, Stream::Manifests, &keys, memory).await?;
    let index = index_key(tenant, Stream::Manifests);
    let is_named = |damage: &Damage| damage.object == index;
    if inventory.etag.is_none() && !inventory.worked_around.iter().any(is_named) {
        let lost = Damage::new(&index, Problem::Missing);
        inventory.worked_around.push(lost);
    }
    Ok(inventory)
}
