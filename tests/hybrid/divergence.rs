//! After a failover that lost entries: a database that is behind catches up by itself, and one that went on keeps both histories.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::{
    Activation, Decision, Entry, EntryId, Seq, Stream, TenantId, TenantState, VersionRef,
};
use driftline::hybrid::OnFailover;
use driftline::ports::{
    Appended, Clock as _, CreateManifest, Entropy as _, ErrorKind, Hint, ManifestProvider as _,
    NewEntry, RecoverTarget, Recovery, RecoveryRequest, RecoveryState,
};

use crate::support::world::*;

struct Scene {
    world: World,
    primary: Arc<MemoryDatabase>,
    lost: Repository,
    replica: Arc<MemoryDatabase>,
    promoted: Repository,
    acme: TenantId,
}

impl Scene {
    /// A primary with two versions and a replica that got both; what the primary does next the replica does not get.
    async fn new(next: impl AsyncFnOnce(&Repository, &TenantId)) -> Self {
        let mut world = World::new();
        world.settings.on_failover = OnFailover::Trust;
        let acme = tenant("acme");
        let (primary, lost) = world.claimed().await;
        create_many(&lost, &acme, 2).await;
        apply(&lost, &acme, 1).await;
        drain(&lost).await;
        // What nothing tells: a promotion that is trusted is asked about where it lacks something.
        let replica = Arc::new(primary.backup());
        next(&lost, &acme).await;
        drain(&lost).await;
        let promoted = world.repository(&replica);
        promoted.check_ownership().await.unwrap();
        Self {
            world,
            primary,
            lost,
            replica,
            promoted,
            acme,
        }
    }

    async fn activate(&self, version: u64) {
        let state = self.state().await;
        let row = self.row(Stream::Manifests, version).await;
        let head = state.heads[Stream::Manifests];
        let target = VersionRef {
            version: row.meta.seq,
            chain: row.meta.chain,
        };
        let decision = Decision::Activate {
            version: target.version,
            chain: target.chain,
            head_version: head.seq,
            head_chain: head.chain,
        };
        let entry = NewEntry {
            stream: Stream::Decisions,
            id: EntryId(self.world.entropy.uuid()),
            content: decision.to_content().unwrap(),
            created_at: self.world.clock.now(),
            created_by: None,
            message: None,
            expect: None,
            idempotency_key: None,
            skip_unchanged: false,
            refers_to: Some(target),
            activation: Some(Activation {
                decision: Seq::default(),
                target,
                head_chain: head.chain,
            }),
        };
        let appended = self.database().append(&self.acme, &entry).await.unwrap();
        assert!(matches!(appended, Appended::Committed { .. }));
    }

    fn database(&self) -> &dyn driftline::ports::Database {
        self.replica.as_ref()
    }

    async fn state(&self) -> TenantState {
        self.database().tenant(&self.acme).await.unwrap().unwrap()
    }

    async fn row(&self, stream: Stream, seq: u64) -> Entry {
        let stored = self.database().entry(&self.acme, stream, Seq::new(seq));
        stored.await.unwrap().unwrap().entry
    }

