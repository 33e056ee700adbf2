//! What is listed: however much of it there is, and in whatever order.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::hybrid::Standing;
use driftline::hybrid::drill::{DrillProgress, DrillScope};
use driftline::hybrid::integrity::{ReadData, VerifyProgress};
use driftline::ports::{
    BackendInfo, ErrorKind, Inspection, Listing, Object, Precondition, PutOutcome, SnapshotStore,
    StoreResult,
};

use crate::support::world::*;

/// A store that keeps its objects in a tree, lists folder by folder, and goes on after a key in that order. Its parts are
/// small.
#[derive(Debug)]
struct Tree(MemorySnapshotStore);

fn parts(key: &str) -> Vec<String> {
    key.split('/').map(str::to_owned).collect()
}

#[async_trait]
impl SnapshotStore for Tree {
    fn prefix(&self) -> &str {
        self.0.prefix()
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        self.0.get(key, most).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        self.0.put(key, bytes, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let limit = limit.min(3);
        let mut objects = self.0.list(prefix, None, 1000).await?.objects;
        objects.sort_by_key(|object| parts(&object.key));
        if let Some(after) = after.map(parts) {
            objects.retain(|object| parts(&object.key) > after);
        }
        let more = objects.len() > limit;
        objects.truncate(limit);
        Ok(Listing {
            objects,
            more,
            ..Listing::default()
        })
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.0.delete(key).await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.0.ping().await
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        self.0.inspect(scratch).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_lists_folder_by_folder_loses_nothing() {
    let world = World::new();
    let bucket = Arc::new(Tree(world.memory.clone()));
    let database = world.database();
    let repository = world.repository_on(&database, bucket.clone());
    assert!(matches!(
        repository.check_ownership().await.unwrap(),
        Standing::Owner(_)
    ));
    let tenants = ["a", "a-b", "a.b", "a0"].map(tenant);
    for name in &tenants {
        create_many(&repository, name, 140).await;
        apply(&repository, name, 1).await;
    }
    drain(&repository).await;
    let progress = VerifyProgress::default();
    let verified = repository.verify_all(ReadData::All, &progress).await;
    assert_eq!(verified.unwrap().findings, []);
    let drilled = repository
        .drill(
            world.database(),
            &DrillScope::All,
            &DrillProgress::default(),
        )
        .await
        .unwrap();
    assert!(!drilled.has_differences(), "{drilled:?}");

    let fresh = world.database();
    let recovered = recover_all(&world.repository_on(&fresh, bucket)).await;
    let restored: Vec<_> = recovered.iter().map(|it| it.restored).collect();
    assert_eq!(restored, [141; 4]);
}

/// Reports and quarantine lie before every tenant with a small letter.
#[tokio::test(start_paused = true)]
async fn a_tenant_is_seen_behind_any_number_of_other_objects() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    for number in 0..2500 {
        let key = format!("_driftline/recoveries/{number:04}.json");
        world.memory.insert(&key, "{}");
        world.memory.insert(&format!("!neighbour/{number}"), "");
    }
    world.memory.remove("_driftline/bucket.json");

    let newcomer = world.repository(&world.database());
    let standing = newcomer.check_ownership().await.unwrap();
    assert!(matches!(standing, Standing::Refused(_)), "{standing:?}");
    let refused = try_create(&newcomer, &acme, "again").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(recover_all(&newcomer).await[0].restored, 3);
}
