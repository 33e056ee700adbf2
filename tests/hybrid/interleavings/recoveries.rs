//! Recoveries that are cut off, of less than everything, and around what is lost or damaged.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_recovery_is_cut_off_between_index_and_database_then_another() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (lost, repository) = world.claimed().await;
    create_many(&repository, &acme, 5).await;
    apply(&repository, &acme, 5).await;
    drain(&repository).await;
    let before = first_versions(lost.as_ref(), 5).await;

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
    assert_eq!(first_versions(fresh.as_ref(), 5).await, before);
    create(&cut_off, &acme, "goes on").await;
    drain(&cut_off).await;
    world.assert_settled(&fresh, &acme).await;

    // Yet another database can follow.
    let third = world.database();
    let next = world.repository(&third);
    assert_eq!(recover_all(&next).await.remove(0).restored, 7);
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
            first_versions(fresh.as_ref(), 140).await,
            first_versions(lost.as_ref(), 140).await
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
    assert_eq!(ownership(fresh.as_ref()).await, Ownership::AwaitingRecovery);
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

async fn shadow_state(repository: &Repository, name: &str) -> ShadowState {
    repository
        .current_shadow_state(&tenant(name))
        .await
        .unwrap()
        .expect("something was applied")
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
