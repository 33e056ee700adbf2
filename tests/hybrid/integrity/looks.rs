//! What is found, what is no damage, and what a look costs.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_well_is_counted_and_nothing_is_written() {
    let scene = with(3).await;
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
    let scene = with(1).await;
    create(&scene.repository, &scene.acme, "new").await;
    let report = scene.verify(ReadData::Nothing).await;
    assert_eq!(report.findings[0].verdict, Verdict::DbOnly);
    assert_eq!(report.findings[0].repair, Mend::Shadowing);
    assert!(!report.has_damage());
    assert_eq!(scene.plan().await.actions(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_object_is_in_just_one_part() {
    let scene = with(20).await;
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
async fn a_listing_that_lacks_objects_makes_none_of_them_missing() {
    let scene = with(3).await;
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
async fn a_side_that_cannot_be_reached_leaves_its_tenant_unseen() {
    let scene = with(1).await;
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

#[tokio::test(start_paused = true)]
async fn a_row_that_is_lost_before_it_was_shadowed_makes_its_tenant_back_off() {
    let scene = with(2).await;
    create(&scene.repository, &scene.acme, "3").await;
    scene.lose_row(3);
    scene.world.bucket.take_calls();
    let drained = drain(&scene.repository).await;
    assert_eq!(drained.left.backing_off, 1);
    let calls = scene.world.bucket.take_calls().len();
    assert!(calls < 10, "{calls} requests");
    let finding = scene.only(ReadData::Nothing).await;
    assert_eq!(finding.repair, Mend::Lost);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_claims_pages_without_end_is_named_and_ends_the_look() {
    let scene = with(3).await;
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
async fn another_size_in_the_listing_is_found_without_reading_the_rest() {
    for is_grown in [false, true] {
        let scene = with(130).await;
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
