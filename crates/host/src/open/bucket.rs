//! The one place where the URL of a bucket becomes an adapter.

use std::sync::Arc;

use driftline_core::adapters::filesystem::DirectorySnapshotStore;
use driftline_core::adapters::memory::MemorySnapshotStore;
use driftline_ports::SnapshotStore;

use super::unusable::Unusable;
use crate::{HostError, S3, SnapshotsUrl};

/// The store behind a URL.
pub async fn bucket(url: &SnapshotsUrl, options: &S3) -> Result<Arc<dyn SnapshotStore>, HostError> {
    match url {
        SnapshotsUrl::Memory => Ok(Arc::new(MemorySnapshotStore::new())),
        SnapshotsUrl::Directory(path) => match DirectorySnapshotStore::open(path) {
            Ok(store) => Ok(Arc::new(store)),
            // A bucket that is down keeps nobody from the database.
            Err(error) => Ok(Arc::new(Unusable::new(url, &error))),
        },
        SnapshotsUrl::S3(url) => s3(url, options).await,
    }
}

#[cfg(feature = "s3")]
async fn s3(url: &str, options: &S3) -> Result<Arc<dyn SnapshotStore>, HostError> {
    use driftline_ports::Error;
    use driftline_s3::{Encryption, S3Options, S3SnapshotStore};
    let encryption = options.sse.as_deref().map(|sse| match sse {
        "sse-s3" => Encryption::SseS3,
        key => Encryption::Kms(key.to_owned()),
    });
    let options = S3Options {
        endpoint: options.endpoint.clone(),
        region: options.region.clone(),
        path_style: options.path_style,
        encryption,
        ca_file: options.ca_file.clone(),
        ..S3Options::default()
    };
    let store = S3SnapshotStore::connect(url, &options).await;
    Ok(Arc::new(store.map_err(Error::from)?))
}

#[cfg(not(feature = "s3"))]
#[expect(clippy::unused_async, reason = "the same call in every build")]
async fn s3(_: &str, _: &S3) -> Result<Arc<dyn SnapshotStore>, HostError> {
    Err(crate::Problem::left_out("this build of driftline has no S3", "s3").into())
}
