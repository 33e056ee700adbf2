use std::time::Duration;

use driftline::ports::AuditLog as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, MINUTE};

async fn drifting() -> Bench {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.live.color("acme", 2);
    bench
}

#[tokio::test(start_paused = true)]
async fn an_event_is_tried_again_until_it_arrives_and_that_is_on_record() {
    let bench = drifting().await;
    *bench.inbox.failing.lock().unwrap() = (4, true);
    let server = bench.serve();
    sleep(30 * MINUTE).await;
    server.stop().await;
    assert_eq!(bench.inbox.kinds(), [("drift.new", "acme".to_owned())]);
    let tried = bench.inbox.tried.lock().unwrap().clone();
    assert_eq!(tried.len(), 5);
    let waits: Vec<Duration> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    let events = bench.database.events(None, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].attempts, 5);
    assert!(events[0].delivered_at.is_some() && !events[0].given_up);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_can_never_arrive_is_given_up_and_that_is_on_record() {
    let bench = drifting().await;
    *bench.inbox.failing.lock().unwrap() = (1, false);
    bench.audit().await;
    let events = bench.database.events(None, 10).await.unwrap();
    assert!(events[0].given_up && events[0].delivered_at.is_none());
    assert_eq!(
        events[0].last_error.as_deref(),
        Some("the receiver is down")
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_stays_down_is_given_up_after_days() {
    let bench = drifting().await;
    *bench.inbox.failing.lock().unwrap() = (u32::MAX, true);
    let server = bench.serve();
    sleep(24 * 5 * 60 * MINUTE).await;
    server.stop().await;
    let events = bench.database.events(None, 10).await.unwrap();
    assert!(events.last().unwrap().given_up);
    let tried = bench.inbox.tried.lock().unwrap().len();
    assert!(tried < 130, "{tried}");
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_delivery_was_not_recorded_comes_again_under_its_id() {
    let bench = drifting().await;
    let auditor = bench.auditor();
    let stop = CancellationToken::new();
    auditor.run(None, &|_| {}, &stop).await.unwrap();
    // A process delivers, and dies before it can say so.
    let claimed = bench.database.claim_events(10, MINUTE).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(
        auditor.deliver(&stop).await.unwrap(),
        0,
        "another process has it"
    );
    sleep(2 * MINUTE).await;
    assert_eq!(auditor.deliver(&stop).await.unwrap(), 1);
    assert_eq!(bench.inbox.got.lock().unwrap()[0].id, claimed[0].event.id);
}

#[tokio::test(start_paused = true)]
async fn an_event_names_the_drift_and_its_onset() {
    let bench = drifting().await;
    bench.audit().await;
    let event = bench.inbox.got.lock().unwrap()[0].clone();
    assert_eq!(event.schema, "driftline.event.v1");
    assert_eq!(event.message, "roles/r1 of acme drifted");
    let body = serde_json::to_string_pretty(&event).unwrap();
    insta::assert_snapshot!(body);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_delays_no_audit() {
    let bench = Bench::new().await;
    for number in 0..200 {
        let name = format!("tenant-{number:03}");
        bench.tenant(&name).await;
        bench.live.color(&name, 2);
    }
    *bench.inbox.failing.lock().unwrap() = (u32::MAX, true);
    *bench.inbox.takes.lock().unwrap() = Duration::from_secs(10);
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    bench.tenant("later").await;
    sleep(105 * MINUTE).await;
    server.kill().await;
    let times = bench.times("tenant-000").await;
    let minutes: Vec<i64> = times.iter().map(|seconds| seconds / 60).collect();
    assert_eq!(minutes, [15, 30, 45, 60, 75, 90, 105, 120]);
    assert_eq!(bench.times("later").await.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_auditor_that_is_never_done_delivers_all_the_same() {
    let bench = Bench::new().await;
    for number in 0..300 {
        bench.tenant(&format!("tenant-{number:03}")).await;
    }
    bench.live.color("tenant-000", 2);
    *bench.live.takes.lock().unwrap() = Duration::from_secs(50);
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    assert_eq!(bench.inbox.kinds().len(), 1, "while audits go on");
    server.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_of_deliveries_ends() {
    let bench = Bench::new().await;
    for number in 0..200 {
        let name = format!("tenant-{number:03}");
        bench.tenant(&name).await;
        bench.live.color(&name, 2);
    }
    *bench.inbox.takes.lock().unwrap() = Duration::from_secs(30);
    let began = tokio::time::Instant::now();
    bench.audit().await;
    assert!(began.elapsed() < 2 * MINUTE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_know_the_receiver_leaves_the_event_to_others() {
    let mut bench = drifting().await;
    bench.knows_receivers = false;
    bench.audit().await;
    assert!(!bench.database.events(None, 10).await.unwrap()[0].given_up);
    bench.knows_receivers = true;
    sleep(MINUTE).await;
    bench.audit().await;
    assert_eq!(bench.inbox.kinds(), [("drift.new", "acme".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_an_audit_without_receivers_found_is_told_once_there_is_one() {
    let mut bench = drifting().await;
    let nobody = Vec::new();
    let inbox = std::mem::replace(&mut bench.receivers, nobody.clone());
    assert_eq!(bench.report("acme").await.new.len(), 1);
    assert_eq!(bench.report("acme").await.continuing.len(), 1);
    bench.receivers.clone_from(&inbox);
    let report = bench.report("acme").await;
    assert_eq!((report.new.len(), report.continuing.len()), (0, 1));
    // Nobody is told of its end either.
    bench.receivers = nobody;
    bench.live.color("acme", 1);
    assert_eq!(bench.report("acme").await.resolved.len(), 1);
    bench.receivers = inbox;
    assert!(bench.report("acme").await.resolved.is_empty());
    bench.audit().await;
    let kinds = bench.inbox.kinds();
    let kinds: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["drift.new", "drift.resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_drifts_further_is_told_again() {
    let bench = drifting().await;
    for (color, is_new) in [(2, true), (2, false), (3, true), (3, false)] {
        bench.live.color("acme", color);
        let report = bench.report("acme").await;
        assert_eq!(report.new.len(), usize::from(is_new), "{color}");
        assert_eq!(report.continuing.len(), usize::from(!is_new));
        let onset = report.drift.items[0].onset.as_ref().unwrap();
        assert_eq!(onset.occurrence, 1, "it is still the same drift");
        sleep(MINUTE).await;
    }
    assert_eq!(bench.inbox.kinds().len(), 2);
}
