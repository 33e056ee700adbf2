//! After a failover that lost entries: a database that is behind catches up by itself, and one that went on keeps both histories.

mod resolving;

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::{
    Activation, Decision, Entry, EntryId, Seq, Stream, TenantId, TenantState, VersionRef,
};
use driftline::hybrid::OnFailover;
use driftline::ports::{
    Appended, Clock as _, CreateManifest, Entropy as _, ErrorKind, Hint, NewEntry, RecoverTarget,
    Recovery, RecoveryRequest, RecoveryState,
};
use driftline::prelude::*;

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
