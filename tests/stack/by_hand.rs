//! A tenant comes back from S3 without driftline: by the script in the bucket, with `curl`, and with the `aws` command where
//! there is one.

use std::process::{Command, Stdio};
use std::sync::Arc;

use driftline::ports::SnapshotStore as _;

use crate::support::by_hand::{assert_recovered, history, run};
use crate::support::localstack::store;
use crate::support::world::World;
use driftline_conformance::services::localstack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_alone_recovers_every_version_from_s3() {
    let bucket = localstack().fresh_bucket();
    let store = Arc::new(store(&bucket, "team/acme/manifests").await);
    let entries = history(&World::new(), store.clone()).await;
    let directory = tempfile::tempdir().unwrap();
    let script = store
        .get("_driftline/recover.sh", u64::MAX)
        .await
        .unwrap()
        .unwrap();
    let path = directory.path().join("recover.sh");
    std::fs::write(&path, &script.bytes).unwrap();

    let endpoint = localstack().endpoint();
    let into = directory.path().join("with-curl");
    let base = format!("{endpoint}/{bucket}/team/acme/manifests");
    let ended = run(&path, &base, &into, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert_recovered(&into, &entries, &[]);

    let present = Command::new("aws")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !present.is_ok_and(|status| status.success()) {
        println!("there is no aws command: recovered with curl only");
        return;
    }
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ];
    let into = directory.path().join("with-aws");
    let base = format!("s3://{bucket}/team/acme/manifests/");
    let ended = run(&path, &base, &into, &environment);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert_recovered(&into, &entries, &[]);
}
