//! The interleavings behind the design's rules, each by name.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::{BUCKET_KEY, Index, Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::{Entry, Epoch, Seq, Stream, Timestamp};
use driftline::hybrid::{OnFailover, Progress, Standing};
use driftline::ports::{
    Backlog, Database, Entropy as _, ErrorKind, ManifestProvider, Ownership, RecoverTarget,
    RecoveryRequest, RecoveryState, ShadowLedger as _, ShadowState, SnapshotStore,
};
use tokio_util::sync::CancellationToken;

use crate::support::faults::{Flaw, Moment, On};
use crate::support::world::{
    Repository, World, apply, create, create_many, drain, eventually, put_strangers_snapshot,
    recover, recover_all, tenant, try_create,
};

async fn entry(database: &dyn Database, name: &str, version: u64) -> Entry {
    let stored = database
        .entry(&tenant(name), Stream::Manifests, Seq::new(version))
        .await
        .unwrap();
    stored.expect("the version is there").entry
}

/// Uploads a version's snapshot and nothing else, as a replicator does that dies before the index.
async fn upload_only(world: &World, database: &dyn Database, name: &str, version: u64) -> String {
    let entry = entry(database, name, version).await;
    let key = snapshot_key(
        &entry.meta.tenant,
        Stream::Manifests,
        entry.meta.seq,
        entry.meta.epoch,
    );
    world.memory.insert(&key, Snapshot::write(&entry));
    key
}

#[tokio::test(start_paused = true)]
async fn a_crash_leaves_snapshots_13_14_and_17_beyond_the_index_then_recovery_and_new_writes() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 12).await;
    drain(&repository).await;
    create_many(&repository, &acme, 5).await;
    for version in [13, 14, 17] {
        upload_only(&world, database.as_ref(), "acme", version).await;
    }
    let before: Vec<Entry> = futures_of(database.as_ref(), 14).await;

    let fresh = world.database();
    let recovered = world.repository(&fresh);
    let recovery = recover_all(&recovered).await.remove(0);
    assert_eq!(
        (recovery.state, recovery.restored, recovery.head),
        (RecoveryState::Empty, 14, Seq::new(14))
    );
    assert_eq!(recovery.orphans, ["acme/versions/v000017.json"]);
    assert_eq!(recovery.epoch, Epoch::new(2));
    assert_eq!(futures_of(fresh.as_ref(), 14).await, before);

    // The numbers that only the lost database knew come again, under the new epoch.
    for number in 15..=18 {
        let created = create(&recovered, &acme, &format!("again {number}")).await;
        assert_eq!(created.manifest.version(), Seq::new(number));
        assert_eq!(created.manifest.entry.meta.epoch, Epoch::new(2));
    }
    drain(&recovered).await;
    world.assert_settled(&fresh, &acme).await;
    let keys = world.keys("acme/versions/v000017").await;
    assert_eq!(
        keys,
        [
            "acme/versions/v000017.e2.json",
            "acme/versions/v000017.json"
        ]
    );
}

async fn futures_of(database: &dyn Database, count: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    for version in 1..=count {
        entries.push(entry(database, "acme", version).await);
    }
    entries
}

