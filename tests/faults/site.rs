//! Both sides, and what is there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline::adapters::memory::{MemoryDatabase, MemorySnapshotStore};
use driftline::domain::format::{
    Index, IndexEntry, Page, Snapshot, index_key, page_key, parse_snapshot_key, snapshot_key,
};
use driftline::domain::{Entry, Seq, Stream, TenantId};
use driftline::hybrid::{HybridManifestRepository, Sides};
use driftline::ports::{ManifestStore as _, ShadowLedger as _, SnapshotStore};
use driftline_conformance::Intercepted;

use crate::calls::Calls;
use crate::support::world::{Repository, World, create, drain, recover_all, tenant};

/// Every entry of a database.
pub type Rows = BTreeMap<(TenantId, Stream), Vec<Entry>>;

/// One database and one bucket.
pub struct Site {
    pub world: World,
    pub database: Arc<MemoryDatabase>,
    /// What the operation begins with.
    pub rows: Rows,
}

impl Site {
    pub async fn new(world: World, database: Arc<MemoryDatabase>) -> Self {
        let rows = rows(&database).await;
        Self {
            world,
            database,
            rows,
        }
    }

    /// A process whose calls are counted.
    pub fn process(&self, calls: &Calls) -> Repository {
        let (memory, bucket) = (self.database.clone(), self.world.memory.clone());
        let database = Arc::new(Intercepted::new(memory, calls.clone()));
        let snapshots = Arc::new(Intercepted::new(Arc::new(bucket), calls.clone()));
        let sides = Sides {
            database,
            snapshots,
            clock: self.world.clock.clone(),
            entropy: self.world.entropy.clone(),
        };
        Arc::new(HybridManifestRepository::new(
            sides,
            self.world.settings.clone(),
        ))
    }

    /// Every entry that is in the database now.
    pub async fn now(&self) -> Rows {
        rows(&self.database).await
    }

    /// Whether both sides hold the same, entry by entry, and the database knows it; or what is wrong.
    pub async fn agree(&self) -> Result<(), String> {
        for ((tenant, stream), entries) in self.now().await {
            let marks = self.database.watermarks(&tenant).await.unwrap();
            if marks[stream].get() != entries.len() as u64 {
                let mark = marks[stream];
                return Err(format!("{tenant} {stream}: the watermark is at {mark}"));
            }
            let named = self.named(&tenant, stream).await?;
            if named.len() != entries.len() {
                return Err(format!("{tenant} {stream}: {} are named", named.len()));
            }
            for (named, entry) in named.into_iter().zip(&entries) {
                let key = named.key();
                let object = self.world.memory.get(&key, u64::MAX).await.unwrap();
                let object = object.ok_or_else(|| format!("{key} is named and not there"))?;
                let read = Snapshot::parse(&tenant, stream, &key, &object.bytes);
                let read = read.map_err(|damage| damage.to_string())?;
                if read.entry != *entry || read.object_sha256 != named.object_sha256 {
                    return Err(format!("{key} is not the row"));
                }
            }
        }
        Ok(())
    }

    /// The same, and all of it can be brought back from a copy of the bucket.
    async fn settled(&self) -> Result<(), String> {
        self.agree().await?;
        let copy = MemorySnapshotStore::new();
        copy.restore(&self.world.memory.snapshot());
        let fresh = self.world.database();
        recover_all(&self.world.repository_on(&fresh, Arc::new(copy))).await;
        if rows(&fresh).await == self.now().await {
            Ok(())
        } else {
            Err("the bucket brings something else back".to_owned())
        }
    }

    /// What an index and its pages name.
    async fn named(&self, tenant: &TenantId, stream: Stream) -> Result<Vec<IndexEntry>, String> {
        let memory = &self.world.memory;
        let Some(object) = memory
            .get(&index_key(tenant, stream), u64::MAX)
            .await
            .unwrap()
        else {
            return Ok(Vec::new());
        };
        let index =
            Index::parse(tenant, stream, &object.bytes).map_err(|damage| damage.to_string())?;
        let mut entries = Vec::new();
        for number in 1..=index.sealed_pages {
            let object = memory
                .get(&page_key(tenant, stream, number), u64::MAX)
                .await
                .unwrap();
            let object = object.ok_or_else(|| format!("page {number} is missing"))?;
            let page = Page::parse(tenant, stream, number, &object.bytes);
            entries.extend(page.map_err(|damage| damage.to_string())?.entries);
        }
        entries.extend(index.entries);
        Ok(entries)
    }

    /// After a last batch the sides are settled, nobody is halted or waiting, and the bucket holds each entry once.
    pub async fn assert_final(&self, what: &str) {
        let repository = self
            .world
            .repository_on(&self.database, Arc::new(self.world.memory.clone()));
        let drained = drain(&repository).await;
        let left = drained.left;
        assert_eq!(
            left.backing_off + left.stopped,
            0,
            "{what}: somebody is left behind"
        );
        if let Err(problem) = self.agree().await {
            panic!("{what}: {problem}");
        }
        let mut expected = BTreeSet::new();
        for ((tenant, stream), entries) in self.now().await {
            let snapshots = entries
                .iter()
                .map(|entry| snapshot_key(&tenant, stream, entry.meta.seq, entry.meta.epoch));
            expected.extend(snapshots);
        }
        let found = self.world.keys("").await;
        let found: BTreeSet<_> = found
            .into_iter()
            .filter(|key| parse_snapshot_key(key).is_some())
            .collect();
        assert_eq!(
            found, expected,
            "{what}: the snapshots are not those of the entries"
        );
        // And the history goes on after its newest version.
        let acme = tenant("acme");
        let head = self.database.tenant(&acme).await.unwrap().unwrap().heads[Stream::Manifests];
        let next = create(&repository, &acme, "and on").await.manifest;
        assert_eq!(next.version(), head.seq.next(), "{what}");
        drain(&repository).await;
        if let Err(problem) = self.settled().await {
            panic!("{what}, one version later: {problem}");
        }
    }
}

/// Every entry of a database.
pub async fn rows(database: &MemoryDatabase) -> Rows {
    let mut rows = Rows::new();
    for state in database.tenants(None, 100).await.unwrap() {
        for stream in Stream::ALL {
            let history = database.history(&state.tenant, stream, None, 1000);
            let mut entries = Vec::new();
            for meta in history.await.unwrap().into_iter().rev() {
                let stored = database.entry(&state.tenant, stream, meta.seq).await;
                entries.push(stored.unwrap().unwrap().entry);
            }
            let head = state.heads[stream].seq;
            let newest = entries
                .last()
                .map_or(Seq::default(), |entry| entry.meta.seq);
            assert_eq!(head, newest, "the head is the newest row");
            rows.insert((state.tenant.clone(), stream), entries);
        }
    }
    rows
}
