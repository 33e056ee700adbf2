//! What a resolution mends, plans and keeps, and what it is refused for.

use super::*;

#[tokio::test(start_paused = true)]
async fn resolving_what_does_not_diverge_is_a_plain_recovery() {
    let scene = Scene::new(async |lost, acme| create_many(lost, acme, 1).await).await;
    let recovered = scene.resolve(false).await;
    assert_eq!(recovered.state, RecoveryState::Behind);
    assert_eq!(recovered.restored, 1);
    assert_eq!(recovered.renumbered, []);
    let again = scene.resolve(false).await;
    assert_eq!(again.state, RecoveryState::Equal);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_of_the_other_history_is_named_and_the_rest_is_resolved() {
    let scene = Scene::new(async |lost, acme| create_many(lost, acme, 2).await).await;
    create(&scene.promoted, &scene.acme, "a").await;
    let key = "acme/versions/v000003.json";
    let mut bytes = scene.world.memory.remove(key).unwrap().to_vec();
    bytes[400] ^= 1;
    scene.world.memory.insert(key, bytes);
    let resolved = scene.resolve(false).await;
    let lost: Vec<_> = resolved.failures.iter().map(|it| &it.object).collect();
    assert_eq!(lost, [key]);
    assert_eq!((resolved.restored, resolved.head), (1, Seq::new(5)));
    let moved: Vec<_> = (resolved.renumbered.iter())
        .map(|it| (it.from.get(), it.to.get()))
        .collect();
    assert_eq!(moved, [(3, 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_retired_tenant_comes_back_retired() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    create(&repository, &acme, "1").await;
    let state = (database.as_ref() as &dyn driftline::ports::Database).tenant(&acme);
    assert_eq!(state.await.unwrap().unwrap().retired, None);
    let scene_decision = NewEntry {
        stream: Stream::Decisions,
        id: EntryId(world.entropy.uuid()),
        content: Decision::Retire.to_content().unwrap(),
        created_at: world.clock.now(),
        created_by: None,
        message: None,
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    };
    (database.as_ref() as &dyn driftline::ports::Database)
        .append(&acme, &scene_decision)
        .await
        .unwrap();
    drain(&repository).await;
    let fresh = world.database();
    let recovered = world.repository(&fresh);
    recover_all(&recovered).await;
    let error = try_create(&recovered, &acme, "2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let manifest = recovered.current_manifest(&acme).await.unwrap().unwrap();
    assert_eq!(manifest.retired, Some(true));
    let request = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(1)),
        as_new_version: true,
        ..RecoveryRequest::default()
    };
    let error = recovered
        .recover_from_s3(&acme, &request)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

impl Scene {
    /// Both sides went on: 3 to 5 in the bucket, 3 to 6 in the database.
    async fn diverged() -> Self {
        let scene = Self::new(async |lost, acme| create_many(lost, acme, 3).await).await;
        for tag in ["a", "b", "c", "d"] {
            create(&scene.promoted, &scene.acme, tag).await;
        }
        scene
    }

    /// The resolution fails, and the tenant goes on taking writes.
    async fn refuses(&self) {
        for dry_run in [true, false] {
            let request = RecoveryRequest {
                resolve_divergence: true,
                dry_run,
                ..RecoveryRequest::default()
            };
            let refused = self.promoted.recover_from_s3(&self.acme, &request).await;
            assert_eq!(
                refused.unwrap_err().kind(),
                ErrorKind::Damaged,
                "dry run: {dry_run}"
            );
        }
        assert!(!self.state().await.awaiting_recovery);
        create(&self.promoted, &self.acme, "still").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolution_that_cannot_be_leaves_the_tenant_writable() {
    let scene = Scene::diverged().await;
    let (acme, seq) = (&scene.acme, Seq::new(5));
    scene
        .replica
        .damage_row(acme, Stream::Manifests, seq, r#"{"schemaVersion":"9"}"#);
    scene.refuses().await;
}

#[tokio::test(start_paused = true)]
async fn damage_that_ends_the_buckets_history_is_not_taken_for_its_end() {
    let scene = Scene::diverged().await;
    // The index is an older one, and what comes after it stops at a damaged snapshot.
    let key = "acme/index.json";
    let object = scene.world.memory.remove(key).unwrap();
    let mut index =
        driftline::domain::format::Index::parse(&scene.acme, Stream::Manifests, &object).unwrap();
    index.entries.truncate(3);
    scene.world.memory.insert(key, index.to_bytes());
    scene
        .world
        .memory
        .insert("acme/versions/v000004.json", "junk");
    scene.refuses().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_a_resolution_names_its_rows_and_what_is_active_then() {
    use driftline::hybrid::{Progress, Whom};
    let scene = Scene::diverged().await;
    let request = RecoveryRequest {
        resolve_divergence: true,
        ..RecoveryRequest::default()
    };
    let progress = Progress::default();
    let whom = Whom::One(&scene.acme);
    let plan = scene
        .promoted
        .plan_recovery(whom, &request, &progress)
        .await
        .unwrap();
    let planned = &plan.tenants[0];
    assert_eq!((planned.rows.len(), planned.renumbers.len()), (3, 4));
    assert_eq!(planned.active_version, Seq::new(9));
    assert_eq!(planned.lost, []);
    let report = scene
        .promoted
        .apply_recovery(&plan, None, &progress)
        .await
        .unwrap();
    let recovery = report.tenants[0].1.as_ref().unwrap();
    assert_eq!(
        (recovery.restored, recovery.active_version),
        (3, Seq::new(9))
    );
    let again = scene.promoted.apply_recovery(&plan, None, &progress).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_repeated_after_the_resolution_is_answered_with_its_new_number() {
    let scene = Scene::new(async |lost, acme| create_many(lost, acme, 3).await).await;
    let request = |tag: &str, key: &str| CreateManifest {
        content: content(tag),
        idempotency_key: Some(key.parse().unwrap()),
        ..CreateManifest::default()
    };
    let (acme, promoted) = (&scene.acme, &scene.promoted);
    for tag in ["a", "b", "c", "d"] {
        let created = promoted.create_manifest(acme, request(tag, tag)).await;
        assert!(created.unwrap().new);
    }
    scene.resolve(false).await;
    for (tag, seq) in [("a", 6), ("b", 7), ("c", 8), ("d", 9)] {
        let again = promoted
            .create_manifest(acme, request(tag, tag))
            .await
            .unwrap();
        assert_eq!(
            (again.new, again.manifest.version()),
            (false, Seq::new(seq))
        );
    }
    let other = promoted.create_manifest(acme, request("other", "a")).await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::IdempotencyConflict);
}

/// What was active at a time is so under every name that it had since.
#[tokio::test(start_paused = true)]
async fn what_was_active_at_a_time_follows_what_was_renumbered() {
    let scene = Scene::diverged().await;
    let acme = &scene.acme;
    let pause = async || {
        tokio::time::sleep(tokio::time::Duration::from_secs(10)).await;
        let now = scene.world.clock.now();
        tokio::time::sleep(tokio::time::Duration::from_secs(10)).await;
        now
    };
    let before = pause().await;
    scene.activate(4).await;
    let activated = pause().await;
    let content = scene.row(Stream::Manifests, 4).await.content;
    scene.resolve(false).await;
    let resolved = pause().await;
    create(&scene.promoted, acme, "later").await;
    drain(&scene.promoted).await;
    let later = pause().await;
    let times = [(before, 9), (activated, 7), (resolved, 7), (later, 10)];
    for (at, version) in times {
        let found = scene.promoted.manifest_at(acme, at).await.unwrap().unwrap();
        assert_eq!(found.version(), Seq::new(version), "{at}");
    }
    let found = scene.promoted.manifest_at(acme, activated).await;
    assert_eq!(found.unwrap().unwrap().entry.content, content);
    // The same from the bucket alone, and of a database that is there.
    let fresh = scene.world.database();
    let recovered = scene.world.repository(&fresh);
    for (at, version) in times {
        let request = RecoveryRequest {
            target: RecoverTarget::At(at),
            dry_run: true,
            ..RecoveryRequest::default()
        };
        for repository in [&recovered, &scene.promoted] {
            let told = repository.recover_from_s3(acme, &request).await.unwrap();
            assert_eq!(told.active_version, Seq::new(version), "{at}");
        }
    }
}
