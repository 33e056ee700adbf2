//! What both sides lost, and what damage is mistaken for: told once, as what it is, and never for another history.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::{
    Index, Snapshot, index_key, page_key, parse_snapshot_key, snapshot_key,
};
use driftline::domain::integrity::{Finding, Mend, Verdict};
use driftline::domain::{Digest, EntryId, Epoch, Seq, Stream};
use driftline::hybrid::integrity::ReadData;
use driftline::ports::{
    Entropy as _, ErrorKind, ManifestStore as _, RecoverTarget, RecoveryRequest, ShadowLedger as _,
};
use driftline::prelude::*;

use crate::scene::Scene;
use crate::support::world::*;

const V1: &str = "acme/versions/v000001.json";
const V2: &str = "acme/versions/v000002.json";

impl Scene {
    /// With all pages sealed that are due.
    async fn with_pages(versions: usize) -> Self {
        let scene = Self::shadowed(versions - 2).await;
        create_many(&scene.repository, &scene.acme, 2).await;
        drain(&scene.repository).await;
        scene
    }

    async fn accept(&self, seq: u64) {
        let lost = (Stream::Manifests, Seq::new(seq));
        let reason = "both disks".parse().unwrap();
        let accepted = self
            .repository
            .accept_loss(&self.acme, lost, None, reason)
            .await;
        accepted.unwrap();
        drain(&self.repository).await;
    }

