//! What is read: verified, whole, and as of the version that was decided for.

use std::time::Duration;

use driftline::domain::{Seq, Stream};
use driftline::ports::{ErrorKind, RecoverTarget, RecoveryRequest, SnapshotStore as _, Source};
use driftline::prelude::*;

use crate::support::world::{World, create, create_many, drain, tenant};

#[tokio::test(start_paused = true)]
async fn i11_what_comes_from_the_bucket_is_verified_and_named_when_it_is_damaged() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    database.lose_row(&acme, Stream::Manifests, Seq::new(2));
    let served = repository
        .manifest_by_version(&acme, Seq::new(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (served.source, served.active, served.shadowed),
        (Source::Bucket, Some(false), true)
    );

    let key = "acme/versions/v000002.json";
    let bytes = world
        .memory
        .get(key, u64::MAX)
        .await
        .unwrap()
        .unwrap()
        .bytes;
    for place in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 0x20;
        world.memory.insert(key, flipped);
        let error = repository
            .manifest_by_version(&acme, Seq::new(2))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "damaged");
        assert!(error.to_string().contains(key), "{error}");
    }
    // Nothing beyond the head is asked of the bucket.
    world.bucket.take_calls();
    assert!(
        repository
            .manifest_by_version(&acme, Seq::new(4))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        repository
            .manifest_by_version(&tenant("nobody"), Seq::new(1))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(world.bucket.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_history_neither_overlap_nor_miss_while_versions_are_added() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 300).await;
    drain(&repository).await;
    let (mut seen, mut recoverable) = (Vec::new(), Vec::new());
    let (mut before, mut bucket_before) = (None, None);
    loop {
        let page = repository.version_history(&acme, before, 70).await.unwrap();
        let in_bucket = repository
            .recoverable_versions(&acme, bucket_before, 70)
            .await
            .unwrap();
        seen.extend(page.items.iter().map(|meta| meta.seq.get()));
        recoverable.extend(in_bucket.items.iter().map(|meta| meta.seq.get()));
        create_many(&repository, &acme, 40).await;
        drain(&repository).await;
        (before, bucket_before) = (page.next, in_bucket.next);
        if before.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (1..=300).rev().collect();
    assert_eq!(seen, expected);
    assert_eq!(recoverable, expected);
    assert!(
        repository
            .version_history(&acme, None, 0)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        repository
            .version_history(&acme, None, 1001)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "one story from beginning to end")]
async fn recovery_to_a_version_or_a_time_decides_and_the_next_write_ends_it() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let second = create(&repository, &acme, "b").await.manifest.entry.meta;
    tokio::time::sleep(Duration::from_secs(10)).await;
    create(&repository, &acme, "c").await;
    drain(&repository).await;
    let at = RecoveryRequest {
        target: RecoverTarget::At(second.committed_at),
        ..RecoveryRequest::default()
    };
    let plan = repository
        .recover_from_s3(
            &acme,
            &RecoveryRequest {
                dry_run: true,
                ..at.clone()
            },
        )
        .await
        .unwrap();
    assert_eq!(plan.active_version, Seq::new(2));
    assert_eq!(
        repository
            .current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(3)
    );
    let recovery = repository.recover_from_s3(&acme, &at).await.unwrap();
    assert_eq!(
        (recovery.active_version, recovery.restored),
        (Seq::new(2), 0)
    );
    assert_eq!(
        repository
            .current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(2)
    );
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;

    // The decision outlives the database, and ends with the next version.
    let fresh = world.database();
    let next = world.repository(&fresh);
    next.recover_all(
        &RecoveryRequest::default(),
        &driftline::hybrid::Progress::default(),
    )
    .await
    .unwrap();
    assert_eq!(
        next.current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(2)
    );
    assert_eq!(
        next.manifest_at(&acme, second.committed_at)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(2)
    );
    create(&next, &acme, "d").await;
    assert_eq!(
        next.current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(4)
    );
    let copy = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(1)),
        as_new_version: true,
        ..RecoveryRequest::default()
    };
    let copied = next.recover_from_s3(&acme, &copy).await.unwrap();
    assert_eq!(
        (copied.new_version, copied.active_version),
        (Some(Seq::new(5)), Seq::new(5))
    );
    let manifest = next.current_manifest(&acme).await.unwrap().unwrap();
    assert!(
        manifest
            .entry
            .meta
            .message
            .unwrap()
            .as_str()
            .starts_with("recovered from version 1 with chain ")
    );
}

#[tokio::test(start_paused = true)]
async fn stats_and_health_tell_each_side_apart() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    let empty = repository.stats(&acme).await.unwrap();
    assert_eq!(
        (
            empty.total_versions,
            empty.latest_version,
            empty.bucket_bytes
        ),
        (0, Seq::default(), Some(0))
    );
    create_many(&repository, &acme, 2).await;
    drain(&repository).await;
    let stats = repository.stats(&acme).await.unwrap();
    assert_eq!((stats.total_versions, stats.shadowed_versions), (2, 2));
    let health = repository.health_check().await;
    assert!(health.database.reachable && health.bucket.reachable && health.refusal.is_none());
    world.bucket.set_down(true);
    let health = repository.health_check().await;
    assert!(health.database.reachable && !health.bucket.reachable);
    assert!(
        repository
            .stats(&acme)
            .await
            .unwrap()
            .bucket_bytes
            .is_none()
    );
}
