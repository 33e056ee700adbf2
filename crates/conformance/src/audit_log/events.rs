//! What there is to tell, and whether it was.

use std::collections::BTreeSet;
use std::time::Duration;

use driftline_model::EventId;
use driftline_ports::{Delivery, DeliveryOutcome, EventStatus, LONGEST_CLAIM};
use tokio::time::sleep;

use super::fixture::*;

async fn claim(log: &Log, limit: u32, duration: Duration) -> Vec<(EventId, u32)> {
    let claimed = log.claim_events(limit, duration).await.unwrap();
    claimed
        .iter()
        .map(|delivery| (delivery.event.id, delivery.attempt))
        .collect()
}

async fn status(log: &Log, id: EventId) -> EventStatus {
    let all = log.events(None, 100).await.unwrap();
    let found = all.into_iter().find(|status| status.event.id == id);
    found.expect("it is there")
}

fn failed(retry_after: Duration) -> DeliveryOutcome {
    DeliveryOutcome::Failed {
        error: "503".to_owned(),
        retry_after,
    }
}

fn given_up() -> DeliveryOutcome {
    DeliveryOutcome::GivenUp {
        error: "410".to_owned(),
    }
}

pub async fn an_event_is_claimed_once_until_its_time_is_over(log: Log) {
    let told = event("acme", 1);
    tell(&log, "acme", std::slice::from_ref(&told)).await;
    let claimed = log.claim_events(10, SHORT).await.unwrap();
    let expected = Delivery {
        event: told.clone(),
        attempt: 1,
    };
    assert_eq!(claimed, [expected]);
    assert_eq!(claim(&log, 10, SHORT).await, []);
    sleep(SHORT * 2).await;
    assert_eq!(claim(&log, 10, LONG).await, [(told.id, 2)]);
    assert_eq!(claim(&log, 10, LONG).await, []);
    let status = status(&log, told.id).await;
    assert_eq!((status.attempts, status.delivered_at), (2, None));
}

pub async fn an_event_that_is_held_for_longer_than_is_believed_is_held(log: Log) {
    let told = event("acme", 1);
    tell(&log, "acme", std::slice::from_ref(&told)).await;
    let longer = LONGEST_CLAIM * 3;
    assert_eq!(claim(&log, 1, longer).await, [(told.id, 1)]);
    assert_eq!(claim(&log, 1, LONG).await, []);
    log.settle_event(told.id, &failed(longer)).await.unwrap();
    assert_eq!(claim(&log, 1, LONG).await, []);
}

pub async fn the_oldest_events_come_first(log: Log) {
    let told = [3, 1, 4, 2].map(|seconds| event("acme", seconds));
    tell(&log, "acme", &told).await;
    assert_eq!(claim(&log, 0, LONG).await, []);
    let first = [(told[1].id, 1), (told[3].id, 1)];
    assert_eq!(claim(&log, 2, LONG).await, first);
    let rest = [(told[0].id, 1), (told[2].id, 1)];
    assert_eq!(claim(&log, 9, LONG).await, rest);
}

pub async fn a_delivered_event_is_settled_for_good(log: Log) {
    let told = event("acme", 1);
    tell(&log, "acme", std::slice::from_ref(&told)).await;
    claim(&log, 1, Duration::ZERO).await;
    log.settle_event(told.id, &failed(Duration::ZERO))
        .await
        .unwrap();
    log.settle_event(told.id, &DeliveryOutcome::Delivered)
        .await
        .unwrap();
    let delivered = status(&log, told.id).await;
    assert!(delivered.delivered_at.is_some());
    assert_eq!((delivered.given_up, &delivered.last_error), (false, &None));
    for late in [
        failed(Duration::ZERO),
        given_up(),
        DeliveryOutcome::Delivered,
    ] {
        log.settle_event(told.id, &late).await.unwrap();
        assert_eq!(status(&log, told.id).await, delivered);
    }
    sleep(Duration::from_millis(2)).await;
    assert_eq!(claim(&log, 10, LONG).await, []);
    // Nobody misses an event that is not there.
    log.settle_event(EventId(fresh()), &given_up())
        .await
        .unwrap();
}

pub async fn a_failed_event_waits_and_is_tried_again(log: Log) {
    let told = event("acme", 1);
    tell(&log, "acme", std::slice::from_ref(&told)).await;
    for attempt in 1..4 {
        assert_eq!(claim(&log, 10, LONG).await, [(told.id, attempt)]);
        log.settle_event(told.id, &failed(SHORT)).await.unwrap();
        assert_eq!(claim(&log, 10, LONG).await, []);
        sleep(SHORT * 2).await;
    }
    let status = status(&log, told.id).await;
    assert_eq!(status.last_error.as_deref(), Some("503"));
    assert_eq!((status.attempts, status.given_up), (3, false));
}

pub async fn a_given_up_event_is_never_tried_again(log: Log) {
    let told = event("acme", 1);
    tell(&log, "acme", std::slice::from_ref(&told)).await;
    claim(&log, 10, Duration::ZERO).await;
    log.settle_event(told.id, &given_up()).await.unwrap();
    log.settle_event(told.id, &failed(Duration::ZERO))
        .await
        .unwrap();
    sleep(Duration::from_millis(2)).await;
    assert_eq!(claim(&log, 10, LONG).await, []);
    let status = status(&log, told.id).await;
    assert_eq!((status.given_up, status.delivered_at), (true, None));
}

pub async fn events_are_listed_newest_first(log: Log) {
    let of_a = [3, 1].map(|seconds| event("a", seconds));
    let of_b = [2, 4].map(|seconds| event("b", seconds));
    tell(&log, "a", &of_a).await;
    tell(&log, "b", &of_b).await;
    let list = async |name: Option<&str>, limit| {
        let of = name.map(tenant);
        let events = log.events(of.as_ref(), limit).await.unwrap();
        let ids: Vec<EventId> = events.iter().map(|status| status.event.id).collect();
        ids
    };
    let [a3, a1, b2, b4] = [&of_a[0], &of_a[1], &of_b[0], &of_b[1]].map(|event| event.id);
    assert_eq!(list(None, 10).await, [b4, a3, b2, a1]);
    assert_eq!(list(None, 2).await, [b4, a3]);
    assert_eq!(list(Some("a"), 10).await, [a3, a1]);
    assert_eq!(list(Some("nobody"), 10).await, []);
}

pub async fn two_at_once_never_share_an_event(log: Log) {
    let told: Vec<_> = (0..40).map(|seconds| event("acme", seconds)).collect();
    tell(&log, "acme", &told).await;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let log = log.clone();
        senders.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..4 {
                mine.extend(claim(&log, 3, LONG).await);
            }
            mine
        });
    }
    let claimed = senders.join_all().await.concat();
    assert!(claimed.iter().all(|(_, attempt)| *attempt == 1));
    let distinct: BTreeSet<_> = claimed.iter().collect();
    assert_eq!(distinct.len(), claimed.len());
    assert_eq!(claimed.len() + claim(&log, 100, LONG).await.len(), 40);
}
