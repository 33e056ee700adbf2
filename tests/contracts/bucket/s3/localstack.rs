//! What LocalStack promises, as far as the other tests rest on it.

use driftline::adapters::s3::S3SnapshotStore;
use driftline::ports::{ETag, Fault, Precondition, PutOutcome, SnapshotStore, Verdict};

use super::put;
use crate::support::localstack::store;
use driftline_conformance::services::localstack;

async fn fresh() -> (String, S3SnapshotStore) {
    let localstack = localstack();
    let bucket = localstack.fresh_bucket();
    let store = store(&bucket, "").await;
    (bucket, store)
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_refused_with_a_way_out() {
    let store = store("no-such-bucket", "").await;
    let condition = Precondition::Matches(ETag("tag".to_owned()));
    for error in [
        store.ping().await.unwrap_err(),
        store.get("a/x", u64::MAX).await.unwrap_err(),
        put(&store).await.unwrap_err(),
        store.put("a/x", "{}".into(), condition).await.unwrap_err(),
        store.list("", None, 1).await.unwrap_err(),
        store.delete("a/x").await.unwrap_err(),
    ] {
        assert_eq!(error.fault(), Fault::Refused);
        assert!(
            error.to_string().contains("aws s3 mb s3://no-such-bucket"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn localstack_says_what_it_enforces() {
    let (_, store) = fresh().await;
    assert!(store.ping().await.unwrap().now.is_some());
    let found = store.inspect("scratch").await.unwrap();
    let verdicts: Vec<_> = found
        .iter()
        .map(|check| (check.name, check.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("checksums-enforced", Verdict::Pass),
            ("versioning", Verdict::Warn),
            ("object-lock", Verdict::Info),
            ("encryption", Verdict::Info),
        ],
        "{found:?}"
    );
    assert_eq!(store.get("scratch", u64::MAX).await.unwrap(), None);
}

#[tokio::test]
async fn quotes_around_an_etag_make_no_difference_to_localstack() {
    let (_, store) = fresh().await;
    let PutOutcome::Written(etag) = put(&store).await.unwrap() else {
        panic!("it is new")
    };
    let quoted = Precondition::Matches(ETag(format!("\"{}\"", etag.0)));
    let outcome = store.put("a/x", "{\"a\":1}".into(), quoted).await.unwrap();
    let PutOutcome::Written(etag) = outcome else {
        panic!("{outcome:?}")
    };
    let outcome = store
        .put("a/x", "{\"a\":2}".into(), Precondition::Matches(etag))
        .await
        .unwrap();
    assert!(matches!(outcome, PutOutcome::Written(_)), "{outcome:?}");
}

/// `printf '{}' | openssl dgst -sha256 -binary | base64`
const CHECKSUM: &str = "x-amz-checksum-sha256: RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";

#[tokio::test]
async fn a_put_that_fails_leaves_the_object_that_lies_there() {
    let (bucket, store) = fresh().await;
    put(&store).await.unwrap();
    let before = store.get("a/x", u64::MAX).await.unwrap().unwrap();
    assert_eq!(before.bytes, "{}");
    let path = format!("/{bucket}/a/x");
    let status = localstack().put(&path, CHECKSUM, "[]", 2);
    assert_eq!(status, 400, "of other bytes");
    let status = localstack().put(&path, "x-amz-checksum-sha256: e30=", "{}", 2);
    assert_eq!(status, 400, "no checksum at all");
    for headers in ["x-nothing: 1", CHECKSUM] {
        let status = localstack().put(&path, headers, "{}", 20);
        assert_ne!(status, 200, "cut");
    }
    let after = store.get("a/x", u64::MAX).await.unwrap().unwrap();
    assert_eq!(after, before);
    assert_eq!(localstack().put(&path, CHECKSUM, "{}", 2), 200);
}
