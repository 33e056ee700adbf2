//! A row that is not what was committed is never served, whoever reads it: the bucket's proven copy takes its place, or nothing.

use driftline::domain::drift::ActualState;
use driftline::domain::integrity::RowDamage;
use driftline::domain::{Apply, Digest, Resources, Seq, Stream};
use driftline::ports::{Clock, ErrorKind, Hint, Manifest, RecoverTarget, RecoveryRequest, Source};
use driftline::prelude::*;

use crate::scene::Scene;
use crate::support::world::*;

const FORGED: &str = r#"{"schemaVersion":"1","roles":[]}"#;

/// Three versions and an apply of the second.
async fn three(is_shadowed: bool) -> Scene {
    if is_shadowed {
        return Scene::applied(3, 2).await;
    }
    let scene = Scene::pending(3).await;
    apply(&scene.repository, &scene.acme, 2).await;
    scene
}

impl Scene {
    fn rot(&self, stream: Stream, seq: u64) {
        let content = FORGED;
        self.database
            .damage_row(&self.acme, stream, Seq::new(seq), content);
    }

    async fn get(&self, version: u64) -> driftline::ports::Result<Option<Manifest>> {
        let version = Seq::new(version);
        self.repository
            .manifest_by_version(&self.acme, version)
            .await
    }

    async fn damaged_reads(&self) -> u64 {
        let stats = self.repository.stats(&self.acme).await.unwrap();
        stats.damaged_reads
    }
}

fn damage(stream: Stream, seq: u64, recorded: Digest) -> RowDamage {
    RowDamage {
        stream,
        seq: Seq::new(seq),
        recorded,
        actual: Digest::of(FORGED.as_bytes()),
    }
}

#[tokio::test(start_paused = true)]
async fn i11_a_damaged_version_is_served_from_the_bucket_said_and_counted() {
    let scene = three(true).await;
    let before = scene.get(3).await.unwrap().unwrap();
    assert_eq!(
        (before.source, before.damaged_row),
        (Source::Database, None)
    );
    assert_eq!(scene.damaged_reads().await, 0);
    scene.rot(Stream::Manifests, 3);
    let expected = Manifest {
        source: Source::Bucket,
        damaged_row: Some(damage(Stream::Manifests, 3, before.entry.meta.checksum)),
        ..before.clone()
    };
    let current = scene.repository.current_manifest(&scene.acme).await;
    let at = Clock::now(scene.world.clock.as_ref());
    let at = scene.repository.manifest_at(&scene.acme, at).await;
    for served in [scene.get(3).await, current, at] {
        assert_eq!(served.unwrap().unwrap(), expected);
    }
    // Asking for the numbers is one more look at the active version.
    assert_eq!(scene.damaged_reads().await, 4);
    let good = scene.repository.validate_checksum(&scene.acme, Seq::new(3));
    assert!(!good.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn i11_where_neither_side_is_good_nothing_is_served() {
    // Not shadowed; the snapshot is damaged too; the bucket does not answer.
    for case in 0..3 {
        let scene = three(case > 0).await;
        let recorded = scene.get(2).await.unwrap().unwrap().entry.meta.checksum;
        scene.rot(Stream::Manifests, 2);
        match case {
            1 => drop(
                scene
                    .world
                    .memory
                    .insert("acme/versions/v000002.json", "{}"),
            ),
            2 => scene.world.bucket.set_down(true),
            _ => {}
        }
        let error = scene.get(2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{case}: {error}");
        let actual = Digest::of(FORGED.as_bytes());
        for part in [
            "manifests/2 of acme",
            &recorded.to_string(),
            &actual.to_string(),
        ] {
            assert!(error.to_string().contains(part), "{case}: {error}");
        }
        let tenant = scene.acme.clone();
        assert_eq!(error.hinted(), Some(&Hint::Repair { tenant }));
    }
}

#[tokio::test(start_paused = true)]
async fn i11_a_copy_with_another_chain_is_another_history_and_not_served() {
    let scene = three(true).await;
    scene.rot(Stream::Manifests, 2);
    // The bucket of another database, with as many versions.
    let world = World::new();
    let (_, elsewhere) = world.claimed().await;
    for tag in ["another", "history", "here"] {
        create(&elsewhere, &scene.acme, tag).await;
    }
    drain(&elsewhere).await;
    scene.world.memory.restore(&world.memory.snapshot());
    let error = scene.get(2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[tokio::test(start_paused = true)]
async fn i11_what_was_applied_is_read_around_a_damaged_row() {
    let scene = three(true).await;
    let (repository, acme) = (&scene.repository, &scene.acme);
    let before = repository.current_shadow_state(acme).await.unwrap();
    let state = before.clone().unwrap();
    let forged = Apply {
        manifest_version: state.version,
        manifest_chain: state.chain,
        resources: Resources::default(),
    };
    let forged = serde_json::to_string(&forged).unwrap().leak();
    let first = Seq::new(1);
    scene
        .database
        .damage_row(acme, Stream::Applies, first, forged);
    let version = Seq::new(2);
    let by_version = repository.shadow_state_by_version(acme, version).await;
    let current = repository.current_shadow_state(acme).await;
    for state in [current, by_version] {
        let mut state = state.unwrap();
        let found = state.as_mut().unwrap().damaged_row.take().unwrap();
        assert_eq!((found.stream, found.seq), (Stream::Applies, Seq::new(1)));
        assert_eq!(state, before);
    }
}

#[tokio::test(start_paused = true)]
async fn i11_drift_is_found_against_what_was_committed() {
    let scene = three(true).await;
    let (repository, acme) = (&scene.repository, &scene.acme);
    let actual = ActualState::default();
    let before = repository.detect_drift(acme, Some(&actual)).await.unwrap();
    scene.rot(Stream::Manifests, 3);
    scene.rot(Stream::Manifests, 2);
    scene.rot(Stream::Applies, 1);
    let mut after = repository.detect_drift(acme, Some(&actual)).await.unwrap();
    let rows = std::mem::take(&mut after.damaged_rows);
    let rows: Vec<_> = rows.iter().map(RowDamage::place).collect();
    assert_eq!(rows, ["manifests/3", "applies/1", "manifests/2"]);
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn i11_a_damaged_row_is_not_shadowed_and_not_made_a_new_version() {
    let scene = three(true).await;
    create_many(&scene.repository, &scene.acme, 1).await;
    scene.rot(Stream::Manifests, 4);
    let left = drain(&scene.repository).await.left;
    assert_eq!(left.backing_off, 1);
    assert!(scene.world.keys("acme/versions/v000004").await.is_empty());
    // What is taken up again is what was committed.
    scene.rot(Stream::Manifests, 1);
    let request = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(1)),
        as_new_version: true,
        ..RecoveryRequest::default()
    };
    let recovered = scene.repository.recover_from_s3(&scene.acme, &request);
    let new = recovered.await.unwrap().new_version.unwrap();
    let copy = scene.get(new.get()).await.unwrap().unwrap();
    assert_ne!(copy.entry.content.as_bytes(), FORGED.as_bytes());
    assert!(copy.entry.content.is_intact());
}
