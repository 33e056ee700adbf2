//! The server's clock is set back: what is on record is of a time that is still to come, and holds nobody.

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::domain::drift::EventKind;
use driftline::domain::{EventId, Timestamp};
use driftline::ports::{
    AuditLog as _, AuditOutcome, AuditScope, DeliveryOutcome, Entropy as _, LeaseRequest,
    ManifestStore as _, NewEvent, ShadowFailure, ShadowFault, ShadowLedger as _, WorkerId,
};
use sqlx::PgConnection;

use crate::support::postgres::{Reached as _, claimed, run};
use crate::{committed, manifest, tenant};

const SOON: Duration = Duration::from_secs(30);

/// A clock that is set back by a year leaves every time on record a year further ahead.
async fn set_back(connection: &mut PgConnection) {
    let statement = "UPDATE driftline.shadowing SET lease_until = lease_until + interval '1 year',
            retry_at = retry_at + interval '1 year', served_at = served_at + interval '1 year';
        UPDATE driftline.audited SET claim_until = claim_until + interval '1 year';
        UPDATE driftline.event SET due_at = due_at + interval '1 year'";
    run(connection, statement.to_owned()).await;
}

fn worker() -> WorkerId {
    WorkerId(System.uuid())
}

fn request(limit: u32) -> LeaseRequest {
    LeaseRequest {
        worker: worker(),
        limit,
        duration: SOON,
        except: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_set_back_holds_no_tenant() {
    let (place, database) = claimed().await;
    let mut owner = place.connect("postgres").await;
    let acme = tenant("acme");
    committed(database.append(&acme, &manifest("a")).await.unwrap());
    assert_eq!(database.lease(&request(1)).await.unwrap().work.len(), 1);
    assert_eq!(database.lease(&request(1)).await.unwrap().work.len(), 0);
    set_back(&mut owner).await;
    assert_eq!(database.backlog().await.unwrap().ready, 1);
    let next = request(1);
    assert_eq!(database.lease(&next).await.unwrap().work.len(), 1);
    let failure = ShadowFailure {
        message: "no".to_owned(),
        fault: ShadowFault::default(),
        retry_after: SOON,
    };
    let released = database.release(&acme, next.worker, Some(&failure)).await;
    released.unwrap();
    assert_eq!(database.backlog().await.unwrap().backing_off, 1);
    set_back(&mut owner).await;
    assert_eq!(database.backlog().await.unwrap().ready, 1);
    let status = database.status(Some(&acme), None, 1).await.unwrap();
    assert_eq!(status[0].retry_at, None);
    assert_eq!(status[0].last_error.as_deref(), Some("no"));
    assert_eq!(database.lease(&request(1)).await.unwrap().work.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_served_before_the_clock_was_set_back_does_not_starve() {
    let (place, database) = claimed().await;
    let mut owner = place.connect("postgres").await;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    committed(database.append(&acme, &manifest("a")).await.unwrap());
    set_back(&mut owner).await;
    committed(database.append(&beta, &manifest("a")).await.unwrap());
    for expected in [&acme, &beta, &acme, &beta] {
        let one = request(1);
        let work = database.lease(&one).await.unwrap().work;
        assert_eq!(&work[0].state.tenant, expected);
        let released = database.release(expected, one.worker, None).await;
        released.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_set_back_holds_no_audit_and_no_event() {
    let (place, log) = claimed().await;
    let mut owner = place.connect("postgres").await;
    let (acme, now) = (tenant("acme"), Timestamp::EPOCH);
    log.enroll(now, &[(acme.clone(), now)]).await.unwrap();
    let (due, named) = (AuditScope::Due(now), [acme.clone()]);
    let mut claims = Vec::new();
    for scope in [due, AuditScope::These(&named)] {
        claims = log.claim(worker(), scope, 1, SOON).await.unwrap();
        assert_eq!(claims.len(), 1);
        for scope in [due, AuditScope::These(&named)] {
            let other = log.claim(worker(), scope, 1, SOON).await.unwrap();
            assert!(other.is_empty());
        }
        set_back(&mut owner).await;
    }
    let event = NewEvent {
        id: EventId(System.uuid()),
        kind: EventKind::DriftNew,
        tenant: acme.clone(),
        at: now,
        receiver: "ops".to_owned(),
        body: "{}".to_owned(),
    };
    let outcome = AuditOutcome {
        tenant: acme,
        fence: claims[0].fence,
        at: now,
        report: None,
        memory: None,
        error: None,
        next_at: None,
        events: vec![event.clone()],
    };
    assert_eq!(log.finish(&[outcome]).await.unwrap(), [true]);
    assert_eq!(log.claim_events(1, SOON).await.unwrap().len(), 1);
    assert_eq!(log.claim_events(1, SOON).await.unwrap().len(), 0);
    set_back(&mut owner).await;
    assert_eq!(log.claim_events(1, SOON).await.unwrap().len(), 1);
    let failed = DeliveryOutcome::Failed {
        error: "no".to_owned(),
        retry_after: SOON,
    };
    log.settle_event(event.id, &failed).await.unwrap();
    assert_eq!(log.claim_events(1, SOON).await.unwrap().len(), 0);
    set_back(&mut owner).await;
    assert_eq!(log.claim_events(1, SOON).await.unwrap().len(), 1);
}
