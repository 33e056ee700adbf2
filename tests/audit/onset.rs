use driftline::domain::Timestamp;
use driftline::domain::drift::{Acknowledgement, Onset, Verdict};
use driftline::ports::{Clock as _, DecideDrift, DriftDecision, Durability};
use driftline::prelude::*;
use serde_json::json;
use tokio::time::sleep;

use crate::bench::{Bench, MINUTE};
use crate::support::world::tenant;

async fn onset(bench: &Bench) -> Option<Onset> {
    let report = bench.report("acme").await;
    report
        .drift
        .items
        .iter()
        .find_map(|item| item.onset.clone())
}

#[tokio::test(start_paused = true)]
async fn a_drift_gets_its_onset_its_end_and_its_count() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let mut times: Vec<Timestamp> = Vec::new();
    let mut found = Vec::new();
    for color in [1, 2, 2, 1, 3] {
        bench.live.color("acme", color);
        times.push(bench.clock.now());
        found.push(onset(&bench).await);
        sleep(15 * MINUTE).await;
    }
    let at = |after: usize, before: usize, occurrence: u32| {
        Some(Onset {
            after: Some(times[after]),
            before: times[before],
            occurrence,
        })
    };
    assert_eq!(found, [None, at(0, 1, 1), at(0, 1, 1), None, at(3, 4, 2)]);
    let told = bench.inbox.kinds();
    let told: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        told,
        ["drift.new", "drift.resolved", "drift.new"],
        "continuing drift is not told again"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_first_audit_finds_has_no_beginning() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.live.color("acme", 2);
    let onset = onset(&bench).await.unwrap();
    assert_eq!((onset.after, onset.occurrence), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_seen_neither_begins_nor_ends() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let start = bench.clock.now();
    bench.audit().await;
    let blind = || bench.live.failing.lock().unwrap().insert(tenant("acme"));
    let sees = || bench.live.failing.lock().unwrap().remove(&tenant("acme"));
    sleep(15 * MINUTE).await;
    // It drifts while nobody can see it.
    blind();
    bench.live.color("acme", 2);
    assert_eq!(onset(&bench).await, None);
    sleep(15 * MINUTE).await;
    sees();
    let noticed = bench.clock.now();
    let wanted = Onset {
        after: Some(start),
        before: noticed,
        occurrence: 1,
    };
    assert_eq!(onset(&bench).await, Some(wanted.clone()));
    // Nobody can see whether it still does.
    sleep(15 * MINUTE).await;
    blind();
    let report = bench.report("acme").await;
    assert_eq!(report.drift.count(Verdict::Unknown), 1);
    assert!(report.resolved.is_empty() && report.new.is_empty());
    sleep(15 * MINUTE).await;
    sees();
    assert_eq!(onset(&bench).await, Some(wanted));
    assert_eq!(bench.inbox.kinds().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_could_not_be_seen_neither_begins_nor_ends() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let start = bench.clock.now();
    bench.audit().await;
    let hidden = json!([{ "type": "roles", "id": "d1", "message": "403" }]);
    let hide = |errors: &serde_json::Value| *bench.live.errors.lock().unwrap() = errors.clone();
    sleep(15 * MINUTE).await;
    hide(&hidden);
    bench.live.color("acme", 2);
    assert_eq!(onset(&bench).await, None);
    sleep(15 * MINUTE).await;
    hide(&json!([]));
    let noticed = bench.clock.now();
    let wanted = Onset {
        after: Some(start),
        before: noticed,
        occurrence: 1,
    };
    assert_eq!(onset(&bench).await, Some(wanted.clone()));
    sleep(15 * MINUTE).await;
    hide(&hidden);
    let report = bench.report("acme").await;
    assert!(report.resolved.is_empty() && report.drift.count(Verdict::Unknown) == 1);
    sleep(15 * MINUTE).await;
    hide(&json!([]));
    assert_eq!(onset(&bench).await, Some(wanted));
}

#[tokio::test(start_paused = true)]
async fn an_accepted_drift_is_told_as_resolved_and_keeps_its_onset() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.audit().await;
    sleep(15 * MINUTE).await;
    bench.live.color("acme", 2);
    let report = bench.report("acme").await;
    let first = report.drift.items[0].onset.clone();
    let accepted = Acknowledgement {
        resource_type: "roles".to_owned(),
        id: "r1".to_owned(),
        pointer: String::new(),
        value: report.drift.items[0].actual_digest.unwrap(),
        until: bench.clock.now().saturating_add(60 * MINUTE),
        reason: "a test".parse().unwrap(),
        by: None,
        decision: None,
    };
    let request = DecideDrift {
        decision: DriftDecision::Acknowledge(accepted),
        created_by: Some("oncall".parse().unwrap()),
        message: None,
        durability: Durability::Committed,
    };
    bench
        .repository
        .decide_drift(&tenant("acme"), request)
        .await
        .unwrap();
    sleep(15 * MINUTE).await;
    let report = bench.report("acme").await;
    assert!(!report.drift.has_drift);
    let item = &report.drift.items[0];
    assert_eq!(item.onset, first);
    let by = item.acknowledgement.as_ref().unwrap().by.as_ref().unwrap();
    assert_eq!(by.as_str(), "oncall");
    // It expires, and alarms again.
    sleep(60 * MINUTE).await;
    let report = bench.report("acme").await;
    assert!(report.drift.has_drift);
    assert_eq!(report.drift.items[0].onset, first);
    let told: Vec<_> = bench
        .inbox
        .kinds()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(told, ["drift.new", "drift.resolved", "drift.new"]);
}

#[tokio::test(start_paused = true)]
async fn every_drift_has_an_onset_of_its_own() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.tenant("other").await;
    bench.audit().await;
    sleep(15 * MINUTE).await;
    bench.live.color("acme", 2);
    bench.audit().await;
    sleep(15 * MINUTE).await;
    bench.live.set("other", &json!({ "roles": {} }));
    bench.audit().await;
    let told = bench.inbox.kinds();
    let wanted = [
        ("drift.new", "acme".to_owned()),
        ("drift.new", "other".to_owned()),
    ];
    assert_eq!(told, wanted);
}

#[tokio::test(start_paused = true)]
async fn an_onset_goes_by_when_the_live_system_was_seen() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.live.color("acme", 2);
    sleep(15 * MINUTE).await;
    let seen = bench.clock.now();
    *bench.live.takes.lock().unwrap() = MINUTE / 2;
    *bench.live.observed_at.lock().unwrap() = Some(seen);
    assert_eq!(onset(&bench).await.unwrap().before, seen);
    // A time to come is not believed.
    bench.live.color("acme", 1);
    bench.audit().await;
    bench.live.color("acme", 2);
    *bench.live.observed_at.lock().unwrap() = Some(seen.saturating_add(600 * MINUTE));
    assert_eq!(onset(&bench).await.unwrap().before, bench.clock.now());
}

#[tokio::test(start_paused = true)]
async fn drifts_that_ended_long_ago_are_forgotten() {
    let mut bench = Bench::new().await;
    bench.settings.keep_for = Some(60 * MINUTE);
    bench.tenant("acme").await;
    let mut occurrences = Vec::new();
    for (color, minutes) in [(2, 1), (1, 59), (2, 1), (1, 61), (1, 1), (2, 1)] {
        bench.live.color("acme", color);
        occurrences.push(onset(&bench).await.map(|onset| onset.occurrence));
        sleep(minutes * MINUTE).await;
    }
    assert_eq!(occurrences, [Some(1), None, Some(2), None, None, Some(1)]);
}
