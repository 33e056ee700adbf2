//! The bucket as a drill sees it: reads pass to the store, writes stay here.
//!
//! Recovery fences a bucket before it restores from it, and a drill has to let it without touching what is really there. A
//! key that was written or removed here is answered from here; every other one from the store. Conditions hold against the
//! same view, and for the objects that are replaced (`bucket.json` and the indexes) against what was *last read through it*:
//! a replicator that moves on meanwhile would otherwise make every drill of a busy tenant fail. No method sends a PUT or a
//! DELETE. What is kept is small: recovery writes nothing but identities, indexes and pages, and a tenant that is done can
//! be forgotten.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use driftline_model::TenantId;
use driftline_model::format::{BUCKET_KEY, most_bytes};
use driftline_ports::{
    BackendInfo, ETag, Inspection, Listed, Listing, Object, Precondition, PutOutcome,
    SnapshotStore, StoreResult, Verdict, within,
};

/// A store whose writes never reach the one below.
#[derive(Debug)]
pub struct Overlay {
    below: Arc<dyn SnapshotStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was written (`Some`) or removed (`None`) here.
    over: BTreeMap<String, Option<Object>>,
    /// The replaceable objects of the store below, as they were read last.
    seen: BTreeMap<String, Option<ETag>>,
    writes: u64,
}

impl Overlay {
    /// A view of `below` in which nothing is written yet.
    pub fn new(below: Arc<dyn SnapshotStore>) -> Self {
        Self {
            below,
            state: Mutex::default(),
        }
    }

    /// Drops what was written and seen of a tenant, whose objects are from now on those of the store below.
    pub fn forget(&self, tenant: &TenantId) {
        let prefix = format!("{tenant}/");
        let mut state = self.state();
        state.over.retain(|key, _| !key.starts_with(&prefix));
        state.seen.retain(|key, _| !key.starts_with(&prefix));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No method leaves the maps half changed, whatever made another thread panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the store below, and remembers the version of what can be replaced there.
    async fn read_below(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let found = self.below.get(key, most).await?;
        if key == BUCKET_KEY || key.ends_with("/index.json") {
            let etag = found.as_ref().map(|object| object.etag.clone());
            self.state().seen.insert(key.to_owned(), etag);
        }
        Ok(found)
    }

    /// The version below, as it was read last, or else as it is.
    async fn version_below(&self, key: &str) -> StoreResult<Option<ETag>> {
        if let Some(seen) = self.state().seen.get(key) {
            return Ok(seen.clone());
        }
        Ok(self
            .read_below(key, most_bytes(key))
            .await?
            .map(|object| object.etag))
    }
}

impl State {
    fn write(&mut self, key: &str, bytes: Bytes) -> ETag {
        self.writes += 1;
        // No store gives such a version: theirs are digests or numbers.
        let etag = ETag(format!("drill-{}", self.writes));
        let object = Object {
            bytes,
            etag: etag.clone(),
        };
        self.over.insert(key.to_owned(), Some(object));
        etag
    }

    /// Puts what is here into a part of the listing below, which holds everything up to its last key if there is more.
    fn merge(
        &self,
        mut below: Listing,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Listing {
        if !is_sorted(&below, after) {
            return self.append(below, prefix);
        }
        let known_until = below
            .objects
            .last()
            .filter(|_| below.more)
            .map(|last| last.key.clone());
        let mut merged: BTreeMap<String, u64> = std::mem::take(&mut below.objects)
            .into_iter()
            .map(|object| (object.key, object.size))
            .collect();
        let start = after.filter(|after| *after >= prefix);
        let start = start.map_or(Bound::Included(prefix), Bound::Excluded);
        let here = self
            .over
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take_while(|(key, _)| known_until.as_ref().is_none_or(|until| *key <= until));
        for (key, object) in here {
            match object {
                Some(object) => {
                    merged.insert(key.clone(), object.bytes.len() as u64);
                }
                None => {
                    merged.remove(key);
                }
            }
        }
        let (more, unread) = (below.more || merged.len() > limit, below.unread);
        let objects = merged.into_iter().take(limit);
        Listing {
            objects: objects.map(|(key, size)| Listed { key, size }).collect(),
            more,
            unread,
        }
    }

    /// The same where the store below sorts in another way: what is only here comes after all that is there. A key may come
    /// twice, and the last part may be longer than it was to be.
    fn append(&self, mut below: Listing, prefix: &str) -> Listing {
        below
            .objects
            .retain(|object| !self.over.contains_key(&object.key));
        if !below.more {
            let here = self.over.iter().filter(|(key, _)| key.starts_with(prefix));
            below.objects.extend(here.filter_map(|(key, object)| {
                let size = object.as_ref()?.bytes.len() as u64;
                let key = key.clone();
                Some(Listed { key, size })
            }));
        }
        below
    }
}

/// Whether this part of a listing is in byte order, as far as it shows.
fn is_sorted(listing: &Listing, after: Option<&str>) -> bool {
    let keys = listing.objects.iter().map(|object| object.key.as_str());
    after.into_iter().chain(keys).is_sorted()
}

#[async_trait]
impl SnapshotStore for Overlay {
    fn prefix(&self) -> &str {
        self.below.prefix()
    }

    fn url(&self) -> String {
        self.below.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let here = self.state().over.get(key).cloned();
        match here {
            Some(Some(object)) => within(key, object, most).map(Some),
            Some(None) => Ok(None),
            None => self.read_below(key, most).await,
        }
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        // Another task may write the key while the store below is asked: whatever is here by then counts.
        let is_here = self.state().over.contains_key(key);
        let below = if is_here {
            None
        } else {
            self.version_below(key).await?
        };
        let mut state = self.state();
        let there = match state.over.get(key) {
            Some(here) => here.as_ref().map(|object| object.etag.clone()),
            // Forgotten since the first look.
            None if is_here => return Ok(PutOutcome::Conflict),
            None => below,
        };
        let holds = match condition {
            Precondition::Absent => there.is_none(),
            Precondition::Matches(etag) => there == Some(etag),
        };
        if !holds {
            return Ok(PutOutcome::PreconditionFailed);
        }
        Ok(PutOutcome::Written(state.write(key, bytes)))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let limit = limit.clamp(1, 1000);
        let mut after = after.map(str::to_owned);
        loop {
            let below = self.below.list(prefix, after.as_deref(), limit).await?;
            let last = below.objects.last().map(|last| last.key.clone());
            let merged = self.state().merge(below, prefix, after.as_deref(), limit);
            // A part of which everything was removed here says nothing of what comes after it.
            if merged.objects.is_empty() && merged.more && last.is_some() {
                after = last;
                continue;
            }
            return Ok(merged);
        }
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.state().over.insert(key.to_owned(), None);
        Ok(())
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.below.ping().await
    }

    async fn inspect(&self, _scratch: &str) -> StoreResult<Vec<Inspection>> {
        Ok(vec![Inspection {
            name: "durable",
            verdict: Verdict::Warn,
            detail: "what is written is kept in memory and ends with the drill".to_owned(),
        }])
    }
}
