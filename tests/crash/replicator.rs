//! The replicator dies at each step of a batch.

use driftline::domain::Stream;

use crate::program::{Site, tags, tenant};
use crate::support::pairs::Kind;

/// The batch dies at `point`, after passing it `passed` times. Whatever it left, the next one completes.
async fn a_crash_loses_nothing(kind: Kind, point: &str, passed: u32) {
    let (site, acme) = (Site::new(kind).await, tenant("acme"));
    // On one more than a page, so that the next batch seals it.
    let shadowed = if kind == Kind::Embedded { 129 } else { 3 };
    let before = site.fill(&acme, shadowed, 6).await;
    let failpoint = match passed {
        0 => format!("{point}=return"),
        _ => format!("{point}={passed}*off->return"),
    };
    site.dies("replicate --drain", &failpoint);
    assert!(site.rows(&acme).await == before, "{failpoint}");
    // What the dead one holds keeps no writer waiting.
    let next = site.create("acme", "after-the-crash");
    assert_eq!(next, before[Stream::Manifests].len() as u64 + 1);
    let mut after = site.settle(&acme).await;
    assert_eq!(tags(&after).pop().unwrap(), "after-the-crash");
    after[Stream::Manifests].pop();
    assert!(after == before, "{failpoint}");
}

/// One entry of each stream is pending: each step comes once a stream.
async fn at_each_stream(kind: Kind, point: &str) {
    for passed in 0..3 {
        a_crash_loses_nothing(kind, point, passed).await;
    }
}

#[tokio::test]
async fn killed_after_reading_the_index_it_loses_nothing() {
    at_each_stream(Kind::Embedded, "batch-read").await;
}

#[tokio::test]
async fn killed_between_snapshots_it_loses_nothing() {
    for passed in [0, 3, 6, 7] {
        a_crash_loses_nothing(Kind::Embedded, "batch-one-snapshot", passed).await;
    }
}

#[tokio::test]
async fn killed_after_the_snapshots_it_loses_nothing() {
    at_each_stream(Kind::Embedded, "batch-snapshots").await;
}

#[tokio::test]
async fn killed_after_sealing_a_page_it_loses_nothing() {
    at_each_stream(Kind::Embedded, "batch-page").await;
}

#[tokio::test]
async fn killed_between_index_and_watermark_it_loses_nothing() {
    at_each_stream(Kind::Embedded, "batch-index").await;
}

#[tokio::test]
async fn killed_after_the_watermark_it_loses_nothing() {
    at_each_stream(Kind::Embedded, "batch-watermark").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_postgres_and_s3_it_loses_nothing() {
    for (point, passed) in [
        ("batch-one-snapshot", 3),
        ("batch-snapshots", 0),
        ("batch-index", 0),
        ("batch-index", 1),
    ] {
        a_crash_loses_nothing(Kind::Services, point, passed).await;
    }
}

/// Crashed once at each step, one after the other, on what the crash before left.
#[tokio::test]
async fn killed_again_and_again_it_still_loses_nothing() {
    let (site, acme) = (Site::new(Kind::Embedded).await, tenant("acme"));
    let before = site.fill(&acme, 129, 6).await;
    for point in [
        "batch-read",
        "batch-one-snapshot",
        "batch-snapshots",
        "batch-page",
        "batch-index",
    ] {
        site.dies("replicate --drain", &format!("{point}=return"));
    }
    assert!(site.settle(&acme).await == before);
}
