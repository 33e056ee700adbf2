//! Who audits which tenant.

use std::collections::BTreeSet;
use std::time::Duration;

use driftline_ports::{AuditOutcome, AuditScope, LONGEST_CLAIM};
use tokio::time::sleep;

use super::fixture::*;

pub async fn a_claim_keeps_other_workers_out(log: Log) {
    enroll(&log, &[("acme", 1), ("beta", 2)]).await;
    let claims = claim_due(&log, worker(), 1, 10).await;
    assert_eq!(names(&claims), ["acme"]);
    assert_eq!(names(&claim_due(&log, worker(), 5, 10).await), ["beta"]);
    assert_eq!(names(&claim_due(&log, worker(), 5, 10).await), [""; 0]);
    let named = claim_these(&log, worker(), &["acme", "beta"]).await;
    assert_eq!(names(&named), [""; 0]);
    assert!(finish(&log, success(&claims[0], 3)).await);
    assert_eq!(names(&claim_due(&log, worker(), 5, 10).await), ["acme"]);
}

pub async fn a_claim_for_longer_than_is_believed_keeps_other_workers_out(log: Log) {
    enroll(&log, &[("acme", 1)]).await;
    let acme = [tenant("acme")];
    for scope in [AuditScope::Due(at(1)), AuditScope::These(&acme)] {
        let claims = log.claim(worker(), scope, 1, LONGEST_CLAIM * 3).await;
        let claim = claims.unwrap().remove(0);
        assert_eq!(names(&claim_due(&log, worker(), 1, 1).await), [""; 0]);
        let named = claim_these(&log, worker(), &["acme"]).await;
        assert_eq!(names(&named), [""; 0]);
        assert!(finish(&log, success(&claim, 0)).await);
    }
}

pub async fn every_claim_raises_the_fence(log: Log) {
    for fence in 1..4 {
        let claim = claim_one(&log, "acme").await;
        assert_eq!((claim.fence, claim.stale), (fence, false));
        assert!(finish(&log, success(&claim, 0)).await);
    }
    assert_eq!(claim_one(&log, "beta").await.fence, 1);
}

pub async fn an_expired_claim_is_taken_over_and_its_result_refused(log: Log) {
    enroll(&log, &[("acme", 1)]).await;
    let slow = log.claim(worker(), AuditScope::Due(at(1)), 1, SHORT).await;
    let slow = slow.unwrap().remove(0);
    sleep(SHORT * 2).await;
    let mut quick = claim_due(&log, worker(), 1, 1).await;
    let quick = quick.remove(0);
    assert_eq!((slow.fence, quick.fence), (1, 2));
    let late = AuditOutcome {
        memory: Some("{\"late\":true}".to_owned()),
        next_at: Some(at(9)),
        events: vec![event("acme", 0)],
        ..success(&slow, 5)
    };
    assert!(!finish(&log, late.clone()).await);
    assert_eq!(all_reports(&log).await, []);
    assert_eq!(log.events(None, 10).await.unwrap(), []);
    let acme = seen(&log, "acme").await;
    assert_eq!((acme.next_at, acme.last_attempt_at), (Some(at(1)), None));
    // The claim that took over is not touched by it, and the late result stays refused afterwards.
    assert_eq!(names(&claim_due(&log, worker(), 1, 1).await), [""; 0]);
    assert!(finish(&log, success(&quick, 6)).await);
    assert!(!finish(&log, late).await);
    assert_eq!(claim_one(&log, "acme").await.memory, None);
    assert_eq!(all_reports(&log).await.len(), 1);
}

pub async fn an_expired_claim_that_nobody_took_still_ends(log: Log) {
    let claims = claim_these_for(&log, worker(), &["acme"], Duration::ZERO).await;
    sleep(Duration::from_millis(2)).await;
    assert!(finish(&log, success(&claims[0], 4)).await);
    assert_eq!(seen(&log, "acme").await.last_success_at, Some(at(4)));
}

