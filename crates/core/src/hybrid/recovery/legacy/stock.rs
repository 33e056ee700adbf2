//! What the older layout holds of a tenant, object by object, and what each is worth. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::stream::{self, StreamExt};

use super::object::{LegacyManifest, LegacyObject, LegacyVerdict};
use crate::hybrid::bucket::{Bucket, BucketError, BucketResult};
use driftline_model::content::Content;
use driftline_model::format::legacy::{
    LEGACY_PREFIX, LegacyEntry, LegacyIndex, LegacySnapshot, legacy_id, parse_legacy_key,
};
use driftline_model::format::{Damage, Problem, index_key};
use driftline_model::{Digest, Seq, Stream, TenantId};

/// A tenant's objects of the older layout.
#[derive(Debug, Default)]
pub(crate) struct LegacyInventory {
    /// What the index names and what is there, by version. A version that lies there twice with the same content stands here
    /// once; several entries of one version are damaged or contradict each other.
    pub(crate) entries: Vec<LegacyObject>,
    /// What is wrong with the index itself.
    pub(crate) index: Vec<Damage>,
    /// Objects of today's format under keys that the older layout uses.
    pub(crate) todays: Vec<String>,
}

/// How much is read, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The largest content, in bytes.
    pub(super) content: usize,
    /// Content that is kept, in bytes.
    pub(super) memory: u64,
    /// Requests at once.
    pub(super) requests: usize,
}

/// Classifies a tenant's objects of the older layout, given the keys of all its objects. Reads each of them, its index, and
/// the copy of that index if the tenant was taken over; changes nothing.
pub(crate) async fn take_stock(
    bucket: &Bucket,
    tenant: &TenantId,
    keys: &[String],
) -> BucketResult<LegacyInventory> {
    let limits = Limits {
        content: Content::DEFAULT_LIMIT,
        memory: 0,
        requests: 8,
    };
    take_stock_within(bucket, tenant, keys, limits).await
}

/// The same within other limits.
pub(super) async fn take_stock_within(
    bucket: &Bucket,
    tenant: &TenantId,
    keys: &[String],
    limits: Limits,
) -> BucketResult<LegacyInventory> {
    let mut inventory = LegacyInventory::default();
    let named = indexes(bucket, tenant, &mut inventory.index).await?;
    let listed: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    let mut wanted: BTreeSet<(Seq, &str)> = listed
        .iter()
        .filter_map(|key| Some((parse_legacy_key(tenant, key)?, *key)))
        .collect();
    for entry in named.values().flatten() {
        let key = entry.key(tenant, bucket.store().prefix());
        // The index may name objects in some other way than by their version.
        wanted.extend(key.and_then(|key| Some((entry.version, *listed.get(key)?))));
    }
    let wanted: Vec<(Seq, &str)> = wanted.into_iter().collect();
    let mut read = stream::iter(0..wanted.len())
        .map(|at| {
            let (version, key) = wanted[at];
            let named = named.get(&version).map_or(&[][..], Vec::as_slice);
            look(bucket, tenant, version, key, named, limits.content)
        })
        .buffered(limits.requests.max(1));
    let mut found: BTreeMap<Seq, Vec<LegacyObject>> = BTreeMap::new();
    let mut memory = limits.memory;
    while let Some(object) = read.next().await {
        let mut object = match object? {
            Look::Legacy(object) => *object,
            Look::Todays(key) => {
                inventory.todays.push(key);
                continue;
            }
        };
        if let Some(manifest) = &mut object.manifest {
            match memory.checked_sub(manifest.content_bytes) {
                Some(left) => memory = left,
                None => manifest.content = None,
            }
        }
        found.entry(object.version).or_default().push(object);
    }
    for (version, entries) in &named {
        found.entry(*version).or_insert_with(|| {
            let key = entries
                .iter()
                .find_map(|entry| entry.key(tenant, bucket.store().prefix()));
            let key = key.map_or_else(
                || format!("{tenant}/versions/v{:06}.json", version.get()),
                str::to_owned,
            );
            vec![LegacyObject {
                version: *version,
                key,
                verdict: LegacyVerdict::Missing,
                told: None,
                manifest: None,
            }]
        });
    }
    let mut ids = HashSet::new();
    for mut object in found.into_values().flat_map(reconcile) {
        if let Some(manifest) = &mut object.manifest {
            let own = manifest.facts.id.filter(|id| ids.insert(*id));
            manifest.id = own.unwrap_or(manifest.id);
        }
        inventory.entries.push(object);
    }
    Ok(inventory)
}

