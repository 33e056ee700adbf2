//! A replica takes the place of its primary.

use super::*;

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
