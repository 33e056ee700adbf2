//! Batches: their order, what halts or fences them, and what they cost.

use std::time::Duration;

use driftline::domain::format::Snapshot;
use driftline::domain::{Digest, Seq, Stream};
use driftline::hybrid::Standing;
use driftline::ports::{RecoveryStore as _, ShadowLedger as _, SnapshotStore as _};
use driftline::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::support::world::{
    World, apply, create, create_many, drain, put_strangers_snapshot, tenant, try_create,
};
use driftline_conformance::faults::{Flaw, Method, On};

#[tokio::test(start_paused = true)]
async fn i4_what_one_process_left_pending_another_one_shadows() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drop(repository);
    let next = world.repository(&database);
    assert_eq!(drain(&next).await.shadowed, 3);
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn i5_snapshots_come_before_the_page_before_the_index() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 128).await;
    drain(&repository).await;
    create_many(&repository, &acme, 2).await;
    world.bucket.take_calls();
    drain(&repository).await;
    let mut puts: Vec<String> = world
        .bucket
        .take_calls()
        .into_iter()
        .filter(|call| call.method == Method::Put)
        .map(|call| call.key)
        .collect();
    // The snapshots of a batch go up side by side.
    puts[..2].sort();
    assert_eq!(
        puts,
        [
            "acme/versions/v000129.json",
            "acme/versions/v000130.json",
            "acme/index/p000001.json",
            "acme/index.json"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn i5_a_batch_that_takes_long_ends_early_so_that_its_lease_still_holds() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 100).await;
    let slow = Flaw::Slow(Duration::from_secs(2));
    world.bucket.fail(On::put("acme/versions/"), slow);
    world.bucket.take_calls();
    assert_eq!(drain(&repository).await.shadowed, 100);
    let puts: Vec<String> = world
        .bucket
        .take_calls()
        .into_iter()
        .filter(|call| call.method == Method::Put && call.key.starts_with("acme/"))
        .map(|call| call.key)
        .collect();
    // Rounds of uploads begin after 0, 2 and 4 s of the 5 that a lease of 15 s leaves.
    let first = puts.iter().position(|key| key == "acme/index.json");
    assert_eq!(first, Some(3 * world.settings.concurrent_requests));
    // Nothing goes up twice.
    let batches = puts.iter().filter(|key| *key == "acme/index.json").count();
    assert_eq!(puts.len(), 100 + batches, "{puts:?}");
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn i5_a_page_is_sealed_only_from_entries_that_the_index_names_already() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 128).await;
    drain(&repository).await;
    assert_eq!(world.keys("acme/index/").await, Vec::<String>::new());
    create(&repository, &acme, "one more").await;
    drain(&repository).await;
    assert_eq!(world.keys("acme/index/").await, ["acme/index/p000001.json"]);
}

#[tokio::test(start_paused = true)]
async fn i7_a_divergent_history_halts_the_tenant_and_nobody_else() {
    let (world, acme, other) = (World::new(), tenant("acme"), tenant("other"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    let foreign = put_strangers_snapshot(&world, 1).await;
    create(&repository, &other, "o").await;
    let drained = drain(&repository).await;
    assert_eq!((drained.shadowed, drained.left.stopped), (1, 1));
    world.assert_settled(&database, &other).await;
    let halted = repository
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0)
        .halted
        .unwrap();
    assert_eq!(halted.bucket, foreign.meta.chain);
    // Writes go on, all streams stay where they are, and nothing was overwritten.
    create(&repository, &acme, "b").await;
    apply(&repository, &acme, 1).await;
    assert_eq!(drain(&repository).await.shadowed, 0);
    let object = world
        .memory
        .get("acme/versions/v000001.json", u64::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(object.bytes, Snapshot::write(&foreign));
}

#[tokio::test(start_paused = true)]
async fn i7_an_unreadable_object_halts_only_after_several_looks() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    world
        .memory
        .insert("acme/versions/v000001.json", &b"not a snapshot"[..]);
    let drained = drain(&repository).await;
    assert_eq!((drained.left.stopped, drained.left.backing_off), (0, 1));
    repository.start();
    tokio::time::sleep(Duration::from_mins(2)).await;
    let halted = database
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0)
        .halted
        .unwrap();
    assert_eq!(halted.bucket, Digest::of(b"not a snapshot"));
}

