//! What is lost or damaged on one side comes back from the other.

use super::*;
use driftline::prelude::*;

#[tokio::test(start_paused = true)]
async fn a_deleted_snapshot_is_written_again_from_its_row() {
    let scene = with(3).await;
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
    let scene = with(3).await;
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
async fn a_lost_row_comes_back_from_its_snapshot() {
    let scene = with(3).await;
    scene.lose_row(2);
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(
        (finding.verdict, finding.seq),
        (Verdict::IndexOnly, Some(Seq::new(2)))
    );
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_replaced_from_its_snapshot() {
    let scene = with(3).await;
    scene.damage_row(2);
    let finding = scene.only(ReadData::All).await;
    assert_eq!(finding.verdict, Verdict::ChecksumMismatch);
    assert_eq!((finding.object, finding.repair), (None, Mend::RestoreRow));
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_that_only_the_chain_can_tell_comes_back_with_the_index() {
    let scene = with(3).await;
    scene.lose_row(2);
    scene.lose_index(Stream::Manifests);
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_index_is_made_up_again() {
    let scene = with(300).await;
    scene.lose_index(Stream::Manifests);
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(
        (finding.verdict, finding.repair),
        (Verdict::ShadowMissing, Mend::RebuildIndex)
    );
    scene.repair(300).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_index_is_copied_away_and_made_up_again() {
    let scene = with(3).await;
    scene.flip(&index_key(&scene.acme, Stream::Manifests));
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(finding.repair, Mend::RebuildIndex);
    scene.repair(3).await;
    assert_eq!(scene.quarantined().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_and_damaged_pages_are_made_up_again() {
    for lose in [true, false] {
        let scene = with(300).await;
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
    let scene = with(2).await;
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
async fn rows_that_are_lost_in_a_run_come_back_though_no_index_names_them() {
    let scene = with(8).await;
    for seq in [5, 6] {
        scene.lose_row(seq);
    }
    scene.lose_index(Stream::Manifests);
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
    let scene = with(8).await;
    scene.lose_index(Stream::Manifests);
    scene.damage_row(3);
    let lost = (Stream::Manifests, Seq::new(3));
    let accepted = scene
        .repository
        .accept_loss(&scene.acme, lost, None, "no".parse().unwrap())
        .await;
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Refused);
    scene.repair(8).await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_wait_for_their_index_are_no_foreign_objects() {
    let scene = with(600).await;
    scene.lose_index(Stream::Manifests);
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
async fn a_snapshot_that_shadowing_would_not_adopt_is_damaged_also_without_an_index() {
    let scene = with(3).await;
    scene.flip(V2);
    scene.flip(&index_key(&scene.acme, Stream::Manifests));
    let report = scene.verify(ReadData::Nothing).await;
    let mends: Vec<_> = report.findings.iter().map(|it| it.repair).collect();
    assert_eq!(mends, [Mend::RebuildIndex, Mend::Reshadow]);
    scene.repair(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_lost_right_after_an_index_was_made_up_loses_nothing() {
    let scene = with(300).await;
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