    async fn resolve(&self, dry_run: bool) -> Recovery {
        let request = RecoveryRequest {
            resolve_divergence: true,
            dry_run,
            ..RecoveryRequest::default()
        };
        let resolved = self.promoted.recover_from_s3(&self.acme, &request);
        resolved.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn catching_up_with_another_history_says_that_there_are_two() {
    let scene = Scene::new(async |lost, acme| create_many(lost, acme, 3).await).await;
    create(&scene.promoted, &scene.acme, "another third").await;
    let before = scene.state().await;
    let error = scene.promoted.catch_up(&scene.acme).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DivergentHistory);
    let tenant = scene.acme.clone();
    assert_eq!(error.hinted(), Some(&Hint::ResolveDivergence { tenant }));
    assert_eq!(scene.state().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_behind_catches_up_by_itself_before_it_goes_on() {
    let scene = Scene::new(async |lost, acme| {
        create_many(lost, acme, 3).await;
        apply(lost, acme, 5).await;
    })
    .await;
    // Something has to wake the replicator up: a stream in which nothing was lost.
    let version = scene.row(Stream::Manifests, 2).await;
    let decision = NewEntry {
        stream: Stream::Decisions,
        content: Decision::Reinstate.to_content().unwrap(),
        ..pending_decision(&scene, &version)
    };
    scene
        .database()
        .append(&scene.acme, &decision)
        .await
        .unwrap();
    scene
        .database()
        .lower_watermark(
            &scene.acme,
            scene.world.identity().await.unwrap().bucket_id,
            Stream::Manifests,
            Seq::new(1),
        )
        .await
        .unwrap();
    drain(&scene.promoted).await;
    drain(&scene.promoted).await;
    scene
        .world
        .assert_settled(&scene.replica, &scene.acme)
        .await;
    let state = scene.state().await;
    assert_eq!(state.heads[Stream::Manifests].seq, Seq::new(5));
    assert_eq!(state.heads[Stream::Applies].seq, Seq::new(2));
    for seq in 1..=5 {
        let lost = scene.primary.as_ref() as &dyn driftline::ports::Database;
        let lost = lost.entry(&scene.acme, Stream::Manifests, Seq::new(seq));
        assert_eq!(
            scene.row(Stream::Manifests, seq).await,
            lost.await.unwrap().unwrap().entry
        );
    }
    let next = create(&scene.promoted, &scene.acme, "goes on").await;
    assert_eq!(next.manifest.version(), Seq::new(6));
    drain(&scene.promoted).await;
    scene
        .world
        .assert_settled(&scene.replica, &scene.acme)
        .await;
    drop(scene.lost);
}

fn pending_decision(scene: &Scene, version: &Entry) -> NewEntry {
    NewEntry {
        stream: Stream::Decisions,
        id: EntryId(scene.world.entropy.uuid()),
        content: version.content.clone(),
        created_at: scene.world.clock.now(),
        created_by: None,
        message: None,
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    }
}

#[tokio::test(start_paused = true)]
#[expect(
    clippy::too_many_lines,
    reason = "one story, and every part of it looks at the same two histories"
)]
async fn two_histories_become_one_and_nothing_of_either_is_lost() {
    let scene = Scene::new(async |lost, acme| {
        create_many(lost, acme, 3).await;
        apply(lost, acme, 4).await;
    })
    .await;
    let acme = &scene.acme;
    for tag in ["a", "b", "c", "d"] {
        create(&scene.promoted, acme, tag).await;
    }
    apply(&scene.promoted, acme, 5).await;
    scene.activate(4).await;
    let before = scene
        .promoted
        .current_manifest(acme)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(before.version(), Seq::new(4));
    let theirs: Vec<Entry> = {
        let lost = scene.primary.as_ref() as &dyn driftline::ports::Database;
        lost.pending(acme, Stream::Manifests, Seq::default(), 100, u64::MAX)
            .await
            .unwrap()
    };
    let ours: Vec<Entry> = scene
        .database()
        .pending(acme, Stream::Manifests, Seq::new(2), 100, u64::MAX)
        .await
        .unwrap();
    // The batch halts the tenant; a recovery without the word leaves it so.
    let drained = drain(&scene.promoted).await;
    assert_eq!(drained.left.stopped, 1);
    let plain = RecoveryRequest::default();
    let refused = scene
        .promoted
        .recover_from_s3(acme, &plain)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DivergentHistory);
    let tenant = acme.clone();
    assert_eq!(refused.hinted(), Some(&Hint::ResolveDivergence { tenant }));
    let state_before = scene.state().await;
    let dry = scene.resolve(true).await;
    assert_eq!(dry.state, RecoveryState::Diverged);
    assert_eq!(scene.state().await, state_before);

    let resolved = scene.resolve(false).await;
    assert_eq!(resolved.restored, 4, "3 versions and an apply");
    let moves: Vec<_> = (resolved.renumbered.iter())
        .map(|it| (it.stream, it.from.get(), it.to.get()))
        .collect();
    let manifests = Stream::Manifests;
    let expected = [3, 4, 5, 6]
        .map(|from| (manifests, from, from + 3))
        .into_iter();
    let expected: Vec<_> = expected.chain([(Stream::Applies, 2, 3)]).collect();
    assert_eq!(moves, expected);
    assert_eq!(dry.renumbered.len(), moves.len());
    for entry in &theirs {
        assert_eq!(scene.row(manifests, entry.meta.seq.get()).await, *entry);
    }
    for (old, seq) in ours.iter().zip(6..) {
        let new = scene.row(manifests, seq).await;
        assert_eq!((new.meta.id, &new.content), (old.meta.id, &old.content));
        assert_eq!(new.meta.created_at, old.meta.created_at);
        assert!(new.meta.epoch > old.meta.epoch);
        assert!(new.meta.committed_at >= old.meta.committed_at);
    }
    // References follow: what is active, and what was applied.
    let active = scene
        .promoted
        .current_manifest(acme)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(active.entry.content, before.entry.content);
    assert_eq!(active.version(), Seq::new(7));
    let shadow = scene
        .promoted
        .current_shadow_state(acme)
        .await
        .unwrap()
        .unwrap();
    assert!(shadow.resolves);
    assert_eq!(shadow.version, Seq::new(8));
    let by_version = scene
        .promoted
        .shadow_state_by_version(acme, Seq::new(8))
        .await;
    assert_eq!(by_version.unwrap().unwrap(), shadow);
    let report = scene.promoted.detect_drift(acme, None).await.unwrap();
    assert_eq!(report.recorded_version, Some(Seq::new(8)), "{report:?}");

    // Shadowing goes on, and the bucket alone brings all of it back.
    drain(&scene.promoted).await;
    scene.world.assert_settled(&scene.replica, acme).await;
    create(&scene.promoted, acme, "next").await;
    drain(&scene.promoted).await;
    let fresh = scene.world.database();
    let recovered = scene.world.repository(&fresh);
    recover_all(&recovered).await;
    let (ours, theirs) = (
        scene.state().await,
        fresh.as_ref() as &dyn driftline::ports::Database,
    );
    let theirs = theirs.tenant(acme).await.unwrap().unwrap();
    assert_eq!(theirs.heads, ours.heads);
    assert_eq!(theirs.activation, ours.activation);
    let shadow = recovered.current_shadow_state(acme).await.unwrap().unwrap();
    assert!(shadow.resolves);
}

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
