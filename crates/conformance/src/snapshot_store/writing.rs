//! What a PUT does, and what its condition keeps it from.

use bytes::Bytes;
use driftline_ports::{Precondition, PutOutcome};

use super::fixture::*;

pub async fn a_write_is_read_back(place: Buckets) {
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

pub async fn what_is_absent_is_none(place: Buckets) {
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

pub async fn creating_what_exists_fails_and_leaves_it_alone(place: Buckets) {
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

pub async fn comparing_with_an_absent_object_fails(place: Buckets) {
    let etag = create(&*place.store, KEY, "there for a while").await;
    place.store.delete(KEY).await.unwrap();
    assert_eq!(
        replace(&*place.store, &etag, "back").await,
        PutOutcome::PreconditionFailed
    );
    assert_eq!(read(&*place.store, KEY).await, None);
}

pub async fn comparing_with_a_stale_etag_fails_and_leaves_the_object_alone(place: Buckets) {
    let stale = create(&*place.store, KEY, "1").await;
    let current = written(replace(&*place.store, &stale, "2").await);
    assert_ne!(stale, current);
    assert_eq!(
        replace(&*place.twin, &stale, "3").await,
        PutOutcome::PreconditionFailed
    );
    assert_eq!(read(&*place.store, KEY).await, Some("2".into()));
}

pub async fn an_etag_names_what_is_there(place: Buckets) {
    let etag = create(&*place.store, KEY, "1").await;
    assert!(!etag.0.is_empty() && !etag.0.contains('"'), "{etag:?}");
    let read = place.twin.get(KEY, u64::MAX).await.unwrap().unwrap().etag;
    let newer = written(replace(&*place.twin, &read, "2").await);
    written(replace(&*place.store, &newer, "3").await);
}

pub async fn removing_twice_succeeds(place: Buckets) {
    create(&*place.store, KEY, "1").await;
    for _ in 0..2 {
        place.twin.delete(KEY).await.unwrap();
        assert_eq!(read(&*place.store, KEY).await, None);
    }
    assert_eq!(keys(&*place.store, "", None, 10).await, (vec![], false));
    create(&*place.store, KEY, "2").await;
}
