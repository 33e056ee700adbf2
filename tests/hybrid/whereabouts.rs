//! A database that is not where it was: promoted, copied, or moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::BUCKET_KEY;
use driftline::domain::{Epoch, Seq, TenantId};
use driftline::hybrid::{HybridManifestRepository, OnClone, OnFailover, Progress, Sides, Standing};
use driftline::ports::{
    Adoption, Entropy, Error, ErrorKind, Fault, Hint, ManifestStore as _, Ownership, Reason,
    RecoveryRequest, RecoveryStore as _, Side, Whereabouts,
};
use driftline::prelude::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::world::{
    Repository, TestEntropy, World, create, create_many, drain, recover, recover_all, tenant,
    try_create,
};
use driftline_conformance::faults::{Gate, Moment, On};

/// A world whose `acme` has three versions, all of them in the bucket.
async fn three() -> (World, Arc<MemoryDatabase>, Repository) {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    create_many(&repository, &tenant("acme"), 3).await;
    drain(&repository).await;
    (world, database, repository)
}

/// A copy of such a world's database, and the original, which went on and has a fourth version there.
async fn copied() -> (World, Arc<MemoryDatabase>, Repository) {
    let (world, database, repository) = three().await;
    let copy = Arc::new(database.copy());
    create(&repository, &tenant("acme"), "went on").await;
    drain(&repository).await;
    (world, copy, repository)
}

async fn undecided(repository: &Repository) -> Reason {
    match repository.check_ownership().await.unwrap() {
        Standing::Undecided(reason) => reason,
        other => panic!("it settled by itself: {other:?}"),
    }
}

/// A replica that was promoted and is trusted, and lacks the newest version of `acme`; it has all of `beta`.
struct Failover {
    world: World,
    replica: Arc<MemoryDatabase>,
    acme: TenantId,
    beta: TenantId,
}

impl Failover {
    async fn new() -> Self {
        let mut world = World::new();
        world.settings.on_failover = OnFailover::Trust;
        let (acme, beta) = (tenant("acme"), tenant("beta"));
        let (primary, repository) = world.claimed().await;
        create_many(&repository, &acme, 3).await;
        create(&repository, &beta, "b").await;
        let replica = Arc::new(primary.fork());
        create(&repository, &acme, "lost").await;
        drain(&repository).await;
        Self {
            world,
            replica,
            acme,
            beta,
        }
    }

    /// A process on the replica; the world's gates hold it.
    fn repository(&self) -> Repository {
        self.world.repository(&self.replica)
    }

    /// One that nothing holds.
    fn quick(&self) -> Repository {
        let memory = Arc::new(self.world.memory.clone());
        self.world.repository_on(&self.replica, memory)
    }

    /// A decision that got so far.
    async fn decides_until(&self, on: On, moment: Moment) -> (Decides, Gate) {
        let gate = self.world.bucket.hold(on.times(1), moment);
        let repository = self.repository();
        let deciding = tokio::spawn(async move { repository.adopt(true).await });
        gate.reached().await;
        (deciding, gate)
    }

    /// A decision that was killed when it got so far.
    async fn is_killed_at(&self, on: On, moment: Moment) {
        let (deciding, _gate) = self.decides_until(on, moment).await;
        deciding.abort();
        assert!(deciding.await.unwrap_err().is_cancelled());
    }

    /// The answer of whoever decides: only `acme` waits.
    fn trusted(&self) -> Adoption {
        Adoption::Trusted(vec![self.acme.clone()])
    }

    /// The database is allowed where it is, and no number is given twice: what is missing comes back first.
    async fn is_decided(&self) {
        let whereabouts = self.replica.identity().await.unwrap().whereabouts;
        assert_eq!(whereabouts, Whereabouts::Here);
        let repository = self.quick();
        assert_eq!(repository.adopt(true).await.unwrap(), Adoption::Settled);
        let refused = try_create(&repository, &self.acme, "twice").await;
        assert_eq!(refused.unwrap_err().code(), "refused");
        let created = create(&repository, &self.beta, "on").await;
        assert_eq!(created.manifest.entry.meta.epoch, Epoch::FIRST);
        assert_eq!(recover(&repository, &self.acme).await.restored, 1);
        self.goes_on().await;
    }

    async fn goes_on(&self) {
        let repository = self.quick();
        let created = create(&repository, &self.acme, "on").await;
        assert_eq!(created.manifest.version(), Seq::new(5));
        drain(&repository).await;
        for tenant in [&self.acme, &self.beta] {
            self.world.assert_settled(&self.replica, tenant).await;
        }
    }
}

type Decides = JoinHandle<Result<Adoption, Error>>;

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_a_promoted_server_takes_no_number_that_the_bucket_has() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (primary, repository) = world.claimed().await;
    create_many(&repository, &acme, 2).await;
    let replica = Arc::new(primary.fork());
    create(&repository, &acme, "lost on the replica").await;
    drain(&repository).await;
    // What was checked on the primary holds for the primary: the same process goes on with the replica, and asks nobody.
    let promoted = world.repository(&replica);
    let created = create(&promoted, &acme, "after").await;
    assert_eq!(created.manifest.version(), Seq::new(4));
    drain(&promoted).await;
    world.assert_settled(&replica, &acme).await;
    assert_eq!(
        replica.identity().await.unwrap().whereabouts,
        Whereabouts::Here
    );
}

