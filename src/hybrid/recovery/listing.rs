//! The bucket's objects, tenant by tenant.
//!
//! In which order a store lists is its own affair: most sort whole keys by their bytes, some folder by folder. Either way a
//! tenant's objects come together, and that they do is checked. A tenant's keys are sorted here.

use std::collections::{BTreeSet, VecDeque};

use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};

use crate::domain::TenantId;
use crate::domain::format::tenant_of;
use crate::ports::{Fault, Side, SnapshotStore, StoreError, StoreResult};

const PAGE: usize = 1000;

/// A tenant and the keys of its objects, in byte order.
pub(crate) type TenantObjects = (TenantId, Vec<String>);

/// Walks through a listing once and groups it by tenant.
pub(crate) struct Lister<'a> {
    store: &'a dyn SnapshotStore,
    prefix: String,
    read: VecDeque<String>,
    last: Option<String>,
    more: bool,
    done: BTreeSet<TenantId>,
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
        }
    }

    /// The objects of one tenant.
    pub(crate) async fn of(
        store: &'a dyn SnapshotStore,
        tenant: &TenantId,
    ) -> StoreResult<Vec<String>> {
        let mut lister = Self {
            prefix: format!("{tenant}/"),
            ..Self::all(store)
        };
        Ok(lister
            .next()
            .await?
            .map(|(_, keys)| keys)
            .unwrap_or_default())
    }

    /// All of them, one after the other.
    pub(crate) fn tenants(self) -> BoxStream<'a, StoreResult<TenantObjects>> {
        stream::try_unfold(self, |mut lister| {
            async move { Ok(lister.next().await?.map(|found| (found, lister))) }.boxed()
        })
        .boxed()
    }

    /// The next tenant; `None` at the end.
    pub(crate) async fn next(&mut self) -> StoreResult<Option<TenantObjects>> {
        let Some((tenant, mut keys)) = self.group().await? else {
            return Ok(None);
        };
        if !self.done.insert(tenant.clone()) {
            let message = format!(
                "list the bucket: the objects of {tenant} do not come together, so that nobody can tell when all are read"
            );
            return Err(StoreError::new(Side::Bucket, Fault::Refused, message));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Some((tenant, keys)))
    }

    async fn group(&mut self) -> StoreResult<Option<TenantObjects>> {
        let mut group: Option<TenantObjects> = None;
        loop {
            while let Some(key) = self.read.pop_front() {
                // What belongs to no tenant is none of recovery's business.
                let Some(tenant) = tenant_of(&key) else {
                    continue;
                };
                match &mut group {
                    Some((name, keys)) if *name == tenant => keys.push(key),
                    Some(_) => {
                        self.read.push_front(key);
                        return Ok(group);
                    }
                    None => group = Some((tenant, vec![key])),
                }
            }
            if !self.more {
                return Ok(group);
            }
            let listing = self
                .store
                .list(&self.prefix, self.last.as_deref(), PAGE)
                .await?;
            self.more = listing.more && !listing.objects.is_empty();
            if let Some(last) = listing.objects.last() {
                self.last = Some(last.key.clone());
            }
            self.read
                .extend(listing.objects.into_iter().map(|object| object.key));
        }
    }
}
