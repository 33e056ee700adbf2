//! Both sides in memory, for tests and simulation.

mod database;
mod snapshot_store;

pub use database::MemoryDatabase;
pub use snapshot_store::{BucketCopy, MemorySnapshotStore};
