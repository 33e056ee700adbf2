//! Both sides in memory, for tests and simulation.

mod snapshot_store;

pub use snapshot_store::{BucketCopy, MemorySnapshotStore};