    /// The snapshot with a member changed: the first `from` becomes `to`.
    fn change(&self, key: &str, from: &str, to: &str) {
        let bytes = self.world.memory.remove(key).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.contains(from), "{text}");
        let changed = text.replacen(from, to, 1);
        self.world.memory.insert(key, changed);
    }

    async fn mend_and_shadow(&self) {
        self.mend().await;
        drain(&self.repository).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_whose_object_is_lost_can_be_accepted() {
    for gone in [true, false] {
        let scene = Scene::shadowed(3).await;
        scene.damage_row(2);
        let bytes = scene.world.memory.remove(V2).unwrap();
        if !gone {
            scene.world.memory.insert(V2, bytes.slice(..40));
        }
        let found = scene.damage().await;
        let all_lost = found.iter().all(|it| it.repair == Mend::Lost);
        assert!(all_lost, "{found:#?}");
        scene.accept(2).await;
        assert_eq!(scene.damage().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_does_not_come_back_from_an_object_with_changed_members() {
    let scene = Scene::shadowed(3).await;
    scene.damage_row(2);
    scene.change(V2, "\"committedAt\":\"2", "\"committedAt\":\"3");
    scene.lose_index(Stream::Manifests);
    let of_it = |found: &[Finding]| {
        let of_it = found.iter().filter(|it| it.seq == Some(Seq::new(2)));
        of_it.map(|it| it.repair).collect::<Vec<_>>()
    };
    let found = scene.damage().await;
    assert_eq!(of_it(&found), [Mend::Lost, Mend::Lost], "{found:#?}");
    let row = scene.row(Stream::Manifests, 2).await;
    scene.mend().await;
    assert_eq!(scene.row(Stream::Manifests, 2).await, row);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_lost_row_is_told_once_and_can_be_accepted() {
    let stumps: [fn(&Scene); 3] = [
        |scene| scene.change(V1, "\"tag\":\"0\"", "\"tag\":\"9\""),
        |scene| scene.change(V1, "\"message\":null", "\"message\":\"n\""),
        |scene| {
            scene.world.memory.remove(V1).unwrap();
        },
    ];
    for stump in stumps {
        let scene = Scene::shadowed(3).await;
        scene.lose_row(1);
        scene.lose_index(Stream::Manifests);
        stump(&scene);
        let found = scene.damage().await;
        let of_it: Vec<_> = (found.iter().filter(|it| it.seq == Some(Seq::new(1))))
            .map(|it| it.repair)
            .collect();
        assert_eq!(of_it, [Mend::Lost], "{found:#?}");
        scene.accept(1).await;
        let left = scene.damage().await;
        assert!(left.iter().all(is_index), "{left:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_comes_back_by_the_chain_that_a_damaged_object_before_it_states() {
    let scene = Scene::shadowed(3).await;
    let memory = &scene.world.memory;
    for seq in [2, 3] {
        scene.lose_row(seq);
    }
    let key = "acme/versions/v000002.json";
    let bytes = memory.remove(key).unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    memory.insert(key, text.replace("\"content\":", "\"kontent\":"));
    overwrite(memory, "acme/index.json", b"{".to_vec()).await;
    let damage = scene.damage().await;
    let third = damage.iter().find(|it| it.seq == Some(Seq::new(3)));
    assert_eq!(third.unwrap().repair, Mend::RestoreRow, "{damage:#?}");
    scene.mend().await;
    assert_eq!(scene.row(Stream::Manifests, 3).await.meta.seq, Seq::new(3));
    let left = scene.damage().await;
    let lost = left.iter().filter(|it| it.repair == Mend::Lost);
    let lost: Vec<_> = lost.map(|it| it.seq.unwrap().get()).collect();
    assert_eq!(lost, [2], "{left:#?}");
}

#[tokio::test(start_paused = true)]
async fn of_a_whole_object_whose_members_nothing_proves_it_is_said_so() {
    let (before, key) = (V2, "acme/versions/v000003.json");
    for is_unproven in [true, false] {
        let scene = Scene::shadowed(4).await;
        let memory = &scene.world.memory;
        scene.lose_row(3);
        if is_unproven {
            scene.lose_row(2);
            overwrite(memory, before, b"gone".to_vec()).await;
        } else {
            let (from, to) = ("\"committedAt\":\"2", "\"committedAt\":\"3");
            scene.change(key, from, to);
        }
        overwrite(memory, "acme/index.json", b"{".to_vec()).await;
        let damage = scene.damage().await;
        let of_it = damage.iter().filter(|it| it.seq == Some(Seq::new(3)));
        let [told] = &of_it.collect::<Vec<_>>()[..] else {
            panic!("{damage:#?}");
        };
        let why = if is_unproven {
            "what proves the members of its object, the entry before it, is lost as well"
        } else {
            "the members of its object are not those of the chain"
        };
        let told = (told.repair, told.object.as_deref(), &told.detail[..]);
        let why = format!("its row is lost, and {why}");
        assert_eq!(told, (Mend::Lost, Some(key), &why[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_epoch_left_beside_a_lost_entry_is_moved_away() {
    let scene = Scene::shadowed(3).await;
    let mut entry = scene.row(Stream::Manifests, 3).await;
    entry.meta.epoch = Epoch::FIRST.next();
    entry.meta.id = EntryId(scene.world.entropy.uuid());
    let key = "acme/versions/v000003.e2.json";
    scene.world.memory.insert(key, Snapshot::write(&entry));
    scene.lose_row(3);
    scene.world.memory.remove("acme/versions/v000003.json");
    let found = scene.damage().await;
    let mends: Vec<_> = found.iter().map(|it| it.repair).collect();
    assert_eq!(mends, [Mend::Quarantine, Mend::Lost], "{found:#?}");
    scene.mend_and_shadow().await;
    scene.accept(3).await;
    assert_eq!(scene.damage().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_no_histories_at_the_number_of_a_lost_row_is_moved_away() {
    for (seq, key) in [(1, V1), (2, V2)] {
        let scene = Scene::shadowed(3).await;
        let mut entry = scene.row(Stream::Manifests, seq).await;
        // Another history's, and its chain is damaged.
        entry.meta.id = EntryId(scene.world.entropy.uuid());
        entry.meta.chain = Digest::of(b"damaged");
        scene.world.memory.remove(key).unwrap();
        scene.world.memory.insert(key, Snapshot::write(&entry));
        scene.lose_row(seq);
        scene.lose_index(Stream::Manifests);
        let found = scene.damage().await;
        let of_it = found.iter().filter(|it| it.seq == Some(Seq::new(seq)));
        let mends: Vec<_> = of_it.map(|it| it.repair).collect();
        assert_eq!(mends, [Mend::Lost, Mend::Quarantine], "{found:#?}");
        scene.mend_and_shadow().await;
        scene.accept(seq).await;
        let left = scene.damage().await;
        assert!(left.iter().all(is_index), "{left:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_chain_in_a_snapshot_is_no_other_history() {
    for shadowed in [true, false] {
        let scene = Scene::shadowed(3).await;
        let row = scene.row(Stream::Manifests, 2).await;
        let chain = row.meta.chain.to_string();
        let other = if chain.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{other}", &chain[..63]);
        scene.change(V2, &chain, &changed);
        scene.lose_index(Stream::Manifests);
        if !shadowed {
            // Nothing of it is known to be shadowed: the replicator comes upon it first.
            let bucket = scene.world.identity().await.unwrap().bucket_id;
            let lowered = scene.database.lower_watermark(
                &scene.acme,
                bucket,
                Stream::Manifests,
                Seq::default(),
            );
            lowered.await.unwrap();
            for _ in 0..6 {
                drain(&scene.repository).await;
                tokio::time::sleep(std::time::Duration::from_mins(10)).await;
            }
        }
        let found = scene.damage().await;
        let is_divergent = |it: &Finding| it.verdict == Verdict::Divergent;
        assert!(!found.iter().any(is_divergent), "{found:#?}");
        scene.mend_and_shadow().await;
        tokio::time::sleep(std::time::Duration::from_mins(10)).await;
        scene.mend_and_shadow().await;
        assert_eq!(scene.damage().await, []);
        scene.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_recovery_would_adopt_without_an_index_is_another_history_in_any_epoch() {
    let scene = Scene::shadowed(2).await;
    let backup = Arc::new(scene.database.backup());
    // Another database recovers, goes on in the next epoch, and is lost; an older backup of the first takes its place.
    let second = scene.world.database();
    let recovered = scene.world.repository(&second);
    recover_all(&recovered).await;
    create(&recovered, &scene.acme, "of the second epoch").await;
    drain(&recovered).await;
    let third = scene.world.repository(&backup);
    create(&third, &scene.acme, "of the first epoch").await;
    scene.lose_index(Stream::Manifests);
    for read in [ReadData::Nothing, ReadData::All] {
        let report = third.verify(&scene.acme, read).await.unwrap();
        let divergent = (report.findings.iter()).find(|it| it.verdict == Verdict::Divergent);
        let divergent = divergent.unwrap_or_else(|| panic!("{:#?}", report.findings));
        assert_eq!(divergent.seq, Some(Seq::new(3)));
        let key = "acme/versions/v000003.e2.json";
        assert_eq!(divergent.object.as_deref(), Some(key));
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_not_copied_into_a_new_version() {
    let as_new = |version: u64| RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(version)),
        as_new_version: true,
        ..RecoveryRequest::default()
    };
    let scene = Scene::shadowed(2).await;
    let acme = &scene.acme;
    let first = scene.row(Stream::Manifests, 1).await;
    scene.damage_row(1);
    let copied = scene.repository.recover_from_s3(acme, &as_new(1)).await;
    assert_eq!(copied.unwrap().new_version, Some(Seq::new(3)));
    let copy = scene.row(Stream::Manifests, 3).await;
    assert_eq!(copy.content, first.content);
    // Nothing proves what the bucket does not have: it is refused before anything is written.
    create(&scene.repository, acme, "not shadowed").await;
    scene.damage_row(4);
    let refused = scene.repository.recover_from_s3(acme, &as_new(4)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Damaged);
    let state = scene.database.tenant(acme).await.unwrap().unwrap();
    assert_eq!(state.heads[Stream::Manifests].seq, Seq::new(4));
}

#[tokio::test(start_paused = true)]
async fn an_index_of_a_later_epoch_is_not_made_up_by_who_is_fenced_off() {
    let scene = Scene::shadowed(3).await;
    let key = index_key(&scene.acme, Stream::Manifests);
    let bytes = scene.world.memory.remove(&key).unwrap();
    let mut index = Index::parse(&scene.acme, Stream::Manifests, &bytes).unwrap();
    index.epoch = Epoch::FIRST.next();
    index.entries.truncate(1);
    scene.world.memory.insert(&key, index.to_bytes());
    let found = scene.damage().await;
    assert!(!found.is_empty());
    let plan = scene.repository.plan_repair(None).await.unwrap();
    assert_eq!(plan.actions(), 0, "{plan:#?}");
    assert!(plan.left().count() > 0);
}

#[tokio::test(start_paused = true)]
async fn damage_where_the_next_page_belongs_is_moved_away() {
    let scene = Scene::shadowed(128).await;
    let key = page_key(&scene.acme, Stream::Manifests, 1);
    scene.world.memory.insert(&key, "{");
    let found = scene.damage().await;
    let told: Vec<_> = found.iter().map(|it| (&it.object, it.repair)).collect();
    assert_eq!(told, [(&Some(key), Mend::Quarantine)]);
    scene.mend_and_shadow().await;
    create_many(&scene.repository, &scene.acme, 2).await;
    drain(&scene.repository).await;
    scene.assert_settled().await;
    assert_eq!(scene.damage().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_history_that_could_not_go_on_is_moved_away() {
    let scene = Scene::with_pages(130).await;
    scene.lose_index(Stream::Manifests);
    scene.world.memory.remove("acme/versions/v000127.json");
    let database = scene.world.database();
    let repository = scene.world.repository(&database);
    recover_all(&repository).await;
    create_many(&repository, &scene.acme, 4).await;
    drain(&repository).await;
    let scene = Scene {
        database,
        repository,
        ..scene
    };
    let key = page_key(&scene.acme, Stream::Manifests, 1);
    let found = scene.damage().await;
    let told = found.iter().find(|it| it.object.as_ref() == Some(&key));
    let told = told.unwrap_or_else(|| panic!("{found:#?}"));
    let other = "it holds another manifests/127 than the index names";
    assert_eq!((told.repair, &told.detail[..]), (Mend::Quarantine, other));
    scene.mend().await;
    recover(&scene.repository, &scene.acme).await;
    drain(&scene.repository).await;
    scene.assert_settled().await;
    assert_eq!(scene.damage().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_entry_lost_on_a_damaged_page_keeps_no_other_from_coming_back() {
    let scene = Scene::with_pages(130).await;
    let page = page_key(&scene.acme, Stream::Manifests, 1);
    scene.change(&page, "\"version\":100,", "\"versioo\":100,");
    scene.world.memory.remove("acme/versions/v000128.json");
    let database = scene.world.database();
    let repository = scene.world.repository(&database);
    repository.check_ownership().await.unwrap();
    let request = RecoveryRequest::default();
    let recovered = repository.recover_from_s3(&scene.acme, &request).await;
    let recovered = recovered.unwrap();
    assert_eq!(recovered.restored, 129);
    let failed: Vec<_> = recovered.failures.iter().map(|it| &it.object).collect();
    assert_eq!(failed, ["acme/versions/v000128.json"]);
    let report = repository.verify(&scene.acme, ReadData::All).await.unwrap();
    let lost = report.findings.iter().filter(|it| it.is_damage());
    let lost: Vec<_> = lost.map(|it| (it.seq, it.repair)).collect();
    assert_eq!(
        lost,
        [(None, Mend::RebuildPage), (Some(Seq::new(128)), Mend::Lost)]
    );
}

fn is_index(found: &Finding) -> bool {
    found.repair == Mend::RebuildIndex
}

/// Recovers what the bucket has into an empty database, and returns it with what did not come back.
async fn recovered(scene: &Scene, head: u64) -> (Arc<MemoryDatabase>, Repository, Vec<u64>) {
    let database = scene.world.database();
    let repository = scene.world.repository(&database);
    repository.check_ownership().await.unwrap();
    let request = RecoveryRequest::default();
    let recovered = repository.recover_from_s3(&scene.acme, &request).await;
    let recovered = recovered.unwrap();
    let failed = recovered.failures.iter().map(|it| {
        let (_, seq, _) = parse_snapshot_key(&it.object).unwrap();
        seq.get()
    });
    let failed: Vec<u64> = failed.collect();
    assert_eq!(recovered.restored, head - failed.len() as u64);
    let mut entries = Vec::new();
    for seq in 1..=head {
        let stored = database.entry(&scene.acme, Stream::Manifests, Seq::new(seq));
        let original = scene
            .database
            .entry(&scene.acme, Stream::Manifests, Seq::new(seq));
        let (stored, original) = (stored.await.unwrap(), original.await.unwrap());
        if let Some(stored) = stored {
            assert_eq!(Some(stored.entry), original.map(|it| it.entry), "{seq}");
            entries.push(seq);
        }
    }
    let missing: Vec<u64> = (1..=head).filter(|seq| !entries.contains(seq)).collect();
    assert_eq!(missing, failed);
    (database, repository, failed)
}

#[tokio::test(start_paused = true)]
async fn an_entry_lost_with_its_page_keeps_no_other_from_coming_back() {
    let cases: [(usize, &[u64], &[u64]); 9] = [
        (130, &[1], &[96]),
        (130, &[1], &[1]),
        (130, &[1], &[128]),
        (130, &[1], &[50, 100]),
        (130, &[1], &[50, 51, 128]),
        (258, &[1, 2], &[5, 128, 129, 200]),
        (258, &[1, 2], &[256]),
        (258, &[1], &[128]),
        (258, &[2], &[129, 131, 256]),
    ];
    for (versions, pages, lost) in cases {
        let scene = Scene::with_pages(versions).await;
        for page in pages {
            let key = page_key(&scene.acme, Stream::Manifests, *page);
            scene.world.memory.remove(&key).unwrap();
        }
        for seq in lost {
            let key = format!("acme/versions/v{seq:06}.json");
            scene.world.memory.remove(&key).unwrap();
        }
        let (_, repository, failed) = recovered(&scene, u64::try_from(versions).unwrap()).await;
        assert_eq!(failed, lost);
        create(&repository, &scene.acme, "later").await;
        drain(&repository).await;
        let report = repository.verify(&scene.acme, ReadData::All).await.unwrap();
        let told = report.findings.iter().filter(|it| it.is_damage());
        let told: Vec<_> = told.map(|it| (it.seq.map(Seq::get), it.repair)).collect();
        let pages = pages.iter().map(|_| (None, Mend::RebuildPage));
        let losses = lost.iter().map(|seq| (Some(*seq), Mend::Lost));
        assert_eq!(told, pages.chain(losses).collect::<Vec<_>>());
        for seq in lost {
            let (lost, reason) = (Seq::new(*seq), "both are gone".parse().unwrap());
            let lost = (Stream::Manifests, lost);
            let accepted = repository.accept_loss(&scene.acme, lost, None, reason);
            accepted.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_entry_of_all_lost_with_its_page_is_named_and_history_goes_on() {
    let scene = Scene::shadowed(128).await;
    let (key, page) = (
        index_key(&scene.acme, Stream::Manifests),
        page_key(&scene.acme, Stream::Manifests, 1),
    );
    let bytes = scene.world.memory.remove(&key).unwrap();
    let mut index = Index::parse(&scene.acme, Stream::Manifests, &bytes).unwrap();
    assert_eq!(index.seal().len(), 1);
    scene.world.memory.insert(&key, index.to_bytes());
    scene.world.memory.remove("acme/versions/v000128.json");
    assert!(scene.world.memory.remove(&page).is_none());
    let (database, repository, failed) = recovered(&scene, 128).await;
    assert_eq!(failed, [128]);
    let created = create(&repository, &scene.acme, "later").await;
    assert_eq!(created.manifest.version(), Seq::new(129));
    drain(&repository).await;
    let row = database.entry(&scene.acme, Stream::Manifests, Seq::new(129));
    let row = row.await.unwrap().unwrap().entry.meta;
    assert_eq!(row.expected_chain(index.prev_chain), row.chain);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_page_does_not_name_is_not_brought_back_changed() {
    for (seq, from, to) in [
        (96, "\"committedAt\":\"2", "\"committedAt\":\"3"),
        (128, "\"committedAt\":\"2", "\"committedAt\":\"3"),
        (1, "\"committedAt\":\"2", "\"committedAt\":\"3"),
        (96, "\"chain\":\"", "\"chaim\":\""),
    ] {
        let scene = Scene::with_pages(130).await;
        let page = page_key(&scene.acme, Stream::Manifests, 1);
        scene.world.memory.remove(&page).unwrap();
        scene.change(&format!("acme/versions/v{seq:06}.json"), from, to);
        let (_, _, failed) = recovered(&scene, 130).await;
        assert_eq!(failed, [seq]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_history_left_is_not_taken_for_an_entry_lost_with_its_page() {
    let (same, later) = (Epoch::FIRST, Epoch::FIRST.next());
    for (seq, last, epoch) in [(128, 130, same), (256, 258, same), (96, 130, later)] {
        let scene = Scene::with_pages(last).await;
        let acme = &scene.acme;
        let page = page_key(acme, Stream::Manifests, (seq - 1) / 128 + 1);
        scene.world.memory.remove(&page).unwrap();
        let key = format!("acme/versions/v{seq:06}.json");
        scene.world.memory.remove(&key).unwrap();
        let before = scene.row(Stream::Manifests, seq - 1).await.meta;
        let mut other = scene.row(Stream::Manifests, seq).await;
        other.meta.id = EntryId(scene.world.entropy.uuid());
        other.meta.epoch = epoch;
        other.meta.chain = other.meta.expected_chain(before.chain);
        let left = snapshot_key(acme, Stream::Manifests, other.meta.seq, other.meta.epoch);
        let bytes = Snapshot::write(&other);
        scene.world.memory.insert(&left, bytes);
        let (_, _, failed) = recovered(&scene, u64::try_from(last).unwrap()).await;
        assert_eq!(failed, [seq]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_neighbours_that_nothing_proves_neither_comes_back() {
    let scene = Scene::with_pages(130).await;
    let page = page_key(&scene.acme, Stream::Manifests, 1);
    scene.world.memory.remove(&page).unwrap();
    scene.world.memory.remove("acme/versions/v000050.json");
    let (from, to) = ("\"committedAt\":\"2", "\"committedAt\":\"3");
    scene.change("acme/versions/v000052.json", from, to);
    let (_, _, failed) = recovered(&scene, 130).await;
    assert_eq!(failed, [50, 51, 52]);
}
