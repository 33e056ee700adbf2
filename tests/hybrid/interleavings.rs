//! The interleavings behind the design's rules, each by name.

mod buckets;
mod failovers;
mod recoveries;
mod zombies;

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::{BUCKET_KEY, Index, Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::{Entry, Epoch, Seq, Stream, Timestamp};
use driftline::hybrid::{OnFailover, Progress, Standing};
use driftline::ports::{
    Backlog, Database, Entropy as _, ErrorKind, Ownership, RecoverTarget, RecoveryRequest,
    RecoveryState, ShadowLedger as _, ShadowState, SnapshotStore,
};
use driftline::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::support::world::{
    Repository, World, apply, create, create_many, drain, eventually, put_strangers_snapshot,
    recover, recover_all, tenant, try_create,
};
use driftline_conformance::faults::{Flaw, Moment, On};

async fn entry(database: &dyn Database, name: &str, version: u64) -> Entry {
    let stored = database
        .entry(&tenant(name), Stream::Manifests, Seq::new(version))
        .await
        .unwrap();
    stored.expect("the version is there").entry
}

/// Uploads a version's snapshot and nothing else, as a replicator does that dies before the index.
async fn upload_only(world: &World, database: &dyn Database, name: &str, version: u64) -> String {
    let entry = entry(database, name, version).await;
    let key = snapshot_key(
        &entry.meta.tenant,
        Stream::Manifests,
        entry.meta.seq,
        entry.meta.epoch,
    );
    world.memory.insert(&key, Snapshot::write(&entry));
    key
}

async fn first_versions(database: &dyn Database, count: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    for version in 1..=count {
        entries.push(entry(database, "acme", version).await);
    }
    entries
}

async fn ownership(database: &dyn Database) -> Ownership {
    database.identity().await.unwrap().ownership
}
