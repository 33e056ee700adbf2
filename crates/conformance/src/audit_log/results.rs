//! How audits end.

use driftline_model::drift::EventKind;
use driftline_ports::{AuditOutcome, AuditedTenant, EventStatus, Fault, NewEvent, NewReport};

use super::fixture::*;

pub async fn a_result_is_kept_whole(log: Log) {
    enroll(&log, &[("acme", 1)]).await;
    let claim = claim_due(&log, worker(), 1, 1).await.remove(0);
    assert_eq!((claim.fence, claim.memory.as_deref()), (1, None));
    let (new, body) = (report(5), r#"{"a":"ü"}"#);
    let kept = NewReport {
        has_drift: true,
        differences: 3,
        unknown: 2,
        body: body.to_owned(),
        ..new
    };
    let event = event("acme", 6);
    let outcome = AuditOutcome {
        report: Some(kept.clone()),
        memory: Some("{\"tracks\":[]}".to_owned()),
        next_at: Some(at(60)),
        events: vec![event.clone()],
        ..success(&claim, 7)
    };
    assert!(finish(&log, outcome).await);
    assert_eq!(
        seen(&log, "acme").await,
        AuditedTenant {
            tenant: tenant("acme"),
            enrolled_at: at(0),
            next_at: Some(at(60)),
            last_success_at: Some(at(7)),
            last_attempt_at: Some(at(7)),
            last_error: None,
            failures: 0,
            stale: false,
        }
    );
    let stored = log.report(kept.id).await.unwrap().unwrap();
    assert_eq!(stored.body, body);
    assert_eq!(stored.summary.tenant, tenant("acme"));
    assert_eq!((stored.summary.at, stored.summary.has_drift), (at(5), true));
    assert_eq!((stored.summary.differences, stored.summary.unknown), (3, 2));
    let told = log.events(None, 10).await.unwrap();
    let expected = EventStatus {
        event,
        attempts: 0,
        delivered_at: None,
        given_up: false,
        last_error: None,
    };
    assert_eq!(told, [expected]);
    let next = claim_due(&log, worker(), 60, 1).await.remove(0);
    assert_eq!(next.memory.as_deref(), Some("{\"tracks\":[]}"));
}

pub async fn failures_are_counted_until_a_success(log: Log) {
    for number in 1..4 {
        let claim = claim_one(&log, "acme").await;
        let error = format!("attempt {number}");
        assert!(finish(&log, failure(&claim, i64::from(number), &error)).await);
        let acme = seen(&log, "acme").await;
        assert_eq!((acme.failures, acme.last_error), (number, Some(error)));
        assert_eq!(acme.last_success_at, None);
        assert_eq!(acme.last_attempt_at, Some(at(i64::from(number))));
    }
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, success(&claim, 9)).await);
    let acme = seen(&log, "acme").await;
    assert_eq!((acme.failures, acme.last_error), (0, None));
    assert_eq!(acme.last_success_at, Some(at(9)));
    // A failure with a report (nothing was seen) is one too, and leaves the last success as it was.
    let claim = claim_one(&log, "acme").await;
    let blind = AuditOutcome {
        error: Some("nothing was seen".to_owned()),
        ..success(&claim, 10)
    };
    assert!(finish(&log, blind).await);
    let acme = seen(&log, "acme").await;
    assert_eq!((acme.failures, acme.last_success_at), (1, Some(at(9))));
    assert_eq!(all_reports(&log).await.len(), 2);
}

pub async fn what_a_result_does_not_say_stays(log: Log) {
    enroll(&log, &[("acme", 1)]).await;
    let claim = claim_one(&log, "acme").await;
    let first = AuditOutcome {
        memory: Some("{}".to_owned()),
        next_at: Some(at(50)),
        ..success(&claim, 2)
    };
    assert!(finish(&log, first).await);
    let claim = claim_one(&log, "acme").await;
    assert!(finish(&log, failure(&claim, 3, "down")).await);
    assert_eq!(seen(&log, "acme").await.next_at, Some(at(50)));
    assert_eq!(claim_one(&log, "acme").await.memory.as_deref(), Some("{}"));
}

pub async fn finishing_again_answers_false_and_adds_nothing(log: Log) {
    let claim = claim_one(&log, "acme").await;
    let outcome = AuditOutcome {
        events: vec![event("acme", 1)],
        ..success(&claim, 1)
    };
    assert!(finish(&log, outcome.clone()).await);
    let before = seen(&log, "acme").await;
    assert!(!finish(&log, outcome.clone()).await);
    // Nor does another result under the same claim.
    assert!(!finish(&log, failure(&claim, 5, "late")).await);
    assert_eq!(seen(&log, "acme").await, before);
    assert_eq!(all_reports(&log).await.len(), 1);
    assert_eq!(log.events(None, 10).await.unwrap().len(), 1);
}

pub async fn of_a_batch_what_may_be_kept_is_kept(log: Log) {
    let claims = claim_these(&log, worker(), &["a", "b", "c"]).await;
    assert!(finish(&log, success(&claims[1], 1)).await);
    let future = AuditOutcome {
        fence: claims[2].fence + 1,
        ..success(&claims[2], 2)
    };
    let unknown = AuditOutcome {
        tenant: tenant("nobody"),
        ..success(&claims[0], 2)
    };
    let outcomes = [
        unknown,
        success(&claims[1], 2),
        success(&claims[0], 3),
        future,
        success(&claims[0], 4),
        success(&claims[2], 5),
    ];
    let kept = log.finish(&outcomes).await.unwrap();
    assert_eq!(kept, [false, false, true, false, false, true]);
    let times = ["a", "b", "c"].map(|name| seen(&log, name));
    let times = futures::future::join_all(times).await;
    let times: Vec<_> = times
        .iter()
        .map(|audited| audited.last_success_at)
        .collect();
    assert_eq!(times, [3, 1, 5].map(|seconds| Some(at(seconds))));
    assert_eq!(all_reports(&log).await.len(), 3);
    assert_eq!(log.finish(&[]).await.unwrap(), [false; 0]);
}

