use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::drift::{EventKind, Verdict};
use driftline::hybrid::audit::{Audited, Schedule};
use driftline::ports::{AuditLog as _, AuditScope, Clock as _, WorkerId};
use driftline::prelude::*;
use serde_json::json;
use tokio::time::sleep;

use crate::bench::{Bench, MINUTE};
use crate::support::world::tenant;

/// The times of reports in whole minutes: an audit may come a few seconds after its slot.
async fn minutes(bench: &Bench, name: &str) -> Vec<i64> {
    bench
        .times(name)
        .await
        .into_iter()
        .map(|seconds| seconds / 60)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_audited_in_every_slot() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(65 * MINUTE).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "acme").await, [15, 30, 45, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_comes_later_is_audited_too() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    bench.tenant("later").await;
    sleep(20 * MINUTE).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "later").await, [30]);
}

#[tokio::test(start_paused = true)]
async fn a_missed_slot_runs_once() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    server.stop().await;
    sleep(180 * MINUTE).await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "acme").await, [15, 200, 210]);
}

#[tokio::test(start_paused = true)]
async fn an_overrun_never_piles_up() {
    let mut bench = Bench::new().await;
    bench.schedule = Schedule::every(Duration::from_secs(30));
    bench.tenant("acme").await;
    *bench.live.takes.lock().unwrap() = Duration::from_secs(45);
    let server = bench.serve();
    sleep(10 * MINUTE).await;
    server.stop().await;
    let times = bench.times("acme").await;
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= 45),
        "{times:?}"
    );
    assert!((8..=11).contains(&times.len()), "{times:?}");
    assert!(bench.live.overlaps.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_processes_audit_each_tenant_once_a_slot_and_never_at_once() {
    let bench = Bench::new().await;
    let names: Vec<String> = (0..20)
        .map(|number| format!("tenant-{number:02}"))
        .collect();
    for name in &names {
        bench.tenant(name).await;
    }
    *bench.live.takes.lock().unwrap() = Duration::from_secs(7);
    let servers = [bench.serve(), bench.serve()];
    sleep(125 * MINUTE).await;
    for server in servers {
        server.stop().await;
    }
    assert!(bench.live.overlaps.lock().unwrap().is_empty());
    for name in &names {
        assert_eq!(
            minutes(&bench, name).await,
            [15, 30, 45, 60, 75, 90, 105, 120],
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_crashed_process_left_is_taken_over() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    *bench.live.takes.lock().unwrap() = Duration::from_secs(30);
    let first = bench.serve();
    sleep(15 * MINUTE + Duration::from_secs(20)).await;
    assert_eq!(bench.live.begun("acme"), 1);
    first.kill().await;
    let second = bench.serve();
    sleep(5 * MINUTE).await;
    second.stop().await;
    assert_eq!(bench.live.begun("acme"), 2);
    // The claim of the dead process lasts three minutes.
    assert_eq!(minutes(&bench, "acme").await, [18]);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_comes_after_a_takeover_is_not_kept() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let (database, lease) = (bench.database.clone(), bench.settings.lease);
    // The process stalls for longer than its claim lasts, and another one comes.
    *bench.live.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        let other = WorkerId(uuid::Uuid::from_u128(7 << 64));
        let claim = |database: Arc<MemoryDatabase>| async move {
            let these = [tenant("acme")];
            let scope = AuditScope::These(&these);
            database.claim(other, scope, 1, MINUTE).await.unwrap()
        };
        assert!(
            claim(database.clone()).await.is_empty(),
            "not while the claim lasts"
        );
        tokio::time::advance(2 * lease).await;
        assert_eq!(claim(database).await.len(), 1);
    }));
    let results = bench.audit().await;
    assert!(matches!(results[&tenant("acme")], Audited::TakenOver));
    assert!(bench.times("acme").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_forward_makes_one_audit_due() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    bench.clock.jump(24 * 3600);
    sleep(12 * MINUTE).await;
    server.stop().await;
    let day = 24 * 60;
    assert_eq!(minutes(&bench, "acme").await, [15, day + 20, day + 30]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_stops_no_audits() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    bench.clock.jump(-24 * 3600);
    sleep(32 * MINUTE).await;
    server.stop().await;
    assert_eq!(bench.live.begun("acme"), 3, "one before, two after");
}

#[tokio::test(start_paused = true)]
async fn a_failed_audit_stops_nothing_and_too_many_are_told() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.tenant("other").await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    bench.live.failing.lock().unwrap().insert(tenant("acme"));
    sleep(90 * MINUTE).await;
    assert_eq!(
        minutes(&bench, "other").await,
        [15, 30, 45, 60, 75, 90, 105]
    );
    assert_eq!(
        bench.inbox.kinds(),
        [("audit.stale", "acme".to_owned())],
        "told once"
    );
    let stale = bench.inbox.got.lock().unwrap()[0].clone();
    assert!(
        stale.message.contains("the live system is down"),
        "{}",
        stale.message
    );
    // Three slots after the last success, and the time of one audit.
    let told = stale
        .at
        .since(bench.clock.now().saturating_sub(110 * MINUTE));
    assert!(told >= 60 * MINUTE && told <= 65 * MINUTE, "{told:?}");
    let audited = bench.database.audited(None, 10).await.unwrap();
    assert!(audited[0].stale && audited[0].failures >= 5 && audited[0].last_error.is_some());
    bench.live.failing.lock().unwrap().clear();
    sleep(20 * MINUTE).await;
    server.stop().await;
    let kinds: Vec<_> = bench
        .inbox
        .got
        .lock()
        .unwrap()
        .iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, [EventKind::AuditStale, EventKind::AuditRecovered]);
    assert!(!bench.database.audited(None, 10).await.unwrap()[0].stale);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    *bench.live.takes.lock().unwrap() = Duration::from_secs(100_000);
    let report = bench.report("acme").await;
    assert_eq!(
        report.drift.items[0].reason.as_deref(),
        Some("no answer within 60 seconds")
    );
    assert!(!report.drift.has_drift);
}

