//! The bucket holds up no write, and a write that waits for it waits no longer than it helps.

use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::{Seq, Stream};
use driftline::ports::{CreateManifest, Durability, ShadowLedger as _};
use driftline::prelude::*;

use crate::support::world::{
    Repository, World, content, create, drain, put_strangers_snapshot, tenant,
};
use driftline_conformance::faults::{Flaw, Moment, On};

#[tokio::test(start_paused = true)]
async fn i3_a_bucket_that_is_down_or_slow_never_holds_up_a_write() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    repository.start();
    world.bucket.set_down(true);
    let started = tokio::time::Instant::now();
    for number in 0..50 {
        create(&repository, &acme, &format!("{number}")).await;
    }
    assert_eq!(
        started.elapsed(),
        Duration::ZERO,
        "a write waited for the bucket"
    );
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(
        database.watermarks(&acme).await.unwrap()[Stream::Manifests],
        Seq::default()
    );
    let status = repository
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(status.at_risk.entries, 50);
    assert!(status.last_error.is_some());
    world.bucket.set_down(false);
    assert!(waits(&repository, "last", Duration::from_mins(3)).await.0);
    world.assert_settled(&database, &acme).await;
    assert!(repository.shutdown(Duration::from_secs(5)).await.unwrap());
}

/// A write that waits for the bucket, at most for so long: whether it got there, and how long that took.
async fn waits(repository: &Repository, tag: &str, longest: Duration) -> (bool, Duration) {
    let request = CreateManifest {
        content: content(tag),
        durability: Durability::Shadowed(longest),
        ..CreateManifest::default()
    };
    let began = tokio::time::Instant::now();
    let created = repository.create_manifest(&tenant("acme"), request).await;
    let created = created.unwrap();
    assert!(created.new);
    (created.manifest.shadowed, began.elapsed())
}

/// Two versions of which the second fails to be shadowed.
async fn failing(on: On, flaw: Flaw) -> (World, Arc<MemoryDatabase>, Repository) {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    world.bucket.fail(on, flaw);
    create(&repository, &acme, "b").await;
    assert_eq!(drain(&repository).await.left.backing_off, 1);
    (world, database, repository)
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_at_the_deadline_and_the_write_stands() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    world.bucket.set_down(true);
    repository.start();
    let (shadowed, _) = waits(&repository, "a", Duration::from_secs(2)).await;
    assert!(!shadowed);
    assert!(repository.current_manifest(&acme).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn i3_a_bucket_that_does_not_answer_holds_no_write_beyond_its_time() {
    let (world, _, repository) = failing(On::put("acme/").times(1), Flaw::Unavailable).await;
    repository.start();
    let gate = world.bucket.hold(On::any(), Moment::Before);
    let write = waits(&repository, "c", Duration::from_secs(2));
    let write = tokio::time::timeout(Duration::from_mins(5), write).await;
    let (shadowed, took) = write.unwrap();
    assert!(!shadowed);
    // A look at what keeps the tenant is cut there as well.
    assert!(took < Duration::from_millis(2050), "{took:?}");
    gate.release();
}

#[tokio::test(start_paused = true)]
async fn i3_a_bucket_that_does_not_answer_hides_nothing_that_another_process_shadowed() {
    let (world, database, repository) = failing(On::put("acme/").times(1), Flaw::Unavailable).await;
    let gate = world
        .bucket
        .hold(On::get("acme/index.json"), Moment::Before);
    let write = waits(&repository, "c", Duration::from_mins(10));
    let other = async {
        gate.reached().await;
        let other = world.repository_on(&database, Arc::new(world.memory.clone()));
        other.start();
        other
    };
    let (other, (shadowed, took)) = tokio::join!(other, write);
    assert!(shadowed && took < Duration::from_mins(2), "{took:?}");
    assert!(other.shutdown(Duration::from_secs(5)).await.unwrap());
    gate.release();
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_where_it_waits_for_somebody_who_decides() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    put_strangers_snapshot(&world, 1).await;
    assert_eq!(drain(&repository).await.left.stopped, 1);
    repository.start();
    let (shadowed, took) = waits(&repository, "b", Duration::from_hours(1)).await;
    assert!(!shadowed && took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_where_a_retry_fails_that_no_retry_mends() {
    for is_mended in [true, false] {
        let refused = On::put("acme/").times(if is_mended { 1 } else { usize::MAX });
        let (_world, _, repository) = failing(refused, Flaw::Refused).await;
        repository.start();
        let (shadowed, took) = waits(&repository, "c", Duration::from_hours(1)).await;
        assert_eq!(shadowed, is_mended);
        assert!(took < Duration::from_mins(5), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_where_an_index_is_damaged() {
    let (world, _, repository) = failing(On::put("acme/").times(1), Flaw::Unavailable).await;
    world.memory.insert("acme/index.json", "spoilt");
    let (shadowed, took) = waits(&repository, "c", Duration::from_hours(1)).await;
    assert!(!shadowed && took < Duration::from_secs(1), "{took:?}");
}
