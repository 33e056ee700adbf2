//! Many at once.

use std::sync::Arc;

use bytes::Bytes;
use driftline_ports::{Precondition, PutOutcome};
use tokio::task::JoinSet;

use super::fixture::*;

pub async fn one_of_many_creators_wins(place: Buckets) {
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

pub async fn compare_and_set_loses_no_update(place: Buckets) {
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

pub async fn a_reader_sees_whole_objects_only(place: Buckets) {
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