/// What the indexes name: the one in place, if it is of the older layout, and those that were copied when the tenant was
/// taken over.
async fn indexes(
    bucket: &Bucket,
    tenant: &TenantId,
    damages: &mut Vec<Damage>,
) -> BucketResult<BTreeMap<Seq, Vec<LegacyEntry>>> {
    let mut keys = vec![index_key(tenant, Stream::Manifests)];
    let copies = format!("{LEGACY_PREFIX}{tenant}/");
    let listing = bucket.store().list(&copies, None, 1000).await?;
    keys.extend(listing.objects.into_iter().map(|object| object.key));
    let mut named: BTreeMap<Seq, Vec<LegacyEntry>> = BTreeMap::new();
    for key in keys {
        let (of, place) = (tenant.clone(), key.clone());
        let read = bucket.read(&key, move |object| {
            LegacyIndex::parse(&of, &place, &object.bytes)
        });
        match read.await {
            Ok(Some((Some(index), _))) => {
                if index.unreadable > 0 {
                    let reason = format!("{} of its entries cannot be read", index.unreadable);
                    damages.push(Damage::malformed(&key, reason));
                }
                for entry in index.entries {
                    named.entry(entry.version).or_default().push(entry);
                }
            }
            Ok(Some((None, _)) | None) => {}
            // The objects tell without it.
            Err(BucketError::Damage(damage)) => damages.push(damage),
            Err(error) => return Err(error),
        }
    }
    Ok(named)
}

enum Look {
    Legacy(Box<LegacyObject>),
    Todays(String),
}

/// Reads one object and judges it.
async fn look(
    bucket: &Bucket,
    tenant: &TenantId,
    version: Seq,
    key: &str,
    named: &[LegacyEntry],
    limit: usize,
) -> BucketResult<Look> {
    let object = |verdict, told, manifest| {
        Ok(Look::Legacy(Box::new(LegacyObject {
            version,
            key: key.to_owned(),
            verdict,
            told,
            manifest,
        })))
    };
    let (of, place) = (tenant.clone(), key.to_owned());
    let read = bucket.read(key, move |object| {
        let snapshot = LegacySnapshot::parse(&of, &place, &object.bytes)?;
        Ok(snapshot.map(|snapshot| (snapshot, Digest::of(&object.bytes))))
    });
    let (snapshot, object_sha256) = match read.await {
        Ok(Some((Some(read), _))) => read,
        Ok(Some((None, _))) => return Ok(Look::Todays(key.to_owned())),
        Ok(None) => return object(LegacyVerdict::Missing, None, None),
        Err(BucketError::Damage(damage)) => {
            return object(LegacyVerdict::Malformed(damage.problem), None, None);
        }
        Err(error) => return Err(error),
    };
    if let Some(other) = snapshot.version.filter(|other| *other != version) {
        let problem = Problem::Misplaced {
            expected: format!("version {version}"),
            found: format!("version {other}"),
        };
        return object(LegacyVerdict::Malformed(problem), None, None);
    }
    let verdict = judge(&snapshot, named);
    let content = match Content::parse_committed(&snapshot.content, limit) {
        Ok(content) => content,
        Err(error) => {
            return object(LegacyVerdict::Refused(error), Some(snapshot.actual), None);
        }
    };
    let facts = named
        .iter()
        .fold(snapshot.facts, |facts, entry| facts.or(&entry.facts));
    let manifest = LegacyManifest {
        id: legacy_id(tenant, version, content.checksum()),
        facts,
        checksum: content.checksum(),
        content_bytes: content.len() as u64,
        object_sha256,
        content: Some(content),
    };
    object(verdict, Some(manifest.checksum), Some(manifest))
}

/// Whether the digests on record, in the object and in the index, are those of the content.
fn judge(snapshot: &LegacySnapshot, named: &[LegacyEntry]) -> LegacyVerdict {
    let actual = snapshot.actual;
    let own = snapshot.facts.checksum;
    let mut on_index = named.iter().filter_map(|entry| entry.facts.checksum);
    let first = on_index.next();
    // Of the index's entries for one version one has to be right; the others may be left from earlier tries.
    let is_on_index = first == Some(actual) || on_index.any(|digest| digest == actual);
    let wrong = own
        .filter(|own| *own != actual)
        .or(first.filter(|_| !is_on_index));
    if wrong.is_none() && (own.is_some() || is_on_index) {
        LegacyVerdict::Verified
    } else {
        LegacyVerdict::Unverifiable {
            stored: wrong,
            actual,
        }
    }
}

/// The objects of one version: those with the same content are one, and contents that differ contradict each other.
fn reconcile(mut objects: Vec<LegacyObject>) -> Vec<LegacyObject> {
    let contents: BTreeMap<Digest, String> = objects
        .iter()
        .filter_map(|object| Some((object.told?, object.key.clone())))
        .collect();
    if contents.len() > 1 {
        for object in &mut objects {
            let other = |other: &(&Digest, &String)| object.told.is_some_and(|own| own != *other.0);
            if let Some((_, other)) = contents.iter().find(other) {
                object.verdict = LegacyVerdict::Contradicted {
                    other: other.clone(),
                };
            }
        }
        return objects;
    }
    // The proven one of several with the same content stands for all.
    objects.sort_by_key(|object| object.verdict != LegacyVerdict::Verified);
    let mut is_first = true;
    objects.retain(|object| object.told.is_none() || std::mem::take(&mut is_first));
    objects
}