/// A replicator of the lost database is stopped at `held`, the database is recovered elsewhere and written to, and only then
/// the old replicator goes on.
async fn the_old_replicator_wakes_up_after_the_recovery(
    shadowed: usize,
    pending: usize,
    held: &str,
) {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, old) = world.claimed().await;
    create_many(&old, &acme, shadowed).await;
    drain(&old).await;
    create_many(&old, &acme, pending).await;
    let gate = world.bucket.hold(On::put(held).times(1), Moment::Before);
    let zombie = tokio::spawn({
        let old = old.clone();
        async move { old.drain(CancellationToken::new()).await }
    });
    gate.reached().await;

    let fresh = world.database();
    let successor = world.repository(&fresh);
    if shadowed > 0 {
        recover_all(&successor).await;
    } else {
        let report = successor
            .recover_all(
                &RecoveryRequest::default(),
                &driftline::hybrid::Progress::default(),
            )
            .await;
        assert_eq!(report.unwrap().unfinished, None);
    }
    let newest = successor
        .current_manifest(&acme)
        .await
        .unwrap()
        .map_or(0, |manifest| manifest.version().get());
    for number in 0..3 {
        let created = create(&successor, &acme, &format!("new {number}")).await;
        assert_eq!(created.manifest.version(), Seq::new(newest + number + 1));
    }
    drain(&successor).await;
    world.assert_settled(&fresh, &acme).await;
    let indexed = world.index(&acme, Stream::Manifests).await;

    gate.release();
    let outcome = zombie.await.unwrap();
    // It finds the bucket in other hands: it stops, writes no index, and touches nothing of the new history.
    assert!(
        outcome.is_err()
            || outcome.is_ok_and(|drained| drained.left.backing_off + drained.left.stopped > 0)
    );
    assert_eq!(world.index(&acme, Stream::Manifests).await, indexed);
    create(&successor, &acme, "after").await;
    drain(&successor).await;
    world.assert_settled(&fresh, &acme).await;
    for version in 1..=newest + 4 {
        let served = successor
            .manifest_by_version(&acme, Seq::new(version))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            served.entry.meta,
            entry(fresh.as_ref(), "acme", version).await.meta
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_replicator_wakes_up_after_the_recovery_with_a_snapshot_to_write() {
    the_old_replicator_wakes_up_after_the_recovery(5, 3, "versions/v000006").await;
}

#[tokio::test(start_paused = true)]
async fn an_old_replicator_wakes_up_after_the_recovery_with_a_page_to_write() {
    the_old_replicator_wakes_up_after_the_recovery(128, 3, "index/p000001").await;
}

#[tokio::test(start_paused = true)]
async fn an_old_replicator_wakes_up_after_the_recovery_with_the_index_to_write() {
    the_old_replicator_wakes_up_after_the_recovery(5, 3, "acme/index.json").await;
}

#[tokio::test(start_paused = true)]
async fn an_old_replicator_wakes_up_after_the_recovery_with_a_first_index_to_write() {
    the_old_replicator_wakes_up_after_the_recovery(0, 3, "acme/index.json").await;
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_cut_off_between_index_and_database_then_another() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (lost, repository) = world.claimed().await;
    create_many(&repository, &acme, 5).await;
    apply(&repository, &acme, 5).await;
    drain(&repository).await;
    let before = futures_of(lost.as_ref(), 5).await;

    let fresh = world.database();
    let cut_off = world.repository(&fresh);
    // The last of the three indexes is written and the process dies before the database commits.
    let gate = world
        .bucket
        .hold(On::put("acme/decisions/index.json").times(1), Moment::After);
    let run = tokio::spawn({
        let cut_off = cut_off.clone();
        let acme = acme.clone();
        async move {
            cut_off
                .recover_from_s3(&acme, &RecoveryRequest::default())
                .await
        }
    });
    gate.reached().await;
    run.abort();
    assert_eq!(
        world.index(&acme, Stream::Manifests).await.unwrap().epoch,
        Epoch::new(2)
    );
    assert!(matches!(
        try_create(&cut_off, &acme, "too early")
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Refused
    ));

    // A start-up check of the same database says so, and does not claim.
    assert!(matches!(
        cut_off.check_ownership().await.unwrap(),
        Standing::Refused(_)
    ));
    let recovery = recover_all(&cut_off).await.remove(0);
    assert_eq!(recovery.epoch, Epoch::new(3));
    assert_eq!(recovery.restored, 6);
    assert_eq!(futures_of(fresh.as_ref(), 5).await, before);
    create(&cut_off, &acme, "goes on").await;
    drain(&cut_off).await;
    world.assert_settled(&fresh, &acme).await;

    // Yet another database can follow.
    let third = world.database();
    let next = world.repository(&third);
    assert_eq!(recover_all(&next).await.remove(0).restored, 7);
}

#[tokio::test(start_paused = true)]
async fn a_failover_to_a_database_two_versions_behind_while_the_replicator_holds_a_batch() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (primary, repository) = world.claimed().await;
    create_many(&repository, &acme, 10).await;
    drain(&repository).await;
    let replica = Arc::new(primary.fork());
    create_many(&repository, &acme, 2).await;
    let gate = world
        .bucket
        .hold(On::put("versions/v000012").times(1), Moment::Before);
    let batch = tokio::spawn({
        let repository = repository.clone();
        async move { repository.drain(CancellationToken::new()).await }
    });
    gate.reached().await;

    // The replica is promoted and recovers by itself before it takes a write.
    let promoted = world.repository(&replica);
    assert!(matches!(
        promoted.check_ownership().await.unwrap(),
        Standing::Owner(_)
    ));
    let next = create(&promoted, &acme, "on the new primary").await;
    gate.release();
    let _ = batch.await.unwrap();
    drain(&promoted).await;
    world.assert_settled(&replica, &acme).await;
    // Version 11 had reached the bucket and is back; 12 had not, and its number came again in another epoch.
    assert_eq!(next.manifest.version(), Seq::new(12));
    assert_eq!(next.manifest.entry.meta.epoch, Epoch::new(2));
    assert_eq!(
        entry(replica.as_ref(), "acme", 11).await,
        entry(primary.as_ref(), "acme", 11).await
    );
}

