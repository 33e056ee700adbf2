//! Objects in other bytes than their rows make, and larger ones than belong there.

use super::*;

fn with_crlf(scene: &Scene, key: &str) -> Bytes {
    let bytes = scene.world.memory.remove(key).unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    scene.world.memory.insert(key, text.replace('\n', "\r\n"));
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_in_other_bytes_is_damaged_and_written_again() {
    for loses_index in [false, true] {
        let scene = with(3).await;
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
    let scene = with(3).await;
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
async fn an_index_that_names_an_entry_in_other_bytes_is_mended_with_it() {
    let scene = with(4).await;
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
    let scene = with(300).await;
    let page = page_key(&scene.acme, Stream::Manifests, 1);
    scene.world.memory.insert(&page, large(17));
    scene.world.memory.insert(BUCKET_KEY, large(1));
    scene.repair(3).await;
    let scene = with(3).await;
    let index = index_key(&scene.acme, Stream::Manifests);
    scene.world.memory.insert(&index, large(129));
    scene.repair(3).await;
}

/// What is too large to be copied is said, with what to do, and keeps the rest from nothing.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_a_copy_is_to_be_moved_by_hand() {
    let scene = with(5).await;
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
