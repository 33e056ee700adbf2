//! What a drill writes to the bucket stays in its overlay, which keeps the promises of a bucket all the same.

use std::sync::Arc;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::hybrid::drill::Overlay;
use driftline::ports::{ETag, Precondition, PutOutcome, SnapshotStore as _};

fn overlay() -> (MemorySnapshotStore, Overlay) {
    let store = MemorySnapshotStore::new();
    let overlay = Overlay::new(Arc::new(store.clone()));
    (store, overlay)
}

async fn keys(overlay: &Overlay, prefix: &str, limit: usize) -> Vec<String> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let part = overlay.list(prefix, after.as_deref(), limit).await.unwrap();
        assert!(part.objects.len() <= limit);
        assert!(
            !(part.more && part.objects.is_empty()),
            "an empty part ends no listing"
        );
        keys.extend(part.objects.into_iter().map(|object| object.key));
        if !part.more {
            return keys;
        }
        after = keys.last().cloned();
    }
}

async fn written(
    overlay: &Overlay,
    key: &str,
    text: &'static str,
    when: Precondition,
) -> Option<ETag> {
    match overlay.put(key, text.into(), when).await.unwrap() {
        PutOutcome::Written(etag) => Some(etag),
        PutOutcome::PreconditionFailed => None,
        PutOutcome::Conflict => panic!("nobody is in the way"),
    }
}

#[tokio::test]
async fn reads_pass_and_writes_stay() {
    let (store, overlay) = overlay();
    store.insert("a/x", "old");
    let before = store.snapshot();
    assert_eq!(
        overlay.get("a/x", u64::MAX).await.unwrap().unwrap().bytes,
        "old"
    );
    written(&overlay, "a/y", "new", Precondition::Absent)
        .await
        .unwrap();
    overlay.delete("a/x").await.unwrap();
    assert_eq!(
        overlay.get("a/y", u64::MAX).await.unwrap().unwrap().bytes,
        "new"
    );
    assert_eq!(overlay.get("a/x", u64::MAX).await.unwrap(), None);
    assert_eq!(store.snapshot(), before);
}

#[tokio::test]
async fn absent_holds_for_neither_side_having_it() {
    let (store, overlay) = overlay();
    store.insert("a/x", "there");
    assert_eq!(
        written(&overlay, "a/x", "n", Precondition::Absent).await,
        None
    );
    overlay.delete("a/x").await.unwrap();
    assert!(
        written(&overlay, "a/x", "n", Precondition::Absent)
            .await
            .is_some()
    );
    assert_eq!(
        written(&overlay, "a/x", "n", Precondition::Absent).await,
        None
    );
}

#[tokio::test]
async fn a_version_of_the_store_is_matched_once_and_one_of_the_overlay_from_then_on() {
    let (store, overlay) = overlay();
    let real = store.insert("a/index.json", "1");
    let stale = ETag("stale".to_owned());
    let matches = |etag: &ETag| Precondition::Matches(etag.clone());
    assert_eq!(
        written(&overlay, "a/index.json", "2", matches(&stale)).await,
        None
    );
    let second = written(&overlay, "a/index.json", "2", matches(&real))
        .await
        .unwrap();
    assert_eq!(
        written(&overlay, "a/index.json", "3", matches(&real)).await,
        None
    );
    assert!(
        written(&overlay, "a/index.json", "3", matches(&second))
            .await
            .is_some()
    );
    assert_eq!(written(&overlay, "a/none", "1", matches(&real)).await, None);
    assert_eq!(
        store
            .get("a/index.json", u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        "1"
    );
}

#[tokio::test]
async fn an_index_that_moved_on_since_it_was_read_is_matched_as_it_was_read() {
    let (store, overlay) = overlay();
    store.insert("a/index.json", "1");
    let read = overlay
        .get("a/index.json", u64::MAX)
        .await
        .unwrap()
        .unwrap()
        .etag;
    assert_eq!(overlay.get("b/index.json", u64::MAX).await.unwrap(), None);
    store.insert("a/index.json", "2");
    store.insert("b/index.json", "2");
    let matches = Precondition::Matches(read);
    assert!(
        written(&overlay, "a/index.json", "mine", matches)
            .await
            .is_some()
    );
    assert!(
        written(&overlay, "b/index.json", "mine", Precondition::Absent)
            .await
            .is_some()
    );
    assert_eq!(
        overlay
            .get("a/index.json", u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        "mine"
    );
}

#[tokio::test]
async fn a_listing_holds_both_sides_in_order_whatever_the_size_of_its_parts() {
    let (store, overlay) = overlay();
    for key in ["a/1", "a/3", "a/5", "a/7", "b/1"] {
        store.insert(key, "x");
    }
    for key in ["a/0", "a/3", "a/4", "a/8", "a/9", "c/1"] {
        overlay.delete(key).await.unwrap();
        written(&overlay, key, "here", Precondition::Absent)
            .await
            .unwrap();
    }
    overlay.delete("a/5").await.unwrap();
    overlay.delete("a/9").await.unwrap();
    for limit in 1..=8 {
        let wanted = ["a/0", "a/1", "a/3", "a/4", "a/7", "a/8"];
        assert_eq!(
            keys(&overlay, "a/", limit).await,
            wanted,
            "{limit} at a time"
        );
        assert_eq!(keys(&overlay, "", limit).await.len(), 8);
    }
    let sizes = overlay.list("a/3", None, 1).await.unwrap();
    assert_eq!(
        sizes.objects[0].size, 4,
        "the size is that of the bytes here"
    );
}

#[tokio::test]
async fn a_part_that_was_removed_whole_does_not_end_the_listing() {
    let (store, overlay) = overlay();
    for key in ["a/1", "a/2", "a/3"] {
        store.insert(key, "x");
    }
    overlay.delete("a/1").await.unwrap();
    overlay.delete("a/2").await.unwrap();
    assert_eq!(keys(&overlay, "a/", 1).await, ["a/3"]);
}

#[tokio::test]
async fn a_forgotten_tenant_is_as_it_is_below() {
    let (store, overlay) = overlay();
    let real = store.insert("a/index.json", "1");
    written(&overlay, "a/index.json", "2", Precondition::Matches(real))
        .await
        .unwrap();
    written(&overlay, "ab/index.json", "2", Precondition::Absent)
        .await
        .unwrap();
    overlay.forget(&"a".parse().unwrap());
    assert_eq!(
        overlay
            .get("a/index.json", u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        "1"
    );
    assert_eq!(
        overlay
            .get("ab/index.json", u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        "2"
    );
}