pub async fn a_taken_identifier_keeps_nothing(log: Log) {
    let taken = keep(&log, "acme", report(1)).await;
    let told = event("acme", 1);
    tell(&log, "acme", std::slice::from_ref(&told)).await;
    let claims = claim_these(&log, worker(), &["acme", "beta"]).await;
    let again = NewReport {
        id: taken.id,
        ..report(2)
    };
    let other = success(&claims[1], 3);
    for wrong in [
        AuditOutcome {
            report: Some(again),
            ..success(&claims[0], 2)
        },
        AuditOutcome {
            events: vec![told],
            ..success(&claims[0], 2)
        },
        AuditOutcome {
            report: other.report.clone(),
            ..success(&claims[0], 2)
        },
    ] {
        let result = log.finish(&[other.clone(), wrong]).await;
        assert_eq!(fault(result), Fault::Refused);
        assert_eq!(all_reports(&log).await.len(), 1);
        assert_eq!(seen(&log, "beta").await.last_attempt_at, None);
    }
    // The claims are still there to be ended.
    assert!(finish(&log, other).await);
    assert!(finish(&log, success(&claims[0], 2)).await);
}

pub async fn hundreds_are_finished_at_once(log: Log) {
    let all: Vec<String> = (0..300).map(|number| format!("t{number:03}")).collect();
    let asked: Vec<&str> = all.iter().map(String::as_str).collect();
    let claims = claim_these(&log, worker(), &asked).await;
    let outcomes: Vec<AuditOutcome> = claims
        .iter()
        .zip(0..)
        .map(|(claim, seconds)| AuditOutcome {
            memory: Some(format!("{{\"n\":{seconds}}}")),
            events: vec![event(claim.tenant.as_str(), seconds); usize::from(seconds % 3 == 0)],
            ..if seconds % 2 == 0 {
                success(claim, seconds)
            } else {
                failure(claim, seconds, "down")
            }
        })
        .collect();
    assert_eq!(log.finish(&outcomes).await.unwrap(), [true; 300]);
    assert_eq!(all_reports(&log).await.len(), 150);
    assert_eq!(log.events(None, 1000).await.unwrap().len(), 100);
    let audited = log.audited(None, 1000).await.unwrap();
    let claims = claim_these(&log, worker(), &asked).await;
    for ((audited, claim), seconds) in audited.iter().zip(&claims).zip(0..) {
        assert_eq!(audited.last_attempt_at, Some(at(seconds)));
        assert_eq!(audited.last_error.is_some(), seconds % 2 == 1);
        assert_eq!(claim.memory, Some(format!("{{\"n\":{seconds}}}")));
    }
}

pub async fn finishing_at_once_keeps_each_result_once(log: Log) {
    let all: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let asked: Vec<&str> = all.iter().map(String::as_str).collect();
    let claims = claim_these(&log, worker(), &asked).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (log, mut claims) = (log.clone(), claims.clone());
        claims.rotate_left(5 * number);
        if number % 2 == 1 {
            claims.reverse();
        }
        tasks.spawn(async move {
            let outcomes: Vec<_> = claims.iter().map(|claim| success(claim, 1)).collect();
            log.finish(&outcomes).await.unwrap()
        });
    }
    let kept = tasks.join_all().await.concat();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 20);
    assert_eq!(all_reports(&log).await.len(), 20);
}

pub async fn texts_come_back_as_they_were(log: Log) {
    let text = "{\"a\":\"\\u0000 ' \\\" \\\\ é 日本 \u{1f980} {},{NULL}\"}";
    let claim = claim_one(&log, "acme").await;
    let kinds = [
        EventKind::DriftNew,
        EventKind::DriftResolved,
        EventKind::AuditStale,
        EventKind::AuditRecovered,
    ];
    let events: Vec<NewEvent> = kinds
        .into_iter()
        .zip(0..)
        .map(|(kind, seconds)| NewEvent {
            kind,
            receiver: "o'ps, {\"x\"}".to_owned(),
            body: text.to_owned(),
            ..event("acme", seconds)
        })
        .collect();
    let new = NewReport {
        body: text.to_owned(),
        ..report(1)
    };
    let outcome = AuditOutcome {
        report: Some(new.clone()),
        memory: Some(text.to_owned()),
        // What observers say is not ours to choose.
        error: Some("said: \u{0} 'no', \"NULL\"\n{}".to_owned()),
        events: events.clone(),
        ..success(&claim, 2)
    };
    assert!(finish(&log, outcome).await);
    let error = seen(&log, "acme").await.last_error.unwrap();
    assert!(error.ends_with(" 'no', \"NULL\"\n{}"), "{error:?}");
    assert_eq!(log.report(new.id).await.unwrap().unwrap().body, text);
    assert_eq!(claim_one(&log, "acme").await.memory.as_deref(), Some(text));
    let mut told = log.events(None, 10).await.unwrap();
    told.reverse();
    let told: Vec<NewEvent> = told.into_iter().map(|status| status.event).collect();
    assert_eq!(told, events);
}
