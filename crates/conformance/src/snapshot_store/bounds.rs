//! Where one bucket ends, and how much of it a reader takes.

use bytes::Bytes;
use driftline_ports::Fault;

use super::fixture::*;

pub async fn prefixes_are_apart(place: Buckets) {
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

pub async fn objects_may_be_empty_or_large(place: Buckets) {
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

/// Whoever can write to the bucket can put anything there; a reader says how much of it to take.
pub async fn what_exceeds_its_readers_bound_is_an_error_and_not_read(place: Buckets) {
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

pub async fn the_store_tells_what_it_is(place: Buckets) {
    let info = place.store.ping().await.unwrap();
    assert!(!info.version.is_empty());
    let scheme = place
        .store
        .url()
        .split_once(':')
        .map(|(scheme, _)| scheme.len());
    assert!(scheme > Some(0), "{}", place.store.url());
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