#[tokio::test(start_paused = true)]
async fn i8_an_entry_waits_until_the_index_names_the_version_it_refers_to() {
    let mut world = World::new();
    world.settings.batch_entries = 2;
    let acme = tenant("acme");
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 5).await;
    apply(&repository, &acme, 5).await;
    world.bucket.take_calls();
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
    let puts: Vec<String> = world
        .bucket
        .take_calls()
        .into_iter()
        .filter(|call| call.method == Method::Put)
        .map(|call| call.key)
        .collect();
    let apply_at = puts
        .iter()
        .position(|key| key == "acme/applies/a000001.json")
        .unwrap();
    let last_index = puts
        .iter()
        .rposition(|key| key == "acme/index.json")
        .unwrap();
    assert!(last_index < apply_at, "{puts:?}");
}

#[tokio::test(start_paused = true)]
async fn i9_a_replicator_of_an_older_epoch_stops_and_says_what_to_do() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    let mut index = world.index(&acme, Stream::Manifests).await.unwrap();
    index.epoch = index.epoch.next();
    world.memory.insert("acme/index.json", index.to_bytes());
    create(&repository, &acme, "b").await;
    drain(&repository).await;
    assert_eq!(world.index(&acme, Stream::Manifests).await.unwrap(), index);
    let status = database
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0);
    assert!(status.last_error.unwrap().contains("recovery unfinished"));
}

#[tokio::test(start_paused = true)]
async fn i10_two_databases_racing_for_a_fresh_bucket_have_one_winner() {
    let world = World::new();
    let (one, two) = (
        world.repository(&world.database()),
        world.repository(&world.database()),
    );
    let (first, second) = tokio::join!(one.check_ownership(), two.check_ownership());
    let owners = [first.unwrap(), second.unwrap()]
        .iter()
        .filter(|standing| matches!(standing, Standing::Owner(_)))
        .count();
    assert_eq!(owners, 1);
}

#[tokio::test(start_paused = true)]
async fn i12_a_thousand_versions_cost_the_same_each_and_an_idle_hour_costs_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    let mut written = Vec::new();
    // The first batch in a bucket's life probes it.
    create(&repository, &tenant("first"), "a").await;
    drain(&repository).await;
    for number in 0..1000 {
        create(&repository, &acme, &format!("{number:04}")).await;
        world.bucket.take_calls();
        drain(&repository).await;
        let counts = world.bucket.counts();
        assert_eq!(counts.lists, 0);
        assert!(counts.total() <= 12, "{counts:?}");
        written.push(counts.bytes_out);
    }
    let per_page = |from: usize| written[from..from + 128].iter().sum::<usize>();
    let (second, seventh) = (per_page(128), per_page(768));
    assert!(
        seventh < second + second / 100,
        "bytes per version grow: {second} then {seventh} for 128 versions"
    );

    for version in [1, 128, 129, 500, 1000] {
        database.lose_row(&acme, Stream::Manifests, Seq::new(version));
        world.bucket.take_calls();
        let served = repository
            .manifest_by_version(&acme, Seq::new(version))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(served.version(), Seq::new(version));
        let counts = world.bucket.counts();
        assert!(
            counts.gets <= 3 && counts.total() == counts.gets,
            "{counts:?}"
        );
    }

    repository.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.bucket.take_calls();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.bucket.counts().total(), 0, "an idle hour");
}

#[tokio::test(start_paused = true)]
async fn shutdown_abandons_at_its_deadline_and_loses_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    let gate = world.bucket.hold(
        On::put("acme/index.json").times(1),
        driftline_conformance::faults::Moment::Before,
    );
    repository.start();
    gate.reached().await;
    assert!(!repository.shutdown(Duration::from_secs(1)).await.unwrap());
    tokio::time::sleep(world.settings.lease * 2).await;
    let next = world.repository(&database);
    next.drain(CancellationToken::new()).await.unwrap();
    world.assert_settled(&database, &acme).await;
    assert!(try_create(&next, &acme, "on").await.is_ok());
    assert_eq!(
        database.identity().await.unwrap().bucket_id,
        Some(world.identity().await.unwrap().bucket_id)
    );
}
