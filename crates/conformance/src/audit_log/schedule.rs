//! When tenants are due, and which of them wait for too long.

use super::fixture::*;

pub async fn enrolling_lowers_a_slot_and_never_raises_it(log: Log) {
    enroll(&log, &[("acme", 50), ("beta", 10)]).await;
    let later = at(7);
    let slots = [("acme", 40), ("beta", 20), ("new", 30), ("new", 25)];
    let slots = slots.map(|(name, slot)| (tenant(name), at(slot)));
    for _ in 0..2 {
        log.enroll(later, &slots).await.unwrap();
        let all = log.audited(None, 10).await.unwrap();
        let seen: Vec<_> = all
            .iter()
            .map(|audited| {
                (
                    audited.tenant.as_str(),
                    audited.next_at,
                    audited.enrolled_at,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("acme", Some(at(40)), at(0)),
                ("beta", Some(at(10)), at(0)),
                ("new", Some(at(25)), later)
            ]
        );
    }
    log.enroll(later, &[]).await.unwrap();
    // Nor does it touch anything else.
    let claim = claim_one(&log, "acme").await;
    enroll(&log, &[("acme", 1)]).await;
    assert!(finish(&log, failure(&claim, 2, "down")).await);
    enroll(&log, &[("acme", 0)]).await;
    let acme = super::fixture::seen(&log, "acme").await;
    assert_eq!((acme.next_at, acme.failures), (Some(at(0)), 1));
    assert_eq!(claim_one(&log, "acme").await.fence, 2);
}

pub async fn an_audit_that_nobody_scheduled_waits_for_a_schedule(log: Log) {
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, success(&claim, 1)).await);
    assert_eq!(seen(&log, "acme").await.next_at, None);
    log.enroll(at(9), &[(tenant("acme"), at(20))])
        .await
        .unwrap();
    let acme = seen(&log, "acme").await;
    assert_eq!((acme.enrolled_at, acme.next_at), (at(9), Some(at(20))));
    assert_eq!(acme.last_success_at, Some(at(1)));
}

pub async fn hundreds_are_enrolled_at_once(log: Log) {
    let slots: Vec<_> = (0..500)
        .map(|number: i64| (tenant(&format!("t{number:03}")), at(number)))
        .collect();
    log.enroll(at(0), &slots).await.unwrap();
    let audited = log.audited(None, 1000).await.unwrap();
    let seen: Vec<_> = audited
        .into_iter()
        .map(|audited| (audited.tenant, audited.next_at.unwrap()))
        .collect();
    assert_eq!(seen, slots);
}

pub async fn tenants_are_listed_in_byte_order(log: Log) {
    enroll(&log, &[("b", 1), ("a-b", 1), ("B", 1), ("a.b", 1)]).await;
    claim_one(&log, "a").await;
    let page = async |after: Option<&str>, limit| {
        let after = after.map(tenant);
        let page = log.audited(after.as_ref(), limit).await.unwrap();
        let names: Vec<String> = page
            .into_iter()
            .map(|audited| audited.tenant.into())
            .collect();
        names
    };
    assert_eq!(page(None, 10).await, ["B", "a", "a-b", "a.b", "b"]);
    assert_eq!(page(None, 2).await, ["B", "a"]);
    assert_eq!(page(Some("a"), 2).await, ["a-b", "a.b"]);
    assert_eq!(page(Some("b"), 2).await, [""; 0]);
}

pub async fn a_tenant_becomes_stale_once(log: Log) {
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, success(&claim, 5)).await);
    let mark = async |events: &[_]| {
        log.mark_stale(&tenant("acme"), Some(at(5)), events)
            .await
            .unwrap()
    };
    assert!(mark(&[event("acme", 6), event("acme", 7)]).await);
    assert!(!mark(&[event("acme", 8)]).await);
    assert!(seen(&log, "acme").await.stale);
    assert_eq!(log.events(None, 10).await.unwrap().len(), 2);
    assert_eq!(log.claim_events(10, LONG).await.unwrap().len(), 2);
    // A failure leaves it so, a success ends it, and then it can happen again.
    let claim = claim_one(&log, "acme").await;
    assert!(claim.stale);
    assert!(finish(&log, failure(&claim, 9, "down")).await);
    assert!(seen(&log, "acme").await.stale);
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, success(&claim, 10)).await);
    assert!(!seen(&log, "acme").await.stale);
    assert!(!mark(&[]).await, "an audit succeeded after it");
    let again = log.mark_stale(&tenant("acme"), Some(at(10)), &[]).await;
    assert!(again.unwrap());
}

pub async fn a_success_in_between_keeps_a_tenant_fresh(log: Log) {
    enroll(&log, &[("acme", 1)]).await;
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, success(&claim, 5)).await);
    let events = [event("acme", 6)];
    for seen in [None, Some(at(4))] {
        let marked = log.mark_stale(&tenant("acme"), seen, &events).await;
        assert!(!marked.unwrap(), "{seen:?}");
    }
    assert!(!seen(&log, "acme").await.stale);
    let unknown = log.mark_stale(&tenant("nobody"), None, &events).await;
    assert!(!unknown.unwrap());
    assert_eq!(log.events(None, 10).await.unwrap(), []);
    assert_eq!(log.audited(None, 10).await.unwrap().len(), 1);
}

pub async fn a_tenant_that_never_succeeded_becomes_stale(log: Log) {
    enroll(&log, &[("acme", 1)]).await;
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, failure(&claim, 2, "down")).await);
    let marked = log.mark_stale(&tenant("acme"), None, &[]).await;
    assert!(marked.unwrap());
    assert!(claim_one(&log, "acme").await.stale);
}
