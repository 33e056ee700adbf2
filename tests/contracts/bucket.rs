//! The port of the bucket, over every adapter of it.

mod directory_crash;
mod faults;
mod probe;
#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;

use bytes::Bytes;
use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::hybrid::drill::Overlay;
use driftline::ports::{ETag, Fault, Precondition, PutOutcome, SnapshotStore};
use tokio::task::JoinSet;

/// A bucket of a test's own.
pub struct Place {
    store: Arc<dyn SnapshotStore>,
    /// The same objects, as another process would open them.
    twin: Arc<dyn SnapshotStore>,
    /// The same bucket under another prefix.
    beside: Arc<dyn SnapshotStore>,
    _directory: Option<tempfile::TempDir>,
}

async fn memory() -> Place {
    let store = MemorySnapshotStore::new().with_prefix("one");
    Place {
        twin: Arc::new(store.clone()),
        beside: Arc::new(store.with_prefix("one-more")),
        store: Arc::new(store),
        _directory: None,
    }
}

/// What a drill puts over a bucket is a bucket to whoever uses it.
async fn overlay() -> Place {
    let below = MemorySnapshotStore::new().with_prefix("one");
    let beside = below.with_prefix("one-more");
    let store = Arc::new(Overlay::new(Arc::new(below)));
    Place {
        twin: store.clone(),
        beside: Arc::new(Overlay::new(Arc::new(beside))),
        store,
        _directory: None,
    }
}

async fn directory() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let open = |name| Arc::new(DirectorySnapshotStore::open(directory.path().join(name)).unwrap());
    Place {
        store: open("one"),
        twin: open("one"),
        beside: open("one-more"),
        _directory: Some(directory),
    }
}

#[cfg(feature = "s3")]
async fn localstack() -> Place {
    let localstack = crate::support::localstack::localstack();
    let bucket = localstack.fresh_bucket();
    Place {
        store: Arc::new(localstack.store(&bucket, "one").await),
        twin: Arc::new(localstack.store(&bucket, "one").await),
        beside: Arc::new(localstack.store(&bucket, "one-more").await),
        _directory: None,
    }
}

/// Runs every case over every adapter.
macro_rules! contract {
    ($($case:ident,)*) => {
        contract!(@ memory: $($case)*);
        contract!(@ overlay: $($case)*);
        contract!(@ directory: $($case)*);
        #[cfg(feature = "s3")]
        contract!(@ localstack: $($case)*);
    };
    (@ $adapter:ident: $($case:ident)*) => {
        mod $adapter {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(super::$adapter().await).await;
                }
            )*
        }
    };
}

contract! {
    a_write_is_read_back,
    what_is_absent_is_none,
    creating_what_exists_fails_and_leaves_it_alone,
    comparing_with_an_absent_object_fails,
    comparing_with_a_stale_etag_fails_and_leaves_the_object_alone,
    an_etag_names_what_is_there,
    one_of_many_creators_wins,
    compare_and_set_loses_no_update,
    a_reader_sees_whole_objects_only,
    a_listing_is_in_byte_order,
    a_listing_comes_in_parts,
    a_listing_can_begin_anywhere,
    folders_are_named_to_the_end,
    removing_twice_succeeds,
    prefixes_are_apart,
    objects_may_be_empty_or_large,
    what_exceeds_its_readers_bound_is_an_error_and_not_read,
    the_store_tells_what_it_is,
    the_probe_passes_and_leaves_nothing_behind,
}

const KEY: &str = "acme/versions/v000001.json";

async fn create(store: &dyn SnapshotStore, key: &str, bytes: impl Into<Bytes>) -> ETag {
    written(
        store
            .put(key, bytes.into(), Precondition::Absent)
            .await
            .unwrap(),
    )
}

async fn replace(store: &dyn SnapshotStore, etag: &ETag, bytes: impl Into<Bytes>) -> PutOutcome {
    store
        .put(KEY, bytes.into(), Precondition::Matches(etag.clone()))
        .await
        .unwrap()
}

async fn read(store: &dyn SnapshotStore, key: &str) -> Option<Bytes> {
    store
        .get(key, u64::MAX)
        .await
        .unwrap()
        .map(|object| object.bytes)
}

async fn keys(
    store: &dyn SnapshotStore,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<String>, bool) {
    let listing = store.list(prefix, after, limit).await.unwrap();
    (
        listing
            .objects
            .into_iter()
            .map(|object| object.key)
            .collect(),
        listing.more,
    )
}