pub async fn the_longest_overdue_come_first(log: Log) {
    let slots = [("b", 3), ("later", 8), ("c", 1), ("a", 3), ("d", 2)];
    enroll(&log, &slots).await;
    let mine = worker();
    assert_eq!(names(&claim_due(&log, mine, 0, 10).await), [""; 0]);
    assert_eq!(names(&claim_due(&log, mine, 7, 0).await), [""; 0]);
    assert_eq!(names(&claim_due(&log, mine, 7, 3).await), ["c", "d", "a"]);
    assert_eq!(names(&claim_due(&log, mine, 7, 3).await), ["b"]);
    assert_eq!(names(&claim_due(&log, mine, 8, 3).await), ["later"]);
}

pub async fn a_worker_is_not_given_what_it_works_on(log: Log) {
    enroll(&log, &[("acme", 1), ("beta", 2)]).await;
    let mine = worker();
    let first = claim_due(&log, mine, 9, 1).await;
    let second = claim_due(&log, mine, 9, 9).await;
    assert_eq!(
        [names(&first), names(&second)],
        [["acme"], ["beta"]].map(Vec::from)
    );
    let outcomes = [success(&first[0], 3), success(&second[0], 3)];
    assert_eq!(log.finish(&outcomes).await.unwrap(), [true, true]);
}

pub async fn these_are_claimed_due_or_not_and_known_or_not(log: Log) {
    enroll(&log, &[("known", 100)]).await;
    let asked = ["new-b", "known", "new-a", "known"];
    let claims = claim_these(&log, worker(), &asked).await;
    assert_eq!(names(&claims), ["new-b", "known", "new-a"]);
    assert_eq!(seen(&log, "known").await.next_at, Some(at(100)));
    assert_eq!(seen(&log, "new-a").await.next_at, None);
    // What nobody scheduled is never due.
    for claim in &claims {
        assert!(finish(&log, success(claim, 1)).await);
    }
    let due = claim_due(&log, worker(), 1000, 10).await;
    assert_eq!(names(&due), ["known"]);
    // The limit counts what is free.
    let more = ["known", "x", "new-a", "y"].map(tenant);
    let claims = log.claim(worker(), AuditScope::These(&more), 2, LONG).await;
    assert_eq!(names(&claims.unwrap()), ["x", "new-a"]);
    let known = log.audited(None, 10).await.unwrap().len();
    assert_eq!(known, 4, "y was not claimed");
    let none = log.claim(worker(), AuditScope::These(&[]), 2, LONG).await;
    assert_eq!(none.unwrap(), []);
}

pub async fn what_is_asked_for_by_name_is_given_again(log: Log) {
    let mine = worker();
    let first = claim_these(&log, mine, &["acme"]).await;
    let second = claim_these(&log, mine, &["acme"]).await;
    assert_eq!((first[0].fence, second[0].fence), (1, 2));
    let outcomes = [success(&first[0], 1), success(&second[0], 2)];
    assert_eq!(log.finish(&outcomes).await.unwrap(), [false, true]);
}

pub async fn two_workers_at_once_never_share_a_tenant(log: Log) {
    let all: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
    let slots: Vec<(&str, i64)> = all.iter().map(|name| (name.as_str(), 1)).collect();
    enroll(&log, &slots).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let log = log.clone();
        workers.spawn(async move {
            let (worker, mut mine) = (worker(), Vec::new());
            for _ in 0..5 {
                mine.extend(claim_due(&log, worker, 1, 3).await);
            }
            mine
        });
    }
    let claims: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert!(claims.iter().all(|claim| claim.fence == 1));
    let distinct: BTreeSet<&str> = names(&claims).into_iter().collect();
    assert_eq!(distinct.len(), claims.len(), "each went to one worker");
    let rest = claim_due(&log, worker(), 1, 100).await;
    assert_eq!(claims.len() + rest.len(), 40, "none was lost");
}

pub async fn two_workers_that_name_the_same_never_share_one(log: Log) {
    let all: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (log, mut all) = (log.clone(), all.clone());
        all.rotate_left(5 * number);
        if number % 2 == 1 {
            all.reverse();
        }
        workers.spawn(async move {
            let asked: Vec<&str> = all.iter().map(String::as_str).collect();
            claim_these(&log, worker(), &asked).await
        });
    }
    let claims: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert!(claims.iter().all(|claim| claim.fence == 1));
    assert_eq!(claims.len(), 20);
}
