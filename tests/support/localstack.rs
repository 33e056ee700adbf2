//! The adapter of S3 on the LocalStack that tests share.

use driftline::adapters::s3::{S3Options, S3SnapshotStore, StaticCredentials};
use driftline_conformance::services::localstack;

/// The bucket at `s3://BUCKET/PREFIX`.
pub async fn store(bucket: &str, prefix: &str) -> S3SnapshotStore {
    let options = options(localstack().endpoint());
    S3SnapshotStore::connect(&format!("s3://{bucket}/{prefix}"), &options)
        .await
        .expect("the options are valid")
}

/// Options for a LocalStack that listens there.
pub fn options(endpoint: String) -> S3Options {
    S3Options {
        endpoint: Some(endpoint),
        region: Some("us-east-1".to_owned()),
        credentials: Some(StaticCredentials {
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
            session_token: None,
        }),
        ..S3Options::default()
    }
}
