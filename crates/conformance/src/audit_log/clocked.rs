//! Cases that set the time.

use std::sync::Arc;
use std::time::Duration;

use driftline_ports::{AuditScope, DeliveryOutcome, LONGEST_CLAIM};

use super::fixture::*;
use crate::TestClock;

pub async fn a_clock_that_is_set_back_holds_no_audit(log: Log, clock: Arc<TestClock>) {
    enroll(&log, &[("acme", 1)]).await;
    assert_eq!(names(&claim_due(&log, worker(), 1, 1).await), ["acme"]);
    for by_name in [false, true, false] {
        let claim = async || {
            if by_name {
                claim_these(&log, worker(), &["acme"]).await
            } else {
                claim_due(&log, worker(), 1, 1).await
            }
        };
        // A little is what clocks do: it lets nobody else in.
        clock.go_back(Duration::from_mins(1));
        assert_eq!(names(&claim().await), [""; 0]);
        clock.go_back(LONGEST_CLAIM);
        assert_eq!(names(&claim().await), ["acme"]);
    }
}

pub async fn a_clock_that_is_set_back_holds_no_event(log: Log, clock: Arc<TestClock>) {
    let claim = claim_one(&log, "acme").await;
    let told = event("acme", 0);
    let mut outcome = success(&claim, 0);
    outcome.events = vec![told.clone()];
    assert!(finish(&log, outcome).await);
    let failed = DeliveryOutcome::Failed {
        error: "no".to_owned(),
        retry_after: LONG,
    };
    for _ in 0..2 {
        assert_eq!(log.claim_events(1, LONG).await.unwrap().len(), 1);
        clock.go_back(LONGEST_CLAIM);
        assert_eq!(log.claim_events(1, LONG).await.unwrap().len(), 1);
        log.settle_event(told.id, &failed).await.unwrap();
        assert_eq!(log.claim_events(1, LONG).await.unwrap().len(), 0);
        clock.go_back(LONGEST_CLAIM);
    }
}

pub async fn nobody_claims_for_longer_than_is_believed(log: Log, clock: Arc<TestClock>) {
    let acme = [tenant("acme")];
    let scope = AuditScope::These(&acme);
    let claims = log.claim(worker(), scope, 1, LONGEST_CLAIM * 3).await;
    assert_eq!(claims.unwrap().len(), 1);
    assert_eq!(
        names(&claim_these(&log, worker(), &["acme"]).await),
        [""; 0]
    );
    clock.advance(LONGEST_CLAIM);
    assert_eq!(
        names(&claim_these(&log, worker(), &["acme"]).await),
        ["acme"]
    );
}