#[tokio::test(start_paused = true)]
async fn cron_slots_follow_the_wall_clock_of_their_zone() {
    let mut bench = Bench::new().await;
    // The simulation begins on 2026-01-01T00:00:00Z: 01:00 in Berlin.
    bench.schedule = Schedule::cron("30 2,3 * * *", "Europe/Berlin").unwrap();
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(5 * 60 * MINUTE).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "acme").await, [90, 150]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_changes_takes_effect_at_once() {
    let mut bench = Bench::new().await;
    bench.schedule = Schedule::every(24 * 60 * MINUTE);
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(5 * MINUTE).await;
    server.stop().await;
    bench.schedule = Schedule::every(15 * MINUTE);
    let server = bench.serve();
    sleep(15 * MINUTE).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "acme").await, [15]);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_slow_tenants_are_all_audited_within_their_claims() {
    let bench = Bench::new().await;
    for number in 0..300 {
        bench.tenant(&format!("tenant-{number:03}")).await;
    }
    *bench.live.takes.lock().unwrap() = Duration::from_secs(50);
    let results = bench.audit().await;
    assert_eq!(results.len(), 300);
    assert!(
        results
            .values()
            .all(|audited| matches!(audited, Audited::Stored(_)))
    );
    assert!(bench.live.overlaps.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_live_system_that_grows_slow_lets_no_claim_run_out() {
    let bench = Bench::new().await;
    for number in 0..600 {
        bench.tenant(&format!("tenant-{number:03}")).await;
    }
    // Batches grow as long as all is swift; then one of them would take a quarter of an hour.
    *bench.live.swift.lock().unwrap() = 250;
    *bench.live.takes.lock().unwrap() = Duration::from_secs(50);
    let servers = [bench.serve(), bench.serve()];
    sleep(55 * MINUTE).await;
    for server in servers {
        server.kill().await;
    }
    assert!(bench.live.overlaps.lock().unwrap().is_empty());
    assert!(bench.live.begun.lock().unwrap().len() == 600);
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_fail_alone() {
    let bench = Bench::new().await;
    for name in ["a", "broken", "c", "d"] {
        bench.tenant(name).await;
    }
    bench.reader.broken.lock().unwrap().insert(tenant("broken"));
    let results = bench.audit().await;
    for name in ["a", "c", "d"] {
        assert!(
            matches!(results[&tenant(name)], Audited::Stored(_)),
            "{name}"
        );
    }
    let audited = bench.database.audited(None, 10).await.unwrap();
    let error = audited[1].last_error.as_deref().unwrap();
    assert!(error.contains("makes no sense"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_read_leaves_its_reason_and_no_claims() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(20 * MINUTE).await;
    *bench.reader.down.lock().unwrap() = true;
    sleep(11 * MINUTE).await;
    let audited = bench.database.audited(None, 10).await.unwrap();
    assert_eq!(audited[0].last_error.as_deref(), Some("no answer"));
    assert!(audited[0].failures > 2, "it is tried again soon");
    *bench.reader.down.lock().unwrap() = false;
    sleep(MINUTE / 6).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "acme").await, [15, 31]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_shows_nothing_is_no_success() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let hidden = json!([{ "message": "the token is no longer valid" }]);
    for (errors, wanted) in [
        (json!([]), "live: nothing of the tenant could be seen"),
        (hidden, "live: the token is no longer valid"),
    ] {
        *bench.live.errors.lock().unwrap() = errors;
        bench.live.set("acme", &json!({}));
        let report = bench.report("acme").await;
        assert_eq!(report.drift.count(Verdict::Unknown), 1);
        let audited = bench.database.audited(None, 10).await.unwrap();
        assert_eq!(audited[0].last_error.as_deref(), Some(wanted));
    }
    bench.live.color("acme", 1);
    bench.audit().await;
    let audited = bench.database.audited(None, 10).await.unwrap();
    assert_eq!(audited[0].last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_live_state_of_another_time_is_no_success() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    sleep(120 * MINUTE).await;
    let now = bench.clock.now();
    for (observed_at, is_success) in [
        (now.saturating_sub(40 * MINUTE), true),
        (now.saturating_sub(46 * MINUTE), false),
        (now.saturating_add(4 * MINUTE), true),
        (now.saturating_add(6 * MINUTE), false),
    ] {
        *bench.live.observed_at.lock().unwrap() = Some(observed_at);
        bench.report("acme").await;
        let audited = bench.database.audited(None, 10).await.unwrap();
        let error = audited[0].last_error.clone();
        assert_eq!(error.is_none(), is_success, "{observed_at}");
        let wanted = format!("live: the live state is from {observed_at}");
        assert!(error.is_none_or(|error| error.starts_with(&wanted)));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_nothing_is_due() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let server = bench.serve();
    sleep(44 * MINUTE).await;
    server.stop().await;
    assert_eq!(minutes(&bench, "acme").await, [15, 30]);
    assert_eq!(*bench.reader.asked.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_tenants_are_observed_at_once_than_allowed() {
    let mut bench = Bench::new().await;
    bench.settings.parallelism = 4;
    for number in 0..40 {
        bench.tenant(&format!("tenant-{number:02}")).await;
    }
    *bench.live.takes.lock().unwrap() = Duration::from_secs(5);
    bench.audit().await;
    assert_eq!(*bench.live.most.lock().unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_slots_of_a_retired_tenant_pass_without_audit_or_alarm() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    let acme = tenant("acme");
    let set = async |retired| {
        let reason = "x".parse().unwrap();
        let repository = &bench.repository;
        repository
            .set_retired(&acme, retired, None, reason)
            .await
            .unwrap();
    };
    set(true).await;
    let results = bench.audit().await;
    assert!(matches!(results[&tenant("acme")], Audited::Retired));
    let serving = bench.serve();
    sleep(120 * MINUTE).await;
    assert_eq!(bench.live.begun("acme"), 0, "nothing of it is observed");
    assert!(bench.times("acme").await.is_empty());
    let audited = bench.database.audited(None, 9).await.unwrap();
    assert!(!audited[0].stale && audited[0].last_error.is_none());
    set(false).await;
    sleep(16 * MINUTE).await;
    serving.stop().await;
    assert!(bench.live.begun("acme") > 0, "its next slot is as before");
}