fn written(outcome: PutOutcome) -> ETag {
    match outcome {
        PutOutcome::Written(etag) => etag,
        other => panic!("nothing was written: {other:?}"),
    }
}

async fn a_write_is_read_back(place: Place) {
    let etag = create(&*place.store, KEY, "{}").await;
    for store in [&place.store, &place.twin] {
        let object = store.get(KEY, u64::MAX).await.unwrap().unwrap();
        assert_eq!(
            (object.bytes, object.etag),
            (Bytes::from("{}"), etag.clone())
        );
    }
    let newer = written(replace(&*place.twin, &etag, "{\"a\":1}").await);
    let object = place.store.get(KEY, u64::MAX).await.unwrap().unwrap();
    assert_eq!(
        (object.bytes, object.etag),
        (Bytes::from("{\"a\":1}"), newer)
    );
}

async fn what_is_absent_is_none(place: Place) {
    assert_eq!(place.store.get(KEY, u64::MAX).await.unwrap(), None);
    create(&*place.store, KEY, "{}").await;
    assert_eq!(
        place.store.get("acme/versions", u64::MAX).await.unwrap(),
        None
    );
    assert_eq!(
        place
            .store
            .get("acme/versions/v000001.jso", u64::MAX)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        keys(&*place.store, "nobody/", None, 10).await,
        (vec![], false)
    );
}

async fn creating_what_exists_fails_and_leaves_it_alone(place: Place) {
    let etag = create(&*place.store, KEY, "first").await;
    for bytes in ["second", "first"] {
        let outcome = place
            .twin
            .put(KEY, bytes.into(), Precondition::Absent)
            .await
            .unwrap();
        assert_eq!(outcome, PutOutcome::PreconditionFailed);
    }
    let object = place.store.get(KEY, u64::MAX).await.unwrap().unwrap();
    assert_eq!((object.bytes, object.etag), (Bytes::from("first"), etag));
}

async fn comparing_with_an_absent_object_fails(place: Place) {
    let etag = create(&*place.store, KEY, "there for a while").await;
    place.store.delete(KEY).await.unwrap();
    assert_eq!(
        replace(&*place.store, &etag, "back").await,
        PutOutcome::PreconditionFailed
    );
    assert_eq!(read(&*place.store, KEY).await, None);
}

async fn comparing_with_a_stale_etag_fails_and_leaves_the_object_alone(place: Place) {
    let stale = create(&*place.store, KEY, "1").await;
    let current = written(replace(&*place.store, &stale, "2").await);
    assert_ne!(stale, current);
    assert_eq!(
        replace(&*place.twin, &stale, "3").await,
        PutOutcome::PreconditionFailed
    );
    assert_eq!(read(&*place.store, KEY).await, Some("2".into()));
}

async fn an_etag_names_what_is_there(place: Place) {
    let etag = create(&*place.store, KEY, "1").await;
    assert!(!etag.0.is_empty() && !etag.0.contains('"'), "{etag:?}");
    let read = place.twin.get(KEY, u64::MAX).await.unwrap().unwrap().etag;
    let newer = written(replace(&*place.twin, &read, "2").await);
    written(replace(&*place.store, &newer, "3").await);
}

async fn one_of_many_creators_wins(place: Place) {
    for round in 0..5 {
        let key = format!("acme/versions/v{round:06}.json");
        let mut racers = JoinSet::new();
        for racer in 0..16 {
            let store = Arc::clone(if racer % 2 == 0 {
                &place.store
            } else {
                &place.twin
            });
            let key = key.clone();
            racers.spawn(async move {
                let bytes = format!("racer {racer}");
                loop {
                    match store
                        .put(&key, bytes.clone().into(), Precondition::Absent)
                        .await
                        .unwrap()
                    {
                        PutOutcome::Written(_) => return Some(bytes),
                        PutOutcome::PreconditionFailed => return None,
                        PutOutcome::Conflict => {}
                    }
                }
            });
        }
        let winners: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(
            read(&*place.store, &key).await,
            Some(winners[0].clone().into())
        );
    }
}

async fn compare_and_set_loses_no_update(place: Place) {
    const RACERS: usize = 16;
    const UPDATES: usize = 4;
    create(&*place.store, KEY, "0").await;
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let store = Arc::clone(if racer % 2 == 0 {
            &place.store
        } else {
            &place.twin
        });
        racers.spawn(async move {
            let mut done = 0;
            while done < UPDATES {
                let object = store.get(KEY, u64::MAX).await.unwrap().unwrap();
                let count: usize = std::str::from_utf8(&object.bytes).unwrap().parse().unwrap();
                if let PutOutcome::Written(_) =
                    replace(&*store, &object.etag, (count + 1).to_string()).await
                {
                    done += 1;
                }
            }
        });
    }
    racers.join_all().await;
    assert_eq!(
        read(&*place.store, KEY).await,
        Some((RACERS * UPDATES).to_string().into())
    );
}

