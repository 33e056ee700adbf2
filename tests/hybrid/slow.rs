//! One tenant whose bucket is slow holds up nobody, and keeps what it holds for no longer than its lease.

use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::BUCKET_KEY;
use driftline::domain::{Seq, Stream, TenantId};
use driftline::ports::{LeaseRequest, ManifestStore as _, ShadowLedger as _, WorkerId};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::world::*;
use driftline_conformance::faults::{Ended, Flaw, Gate, Moment, On};

struct Scene {
    world: World,
    database: Arc<MemoryDatabase>,
    repository: Repository,
    slow: TenantId,
    gate: Gate,
}

impl Scene {
    /// A replicator at work, with a tenant whose first upload does not end.
    async fn new(tenants: usize, versions: usize) -> Self {
        let mut world = World::new();
        world.settings.concurrent_tenants = tenants;
        let (database, repository) = world.claimed().await;
        // What is new in a bucket is probed before anything is shadowed.
        create(&repository, &tenant("first"), "a").await;
        drain(&repository).await;
        let slow = tenant("slow");
        let gate = world.bucket.hold(On::put("slow/versions/"), Moment::Before);
        create_many(&repository, &slow, versions).await;
        repository.start();
        gate.reached().await;
        Self {
            world,
            database,
            repository,
            slow,
            gate,
        }
    }

    async fn is_shadowed(&self, tenant: &TenantId) -> bool {
        let state = self.database.tenant(tenant).await.unwrap().unwrap();
        let watermarks = self.database.watermarks(tenant).await.unwrap();
        watermarks[Stream::Manifests] == state.heads[Stream::Manifests].seq
    }

    /// How long a write of this tenant takes to get to the bucket.
    async fn shadows(&self, name: &str) -> Duration {
        let (tenant, began) = (tenant(name), Instant::now());
        create(&self.repository, &tenant, name).await;
        while !self.is_shadowed(&tenant).await {
            sleep(Duration::from_millis(5)).await;
            assert!(began.elapsed() < Duration::from_mins(10), "{name} waits");
        }
        began.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_during_a_slow_batch_does_not_wait_for_its_end() {
    // Many pending versions: the slow tenant takes every request that it can get.
    for versions in [1, 100] {
        let scene = Scene::new(2, versions).await;
        for name in ["a", "b", "a", "c", "d", "e", "a"] {
            let took = scene.shadows(name).await;
            assert!(took < Duration::from_millis(100), "{name}: {took:?}");
        }
        assert!(!scene.is_shadowed(&scene.slow).await);
        scene.gate.release();
        eventually("the slow tenant", async || {
            scene.is_shadowed(&scene.slow).await
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_for_as_long_as_its_batch_runs() {
    let scene = Scene::new(2, 1).await;
    let other = scene.world.repository(&scene.database);
    let stop = CancellationToken::new();
    let also = tokio::spawn({
        let stop = stop.clone();
        async move { other.replicate(stop).await }
    });
    sleep(scene.world.settings.lease * 20).await;
    let puts = |calls: Vec<Ended>| {
        let of_it = |call: &&Ended| call.key.contains("slow/versions/");
        calls.iter().filter(of_it).count()
    };
    // Nobody else began it, though it was held for twenty leases.
    assert_eq!(puts(scene.world.bucket.take_calls()), 0);
    scene.gate.release();
    eventually("the slow tenant", async || {
        scene.is_shadowed(&scene.slow).await
    })
    .await;
    assert_eq!(puts(scene.world.bucket.take_calls()), 1);
    stop.cancel();
    also.await.unwrap();
    scene
        .world
        .assert_settled(&scene.database, &scene.slow)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_lease_ends_early_is_not_begun_beside_itself() {
    let scene = Scene::new(4, 1).await;
    scene.world.bucket.take_calls();
    // The lease is over at once, and is renewed when its batch asks for that.
    scene.world.clock.set_ahead(scene.world.settings.lease * 2);
    sleep(scene.world.settings.lease / 4).await;
    let of_it = |call: &Ended| call.key.starts_with("slow/");
    let begun = scene.world.bucket.take_calls();
    assert!(!begun.iter().any(of_it), "{begun:?}");
    scene.gate.release();
    eventually("the slow tenant", async || {
        scene.is_shadowed(&scene.slow).await
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_under_way_and_begins_nothing() {
    let scene = Scene::new(2, 1).await;
    let repository = Arc::clone(&scene.repository);
    let stopped = tokio::spawn(async move { repository.shutdown(Duration::from_mins(1)).await });
    sleep(Duration::from_secs(1)).await;
    create(&scene.repository, &tenant("late"), "a").await;
    sleep(Duration::from_secs(5)).await;
    scene.gate.release();
    assert!(stopped.await.unwrap().unwrap());
    assert!(scene.is_shadowed(&scene.slow).await);
    assert!(!scene.is_shadowed(&tenant("late")).await);
    let slow = scene.database.tenant(&scene.slow).await.unwrap().unwrap();
    assert_eq!(slow.heads[Stream::Manifests].seq, Seq::new(1));
}

#[tokio::test(start_paused = true)]
async fn stopping_before_anything_was_tried_forgets_no_failure() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    world.bucket.fail(On::put("acme/versions/"), Flaw::Refused);
    drain(&repository).await;
    world.bucket.heal();
    let before = database.status(Some(&acme), None, 1).await.unwrap();
    assert!(before[0].last_error.is_some());
    sleep(world.settings.max_backoff * 2).await;
    // It has leased the tenant, and looks whose the bucket is.
    let gate = world
        .bucket
        .hold(On::get(BUCKET_KEY).times(1), Moment::Before);
    let other = world.repository(&database);
    other.start();
    gate.reached().await;
    let stopped = tokio::spawn(async move { other.shutdown(Duration::from_mins(1)).await });
    sleep(Duration::from_secs(1)).await;
    gate.release();
    assert!(stopped.await.unwrap().unwrap());
    let after = database.status(Some(&acme), None, 1).await.unwrap();
    assert_eq!(after, before);
    let request = LeaseRequest {
        worker: WorkerId(uuid::Uuid::from_u128(1)),
        limit: 1,
        duration: Duration::from_secs(1),
        except: Vec::new(),
    };
    let lease = database.lease(&request).await.unwrap();
    assert_eq!(lease.work[0].attempts, 1);
}
