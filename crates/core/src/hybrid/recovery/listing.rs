//! The bucket's objects, tenant by tenant.
//!
//! In which order a store lists is its own affair: most sort whole keys by their bytes, some folder by folder. Either way a
//! tenant's objects come together, and that they do is checked. A tenant's keys are sorted here. One that cannot be read has an
//! error in their place, and the others come all the same.

use std::collections::{BTreeSet, VecDeque};

use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use driftline_model::TenantId;
use driftline_model::format::tenant_of;
use driftline_ports::{Fault, Listed, Side, SnapshotStore, StoreError, StoreResult, Unread};

const PAGE: usize = 1000;

/// A tenant and its objects, in byte order of their keys.
pub(crate) type TenantObjects = (TenantId, StoreResult<Vec<Listed>>);

/// A tenant and the keys of its objects, in byte order.
pub(crate) type TenantKeys = (TenantId, StoreResult<Vec<String>>);

/// The keys of objects.
pub(crate) fn keys(objects: &[Listed]) -> Vec<String> {
    objects.iter().map(|object| object.key.clone()).collect()
}

/// Walks through a listing once and groups it by tenant.
pub(crate) struct Lister<'a> {
    store: &'a dyn SnapshotStore,
    prefix: String,
    read: VecDeque<Listed>,
    last: Option<String>,
    more: bool,
    done: BTreeSet<TenantId>,
    /// Those that could not be read and are still to be told.
    unread: VecDeque<(TenantId, StoreError)>,
    failed: BTreeSet<TenantId>,
}

impl<'a> Lister<'a> {
    /// Every tenant.
    pub(crate) fn all(store: &'a dyn SnapshotStore) -> Self {
        Self {
            store,
            prefix: String::new(),
            read: VecDeque::new(),
            last: None,
            more: true,
            done: BTreeSet::new(),
            unread: VecDeque::new(),
            failed: BTreeSet::new(),
        }
    }

    /// The keys of one tenant's objects.
    pub(crate) async fn of(
        store: &'a dyn SnapshotStore,
        tenant: &TenantId,
    ) -> StoreResult<Vec<String>> {
        Ok(keys(&Self::objects_of(store, tenant).await?))
    }

    /// The objects of one tenant.
    pub(crate) async fn objects_of(
        store: &'a dyn SnapshotStore,
        tenant: &TenantId,
    ) -> StoreResult<Vec<Listed>> {
        let mut lister = Self {
            prefix: format!("{tenant}/"),
            ..Self::all(store)
        };
        match lister.next().await? {
            Some((_, objects)) => objects,
            None => Ok(Vec::new()),
        }
    }

    /// All of them, one after the other.
    pub(crate) fn objects(self) -> BoxStream<'a, StoreResult<TenantObjects>> {
        stream::try_unfold(self, |mut lister| {
            async move { Ok(lister.next().await?.map(|found| (found, lister))) }.boxed()
        })
        .boxed()
    }

    /// The keys of all of them, one tenant after the other.
    pub(crate) fn tenants(self) -> BoxStream<'a, StoreResult<TenantKeys>> {
        self.objects()
            .map_ok(|(tenant, objects)| (tenant, objects.map(|objects| keys(&objects))))
            .boxed()
    }

    /// The next tenant; `None` at the end.
    pub(crate) async fn next(&mut self) -> StoreResult<Option<TenantObjects>> {
        let Some((tenant, objects)) = self.group().await? else {
            return Ok(None);
        };
        if !self.done.insert(tenant.clone()) {
            let message = format!(
                "list the bucket: the objects of {tenant} do not come together, so that nobody can tell when all are read"
            );
            return Err(StoreError::new(Side::Bucket, Fault::Refused, message));
        }
        let objects = objects.map(|mut objects| {
            objects.sort_unstable_by(|left, right| left.key.cmp(&right.key));
            objects.dedup_by(|left, right| left.key == right.key);
            objects
        });
        Ok(Some((tenant, objects)))
    }

    async fn group(&mut self) -> StoreResult<Option<TenantObjects>> {
        let mut group: Option<(TenantId, Vec<Listed>)> = None;
        let whole = |group: Option<(TenantId, Vec<Listed>)>| {
            group.map(|(tenant, objects)| (tenant, Ok(objects)))
        };
        loop {
            // What was read of it before it failed is not all of it.
            let failed = match &group {
                None => self.unread.pop_front(),
                Some((name, _)) => {
                    let place = self.unread.iter().position(|(tenant, _)| tenant == name);
                    place.and_then(|place| self.unread.remove(place))
                }
            };
            if let Some((tenant, error)) = failed {
                self.failed.insert(tenant.clone());
                return Ok(Some((tenant, Err(error))));
            }
            while let Some(object) = self.read.pop_front() {
                // What belongs to no tenant is none of recovery's business.
                let Some(tenant) = tenant_of(&object.key) else {
                    continue;
                };
                if self.failed.contains(&tenant) {
                    continue;
                }
                match &mut group {
                    Some((name, objects)) if *name == tenant => objects.push(object),
                    Some(_) => {
                        self.read.push_front(object);
                        return Ok(whole(group));
                    }
                    None => group = Some((tenant, vec![object])),
                }
            }
            if !self.more {
                return Ok(whole(group));
            }
            let listing = self
                .store
                .list(&self.prefix, self.last.as_deref(), PAGE)
                .await?;
            self.more = listing.more && !listing.objects.is_empty();
            if let Some(last) = listing.objects.last() {
                self.last = Some(last.key.clone());
            }
            self.read.extend(listing.objects);
            self.put_off(listing.unread);
        }
    }

    /// Remembers what could not be read, once for each tenant.
    fn put_off(&mut self, unread: Vec<Unread>) {
        for Unread { folder, reason } in unread {
            let Ok(tenant) = folder.parse::<TenantId>() else {
                continue;
            };
            let is_told =
                self.done.contains(&tenant) || self.unread.iter().any(|(name, _)| *name == tenant);
            if !is_told {
                let error = StoreError::new(Side::Bucket, Fault::Refused, reason);
                self.unread.push_back((tenant, error));
            }
        }
    }
}
