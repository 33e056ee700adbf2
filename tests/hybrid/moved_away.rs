//! A repair that moves away an object which another database still has, while that one recovers.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::index_key;
use driftline::domain::{Stream, TenantId};
use driftline::ports::{ErrorKind, RecoveryRequest};
use driftline::prelude::*;

use tokio_util::sync::CancellationToken;

use crate::support::world::*;
use driftline_conformance::faults::{Method, Moment, On};

const V3: &str = "acme/versions/v000003.json";

struct Scene {
    world: World,
    /// It has three versions, the third of which lies behind the index of another.
    first: Arc<MemoryDatabase>,
    /// It was recovered when there were two, and owns the bucket.
    second: Repository,
    acme: TenantId,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let acme = tenant("acme");
        let (first, repository) = world.claimed().await;
        create_many(&repository, &acme, 2).await;
        drain(&repository).await;
        let second = world.repository(&world.database());
        create(&repository, &acme, "three").await;
        // It comes too late to be named.
        let gate = world.bucket.hold(On::put(V3), Moment::Before);
        let (late, stop) = (Arc::clone(&repository), CancellationToken::new());
        let stopping = stop.clone();
        let late = tokio::spawn(async move { late.replicate(stopping).await });
        gate.reached().await;
        recover_all(&second).await;
        gate.release();
        eventually("it lies there", async || world.keys(V3).await == [V3]).await;
        stop.cancel();
        late.await.unwrap();
        Self {
            world,
            first,
            second,
            acme,
        }
    }

    async fn named(&self) -> u64 {
        let index = self.world.index(&self.acme, Stream::Manifests).await;
        index.unwrap().latest().get()
    }

    async fn settles(&self) {
        drain(&self.world.repository(&self.first)).await;
        assert_eq!(self.named().await, 3);
        self.world.assert_settled(&self.first, &self.acme).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_read_the_index_before_comes_too_late_to_name_it() {
    let scene = Scene::new().await;
    let plan = scene.second.plan_repair(None).await.unwrap();
    let gate = scene.world.bucket.hold(On::get(V3).times(1), Moment::After);
    let (acme, first) = (scene.acme.clone(), scene.world.repository(&scene.first));
    let recovery = tokio::spawn(async move {
        let request = RecoveryRequest::default();
        first.recover_from_s3(&acme, &request).await
    });
    gate.reached().await;
    scene.second.apply_repair(&plan).await.unwrap();
    assert_eq!(scene.world.keys(V3).await, [""; 0]);
    gate.release();
    let error = recovery.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
    assert_eq!(scene.named().await, 2);
    recover(&scene.world.repository(&scene.first), &scene.acme).await;
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_finds_its_copy_does_not_name_it() {
    let scene = Scene::new().await;
    let plan = scene.second.plan_repair(None).await.unwrap();
    let delete = On::method(Method::Delete, V3);
    let gate = scene.world.bucket.hold(delete, Moment::Before);
    let second = Arc::clone(&scene.second);
    let repair = tokio::spawn(async move { second.apply_repair(&plan).await });
    gate.reached().await;
    recover(&scene.world.repository(&scene.first), &scene.acme).await;
    assert_eq!(scene.named().await, 2);
    gate.release();
    repair.await.unwrap().unwrap();
    assert_eq!(scene.world.keys(V3).await, [""; 0]);
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn what_came_back_is_named_though_its_copy_is_there() {
    // Moved away once, and brought back by the database that has it.
    let scene = Scene::new().await;
    let plan = scene.second.plan_repair(None).await.unwrap();
    scene.second.apply_repair(&plan).await.unwrap();
    recover(&scene.world.repository(&scene.first), &scene.acme).await;
    scene.settles().await;
    // Another takes over, and loses the index; what had a place there gets it again at once.
    recover_all(&scene.world.repository(&scene.world.database())).await;
    let index = index_key(&scene.acme, Stream::Manifests);
    scene.world.memory.remove(&index).unwrap();
    recover_all(&scene.world.repository(&scene.first)).await;
    assert_eq!(scene.named().await, 3);
}
