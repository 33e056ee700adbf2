//! Every bucket, and what only one of them has.

mod directory_crash;
mod faults;
mod probe;
#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::hybrid::drill::Overlay;
use driftline_conformance::Buckets;

async fn memory() -> (Buckets, ()) {
    let store = MemorySnapshotStore::new().with_prefix("one");
    let buckets = Buckets {
        twin: Arc::new(store.clone()),
        beside: Arc::new(store.with_prefix("one-more")),
        store: Arc::new(store),
    };
    (buckets, ())
}

/// What a drill puts over a bucket is a bucket to whoever uses it.
async fn overlay() -> (Buckets, ()) {
    let below = MemorySnapshotStore::new().with_prefix("one");
    let beside = below.with_prefix("one-more");
    let store = Arc::new(Overlay::new(Arc::new(below)));
    let buckets = Buckets {
        twin: store.clone(),
        beside: Arc::new(Overlay::new(Arc::new(beside))),
        store,
    };
    (buckets, ())
}

async fn directory() -> (Buckets, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let open = |name| Arc::new(DirectorySnapshotStore::open(directory.path().join(name)).unwrap());
    let buckets = Buckets {
        store: open("one"),
        twin: open("one"),
        beside: open("one-more"),
    };
    (buckets, directory)
}

#[cfg(feature = "s3")]
async fn localstack() -> (Buckets, ()) {
    use crate::support::localstack::store;
    let bucket = driftline_conformance::services::localstack().fresh_bucket();
    let buckets = Buckets {
        store: Arc::new(store(&bucket, "one").await),
        twin: Arc::new(store(&bucket, "one").await),
        beside: Arc::new(store(&bucket, "one-more").await),
    };
    (buckets, ())
}

/// The suite over an adapter, and what the core finds out about it.
macro_rules! bucket {
    ($open:ident, $scheme:literal) => {
        mod $open {
            use super::$open;

            driftline_conformance::snapshot_store_contract!($open);

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_probe_passes_and_leaves_nothing_behind() {
                let (buckets, _guard) = $open().await;
                super::probe::passes(&buckets.store).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn its_url_names_the_adapter() {
                let (buckets, _guard) = $open().await;
                let url = buckets.store.url();
                assert!(url.starts_with($scheme), "{url}");
            }
        }
    };
}

bucket!(memory, "memory:");
bucket!(overlay, "memory:");
bucket!(directory, "file:///");
#[cfg(feature = "s3")]
bucket!(localstack, "s3://");