#[tokio::test(start_paused = true)]
async fn a_promoted_server_takes_no_write_while_nobody_can_tell_what_it_lacks() {
    let (world, database, repository) = three().await;
    let acme = tenant("acme");
    database.promote();
    world.bucket.set_down(true);
    let refused = try_create(&repository, &acme, "x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable(Side::Bucket));
    world.bucket.set_down(false);
    let created = create(&repository, &acme, "x").await;
    assert_eq!(created.manifest.version(), Seq::new(4));
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_began_before_a_failover_does_not_end_after_it() {
    let (_world, database, _repository) = three().await;
    let acme = tenant("acme");
    let restore = database.begin_restore(&acme).await.unwrap();
    let state = restore.state().unwrap().clone();
    let bucket = database.identity().await.unwrap().bucket_id.unwrap();
    database.promote();
    let marks = driftline::domain::PerStream::default();
    let error = restore.commit(&state, bucket, &marks).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Elsewhere);
    assert_eq!(
        database
            .begin_restore(&acme)
            .await
            .map(drop)
            .unwrap_err()
            .fault(),
        Fault::Elsewhere
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_shadows_nothing_and_takes_no_write_where_the_bucket_knows_more() {
    let (world, database, repository) = three().await;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    create(&repository, &beta, "b").await;
    drain(&repository).await;
    let copy = Arc::new(database.copy());
    create(&repository, &acme, "went on").await;
    create(&repository, &tenant("gamma"), "new").await;
    drain(&repository).await;

    let staging = world.repository(&copy);
    let reason = undecided(&staging).await;
    assert_eq!(reason.hint, Some(Hint::Adopt));
    for name in ["acme", "gamma"] {
        let refused = try_create(&staging, &tenant(name), "twice")
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "refused", "{refused}");
    }
    create(&staging, &beta, "on the copy").await;
    create(&staging, &tenant("delta"), "nobody knows it").await;
    let drained = staging.drain(CancellationToken::new()).await;
    assert_eq!(drained.unwrap_err().code(), "refused");
    let request = RecoveryRequest::default();
    let recovery = staging.recover_all(&request, &Progress::default()).await;
    assert_eq!(recovery.unwrap_err().code(), "refused");
    // The original has noticed nothing.
    create(&repository, &acme, "goes on").await;
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_dump_does_not_begin_a_tenant_again() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let empty = Arc::new(database.copy());
    let acme = tenant("acme");
    create_many(&repository, &acme, 50).await;
    drain(&repository).await;
    let dump = world.repository(&empty);
    let refused = try_create(&dump, &acme, "first").await.unwrap_err();
    assert_eq!(refused.code(), "refused");
    world.bucket.set_down(true);
    let refused = try_create(&dump, &acme, "first").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable(Side::Bucket));
    assert_eq!(empty.tenant(&acme).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_adopted_recovers_and_fences_the_original_off() {
    let (world, copy, repository) = copied().await;
    let (acme, before) = (tenant("acme"), copy.identity().await.unwrap().id);
    let successor = world.repository(&copy);
    assert_eq!(successor.adopt(false).await.unwrap(), Adoption::Adopted);
    let identity = copy.identity().await.unwrap();
    assert_eq!(identity.ownership, Ownership::AwaitingRecovery);
    assert_eq!(identity.whereabouts, Whereabouts::Here);
    assert_ne!(identity.id, before);
    assert_eq!(recover_all(&successor).await[0].restored, 1);
    assert_eq!(successor.adopt(false).await.unwrap(), Adoption::Settled);
    let created = create(&successor, &acme, "on").await;
    assert_eq!(created.manifest.version(), Seq::new(5));
    drain(&successor).await;
    world.assert_settled(&copy, &acme).await;
    assert!(matches!(
        repository.check_ownership().await.unwrap(),
        Standing::Refused(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_copy_adopts_itself_where_the_settings_say_so() {
    let (mut world, copy, _original) = copied().await;
    let acme = tenant("acme");
    world.settings.on_clone = OnClone::Adopt;
    let successor = world.repository(&copy);
    let created = create(&successor, &acme, "on").await;
    assert_eq!(created.manifest.version(), Seq::new(5));
    drain(&successor).await;
    world.assert_settled(&copy, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn a_trusted_failover_that_lacks_something_says_so_and_asks() {
    let scene = Failover::new().await;
    let promoted = scene.repository();
    let reason = undecided(&promoted).await;
    assert!(
        reason
            .message
            .contains("manifests of acme end at 3, in the bucket at 4"),
        "{reason}"
    );
    assert!(!reason.message.contains("beta"), "{reason}");
    let refused = try_create(&promoted, &scene.acme, "twice").await;
    assert_eq!(refused.unwrap_err().code(), "refused");
    assert!(matches!(
        promoted.adopt(false).await.unwrap(),
        Adoption::Unconfirmed(_)
    ));
    assert_eq!(promoted.adopt(true).await.unwrap(), scene.trusted());
    scene.is_decided().await;
}

/// A decision to trust a failover that is killed as soon as a request is answered, or before it is sent, is made by the next.
#[tokio::test(start_paused = true)]
async fn a_decision_that_was_killed_is_completed_by_the_next() {
    for (on, moment) in [
        (On::get("acme/index.json"), Moment::After),
        (On::put(BUCKET_KEY), Moment::Before),
        (On::put(BUCKET_KEY), Moment::After),
    ] {
        let scene = Failover::new().await;
        scene.is_killed_at(on.clone(), moment).await;
        let decided = scene.quick().adopt(true).await.unwrap();
        assert_eq!(decided, scene.trusted(), "{on:?} {moment:?}");
        scene.is_decided().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_decide_the_late_one_stops_nobody() {
    // It knows what the replica lacks, and stalls before it acts on it, or before it takes the bucket.
    for (on, moment) in [
        (On::get("acme/index.json"), Moment::After),
        (On::put(BUCKET_KEY), Moment::Before),
    ] {
        let scene = Failover::new().await;
        let (late, gate) = scene.decides_until(on.clone(), moment).await;
        let quick = scene.quick();
        assert_eq!(quick.adopt(true).await.unwrap(), scene.trusted());
        assert_eq!(recover(&quick, &scene.acme).await.restored, 1);
        gate.release();
        let decided = late.await.unwrap().unwrap();
        assert_eq!(decided, Adoption::Settled, "{on:?} {moment:?}");
        scene.goes_on().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_a_failover_overtakes_is_made_anew_for_the_server_that_is_there_then() {
    for (is_unfinished, on, moment, swaps) in [
        (false, On::get("acme/index.json"), Moment::After, 1),
        (false, On::put(BUCKET_KEY), Moment::Before, 2),
        (false, On::put(BUCKET_KEY), Moment::After, 2),
        // An earlier one took the bucket, and was not put on record.
        (true, On::get(BUCKET_KEY), Moment::After, 1),
    ] {
        let scene = Failover::new().await;
        if is_unfinished {
            scene.is_killed_at(On::put(BUCKET_KEY), Moment::After).await;
        }
        scene.world.bucket.take_calls();
        let (deciding, gate) = scene.decides_until(on.clone(), moment).await;
        scene.replica.promote();
        gate.release();
        let decided = deciding.await.unwrap().unwrap();
        assert_eq!(decided, scene.trusted(), "{on:?} {moment:?}");
        // None is for a server that it knows to be gone.
        assert_eq!(scene.world.bucket.counts().puts, swaps, "{on:?} {moment:?}");
        scene.is_decided().await;
    }
}

/// Names that are taken while something else happens to a database.
#[derive(Debug)]
struct Overtaken {
    database: Arc<MemoryDatabase>,
    entropy: Arc<TestEntropy>,
    times: AtomicUsize,
}

impl Entropy for Overtaken {
    fn uuid(&self) -> Uuid {
        if self.times.fetch_add(1, Ordering::Relaxed) == 0 {
            self.database.promote();
        }
        self.entropy.uuid()
    }

    fn fraction(&self) -> f64 {
        self.entropy.fraction()
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_over_while_it_is_adopted_is_adopted_where_it_is_then() {
    let (world, copy, _original) = copied().await;
    let (acme, before) = (tenant("acme"), copy.identity().await.unwrap().id);
    let entropy = Overtaken {
        database: Arc::clone(&copy),
        entropy: Arc::clone(&world.entropy),
        times: AtomicUsize::new(0),
    };
    let sides = Sides {
        database: copy.clone(),
        snapshots: Arc::new(world.bucket.clone()),
        clock: world.clock.clone(),
        entropy: Arc::new(entropy),
    };
    let successor = HybridManifestRepository::new(sides, world.settings.clone());
    assert_eq!(successor.adopt(false).await.unwrap(), Adoption::Adopted);
    let identity = copy.identity().await.unwrap();
    assert_eq!(identity.whereabouts, Whereabouts::Here);
    assert_ne!(identity.id.id, before.id);
    let successor = Arc::new(successor);
    assert_eq!(recover_all(&successor).await[0].restored, 1);
    let created = create(&successor, &acme, "on").await;
    assert_eq!(created.manifest.version(), Seq::new(5));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_nobody_decided_about_begins_no_new_bucket() {
    let (world, database, _repository) = three().await;
    let (elsewhere, copy) = (World::new(), Arc::new(database.copy()));
    let before = copy.identity().await.unwrap();
    let lost_way = world.repository_on(&copy, Arc::new(elsewhere.bucket.clone()));
    let refused = lost_way.start_new_bucket().await.unwrap_err();
    assert_eq!(refused.code(), "refused");
    assert_eq!(refused.hinted(), Some(&Hint::Adopt));
    assert_eq!(elsewhere.keys("").await, [""; 0]);
    // Its bucket is still the original's, from which an adoption recovers.
    assert_eq!(copy.identity().await.unwrap(), before);
}