async fn a_reader_sees_whole_objects_only(place: Place) {
    let body = |n: u8| Bytes::from(vec![n; 200_000]);
    let mut etag = create(&*place.store, KEY, body(0)).await;
    let writer = tokio::spawn({
        let store = Arc::clone(&place.store);
        async move {
            for n in 1..20 {
                etag = written(replace(&*store, &etag, body(n)).await);
            }
        }
    });
    while !writer.is_finished() {
        let bytes = read(&*place.twin, KEY).await.unwrap();
        assert_eq!(bytes, body(bytes[0]));
    }
    writer.await.unwrap();
}

async fn a_listing_is_in_byte_order(place: Place) {
    let all = [
        "C/x",
        "_driftline/bucket.json",
        "a-b/x",
        "a.b/x",
        "a/applies/a000001.json",
        "a/index.json",
        "a/index/p000001.json",
        "a/versions/v000001.e2.json",
        "a/versions/v000001.json",
        "a/versions/v1000000.json",
        "a0/x",
        "a_b/x",
        "aa/x",
        "b",
    ];
    for key in all.iter().rev() {
        create(&*place.store, key, *key).await;
    }
    let mut sorted = all.map(str::to_owned).to_vec();
    sorted.sort_unstable();
    assert_eq!(
        keys(&*place.twin, "", None, 1000).await,
        (sorted.clone(), false)
    );
    let listing = place.store.list("", None, 1000).await.unwrap();
    assert!(
        listing
            .objects
            .iter()
            .all(|object| object.size == object.key.len() as u64),
        "{listing:?}"
    );
    for prefix in [
        "a",
        "a/",
        "a/index",
        "a/index/",
        "a-",
        "a/versions/v000001",
        "b",
        "b/",
        "c",
    ] {
        let expected: Vec<_> = sorted
            .iter()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        assert_eq!(
            keys(&*place.store, prefix, None, 1000).await,
            (expected, false),
            "{prefix}"
        );
    }
}

async fn a_listing_comes_in_parts(place: Place) {
    let all: Vec<_> = (0..10)
        .map(|n| format!("acme/versions/v{n:06}.json"))
        .collect();
    for key in &all {
        create(&*place.store, key, "").await;
    }
    for limit in [1, 3, 5, 10] {
        let (mut found, mut more) = (Vec::new(), true);
        while more {
            let after = found.last().cloned();
            let (part, rest) = keys(&*place.twin, "acme/", after.as_deref(), limit).await;
            assert!(part.len() == limit || !rest, "{part:?}");
            found.extend(part);
            more = rest;
        }
        assert_eq!(found, all, "{limit} at a time");
    }
}

async fn a_listing_can_begin_anywhere(place: Place) {
    let all = ["a-b/x", "a.b/x", "a/x", "a/y/z", "a0/x"];
    for key in all {
        create(&*place.store, key, "").await;
    }
    for after in [
        "", "a", "a-b/x", "a-b/y", "a.b/", "a.b/x", "a/", "a/x", "a/x0", "a/y", "a/y/z", "a/z",
        "a0", "b",
    ] {
        for prefix in ["", "a", "a/", "a/y"] {
            let expected: Vec<_> = all
                .into_iter()
                .filter(|key| key.starts_with(prefix) && *key > after)
                .map(str::to_owned)
                .collect();
            let after = Some(after).filter(|after| !after.is_empty());
            assert_eq!(
                keys(&*place.store, prefix, after, 10).await,
                (expected, false),
                "{prefix:?} after {after:?}"
            );
        }
    }
}

