//! An audit reads, and cannot write.

use driftline::domain::drift::Verdict;
use driftline::domain::{Seq, Stream};
use driftline::hybrid::audit::Audited;
use driftline::ports::{AuditLog as _, ReportFilter, ShadowLedger as _};

use crate::bench::{Bench, MINUTE};
use crate::support::world::tenant;

#[tokio::test(start_paused = true)]
async fn an_audit_changes_neither_side() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.live.color("acme", 2);
    let before = bench.world.memory.snapshot();
    let status = bench.database.status(None, None, 10).await.unwrap();
    let report = bench.report("acme").await;
    assert_eq!(report.drift.count(Verdict::Drifted), 1);
    assert_eq!(bench.world.memory.snapshot(), before);
    assert_eq!(bench.database.status(None, None, 10).await.unwrap(), status);
    let requests: Vec<(&str, u64)> = report
        .proof
        .requests
        .iter()
        .map(|(method, count)| (method.as_str(), *count))
        .collect();
    assert_eq!(requests, [("DELETE", 0), ("GET", 1), ("PUT", 0)]);
    assert!(report.proof.transaction_read_only);
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_is_read_from_the_bucket() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench
        .repository
        .drain(tokio_util::sync::CancellationToken::new())
        .await
        .unwrap();
    bench
        .database
        .lose_row(&tenant("acme"), Stream::Manifests, Seq::new(1));
    let report = bench.report("acme").await;
    assert_eq!(report.drift.count(Verdict::InSync), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_be_read_fails_alone() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.tenant("lost").await;
    bench
        .database
        .lose_row(&tenant("lost"), Stream::Manifests, Seq::new(1));
    let mut results = bench.audit().await;
    assert!(matches!(
        results.remove(&tenant("acme")),
        Some(Audited::Stored(_))
    ));
    match results.remove(&tenant("lost")) {
        Some(Audited::Failed(error)) => {
            assert!(error.to_string().contains("row is lost"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let audited = bench.database.audited(None, 10).await.unwrap();
    assert!(audited[1].last_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_bucket_is_in_the_report_and_stops_nothing() {
    let bench = Bench::new().await;
    bench.tenant("acme").await;
    bench.world.bucket.set_down(true);
    let report = bench.report("acme").await;
    assert_eq!(report.drift.count(Verdict::InSync), 1);
    assert!(report.proof.bucket_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn old_reports_go_and_the_newest_of_each_tenant_stays() {
    let mut bench = Bench::new().await;
    bench.settings.keep_newest = Some(2);
    bench.settings.keep_for = Some(60 * MINUTE);
    for name in ["acme", "other"] {
        bench.tenant(name).await;
        for _ in 0..4 {
            bench.audit().await;
            tokio::time::sleep(MINUTE).await;
        }
    }
    let auditor = bench.auditor();
    auditor.prune().await.unwrap();
    assert_eq!(bench.times("acme").await.len(), 2);
    tokio::time::sleep(24 * 60 * MINUTE).await;
    auditor.prune().await.unwrap();
    let left = bench
        .database
        .reports(&ReportFilter {
            limit: 100,
            ..ReportFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(left.len(), 2);
}
