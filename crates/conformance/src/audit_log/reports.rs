//! What audits found, and for how long it stays.

use std::time::Duration;

use driftline_model::ReportId;
use driftline_model::drift::Timeliness;
use driftline_ports::{AuditOutcome, DeliveryOutcome, NewReport, ReportFilter, Retention};

use super::fixture::*;

async fn ids(log: &Log, filter: ReportFilter) -> Vec<ReportId> {
    let reports = log.reports(&filter).await.unwrap();
    reports.into_iter().map(|report| report.id).collect()
}

fn page(limit: u32) -> ReportFilter {
    ReportFilter {
        limit,
        ..ReportFilter::default()
    }
}

pub async fn reports_are_listed_newest_first_in_pages(log: Log) {
    let mut made = Vec::new();
    for (name, seconds) in [("a", 3), ("b", 1), ("a", 5), ("b", 4), ("a", 2)] {
        made.push(keep(&log, name, report(seconds)).await);
    }
    made.sort_by_key(|report| std::cmp::Reverse(report.at));
    assert_eq!(log.reports(&page(10)).await.unwrap(), made);
    assert_eq!(log.reports(&page(2)).await.unwrap(), made[..2]);
    let before = Some((made[1].at, made[1].id));
    let next = ReportFilter { before, ..page(2) };
    assert_eq!(log.reports(&next).await.unwrap(), made[2..4]);
    let of_a = ReportFilter {
        tenant: Some(tenant("a")),
        before,
        ..page(10)
    };
    let expected: Vec<_> = made[2..]
        .iter()
        .filter(|report| report.tenant == tenant("a"))
        .cloned()
        .collect();
    assert_eq!(log.reports(&of_a).await.unwrap(), expected);
    let of_nobody = ReportFilter {
        tenant: Some(tenant("nobody")),
        ..page(10)
    };
    assert_eq!(log.reports(&of_nobody).await.unwrap(), []);
    assert_eq!(log.reports(&page(0)).await.unwrap(), []);
}

pub async fn reports_of_one_time_are_ordered_by_identifier(log: Log) {
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d"] {
        made.push(keep(&log, name, report(1)).await.id);
    }
    made.sort_unstable();
    made.reverse();
    assert_eq!(ids(&log, page(10)).await, made);
    let next = ReportFilter {
        before: Some((at(1), made[1])),
        ..page(10)
    };
    assert_eq!(ids(&log, next).await, made[2..]);
}

pub async fn only_what_drifts_can_be_listed(log: Log) {
    let mut drifting = Vec::new();
    for seconds in 0..6 {
        let has_drift = seconds % 2 == 0;
        let kept = keep(
            &log,
            "acme",
            NewReport {
                has_drift,
                ..report(seconds)
            },
        )
        .await;
        if has_drift {
            drifting.insert(0, kept.id);
        }
    }
    let filter = ReportFilter {
        only_drift: true,
        ..page(2)
    };
    assert_eq!(ids(&log, filter).await, drifting[..2]);
}

pub async fn a_list_says_whose_live_state_was_of_no_time_that_counts(log: Log) {
    let all = [
        None,
        Some(Timeliness::Timely),
        Some(Timeliness::Stale),
        Some(Timeliness::Future),
    ];
    for (seconds, timeliness) in (0..).zip(all) {
        let new = NewReport {
            timeliness,
            ..report(seconds)
        };
        let kept = keep(&log, "acme", new).await;
        let stored = log.report(kept.id).await.unwrap().unwrap();
        assert_eq!(stored.summary, kept);
    }
    let listed: Vec<_> = all_reports(&log).await;
    let listed = listed.iter().rev().map(|report| report.timeliness);
    assert!(listed.eq(all));
}

pub async fn a_report_is_read_with_its_body(log: Log) {
    let new = NewReport {
        body: format!("{{\"a\":\"{}\"}}", "x".repeat(50_000)),
        ..report(1)
    };
    let summary = keep(&log, "acme", new.clone()).await;
    let stored = log.report(new.id).await.unwrap().unwrap();
    assert_eq!((stored.summary, stored.body), (summary, new.body));
    assert_eq!(log.report(ReportId(fresh())).await.unwrap(), None);
}

/// Reports of three tenants: of `a` at 1 to 5, of `b` at 1 and 2, of `c` at 9.
async fn history(log: &Log) {
    for seconds in 1..=5 {
        keep(log, "a", report(seconds)).await;
    }
    for (name, seconds) in [("b", 1), ("b", 2), ("c", 9)] {
        keep(log, name, report(seconds)).await;
    }
}

async fn left(log: &Log) -> Vec<String> {
    let reports = all_reports(log).await;
    let mut left: Vec<String> = reports
        .iter()
        .map(|report| format!("{}{}", report.tenant, report.at.since(at(0)).as_secs()))
        .collect();
    left.sort();
    left
}

fn retention(before: Option<i64>, newest: Option<u32>) -> Retention {
    Retention {
        before: before.map(at),
        newest,
    }
}

pub async fn retention_by_time_keeps_the_newest_of_each_tenant(log: Log) {
    history(&log).await;
    assert_eq!(log.prune(retention(None, None)).await.unwrap(), 0);
    assert_eq!(log.prune(retention(Some(4), None)).await.unwrap(), 4);
    assert_eq!(left(&log).await, ["a4", "a5", "b2", "c9"]);
    assert_eq!(log.prune(retention(Some(4), None)).await.unwrap(), 0);
    assert_eq!(log.prune(retention(Some(100), None)).await.unwrap(), 1);
    assert_eq!(left(&log).await, ["a5", "b2", "c9"]);
}

pub async fn retention_by_number_keeps_so_many(log: Log) {
    history(&log).await;
    assert_eq!(log.prune(retention(None, Some(2))).await.unwrap(), 3);
    assert_eq!(left(&log).await, ["a4", "a5", "b1", "b2", "c9"]);
    assert_eq!(log.prune(retention(None, Some(0))).await.unwrap(), 2);
    assert_eq!(left(&log).await, ["a5", "b2", "c9"]);
}

pub async fn either_rule_of_retention_removes(log: Log) {
    history(&log).await;
    assert_eq!(log.prune(retention(Some(2), Some(3))).await.unwrap(), 3);
    assert_eq!(left(&log).await, ["a3", "a4", "a5", "b2", "c9"]);
}

pub async fn settled_events_go_with_retention(log: Log) {
    let told: Vec<_> = (1..=4).map(|seconds| event("acme", seconds)).collect();
    tell(&log, "acme", &told).await;
    let given_up = DeliveryOutcome::GivenUp {
        error: "410".to_owned(),
    };
    let failed = DeliveryOutcome::Failed {
        error: "503".to_owned(),
        retry_after: Duration::ZERO,
    };
    let delivered = DeliveryOutcome::Delivered;
    for (event, outcome) in told
        .iter()
        .zip([&delivered, &given_up, &failed, &delivered])
    {
        log.settle_event(event.id, outcome).await.unwrap();
    }
    log.prune(retention(None, Some(1))).await.unwrap();
    assert_eq!(log.events(None, 10).await.unwrap().len(), 4);
    assert_eq!(log.prune(retention(Some(4), None)).await.unwrap(), 0);
    let left = log.events(None, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|status| status.event.id).collect();
    assert_eq!(left, [told[3].id, told[2].id]);
    // What was told stays told: a result that repeats an event is no longer refused, and that is the caller's to avoid.
    let claim = claim_one(&log, "acme").await;
    let again = AuditOutcome {
        events: vec![told[0].clone()],
        ..success(&claim, 5)
    };
    assert!(finish(&log, again).await);
}
