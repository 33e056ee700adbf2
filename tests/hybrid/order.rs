//! What refers to a version follows the index that names that version, and what an index names stays named: also where something
//! is mended, and where nothing but the objects is left of an index.

use std::sync::Arc;

use driftline::domain::drift::Policy;
use driftline::domain::format::{Index, Snapshot, index_key};
use driftline::domain::integrity::Mend;
use driftline::domain::{Seq, Stream, TenantId};
use driftline::hybrid::Progress;
use driftline::ports::{
    DecideDrift, DriftDecision, Durability, ErrorKind, ManifestStore as _, RecoveryRequest,
    RecoveryStore as _, ShadowLedger as _,
};
use driftline::prelude::*;

use crate::scene::Scene;
use crate::support::world::*;
use driftline_conformance::faults::{Flaw, Moment, On};

const A1: &str = "acme/applies/a000001.json";

impl Scene {
    /// So many versions, each of which was applied; all of it is shadowed.
    async fn with_each_applied(versions: u64) -> Self {
        let scene = Self::applied(1, 1).await;
        for version in 2..=versions {
            create(&scene.repository, &scene.acme, &format!("v{version}")).await;
            apply(&scene.repository, &scene.acme, version).await;
        }
        drain(&scene.repository).await;
        scene
    }

    /// The index is one of earlier, and the database does not know.
    async fn cut(&self, stream: Stream, entries: usize) -> Index {
        let mut index = self.world.index(&self.acme, stream).await.unwrap();
        index.entries.truncate(entries);
        self.put(stream, &index);
        index
    }

    /// The index is one of earlier, and the database knows: shadowing goes on from there.
    async fn put_back(&self, stream: Stream, entries: usize) {
        let index = self.cut(stream, entries).await;
        let bucket = self.database.identity().await.unwrap().bucket_id.unwrap();
        let to = index.latest();
        let lowered = self
            .database
            .lower_watermark(&self.acme, bucket, stream, to);
        lowered.await.unwrap();
    }

    /// The stream's index, which is read or made up in memory.
    fn put(&self, stream: Stream, index: &Index) {
        let key = index_key(&self.acme, stream);
        self.world.memory.insert(&key, index.to_bytes());
    }

    /// A repair has moved something away when this is lost: it does nothing more.
    async fn is_stale_after_losing(&self, key: &str) {
        self.world.memory.insert("acme/stray.txt", "x");
        let plan = self.repository.plan_repair(None).await.unwrap();
        let copied = On::put("_driftline/quarantine/").times(1);
        let gate = self.world.bucket.hold(copied, Moment::After);
        let repository = self.repository.clone();
        let repair = tokio::spawn(async move { repository.apply_repair(&plan).await });
        gate.reached().await;
        assert!(self.world.memory.remove(key).is_some());
        gate.release();
        let report = repair.await.unwrap().unwrap();
        let error = report.tenants[0].1.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
    }

    async fn mends_all(&self) {
        assert_eq!(self.mend().await.tenants[0].left, []);
    }

    async fn named(&self, stream: Stream) -> u64 {
        let index = self.world.index(&self.acme, stream).await;
        index.map_or(0, |index| index.latest().get())
    }

