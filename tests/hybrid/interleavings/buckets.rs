//! Whose bucket it is, and a bucket that is not the one of before.

use super::*;

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
    let ownership = ownership(database.as_ref()).await;
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
    let ownership = ownership(fresh.as_ref()).await;
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