#[tokio::test(start_paused = true)]
async fn a_failover_while_the_replicator_is_about_to_halt_the_tenant() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (primary, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    // A stranger's object stands where version 4 belongs.
    create_many(&repository, &acme, 1).await;
    put_strangers_snapshot(&world, 4).await;
    let drained = drain(&repository).await;
    assert_eq!(drained.left.stopped, 1);
    let halted = primary
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0)
        .halted
        .expect("the tenant is halted");
    assert_eq!(
        (halted.stream, halted.seq),
        (Stream::Manifests, Seq::new(4))
    );
    // The same evidence, gathered on the old primary, stops nobody on the new one.
    let replica = Arc::new(primary.fork());
    recover_all(&world.repository(&replica)).await;
    let guard = driftline::ports::HaltGuard {
        database: primary_id(primary.as_ref()).await,
        epoch: Epoch::FIRST,
        compared: vec![(Stream::Manifests, halted.seq, Some(halted.database))],
    };
    assert!(!replica.halt(&acme, &halted, &guard).await.unwrap());
    // Writes went on all the time.
    create(&repository, &acme, "while halted").await;
}

/// Writes go on, but nothing is shadowed until somebody decides.
async fn assert_undecided(repository: &Repository) {
    // A replicator that was at work finds out with its next batch.
    for _ in 0..3 {
        let drained = repository.drain(CancellationToken::new()).await;
        if drained.is_err_and(|error| error.code() == "refused") {
            let standing = repository.check_ownership().await.unwrap();
            return assert!(matches!(standing, Standing::Undecided(_)), "{standing:?}");
        }
        tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    }
    panic!("it goes on shadowing");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_pointed_at_another_empty_place_claims_nothing_there() {
    let (world, elsewhere, acme) = (World::new(), World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    let lost_way = world.repository_on(&database, Arc::new(elsewhere.bucket.clone()));
    let Standing::Undecided(reason) = lost_way.check_ownership().await.unwrap() else {
        panic!("it settled by itself");
    };
    let own = world.identity().await.unwrap().bucket_id;
    assert!(reason.message.contains(&own.to_string()), "{reason}");
    create(&lost_way, &acme, "b").await;
    assert_undecided(&lost_way).await;
    assert_eq!(elsewhere.keys("").await, [""; 0]);
    // An operator who takes it for a loss is refused as well.
    let progress = Progress::default();
    let request = RecoveryRequest::default();
    let recovery = lost_way.recover_all(&request, &progress);
    assert_eq!(recovery.await.unwrap_err().code(), "refused");
    // Back where it belongs everything is as it was.
    assert!(matches!(
        repository.check_ownership().await.unwrap(),
        Standing::Owner(_)
    ));
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
    // And once it is said to be meant, it moves; the bucket of before is another one from then on.
    lost_way.start_new_bucket().await.unwrap();
    drain(&lost_way).await;
    elsewhere.assert_settled(&database, &acme).await;
    assert!(matches!(
        repository.check_ownership().await.unwrap(),
        Standing::Undecided(_)
    ));
}

/// A check that stalls at `bucket.json`; what `meanwhile` does on the same database comes before it goes on.
async fn check_around(
    world: &World,
    database: &Arc<MemoryDatabase>,
    moment: Moment,
    meanwhile: impl AsyncFnOnce(&Repository),
) -> Standing {
    let slow = world.repository(database);
    let gate = world.bucket.hold(On::get(BUCKET_KEY).times(1), moment);
    let check = tokio::spawn(async move { slow.check_ownership().await });
    gate.reached().await;
    meanwhile(&world.repository_on(database, Arc::new(world.memory.clone()))).await;
    gate.release();
    check.await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_looked_before_another_process_claimed_the_bucket_stops_nobody() {
    let (world, acme) = (World::new(), tenant("acme"));
    let database = world.database();
    let standing = check_around(&world, &database, Moment::After, async |quick| {
        quick.check_ownership().await.unwrap();
        create(quick, &acme, "a").await;
        drain(quick).await;
    });
    assert!(matches!(standing.await, Standing::Owner(_)));
    let ownership = fresh_ownership(database.as_ref()).await;
    assert_eq!(ownership, Ownership::Claimed);
    create(&world.repository(&database), &acme, "b").await;
}

#[tokio::test(start_paused = true)]
async fn whoever_looked_before_another_process_recovered_the_database_stops_nobody() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, lost) = world.claimed().await;
    create(&lost, &acme, "a").await;
    drain(&lost).await;
    let fresh = world.database();
    let standing = check_around(&world, &fresh, Moment::Before, async |quick| {
        recover_all(quick).await;
    });
    assert!(matches!(standing.await, Standing::Owner(_)));
    let ownership = fresh_ownership(fresh.as_ref()).await;
    assert_eq!(ownership, Ownership::Claimed);
    create(&world.repository(&fresh), &acme, "b").await;
}

#[tokio::test(start_paused = true)]
async fn a_new_bucket_is_started_only_where_nobody_has_one() {
    let (world, elsewhere, acme) = (World::new(), World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    elsewhere.entropy.uuid();
    elsewhere.entropy.uuid();
    elsewhere.entropy.uuid();
    let (_, owner) = elsewhere.claimed().await;
    create(&owner, &acme, "theirs").await;
    drain(&owner).await;
    let lost_way = world.repository_on(&database, Arc::new(elsewhere.bucket.clone()));
    let refused = lost_way.start_new_bucket().await.unwrap_err();
    assert_eq!(refused.code(), "refused");
    elsewhere.memory.remove(BUCKET_KEY);
    let refused = lost_way.start_new_bucket().await.unwrap_err();
    assert_eq!(refused.code(), "refused");
    assert_eq!(elsewhere.identity().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_lost_its_bucket_json_gets_the_same_one_back_when_its_database_recovers() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    let before = world.identity().await;
    world.memory.remove(BUCKET_KEY);
    create(&repository, &acme, "one more").await;
    assert_undecided(&repository).await;
    assert_eq!(world.identity().await, None);
    assert_eq!(recover_all(&repository).await[0].restored, 0);
    assert_eq!(world.identity().await, before);
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
}

async fn primary_id(database: &dyn Database) -> driftline::domain::DatabaseId {
    database.identity().await.unwrap().id
}

#[tokio::test(start_paused = true)]
async fn a_trusted_failover_takes_the_bucket_over_at_once() {
    let mut world = World::new();
    world.settings.on_failover = OnFailover::Trust;
    let acme = tenant("acme");
    let (primary, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    let replica = Arc::new(primary.fork());
    let promoted = world.repository(&replica);
    assert!(matches!(
        promoted.check_ownership().await.unwrap(),
        Standing::Owner(_)
    ));
    let created = create(&promoted, &acme, "on").await;
    assert_eq!(created.manifest.entry.meta.epoch, Epoch::FIRST);
    drain(&promoted).await;
    world.assert_settled(&replica, &acme).await;
    // The old primary, should it still be alive, has lost the bucket.
    assert!(matches!(
        repository.check_ownership().await.unwrap(),
        Standing::Refused(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn the_bucket_is_deleted_and_everything_is_shadowed_anew_once_it_is_said_to_be_meant() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 140).await;
    apply(&repository, &acme, 3).await;
    drain(&repository).await;
    let before = world.identity().await.unwrap().bucket_id;
    for key in world.keys("").await {
        world.memory.remove(&key);
    }
    create(&repository, &acme, "one more").await;
    assert_undecided(&repository).await;
    assert_eq!(world.keys("").await, [""; 0], "it claims nothing by itself");
    repository.start_new_bucket().await.unwrap();
    drain(&repository).await;
    eventually("the bucket is complete", async || {
        drain(&repository).await;
        world
            .index(&acme, Stream::Manifests)
            .await
            .is_some_and(|index| index.latest() == Seq::new(141))
    })
    .await;
    assert_ne!(world.identity().await.unwrap().bucket_id, before);
    world.assert_settled(&database, &acme).await;
    assert_eq!(
        recover_all(&world.repository(&world.database()))
            .await
            .remove(0)
            .restored,
        142
    );
}

#[tokio::test(start_paused = true)]
async fn the_bucket_is_replaced_by_a_stale_copy_with_the_same_id() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 5).await;
    drain(&repository).await;
    let stale = world.memory.snapshot();
    create_many(&repository, &acme, 130).await;
    drain(&repository).await;
    world.memory.restore(&stale);
    create(&repository, &acme, "one more").await;
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
    assert_eq!(
        recover_all(&world.repository(&world.database()))
            .await
            .remove(0)
            .restored,
        136
    );
}

#[tokio::test(start_paused = true)]
async fn the_bucket_is_replaced_by_a_copy_with_another_id_and_that_is_said_to_be_meant() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 5).await;
    drain(&repository).await;
    let mut identity = world.identity().await.unwrap();
    identity.bucket_id = driftline::domain::BucketId(uuid::Uuid::from_u128(99));
    world.memory.insert(BUCKET_KEY, identity.to_bytes());
    for key in world.keys("acme/").await {
        world.memory.remove(&key);
    }
    create(&repository, &acme, "one more").await;
    assert_undecided(&repository).await;
    repository.start_new_bucket().await.unwrap();
    repository.start_new_bucket().await.unwrap();
    eventually("the bucket is complete", async || {
        drain(&repository).await;
        world
            .index(&acme, Stream::Manifests)
            .await
            .is_some_and(|index| index.latest() == Seq::new(6))
    })
    .await;
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_database_takes_no_write_before_it_is_recovered() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;

    let fresh = world.database();
    let next = world.repository(&fresh);
    for name in ["acme", "another"] {
        assert_eq!(
            try_create(&next, &tenant(name), "x")
                .await
                .unwrap_err()
                .code(),
            "refused"
        );
    }
    assert!(matches!(
        next.check_ownership().await.unwrap(),
        Standing::Refused(_)
    ));
    for name in ["acme", "another"] {
        assert_eq!(
            try_create(&next, &tenant(name), "x")
                .await
                .unwrap_err()
                .code(),
            "refused"
        );
    }
    recover_all(&next).await;
    assert_eq!(
        create(&next, &acme, "x").await.manifest.version(),
        Seq::new(4)
    );
    assert_eq!(
        create(&next, &tenant("another"), "x")
            .await
            .manifest
            .version(),
        Seq::new(1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_prefix_that_holds_nothing_but_bucket_json_counts_as_data() {
    let world = World::new();
    let _first = world.claimed().await;
    assert_eq!(world.keys("").await, [BUCKET_KEY]);
    let fresh = world.database();
    let next = world.repository(&fresh);
    assert!(matches!(
        next.check_ownership().await.unwrap(),
        Standing::Refused(_)
    ));
    assert_eq!(
        try_create(&next, &tenant("acme"), "x")
            .await
            .unwrap_err()
            .code(),
        "refused"
    );
    assert!(recover_all(&next).await.is_empty());
    assert_eq!(
        create(&next, &tenant("acme"), "x")
            .await
            .manifest
            .entry
            .meta
            .epoch,
        Epoch::new(2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_lost_its_bucket_json_is_no_empty_bucket() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    world.memory.remove(BUCKET_KEY);
    let fresh = world.database();
    let next = world.repository(&fresh);
    assert!(matches!(
        next.check_ownership().await.unwrap(),
        Standing::Refused(_)
    ));
    assert_eq!(recover_all(&next).await.remove(0).restored, 3);
    assert_eq!(
        create(&next, &acme, "on").await.manifest.version(),
        Seq::new(4)
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_bucket_refuses_an_unclaimed_database_and_no_claimed_one() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    world.bucket.set_down(true);
    create(&repository, &acme, "while down").await;
    assert!(repository.check_ownership().await.is_err());
    create(&repository, &acme, "still").await;

    let fresh = world.repository(&world.database());
    assert!(fresh.check_ownership().await.unwrap_err().retryable());
    assert_eq!(
        try_create(&fresh, &acme, "x").await.unwrap_err().code(),
        "refused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_only_the_lost_database_knew_is_created_anew() {
    let (world, acme, ghost) = (World::new(), tenant("acme"), tenant("ghost"));
    let (_, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    create_many(&repository, &ghost, 3).await;

    let fresh = world.database();
    let next = world.repository(&fresh);
    recover_all(&next).await;
    let created = create(&next, &ghost, "anew").await;
    assert_eq!(
        (
            created.manifest.version(),
            created.manifest.entry.meta.epoch
        ),
        (Seq::new(1), Epoch::new(2))
    );
    drain(&next).await;
    world.assert_settled(&fresh, &ghost).await;
    // The lost database's replicator is shut out.
    assert!(
        repository.drain(CancellationToken::new()).await.is_err()
            || world.keys("ghost/versions/").await.len() == 1
    );
    assert_eq!(
        world.keys("ghost/versions/").await,
        ["ghost/versions/v000001.e2.json"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_activation_and_an_apply_are_recovered_without_the_version_they_refer_to() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (lost, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    apply(&repository, &acme, 3).await;
    let to_first = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(1)),
        ..RecoveryRequest::default()
    };
    drain(&repository).await;
    repository.recover_from_s3(&acme, &to_first).await.unwrap();
    drain(&repository).await;
    world.assert_settled(&lost, &acme).await;
    // The bucket loses the last two versions: its index is that of an older day.
    let fresh_bucket = World::new();
    let (_, short) = fresh_bucket.claimed().await;
    drop(short);
    for key in world.keys("acme/").await {
        if !key.contains("versions/") && key != index_key(&acme, Stream::Manifests) {
            let object = world.memory.get(&key, u64::MAX).await.unwrap().unwrap();
            fresh_bucket.memory.insert(&key, object.bytes);
        }
    }
    let first = world
        .memory
        .get("acme/versions/v000001.json", u64::MAX)
        .await
        .unwrap()
        .unwrap();
    fresh_bucket
        .memory
        .insert("acme/versions/v000001.json", first.bytes);

    let fresh = fresh_bucket.database();
    let next = fresh_bucket.repository(&fresh);
    let recovery = recover_all(&next).await.remove(0);
    assert_eq!(recovery.head, Seq::new(1));
    assert_eq!(
        recovery.void_references,
        [
            (Stream::Applies, Seq::new(1)),
            (Stream::Decisions, Seq::new(1))
        ]
    );
    assert_eq!(recovery.active_version, Seq::new(1));
    assert!(!shadow_state(&next, "acme").await.resolves);
    // New versions take the numbers again, and the void references never match them.
    create_many(&next, &acme, 2).await;
    assert_eq!(
        next.current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(3)
    );
    assert!(!shadow_state(&next, "acme").await.resolves);
    drain(&next).await;
    fresh_bucket.assert_settled(&fresh, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn another_build_uploads_the_same_entry_in_other_bytes() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 2).await;
    // The entry is the same, and no row makes these bytes: nothing adopts them, and nothing takes them for another history.
    let key = upload_only(&world, database.as_ref(), "acme", 2).await;
    let object = world.memory.get(&key, u64::MAX).await.unwrap().unwrap();
    let ours = String::from_utf8(object.bytes.to_vec()).unwrap();
    let other = ours.replacen("{\n", "{ \"build\": 2,\n", 1);
    world.memory.insert(&key, other.into_bytes());
    let left = drain(&repository).await.left;
    assert_eq!((left.backing_off, left.stopped), (1, 0));
    let plan = repository.plan_repair(Some(&acme)).await.unwrap();
    let report = repository.apply_repair(&plan).await.unwrap();
    for (_, outcome) in report.tenants {
        outcome.unwrap();
    }
    tokio::time::sleep(world.settings.max_backoff).await;
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
    let index = world.index(&acme, Stream::Manifests).await.unwrap();
    assert_eq!(
        index.entries[1].object_sha256,
        driftline::domain::Digest::of(ours.as_bytes())
    );
    assert_eq!(
        recover_all(&world.repository(&world.database()))
            .await
            .remove(0)
            .restored,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn an_index_that_is_lost_or_corrupt_is_rebuilt_by_recovery() {
    for corrupt in [false, true] {
        let (world, acme) = (World::new(), tenant("acme"));
        let (lost, repository) = world.claimed().await;
        create_many(&repository, &acme, 140).await;
        drain(&repository).await;
        let key = index_key(&acme, Stream::Manifests);
        if corrupt {
            world.memory.insert(&key, &b"{\"latestVersion\": 1}"[..]);
        } else {
            world.memory.remove(&key);
        }
        assert_eq!(
            repository
                .recoverable_versions(&acme, None, 1000)
                .await
                .unwrap()
                .items
                .len(),
            140
        );
        let fresh = world.database();
        let next = world.repository(&fresh);
        let recovery = recover_all(&next).await.remove(0);
        assert_eq!(
            (
                recovery.restored,
                recovery.failures.len(),
                recovery.worked_around.len()
            ),
            (140, 0, 1)
        );
        assert_eq!(
            futures_of(fresh.as_ref(), 140).await,
            futures_of(lost.as_ref(), 140).await
        );
        create(&next, &acme, "on").await;
        drain(&next).await;
        world.assert_settled(&fresh, &acme).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_page_and_a_lost_snapshot_cost_no_more_than_they_must() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 140).await;
    drain(&repository).await;
    create(&repository, &acme, "seals the page").await;
    drain(&repository).await;
    world
        .memory
        .insert(&page_key(&acme, Stream::Manifests, 1), &b"garbage"[..]);
    world.memory.remove("acme/versions/v000139.json");
    let fresh = world.database();
    let next = world.repository(&fresh);
    let recovery = recover_all(&next).await.remove(0);
    assert_eq!((recovery.head, recovery.restored), (Seq::new(141), 140));
    assert_eq!(recovery.failures.len(), 1);
    assert_eq!(recovery.failures[0].object, "acme/versions/v000139.json");
    assert_eq!(recovery.worked_around.len(), 1);
    // The lost version is named when it is asked for; the others are served.
    assert_eq!(
        next.manifest_by_version(&acme, Seq::new(139))
            .await
            .unwrap_err()
            .code(),
        "damaged"
    );
    assert!(
        next.manifest_by_version(&acme, Seq::new(140))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        create(&next, &acme, "on").await.manifest.version(),
        Seq::new(142)
    );
    drain(&next).await;
    assert_eq!(
        world
            .index(&acme, Stream::Manifests)
            .await
            .unwrap()
            .latest(),
        Seq::new(142)
    );
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_in_flight_lands_after_a_recovery_and_a_second_recovery_leaves_it_alone() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (lost, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    create(&repository, &acme, "only in the lost database").await;
    let second = world.database();
    recover_all(&world.repository(&second)).await;
    // Version 4 of the first epoch lands now: it never became history, although its chain fits.
    upload_only(&world, lost.as_ref(), "acme", 4).await;
    let third = world.repository(&world.database());
    let recovery = recover_all(&third).await.remove(0);
    assert_eq!(recovery.head, Seq::new(3));
    assert_eq!(recovery.orphans, ["acme/versions/v000004.json"]);
}

#[tokio::test(start_paused = true)]
async fn recovering_a_single_tenant_leaves_the_others_waiting() {
    let (world, acme, other) = (World::new(), tenant("acme"), tenant("other"));
    let (_, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    create(&repository, &other, "o").await;
    drain(&repository).await;
    let fresh = world.database();
    let next = world.repository(&fresh);
    assert_eq!(recover(&next, &acme).await.restored, 1);
    create(&next, &acme, "goes on").await;
    assert_eq!(
        try_create(&next, &other, "x").await.unwrap_err().code(),
        "refused"
    );
    assert_eq!(
        fresh_ownership(fresh.as_ref()).await,
        Ownership::AwaitingRecovery
    );
    recover_all(&next).await;
    create(&next, &other, "goes on").await;
    drain(&next).await;
    world.assert_settled(&fresh, &acme).await;
    world.assert_settled(&fresh, &other).await;
}

#[tokio::test(start_paused = true)]
async fn tenants_that_are_restored_while_others_wait_for_their_turn_take_writes_afterwards() {
    let world = World::new();
    let (_, repository) = world.claimed().await;
    // More than are recovered at once.
    let tenants: Vec<_> = (0..3 * world.settings.concurrent_tenants)
        .map(|number| tenant(&format!("tenant-{number}")))
        .collect();
    for tenant in &tenants {
        create(&repository, tenant, "before").await;
    }
    drain(&repository).await;
    let fresh = world.database();
    let next = world.repository(&fresh);
    assert_eq!(recover_all(&next).await.len(), tenants.len());
    for tenant in &tenants {
        assert_eq!(
            create(&next, tenant, "after")
                .await
                .manifest
                .version()
                .get(),
            2
        );
    }
    drain(&next).await;
    for tenant in &tenants {
        world.assert_settled(&fresh, tenant).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_after_the_listing_makes_the_recovery_start_over() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    let next = world.repository(&world.database());
    // The old replicator's first index of the applies lands before the recovery's own.
    let gate = world
        .bucket
        .hold(On::put("acme/applies/index.json"), Moment::Before);
    let recovery = {
        let (next, acme) = (next.clone(), acme.clone());
        tokio::spawn(async move {
            next.recover_from_s3(&acme, &RecoveryRequest::default())
                .await
        })
    };
    gate.reached().await;
    let index = Index::empty(&acme, Stream::Applies, Epoch::FIRST, Timestamp::EPOCH);
    world
        .memory
        .insert("acme/applies/index.json", index.to_bytes());
    gate.release();
    assert_eq!(recovery.await.unwrap().unwrap_err().code(), "stale");
    assert_eq!(recover(&next, &acme).await.restored, 1);
    create(&next, &acme, "goes on").await;
}

async fn fresh_ownership(database: &dyn Database) -> Ownership {
    database.identity().await.unwrap().ownership
}

#[tokio::test(start_paused = true)]
async fn a_claimed_database_pointed_at_a_foreign_bucket_goes_on_and_shadows_nothing_there() {
    let (world, elsewhere, acme) = (World::new(), World::new(), tenant("acme"));
    let _owner = elsewhere.claimed().await;
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    let lost_way = world.repository_on(&database, Arc::new(elsewhere.bucket.clone()));
    // Both worlds count their identifiers from one; a foreign bucket has another one.
    let mut identity = elsewhere.identity().await.unwrap();
    identity.bucket_id = driftline::domain::BucketId(uuid::Uuid::from_u128(77));
    identity.database_id.id = uuid::Uuid::from_u128(78);
    elsewhere.memory.insert(BUCKET_KEY, identity.to_bytes());
    assert!(matches!(
        lost_way.check_ownership().await.unwrap(),
        Standing::Undecided(_)
    ));
    create(&lost_way, &acme, "b").await;
    assert_eq!(
        lost_way
            .drain(CancellationToken::new())
            .await
            .unwrap_err()
            .code(),
        "refused"
    );
    assert_eq!(elsewhere.keys("").await, [BUCKET_KEY]);
}

#[tokio::test(start_paused = true)]
async fn a_replicator_that_stalls_after_reading_the_index_cannot_undo_what_came_since() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    let gate = world
        .bucket
        .hold(On::put("acme/index.json").times(1), Moment::Before);
    let mut stalled = Box::pin(repository.drain(CancellationToken::new()));
    tokio::select! {
        biased;
        _ = &mut stalled => panic!("it is held"),
        () = gate.reached() => {}
    }
    create_many(&repository, &acme, 3).await;
    // The whole process stalls, so that its lease runs out, and another replicator does the work.
    tokio::time::sleep(world.settings.lease * 2).await;
    let other = world.repository(&database);
    drain(&other).await;
    world.assert_settled(&database, &acme).await;
    gate.release();
    stalled.await.unwrap();
    world.assert_settled(&database, &acme).await;
    assert_eq!(
        world
            .index(&acme, Stream::Manifests)
            .await
            .unwrap()
            .latest(),
        Seq::new(6)
    );
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_index_write_that_lands_late_loses_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    world
        .bucket
        .fail(On::put("acme/index.json").times(1), Flaw::DeferredUnknown);
    drain(&repository).await;
    world.bucket.apply_deferred().await;
    create(&repository, &acme, "on").await;
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
}

async fn shadow_state(repository: &Repository, name: &str) -> ShadowState {
    repository
        .current_shadow_state(&tenant(name))
        .await
        .unwrap()
        .expect("something was applied")
}

#[tokio::test(start_paused = true)]
async fn an_activation_overtaken_by_a_write_names_the_head_that_it_is_decided_for() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    let gate = world
        .bucket
        .hold(On::get("acme/index.json").times(1), Moment::Before);
    let request = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(1)),
        ..RecoveryRequest::default()
    };
    let activating = tokio::spawn({
        let (repository, acme) = (Arc::clone(&repository), acme.clone());
        async move { repository.recover_from_s3(&acme, &request).await }
    });
    gate.reached().await;
    create(&repository, &acme, "meanwhile").await;
    gate.release();
    let recovery = activating.await.unwrap().unwrap();
    assert_eq!(recovery.active_version, Seq::new(1));
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
    let recovered = recover_all(&world.repository(&world.database()))
        .await
        .remove(0);
    assert_eq!(recovered.void_references, []);
    assert_eq!(
        (recovered.head, recovered.active_version),
        (Seq::new(4), Seq::new(1))
    );
}

#[tokio::test(start_paused = true)]
async fn an_apply_after_the_manifests_index_was_lost_brings_the_index_back() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    world.memory.remove("acme/index.json").unwrap();
    apply(&repository, &acme, 3).await;
    // A replicator that went round in circles would come to an end by this.
    world
        .bucket
        .fail(On::get("_driftline/").skip(50), Flaw::Unavailable);
    assert_eq!(drain(&repository).await.left, Backlog::default());
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_be_recovered_holds_up_the_shadowing_of_nobody_else() {
    let (world, acme, other) = (World::new(), tenant("acme"), tenant("other"));
    let (primary, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    create(&repository, &other, "o").await;
    drain(&repository).await;
    let replica = Arc::new(primary.backup());
    create(&repository, &acme, "only the primary has it").await;
    drain(&repository).await;
    // The replica takes a write under the same number, and then it shows that it is one.
    create(&world.repository(&replica), &acme, "another second").await;
    replica.promote();
    let started_later = world.repository(&replica);
    assert_eq!(
        started_later.check_ownership().await.unwrap_err().code(),
        "refused"
    );
    create(&started_later, &other, "goes on").await;
    let drained = drain(&started_later).await;
    assert_eq!((drained.shadowed, drained.left.stopped), (1, 1));
    world.assert_settled(&replica, &other).await;
}