    async fn settles(&self) {
        drain(&self.repository).await;
        self.assert_settled().await;
        assert_eq!(self.damage().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repair_puts_no_apply_there_before_its_version_is_named() {
    for is_damaged in [false, true] {
        let scene = Scene::applied(3, 3).await;
        scene.put_back(Stream::Manifests, 1).await;
        scene.lose_index(Stream::Applies);
        scene.world.memory.remove(A1).unwrap();
        if is_damaged {
            scene.world.memory.insert(A1, "{}");
        }
        let plan = scene.mend().await;
        assert_eq!(scene.named(Stream::Manifests).await, 1);
        assert_eq!(scene.world.keys("acme/applies/a").await, [""; 0]);
        assert_eq!(plan.tenants[0].left, [], "shadowing brings it");
        scene.settles().await;
        assert_eq!(scene.world.keys("acme/applies/a").await, [A1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repair_puts_an_apply_back_whose_version_is_named() {
    let scene = Scene::applied(3, 3).await;
    scene.lose_index(Stream::Applies);
    scene.world.memory.remove(A1).unwrap();
    scene.mend().await;
    assert_eq!(scene.world.keys("acme/applies/a").await, [A1]);
    assert_eq!(scene.named(Stream::Applies).await, 1);
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn an_index_that_is_made_up_anew_names_what_it_named() {
    let scene = Scene::applied(1, 1).await;
    create(&scene.repository, &scene.acme, "two").await;
    apply(&scene.repository, &scene.acme, 2).await;
    let early = scene.world.index(&scene.acme, Stream::Applies).await;
    drain(&scene.repository).await;
    // The bucket's copies are of earlier; that of the applies names one that the manifests' does not know any more.
    scene.put(Stream::Applies, &early.unwrap());
    scene.put_back(Stream::Manifests, 0).await;
    let found = scene.damage().await;
    assert_eq!(found[0].repair, Mend::RebuildIndex, "{found:?}");
    assert_eq!(found[0].stream, Some(Stream::Applies));
    scene.mend().await;
    assert_eq!(scene.named(Stream::Applies).await, 1);
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn an_index_is_not_made_up_anew_where_something_that_it_names_was_lost_meanwhile() {
    let scene = Scene::applied(1, 1).await;
    create(&scene.repository, &scene.acme, "two").await;
    let early = scene.world.index(&scene.acme, Stream::Manifests).await;
    drain(&scene.repository).await;
    scene.put(Stream::Manifests, &early.unwrap());
    scene
        .is_stale_after_losing("acme/versions/v000001.json")
        .await;
    assert_eq!(scene.named(Stream::Manifests).await, 1);
}

#[tokio::test(start_paused = true)]
async fn without_an_index_a_resolution_names_no_apply_before_its_version() {
    let scene = Scene::applied(1, 1).await;
    let replica = Arc::new(scene.database.backup());
    decide(&scene.repository, &scene.acme).await;
    drain(&scene.repository).await;
    let promoted = scene.world.repository(&replica);
    promoted.check_ownership().await.unwrap();
    create_many(&promoted, &scene.acme, 2).await;
    apply(&promoted, &scene.acme, 3).await;
    decide(&promoted, &scene.acme).await;
    // The apply's object is there, and neither its index nor anything of its version is.
    let row = replica.entry(&scene.acme, Stream::Applies, Seq::new(2));
    let row = row.await.unwrap().unwrap().entry;
    scene
        .world
        .memory
        .insert("acme/applies/a000002.json", Snapshot::write(&row));
    scene.lose_index(Stream::Applies);
    let request = RecoveryRequest {
        resolve_divergence: true,
        ..RecoveryRequest::default()
    };
    let recovery = promoted.recover_from_s3(&scene.acme, &request).await;
    assert_eq!(recovery.unwrap().failures, []);
    assert_eq!(scene.named(Stream::Manifests).await, 1);
    assert_eq!(scene.named(Stream::Applies).await, 1);
    let marks = replica.watermarks(&scene.acme).await.unwrap();
    assert_eq!(marks[Stream::Applies], Seq::new(1));
    drain(&promoted).await;
    scene.world.assert_settled(&replica, &scene.acme).await;
    assert_eq!(scene.named(Stream::Applies).await, 2);
}

#[tokio::test(start_paused = true)]
async fn two_indexes_that_are_made_up_anew_name_all_that_a_repair_puts_back() {
    let scene = Scene::with_each_applied(5).await;
    scene.lose_index(Stream::Manifests);
    scene.lose_index(Stream::Applies);
    scene.world.memory.remove("acme/applies/a000003.json");
    scene.mends_all().await;
    assert_eq!(scene.named(Stream::Manifests).await, 5);
    assert_eq!(scene.named(Stream::Applies).await, 5);
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_puts_no_apply_back_whose_version_was_lost_meanwhile() {
    let scene = Scene::with_each_applied(5).await;
    scene.lose_index(Stream::Manifests);
    scene.lose_index(Stream::Applies);
    scene.world.memory.remove("acme/applies/a000003.json");
    scene
        .is_stale_after_losing("acme/versions/v000003.json")
        .await;
    assert_eq!(scene.named(Stream::Manifests).await, 2);
    assert_eq!(scene.world.keys("acme/applies/a000003").await, [""; 0]);
    scene.mends_all().await;
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_an_early_applys_way_is_moved_away_where_its_index_is_made_up_anew() {
    for is_behind in [false, true] {
        let scene = Scene::with_each_applied(6).await;
        // The later of them says that the index is made up anew, and is found after the early one.
        scene.cut(Stream::Applies, 4).await;
        if is_behind {
            scene.put_back(Stream::Manifests, 3).await;
        } else {
            scene.cut(Stream::Manifests, 3).await;
        }
        let key = "acme/applies/a000005.json";
        scene.world.memory.insert(key, "{}");
        scene.mends_all().await;
        let (manifests, applies) = if is_behind { (3, 4) } else { (6, 6) };
        assert_eq!(scene.named(Stream::Manifests).await, manifests);
        assert_eq!(scene.named(Stream::Applies).await, applies);
        let there = scene.world.keys(key).await;
        assert_eq!(there.is_empty(), is_behind, "{there:?}");
        scene.settles().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_an_index_from_being_made_up_anew_is_named() {
    let scene = Scene::applied(5, 5).await;
    scene.cut(Stream::Manifests, 3).await;
    let (key, most) = ("acme/versions/v000002.json", 128 * 1024 * 1024);
    scene.world.memory.insert(key, vec![0; most + 1]);
    let plan = scene.repository.plan_repair(None).await.unwrap();
    let report = scene.repository.apply_repair(&plan).await.unwrap();
    let error = report.tenants[0].1.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let text = error.to_string();
    assert!(
        text.contains("manifests/2, ") && text.contains(key),
        "{text}"
    );
    assert_eq!(scene.named(Stream::Manifests).await, 3);
    // Moved away by hand, as it says.
    scene.world.memory.remove(key);
    scene.mends_all().await;
    assert_eq!(scene.named(Stream::Manifests).await, 5);
    scene.settles().await;
}

#[tokio::test(start_paused = true)]
async fn without_an_index_a_recovery_that_brings_a_row_back_names_no_apply_before_its_version() {
    let scene = Scene::applied(1, 1).await;
    for _ in 0..2 {
        apply(&scene.repository, &scene.acme, 1).await;
    }
    drain(&scene.repository).await;
    create(&scene.repository, &scene.acme, "two").await;
    apply(&scene.repository, &scene.acme, 2).await;
    // Its object is there, and neither its index nor anything of its version is.
    let snapshot = Snapshot::write(&scene.row(Stream::Applies, 4).await);
    let key = "acme/applies/a000004.json";
    scene.world.memory.insert(key, snapshot);
    scene.lose_index(Stream::Applies);
    let lost = Seq::new(2);
    scene.database.lose_row(&scene.acme, Stream::Applies, lost);
    let recovery = recover(&scene.repository, &scene.acme).await;
    assert_eq!(recovery.restored, 1);
    assert_eq!(scene.named(Stream::Manifests).await, 1);
    assert_eq!(scene.named(Stream::Applies).await, 3);
    let marks = scene.database.watermarks(&scene.acme).await.unwrap();
    assert_eq!(marks[Stream::Applies], Seq::new(3));
    scene.settles().await;
    assert_eq!(scene.named(Stream::Applies).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_index_is_not_replaced_once_somebody_else_made_it_up() {
    for is_torn in [false, true] {
        let scene = Scene::applied(2, 2).await;
        let key = index_key(&scene.acme, Stream::Manifests);
        let bytes = scene.world.memory.remove(&key).unwrap();
        let half = bytes.slice(..bytes.len() / 2);
        scene.world.memory.insert(&key, half);
        let database = scene.world.database();
        // The first to recover finds it damaged, and asks for its version late.
        let asked = On::get(key.as_str()).skip(2).times(1);
        if is_torn {
            scene.world.bucket.fail(asked.clone(), Flaw::TornBody);
        }
        let gate = scene.world.bucket.hold(asked, Moment::Before);
        let first = scene.world.repository(&database);
        let first = tokio::spawn(async move {
            let request = RecoveryRequest::default();
            first.recover_all(&request, &Progress::default()).await
        });
        gate.reached().await;
        recover_all(&scene.world.repository(&database)).await;
        let made = scene.world.index(&scene.acme, Stream::Manifests).await;
        let made = made.unwrap();
        gate.release();
        let _ = first.await.unwrap();
        let index = scene.world.index(&scene.acme, Stream::Manifests).await;
        let index = index.unwrap();
        assert!(
            index.epoch >= made.epoch,
            "{} < {}",
            index.epoch,
            made.epoch
        );
        assert_eq!(index.latest(), Seq::new(2));
    }
}

async fn decide(repository: &Repository, tenant: &TenantId) {
    let request = DecideDrift {
        decision: DriftDecision::Policy(Policy::default()),
        created_by: None,
        message: None,
        durability: Durability::Committed,
    };
    repository.decide_drift(tenant, request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listing_from_before_an_index_was_lost_gives_nothing_up() {
    let scene = Scene::applied(2, 2).await;
    let backup = Arc::new(scene.database.backup());
    create(&scene.repository, &scene.acme, "three").await;
    drain(&scene.repository).await;
    let restored = scene.world.repository(&backup);
    let gate = scene.world.bucket.hold(On::list("acme/"), Moment::After);
    let (acme, recovering) = (scene.acme.clone(), Arc::clone(&restored));
    let recovery = tokio::spawn(async move {
        let request = RecoveryRequest::default();
        recovering.recover_from_s3(&acme, &request).await
    });
    gate.reached().await;
    // The listing that was answered lacks this one, and then nothing names it any more.
    create(&scene.repository, &scene.acme, "four").await;
    drain(&scene.repository).await;
    let index = index_key(&scene.acme, Stream::Manifests);
    overwrite(&scene.world.memory, &index, b"{".to_vec()).await;
    gate.release();
    recovery.await.unwrap().unwrap();
    let named = scene.world.index(&scene.acme, Stream::Manifests).await;
    assert_eq!(named.unwrap().latest(), Seq::new(4));
    scene.world.assert_settled(&backup, &scene.acme).await;
}

#[tokio::test(start_paused = true)]
async fn an_apply_comes_back_where_a_lost_version_keeps_the_indexes_from_being_made_up() {
    let scene = Scene::with_each_applied(3).await;
    for stream in [Stream::Manifests, Stream::Applies] {
        scene.lose_index(stream);
    }
    scene.world.memory.remove(A1).unwrap();
    // The third is lost on both sides.
    let v3 = scene.world.memory.remove("acme/versions/v000003.json");
    assert!(v3.is_some());
    let (acme, rotten) = (&scene.acme, r#"{"schemaVersion":"0"}"#);
    (scene.database).damage_row(acme, Stream::Manifests, Seq::new(3), rotten);
    let plan = scene.repository.plan_repair(None).await.unwrap();
    for (_, done) in scene.repository.apply_repair(&plan).await.unwrap().tenants {
        done.unwrap();
    }
    assert!(!scene.world.keys(A1).await.is_empty(), "{plan:#?}");
    recover_all(&scene.world.repository(&scene.world.database())).await;
    assert_eq!(scene.named(Stream::Manifests).await, 2);
    assert_eq!(scene.named(Stream::Applies).await, 3);
}