/// However many objects lie in one of them.
async fn folders_are_named_to_the_end(place: Place) {
    create(&*place.beside, "elsewhere/x", "").await;
    create(&*place.store, "no-folder", "").await;
    for n in 0..1100 {
        create(&*place.store, &format!("_driftline/recoveries/{n:04}"), "").await;
    }
    for key in ["Acme/x", "zeta/versions/v000001.json", "zeta/index.json"] {
        create(&*place.store, key, "").await;
    }
    let (mut names, mut from) = (std::collections::BTreeSet::new(), None);
    loop {
        let part = place.twin.folders(from.as_deref()).await.unwrap();
        names.extend(part.names);
        from = part.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(Vec::from_iter(names), ["Acme", "_driftline", "zeta"]);
}

async fn removing_twice_succeeds(place: Place) {
    create(&*place.store, KEY, "1").await;
    for _ in 0..2 {
        place.twin.delete(KEY).await.unwrap();
        assert_eq!(read(&*place.store, KEY).await, None);
    }
    assert_eq!(keys(&*place.store, "", None, 10).await, (vec![], false));
    create(&*place.store, KEY, "2").await;
}

async fn prefixes_are_apart(place: Place) {
    create(&*place.store, KEY, "here").await;
    assert_eq!(place.beside.get(KEY, u64::MAX).await.unwrap(), None);
    assert_eq!(keys(&*place.beside, "", None, 10).await, (vec![], false));
    create(&*place.beside, KEY, "there").await;
    place.beside.delete(KEY).await.unwrap();
    assert_eq!(read(&*place.store, KEY).await, Some("here".into()));
    assert_eq!(
        keys(&*place.store, "", None, 10).await,
        (vec![KEY.to_owned()], false)
    );
    for store in [&place.store, &place.beside] {
        assert!(
            store.prefix().is_empty() || store.prefix().ends_with('/'),
            "{}",
            store.prefix()
        );
    }
}

async fn objects_may_be_empty_or_large(place: Place) {
    let large: Bytes = (0..5 * 1024 * 1024)
        .map(|n: u32| n.to_le_bytes()[n as usize % 3])
        .collect::<Vec<u8>>()
        .into();
    for (key, bytes) in [("a/empty", Bytes::new()), ("a/large", large)] {
        create(&*place.store, key, bytes.clone()).await;
        assert!(read(&*place.twin, key).await.unwrap() == bytes, "{key}");
    }
    let sizes: Vec<_> = place
        .store
        .list("a/", None, 10)
        .await
        .unwrap()
        .objects
        .iter()
        .map(|object| object.size)
        .collect();
    assert_eq!(sizes, [0, 5 * 1024 * 1024]);
}

async fn the_store_tells_what_it_is(place: Place) {
    let info = place.store.ping().await.unwrap();
    assert!(!info.version.is_empty());
    assert!(
        ["memory:", "file:///", "s3://"]
            .iter()
            .any(|scheme| place.store.url().starts_with(scheme))
    );
    create(&*place.store, KEY, "1").await;
    let scratch = "_driftline/probe/scratch";
    for inspection in place.store.inspect(scratch).await.unwrap() {
        assert!(
            !inspection.name.is_empty() && !inspection.detail.is_empty(),
            "{inspection:?}"
        );
    }
    place.store.delete(scratch).await.unwrap();
    assert_eq!(
        keys(&*place.store, "", None, 10).await,
        (vec![KEY.to_owned()], false)
    );
}

async fn the_probe_passes_and_leaves_nothing_behind(place: Place) {
    probe::passes(&place.store).await;
}

/// Whoever can write to the bucket can put anything there; a reader says how much of it to take.
async fn what_exceeds_its_readers_bound_is_an_error_and_not_read(place: Place) {
    let bytes = vec![b'x'; 300_000];
    let etag = create(&*place.store, KEY, bytes.clone()).await;
    for most in [300_000, u64::MAX] {
        let object = place.store.get(KEY, most).await.unwrap().unwrap();
        assert_eq!((object.bytes.len(), &object.etag), (300_000, &etag));
    }
    for most in [0, 1, 299_999] {
        let error = place.store.get(KEY, most).await.unwrap_err();
        // Determinate, and no reason to try again.
        assert_eq!(error.fault(), Fault::Corrupt);
        let oversize = error.oversize().unwrap();
        assert_eq!(
            (&*oversize.key, oversize.size, oversize.most),
            (KEY, Some(300_000), most)
        );
        // What is there can still be replaced.
        assert_eq!(oversize.etag.as_ref(), Some(&etag));
        for part in [KEY, "300000", &most.to_string()] {
            assert!(error.report().contains(part), "{}", error.report());
        }
    }
    let object = place.twin.get(KEY, 0).await.unwrap_err();
    let seen = object.oversize().unwrap().etag.clone().unwrap();
    let outcome = replace(&*place.store, &seen, "small again").await;
    written(outcome);
    assert_eq!(read(&*place.store, KEY).await.unwrap(), "small again");
}
