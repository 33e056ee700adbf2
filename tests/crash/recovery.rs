//! A recovery dies between any two of its steps.

use driftline::domain::{Stream, TenantId};
use driftline::ports::{Precondition, PutOutcome};

use crate::program::{Site, tags, tenant};
use crate::support::audit::History;
use crate::support::legacy::{self, Version};
use crate::support::pairs::Kind;

/// A lost database with three tenants in its bucket.
async fn lost(kind: Kind) -> (Site, Vec<(TenantId, History)>) {
    let mut site = Site::new(kind).await;
    let mut before = Vec::new();
    for name in ["acme", "beta", "cargo"] {
        let name = tenant(name);
        site.fill(&name, 3, 2).await;
        let history = site.settle(&name).await;
        before.push((name, history));
    }
    site.pair.lose_database().await;
    (site, before)
}

/// A second recovery brings everything back, and the tenants go on.
async fn recovers(site: &Site, before: &[(TenantId, History)]) {
    let report = site.must("recover --all-tenants");
    assert_eq!(report["tenants"].as_array().unwrap().len(), before.len());
    for (name, before) in before {
        assert!(site.settle(name).await == *before, "{name}");
        let next = site.create(name.as_str(), "after-the-recovery");
        assert_eq!(next, before[Stream::Manifests].len() as u64 + 1);
        let after = site.settle(name).await;
        assert_eq!(tags(&after).pop().unwrap(), "after-the-recovery");
    }
}

async fn a_crash_is_recovered_from(kind: Kind, failpoint: &str) {
    let (site, before) = lost(kind).await;
    site.dies("recover --all-tenants", failpoint);
    recovers(&site, &before).await;
}

#[tokio::test]
async fn a_recovery_killed_before_it_takes_the_bucket_over_is_completed_by_the_next() {
    a_crash_is_recovered_from(Kind::Embedded, "recover-awaiting=return").await;
}

#[tokio::test]
async fn a_recovery_killed_after_it_took_the_bucket_over_is_completed_by_the_next() {
    a_crash_is_recovered_from(Kind::Embedded, "recover-bucket=return").await;
}

#[tokio::test]
async fn a_recovery_killed_between_index_and_database_is_completed_by_the_next() {
    for failpoint in [
        "recover-index=return",
        "recover-index=1*off->return",
        "recover-index=2*off->return",
    ] {
        a_crash_is_recovered_from(Kind::Embedded, failpoint).await;
    }
}

#[tokio::test]
async fn a_recovery_killed_after_a_tenant_is_completed_by_the_next() {
    for failpoint in [
        "recover-commit=return",
        "recover-commit=1*off->return",
        "recover-commit=2*off->return",
    ] {
        a_crash_is_recovered_from(Kind::Embedded, failpoint).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_killed_on_postgres_and_s3_is_completed_by_the_next() {
    for failpoint in ["recover-index=1*off->return", "recover-commit=return"] {
        a_crash_is_recovered_from(Kind::Services, failpoint).await;
    }
}

#[tokio::test]
async fn recoveries_killed_at_each_step_one_after_the_other_are_completed_by_the_next() {
    let (site, before) = lost(Kind::Embedded).await;
    for point in ["awaiting", "bucket", "index", "commit"] {
        site.dies("recover --all-tenants", &format!("recover-{point}=return"));
    }
    recovers(&site, &before).await;
}

#[tokio::test]
async fn a_takeover_of_an_older_bucket_killed_at_each_step_is_completed_by_the_next() {
    let mut site = Site::new(Kind::Embedded).await;
    site.pair.lose_database().await;
    for (key, text) in legacy::objects(&[1, 2, 3].map(Version::new)) {
        let snapshots = site.pair.snapshots.as_ref();
        let written = snapshots.put(&key, text.into(), Precondition::Absent).await;
        assert!(matches!(written, Ok(PutOutcome::Written(_))));
    }
    for point in ["awaiting", "bucket", "legacy-copy", "index"] {
        site.dies("recover --all-tenants", &format!("recover-{point}=return"));
    }
    let report = site.must("recover --all-tenants");
    assert_eq!(report["tenants"][0]["legacy"].as_array().unwrap().len(), 3);
    let community = tenant(legacy::COMMUNITY);
    assert_eq!(site.create(legacy::COMMUNITY, "after-the-takeover"), 4);
    site.must("replicate --drain");
    let rows = site.rows(&community).await;
    assert_eq!(tags(&rows), ["v1", "v2", "v3", "after-the-takeover"]);
    site.pair.lose_database().await;
    site.must("recover --all-tenants");
    assert!(site.rows(&community).await == rows);
}
