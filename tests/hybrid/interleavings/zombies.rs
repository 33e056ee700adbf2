//! Replicators and requests that come late: of a lost database, or of one that went on without them.

use super::*;

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
    let before: Vec<Entry> = first_versions(database.as_ref(), 14).await;

    let fresh = world.database();
    let recovered = world.repository(&fresh);
    let recovery = recover_all(&recovered).await.remove(0);
    assert_eq!(
        (recovery.state, recovery.restored, recovery.head),
        (RecoveryState::Empty, 14, Seq::new(14))
    );
    assert_eq!(recovery.orphans, ["acme/versions/v000017.json"]);
    assert_eq!(recovery.epoch, Epoch::new(2));
    assert_eq!(first_versions(fresh.as_ref(), 14).await, before);

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
