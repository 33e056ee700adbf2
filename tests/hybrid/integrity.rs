//! Every kind of damage is found, named, and mended without touching what is well.

use std::sync::Arc;

use bytes::Bytes;
use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::{BUCKET_KEY, Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::integrity::{Finding, Mend, Verdict};
use driftline::domain::{Seq, Stream, TenantId};
use driftline::hybrid::integrity::{Action, ReadData, RepairPlan, VerifyProgress, VerifyReport};
use driftline::ports::{ErrorKind, ManifestStore as _, SnapshotStore};

use crate::support::faults::{Flaw, On};
use crate::support::world::*;

const V2: &str = "acme/versions/v000002.json";

struct Scene {
    world: World,
    database: Arc<MemoryDatabase>,
    repository: Repository,
    acme: TenantId,
}

impl Scene {
    /// A tenant with so many versions, an apply, and everything shadowed.
    async fn with(versions: usize) -> Self {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        let acme = tenant("acme");
        create_many(&repository, &acme, versions).await;
        apply(&repository, &acme, 1).await;
        drain(&repository).await;
        Self {
            world,
            database,
            repository,
            acme,
        }
    }

    async fn verify(&self, read: ReadData) -> VerifyReport {
        self.repository.verify(&self.acme, read).await.unwrap()
    }

    /// The only damage there is.
    async fn only(&self, read: ReadData) -> Finding {
        let report = self.verify(read).await;
        let [finding] = &report.findings[..] else {
            panic!("one finding is expected: {:#?}", report.findings)
        };
        finding.clone()
    }

    async fn plan(&self) -> RepairPlan {
        self.repository.plan_repair(Some(&self.acme)).await.unwrap()
    }

    /// Repairs, and sees that all is well and that every version is what it was.
    async fn repair(&self, versions: usize) {
        let plan = self.plan().await;
        assert!(plan.actions() > 0, "{plan:#?}");
        let report = self.repository.apply_repair(&plan).await.unwrap();
        for (_, outcome) in report.tenants {
            outcome.unwrap();
        }
        drain(&self.repository).await;
        let after = self.verify(ReadData::All).await;
        assert_eq!(after.findings, [], "{plan:#?}");
        self.world.assert_settled(&self.database, &self.acme).await;
        // What the bucket holds brings the very same history back.
        let other = self.world.database();
        let fresh = self.world.repository(&other);
        recover_all(&fresh).await;
        for version in 1..=versions as u64 {
            let read = async |repository: &Repository| {
                use driftline::ports::ManifestProvider as _;
                let found = repository.manifest_by_version(&self.acme, Seq::new(version));
                found.await.unwrap().unwrap().entry
            };
            assert_eq!(read(&fresh).await, read(&self.repository).await);
        }
    }

    fn flip(&self, key: &str) {
        let mut bytes = self.world.memory.remove(key).unwrap().to_vec();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        self.world.memory.insert(key, bytes);
    }

    async fn quarantined(&self) -> Vec<String> {
        self.world.keys("_driftline/quarantine/").await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_well_is_counted_and_nothing_is_written() {
    let scene = Scene::with(3).await;
    scene.world.bucket.take_calls();
    for read in [ReadData::Nothing, ReadData::All] {
        let report = scene.verify(read).await;
        assert_eq!(report.findings, []);
        assert_eq!(report.summary.by_verdict[&Verdict::Ok], 4);
        assert_eq!(report.summary.versions, 4);
        assert_eq!(report.summary.bytes > 0, read == ReadData::All);
        let all = scene
            .repository
            .verify_all(read, &VerifyProgress::default())
            .await;
        assert_eq!(all.unwrap().summary, report.summary);
    }
    let counts = scene.world.bucket.counts();
    assert_eq!(counts.puts + counts.deletes, 0, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_shadowed_yet_is_no_damage() {
    let scene = Scene::with(1).await;
    create(&scene.repository, &scene.acme, "new").await;
    let report = scene.verify(ReadData::Nothing).await;
    assert_eq!(report.findings[0].verdict, Verdict::DbOnly);
    assert_eq!(report.findings[0].repair, Mend::Shadowing);
    assert!(!report.has_damage());
    assert_eq!(scene.plan().await.actions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_snapshot_is_written_again_from_its_row() {
    let scene = Scene::with(3).await;
    let bytes = scene.world.memory.remove(V2).unwrap();
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(finding.verdict, Verdict::ShadowMissing);
    assert_eq!(finding.object.as_deref(), Some(V2));
    assert_eq!(finding.repair, Mend::Reshadow);
    scene.repair(3).await;
    assert_eq!(
        scene
            .world
            .memory
            .get(V2, u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        bytes
    );
    assert!(scene.quarantined().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_goes_to_the_quarantine_and_is_written_again() {
    let scene = Scene::with(3).await;
    scene.flip(V2);
    let damaged = scene
        .world
        .memory
        .get(V2, u64::MAX)
        .await
        .unwrap()
        .unwrap()
        .bytes;
    assert_eq!(scene.verify(ReadData::Nothing).await.findings, []);
    let finding = scene.only(ReadData::All).await;
    assert_eq!(finding.verdict, Verdict::ChecksumMismatch);
    assert_eq!(finding.seq, Some(Seq::new(2)));
    scene.repair(3).await;
    let kept = scene.quarantined().await;
    assert_eq!(kept.len(), 1);
    let kept = scene
        .world
        .memory
        .get(&kept[0], u64::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.bytes, damaged);
}

#[tokio::test(start_paused = true)]
async fn every_object_is_in_just_one_part() {
    let scene = Scene::with(20).await;
    for version in 1..=20 {
        scene.flip(&format!("acme/versions/v{version:06}.json"));
    }
    let mut found = 0;
    for part in 1..=7 {
        let report = scene.verify(ReadData::Subset { part, of: 7 }).await;
        assert!(report.findings.len() < 20);
        found += report.findings.len();
    }
    assert_eq!(found, 20);
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_comes_back_from_its_snapshot() {
    let scene = Scene::with(3).await;
    let seq = Seq::new(2);
    scene.database.lose_row(&scene.acme, Stream::Manifests, seq);
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(
        (finding.verdict, finding.seq),
        (Verdict::IndexOnly, Some(seq))
    );
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_replaced_from_its_snapshot() {
    let scene = Scene::with(3).await;
    let (acme, seq) = (&scene.acme, Seq::new(2));
    scene
        .database
        .damage_row(acme, Stream::Manifests, seq, r#"{"schemaVersion":"9"}"#);
    let finding = scene.only(ReadData::All).await;
    assert_eq!(finding.verdict, Verdict::ChecksumMismatch);
    assert_eq!((finding.object, finding.repair), (None, Mend::RestoreRow));
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_that_only_the_chain_can_tell_comes_back_with_the_index() {
    let scene = Scene::with(3).await;
    scene
        .database
        .lose_row(&scene.acme, Stream::Manifests, Seq::new(2));
    scene
        .world
        .memory
        .remove(&index_key(&scene.acme, Stream::Manifests));
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_index_is_made_up_again() {
    let scene = Scene::with(300).await;
    scene
        .world
        .memory
        .remove(&index_key(&scene.acme, Stream::Manifests))
        .unwrap();
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(
        (finding.verdict, finding.repair),
        (Verdict::ShadowMissing, Mend::RebuildIndex)
    );
    scene.repair(300).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_index_is_copied_away_and_made_up_again() {
    let scene = Scene::with(3).await;
    scene.flip(&index_key(&scene.acme, Stream::Manifests));
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(finding.repair, Mend::RebuildIndex);
    scene.repair(3).await;
    assert_eq!(scene.quarantined().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_and_damaged_pages_are_made_up_again() {
    for lose in [true, false] {
        let scene = Scene::with(300).await;
        create(&scene.repository, &scene.acme, "one more").await;
        drain(&scene.repository).await;
        let key = page_key(&scene.acme, Stream::Manifests, 1);
        let before = scene
            .world
            .memory
            .get(&key, u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes;
        if lose {
            scene.world.memory.remove(&key);
        } else {
            scene.flip(&key);
        }
        let finding = scene.only(ReadData::Nothing).await;
        assert_eq!(finding.repair, Mend::RebuildPage, "{finding:?}");
        scene.repair(301).await;
        let after = scene
            .world
            .memory
            .get(&key, u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes;
        assert_eq!(after, before);
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_objects_and_orphans_are_moved_away() {
    let scene = Scene::with(2).await;
    put_strangers_snapshot(&scene.world, 7).await;
    for key in [
        "acme/notes.txt",
        "acme/versions/v000001.json.bak",
        "acme/other/x",
    ] {
        scene.world.memory.insert(key, "mine");
    }
    let report = scene.verify(ReadData::Nothing).await;
    assert_eq!(report.findings.len(), 4);
    for finding in &report.findings {
        assert_eq!(
            (finding.verdict, finding.repair),
            (Verdict::BucketOnly, Mend::Quarantine)
        );
    }
    scene.repair(2).await;
    assert_eq!(scene.quarantined().await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_loss_on_both_sides_is_named_and_can_be_accepted_once() {
    let scene = Scene::with(3).await;
    let (acme, seq) = (&scene.acme, Seq::new(2));
    let accept = async |seq: u64| {
        let lost = (Stream::Manifests, Seq::new(seq));
        let reason = "both disks".parse().unwrap();
        let accepted = scene.repository.accept_loss(acme, lost, None, reason).await;
        accepted.map_err(|error| error.kind())
    };
    assert_eq!(accept(2).await.unwrap_err(), ErrorKind::Refused);
    scene.database.lose_row(acme, Stream::Manifests, seq);
    assert_eq!(
        accept(2).await.unwrap_err(),
        ErrorKind::Refused,
        "a repair brings it back"
    );
    scene.world.memory.remove(V2);
    let finding = scene.only(ReadData::All).await;
    assert_eq!(finding.repair, Mend::Lost);
    let plan = scene.plan().await;
    assert_eq!((plan.actions(), plan.left().count()), (0, 1));
    let decision = accept(2).await.unwrap();
    drain(&scene.repository).await;
    let report = scene.verify(ReadData::All).await;
    assert!(!report.has_damage());
    let accepted = report.findings[0].accepted.as_ref().unwrap();
    assert_eq!(accepted.decision, decision.seq);
    assert_eq!(accepted.reason.as_ref().unwrap().as_str(), "both disks");
    assert_eq!(accept(2).await.unwrap_err(), ErrorKind::Refused);
    assert_eq!(scene.plan().await.left().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_histories_are_told_and_repaired_by_neither() {
    let world = World::new();
    let (primary, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 2).await;
    drain(&repository).await;
    let replica = Arc::new(primary.backup());
    create(&repository, &acme, "primary").await;
    drain(&repository).await;
    let promoted = world.repository(&replica);
    promoted.check_ownership().await.unwrap();
    create(&promoted, &acme, "replica").await;
    let report = promoted.verify(&acme, ReadData::All).await.unwrap();
    assert_eq!(report.findings[0].verdict, Verdict::Divergent);
    assert_eq!(report.findings[0].seq, Some(Seq::new(3)));
    assert_eq!(report.findings[0].repair, Mend::ResolveDivergence);
    let plan = promoted.plan_repair(None).await.unwrap();
    assert_eq!(plan.actions(), 0);
    assert!(plan.left().count() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_behind_is_told_to_recover() {
    let world = World::new();
    let (primary, repository) = world.claimed().await;
    let acme = tenant("acme");
    create(&repository, &acme, "1").await;
    drain(&repository).await;
    let behind = world.repository(&Arc::new(primary.fork()));
    create(&repository, &acme, "2").await;
    drain(&repository).await;
    let report = behind.verify(&acme, ReadData::Nothing).await.unwrap();
    assert_eq!(report.findings[0].verdict, Verdict::IndexOnly);
    assert_eq!(report.findings[0].repair, Mend::Recover);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lacks_objects_makes_none_of_them_missing() {
    let scene = Scene::with(3).await;
    scene
        .world
        .bucket
        .fail(On::list("").times(100), Flaw::StaleList);
    let report = scene
        .repository
        .verify_all(ReadData::Nothing, &VerifyProgress::default())
        .await;
    assert_eq!(report.unwrap().findings, []);
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_refused_when_anything_moved_and_nothing_changes() {
    let scene = Scene::with(3).await;
    scene.flip(V2);
    let plan = scene.plan().await;
    scene.flip("acme/versions/v000003.json");
    let before = scene.world.memory.snapshot();
    let error = scene.repository.apply_repair(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(scene.world.memory.snapshot(), before);
    // Writes that go on are none of the plan's business.
    let plan = scene.plan().await;
    create(&scene.repository, &scene.acme, "more").await;
    assert!(
        plan.tenants[0]
            .actions
            .iter()
            .any(|it| matches!(it, Action::Reshadow { .. }))
    );
    scene.repair(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_survives_its_file() {
    let scene = Scene::with(3).await;
    scene.flip(V2);
    scene
        .database
        .lose_row(&scene.acme, Stream::Applies, Seq::new(1));
    let plan = scene.plan().await;
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<RepairPlan>(&text).unwrap(), plan);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_cannot_be_reached_leaves_its_tenant_unseen() {
    let scene = Scene::with(1).await;
    scene
        .world
        .bucket
        .fail(On::get("acme/index.json").times(10), Flaw::Unavailable);
    let report = scene
        .repository
        .verify_all(ReadData::Nothing, &VerifyProgress::default())
        .await;
    let report = report.unwrap();
    assert_eq!(report.unseen.len(), 1);
    assert!(!report.has_damage());
}

/// The database goes back to an earlier moment without telling; a snapshot that was written meanwhile lies beyond the index,
/// where the next history has another entry.
async fn gone_back(left: &[usize]) -> Scene {
    let Scene {
        world,
        database,
        repository,
        acme,
    } = Scene::with(2).await;
    let backup = Arc::new(database.backup());
    for tag in ["lost 3", "lost 4"] {
        create(&repository, &acme, tag).await;
    }
    let rows = (database.as_ref() as &dyn driftline::ports::Database)
        .pending(&acme, Stream::Manifests, Seq::new(2), 10, u64::MAX)
        .await
        .unwrap();
    for row in left {
        let meta = &rows[*row].meta;
        let key = snapshot_key(&acme, meta.stream, meta.seq, meta.epoch);
        world.memory.insert(&key, Snapshot::write(&rows[*row]));
    }
    let repository = world.repository(&backup);
    Scene {
        world,
        database: backup,
        repository,
        acme,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_in_the_way_beyond_the_index_is_moved_away_and_shadowing_goes_on() {
    let scene = gone_back(&[1]).await;
    for tag in ["3", "4"] {
        create(&scene.repository, &scene.acme, tag).await;
    }
    let halted = drain(&scene.repository).await;
    assert_eq!(halted.left.stopped, 1);
    // A recovery finds nothing to bring back, and the next batch halts again.
    recover_all(&scene.repository).await;
    assert_eq!(drain(&scene.repository).await.left.stopped, 1);
    let report = scene.verify(ReadData::All).await;
    let found: Vec<_> = report.findings.iter().filter(|it| it.is_damage()).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    let told = (found[0].verdict, found[0].seq, found[0].repair);
    assert_eq!(
        told,
        (Verdict::BucketOnly, Some(Seq::new(4)), Mend::Quarantine)
    );
    scene.repair(4).await;
    assert_eq!(scene.quarantined().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_history_that_continues_the_index_is_no_stranger() {
    let scene = gone_back(&[0, 1]).await;
    for tag in ["3", "4"] {
        create(&scene.repository, &scene.acme, tag).await;
    }
    let halted = drain(&scene.repository).await;
    assert_eq!(halted.left.stopped, 1);
    let report = scene.verify(ReadData::All).await;
    assert_eq!(report.findings[0].verdict, Verdict::Divergent);
    assert_eq!(report.findings[0].repair, Mend::ResolveDivergence);
    assert_eq!(scene.plan().await.actions(), 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_recovery_would_adopt_is_left_to_it() {
    let scene = gone_back(&[0, 1]).await;
    let report = scene.verify(ReadData::All).await;
    let mends: Vec<_> = report.findings.iter().map(|it| it.repair).collect();
    assert_eq!(mends, [Mend::Recover; 2], "{:#?}", report.findings);
    assert_eq!(scene.plan().await.actions(), 0);
    recover_all(&scene.repository).await;
    assert_eq!(scene.verify(ReadData::All).await.findings, []);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_lost_before_it_was_shadowed_makes_its_tenant_back_off() {
    let scene = Scene::with(2).await;
    create(&scene.repository, &scene.acme, "3").await;
    scene
        .database
        .lose_row(&scene.acme, Stream::Manifests, Seq::new(3));
    scene.world.bucket.take_calls();
    let drained = drain(&scene.repository).await;
    assert_eq!(drained.left.backing_off, 1);
    let calls = scene.world.bucket.take_calls().len();
    assert!(calls < 10, "{calls} requests");
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(finding.repair, Mend::Lost);
}

/// A database that ends at version 5, and a bucket that goes on to 10.
async fn behind(index: impl FnOnce(&World)) -> (World, Arc<MemoryDatabase>, Repository) {
    let world = World::new();
    let (primary, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 5).await;
    drain(&repository).await;
    let old = Arc::new(primary.backup());
    create_many(&repository, &acme, 5).await;
    drain(&repository).await;
    index(&world);
    let repository = world.repository(&old);
    (world, old, repository)
}

#[tokio::test(start_paused = true)]
async fn what_a_recovery_would_bring_back_is_no_orphan_whatever_became_of_the_index() {
    let key = || index_key(&tenant("acme"), Stream::Manifests);
    for lost in [true, false] {
        let (_world, database, repository) = behind(|world| {
            let mut bytes = world.memory.remove(&key()).unwrap().to_vec();
            if !lost {
                bytes.push(b'x');
                world.memory.insert(&key(), bytes);
            }
        })
        .await;
        let acme = tenant("acme");
        let report = repository.verify(&acme, ReadData::All).await.unwrap();
        let adopted = report
            .findings
            .iter()
            .filter(|it| it.repair == Mend::Recover);
        assert_eq!(adopted.count(), 5, "{:#?}", report.findings);
        let plan = repository.plan_repair(None).await.unwrap();
        assert_eq!(plan.actions(), 0, "{plan:#?}");
        recover(&repository, &acme).await;
        let state = (database.as_ref() as &dyn driftline::ports::Database).tenant(&acme);
        assert_eq!(
            state.await.unwrap().unwrap().heads[Stream::Manifests].seq,
            Seq::new(10)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_histories_are_told_without_an_index_too() {
    for lost in [true, false] {
        let (_world, _database, repository) = behind(|world| {
            let key = index_key(&tenant("acme"), Stream::Manifests);
            world.memory.remove(&key).unwrap();
            if !lost {
                world.memory.insert(&key, "garbage");
            }
        })
        .await;
        let acme = tenant("acme");
        create(&repository, &acme, "another sixth").await;
        create(&repository, &acme, "another seventh").await;
        for read in [ReadData::Nothing, ReadData::All] {
            let report = repository.verify(&acme, read).await.unwrap();
            let divergent = report
                .findings
                .iter()
                .find(|it| it.verdict == Verdict::Divergent);
            assert_eq!(
                divergent.unwrap().seq,
                Some(Seq::new(6)),
                "{:#?}",
                report.findings
            );
        }
        assert_eq!(repository.plan_repair(None).await.unwrap().actions(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_lost_in_a_run_come_back_though_no_index_names_them() {
    let scene = Scene::with(8).await;
    for seq in [5, 6] {
        scene
            .database
            .lose_row(&scene.acme, Stream::Manifests, Seq::new(seq));
    }
    scene
        .world
        .memory
        .remove(&index_key(&scene.acme, Stream::Manifests));
    let report = scene.verify(ReadData::All).await;
    assert!(
        report
            .findings
            .iter()
            .all(|it| it.repair != Mend::Quarantine),
        "{:#?}",
        report.findings
    );
    scene.repair(8).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_that_no_index_names_is_not_lost_while_its_snapshot_is_there() {
    let scene = Scene::with(8).await;
    let (acme, seq) = (&scene.acme, Seq::new(3));
    scene
        .world
        .memory
        .remove(&index_key(acme, Stream::Manifests));
    scene
        .database
        .damage_row(acme, Stream::Manifests, seq, r#"{"schemaVersion":"9"}"#);
    let lost = (Stream::Manifests, seq);
    let accepted = scene
        .repository
        .accept_loss(acme, lost, None, "no".parse().unwrap())
        .await;
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Refused);
    scene.repair(8).await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_wait_for_their_index_are_no_foreign_objects() {
    let scene = Scene::with(600).await;
    let key = index_key(&scene.acme, Stream::Manifests);
    scene.world.memory.remove(&key);
    let plan = scene.plan().await;
    scene.repository.apply_repair(&plan).await.unwrap();
    // The index is begun anew, and nothing has filled it yet.
    let report = scene.verify(ReadData::All).await;
    assert!(
        !report.has_damage(),
        "{:#?}",
        &report.findings[..report.findings.len().min(3)]
    );
    drain(&scene.repository).await;
    assert_eq!(scene.verify(ReadData::All).await.findings, []);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_claims_pages_without_end_is_named_and_ends_the_look() {
    let scene = Scene::with(3).await;
    let key = index_key(&scene.acme, Stream::Manifests);
    let object = scene
        .world
        .memory
        .get(&key, u64::MAX)
        .await
        .unwrap()
        .unwrap();
    let mut index =
        driftline::domain::format::Index::parse(&scene.acme, Stream::Manifests, &object.bytes)
            .unwrap();
    index.sealed_pages = 1 << 40;
    index.entries.clear();
    scene.world.memory.insert(&key, index.to_bytes());
    let report = scene.verify(ReadData::Nothing).await;
    assert!(report.has_damage());
    assert!(report.findings.len() < 200);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_shadowing_would_not_adopt_is_damaged_also_without_an_index() {
    let scene = Scene::with(3).await;
    scene.flip(V2);
    scene.flip(&index_key(&scene.acme, Stream::Manifests));
    let report = scene.verify(ReadData::Nothing).await;
    let mends: Vec<_> = report.findings.iter().map(|it| it.repair).collect();
    assert_eq!(mends, [Mend::RebuildIndex, Mend::Reshadow]);
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_lost_right_after_an_index_was_made_up_loses_nothing() {
    let scene = Scene::with(300).await;
    // In a later epoch than the snapshots: beyond an index they would be no history.
    let second = scene.world.database();
    let repository = scene.world.repository(&second);
    recover_all(&repository).await;
    for stream in [Stream::Manifests, Stream::Applies] {
        let index = index_key(&scene.acme, stream);
        scene.world.memory.remove(&index).unwrap();
    }
    let plan = repository.plan_repair(Some(&scene.acme)).await.unwrap();
    for (_, outcome) in repository.apply_repair(&plan).await.unwrap().tenants {
        outcome.unwrap();
    }
    let third = scene.world.database();
    let recovered = recover_all(&scene.world.repository(&third)).await;
    assert_eq!(recovered[0].head, Seq::new(300));
    assert_eq!(recovered[0].restored, 301);
}

fn with_crlf(scene: &Scene, key: &str) -> Bytes {
    let bytes = scene.world.memory.remove(key).unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    scene.world.memory.insert(key, text.replace('\n', "\r\n"));
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_in_other_bytes_is_damaged_and_written_again() {
    for loses_index in [false, true] {
        let scene = Scene::with(3).await;
        let bytes = with_crlf(&scene, V2);
        if loses_index {
            scene.world.memory.remove("acme/index.json").unwrap();
        }
        let report = scene.verify(ReadData::All).await;
        let found = report
            .findings
            .iter()
            .find(|it| it.object.as_deref() == Some(V2));
        assert_eq!(found.unwrap().repair, Mend::Reshadow, "{report:#?}");
        scene.repair(3).await;
        let read = scene.world.memory.get(V2, u64::MAX).await;
        assert_eq!(read.unwrap().unwrap().bytes, bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_in_other_bytes_is_no_other_history() {
    let scene = Scene::with(3).await;
    create_many(&scene.repository, &scene.acme, 1).await;
    let entry = scene
        .database
        .entry(&scene.acme, Stream::Manifests, Seq::new(4));
    let bytes = Snapshot::write(&entry.await.unwrap().unwrap().entry);
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let key = "acme/versions/v000004.json";
    scene.world.memory.insert(key, text.replace('\n', "\r\n"));
    for _ in 0..6 {
        let left = drain(&scene.repository).await.left;
        assert_eq!((left.backing_off, left.stopped), (1, 0));
        tokio::time::sleep(std::time::Duration::from_mins(5)).await;
    }
    scene.repair(4).await;
}

#[tokio::test(start_paused = true)]
async fn another_size_in_the_listing_is_found_without_reading_the_rest() {
    for is_grown in [false, true] {
        let scene = Scene::with(130).await;
        let whole = scene.world.memory.remove(V2).unwrap();
        let mut bytes = whole.to_vec();
        bytes.resize(if is_grown { whole.len() + 1 } else { 0 }, b' ');
        scene.world.memory.insert(V2, bytes.clone());
        scene.world.bucket.take_calls();
        let finding = scene.only(ReadData::Nothing).await;
        let read = scene.world.bucket.take_calls();
        let snapshots = |key: &&String| key.starts_with("acme/versions/") && *key != V2;
        assert_eq!(read.iter().map(|call| &call.key).find(snapshots), None);
        assert_eq!(finding.object.as_deref(), Some(V2));
        assert_eq!(finding.repair, Mend::Reshadow);
        let sizes = format!(
            "has {} bytes, and {} are on record",
            bytes.len(),
            whole.len()
        );
        assert!(finding.detail.contains(&sizes), "{}", finding.detail);
        scene.repair(130).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_names_an_entry_in_other_bytes_is_mended_with_it() {
    let scene = Scene::with(4).await;
    // As an older build adopted it: line ends of another system, and the index names them.
    let whole = scene.world.memory.remove(V2).unwrap();
    let other = String::from_utf8(whole.to_vec()).unwrap();
    let other = Bytes::from(other.replace('\n', "\r\n"));
    scene.world.memory.insert(V2, other.clone());
    let index = index_key(&scene.acme, Stream::Manifests);
    let mut named = scene
        .world
        .index(&scene.acme, Stream::Manifests)
        .await
        .unwrap();
    named.entries[1].object_sha256 = driftline::domain::Digest::of(&other);
    named.entries[1].object_bytes = other.len() as u64;
    scene.world.memory.remove(&index);
    scene.world.memory.insert(&index, named.to_bytes());
    let finding = scene.only(ReadData::All).await;
    assert_eq!(finding.repair, Mend::Reshadow, "{finding:?}");
    scene.repair(4).await;
    assert_eq!(scene.world.memory.remove(V2).unwrap(), whole);
    assert_eq!(scene.quarantined().await.len(), 2);
}

/// What is larger than anything that belongs there is moved away all the same.
#[tokio::test(start_paused = true)]
async fn what_is_larger_than_its_kind_may_be_is_moved_away_and_mended() {
    let large = |mib: usize| vec![b' '; mib * 1024 * 1024];
    let scene = Scene::with(300).await;
    let page = page_key(&scene.acme, Stream::Manifests, 1);
    scene.world.memory.insert(&page, large(17));
    scene.world.memory.insert(BUCKET_KEY, large(1));
    scene.repair(3).await;
    let scene = Scene::with(3).await;
    let index = index_key(&scene.acme, Stream::Manifests);
    scene.world.memory.insert(&index, large(129));
    scene.repair(3).await;
}

/// What is too large to be copied is said, with what to do, and keeps the rest from nothing.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_a_copy_is_to_be_moved_by_hand() {
    let scene = Scene::with(5).await;
    let large = || vec![b' '; 129 * 1024 * 1024];
    scene.world.memory.insert(V2, large());
    scene.world.memory.insert("acme/strange.bin", large());
    let whole = scene.world.memory.remove(BUCKET_KEY).unwrap();
    scene.world.memory.insert(BUCKET_KEY, large());
    let third = (Stream::Manifests, Seq::new(3));
    scene.database.lose_row(&scene.acme, third.0, third.1);
    let plan = scene.plan().await;
    let left: Vec<_> = plan.left().collect();
    assert_eq!(left.len(), 2, "{plan:#?}");
    for key in [V2, "acme/strange.bin"] {
        let said = format!("move {key} away by hand");
        let is_said = left.iter().any(|it| it.detail.contains(&said));
        assert!(is_said, "{left:#?}");
    }
    let said = &plan.bucket_left[0].detail;
    assert!(said.contains("move _driftline/bucket.json away"), "{said}");
    assert_eq!(plan.tenants[0].actions.len(), 1, "{plan:#?}");
    // Whoever does so goes on.
    for key in [V2, "acme/strange.bin"] {
        scene.world.memory.remove(key).unwrap();
    }
    scene.world.memory.insert(BUCKET_KEY, whole);
    scene.repair(5).await;
}
