//! Drills: what they prove, what they find, and what they leave alone.

mod differences;
mod proofs;
mod refusals;

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::Content;
use driftline::domain::format::{Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::{Entry, Epoch, Seq, Stream, TenantId};
use driftline::hybrid::drill::{Difference, DrillProgress, DrillReport, DrillScope, Drilled};
use driftline::ports::{
    Error, ErrorKind, ManifestStore as _, RecoveryStore as _, RestoreProof, ShadowLedger as _,
    SnapshotStore as _,
};

use crate::support::world::{
    Repository, World, apply, create, create_many, drain, overwrite, tenant,
};
use driftline_conformance::faults::{Flaw, Method, Moment, On};

async fn try_drill(
    world: &World,
    repository: &Repository,
    scope: DrillScope,
) -> Result<DrillReport, Error> {
    let progress = DrillProgress::default();
    repository.drill(world.database(), &scope, &progress).await
}

async fn drill(world: &World, repository: &Repository) -> DrillReport {
    let before = world.memory.snapshot();
    let report = try_drill(world, repository, DrillScope::All).await.unwrap();
    assert_eq!(
        world.memory.snapshot(),
        before,
        "a drill writes nothing to the bucket"
    );
    report
}

async fn proof(database: &Arc<MemoryDatabase>, tenant: &TenantId) -> Option<RestoreProof> {
    let status = database.status(Some(tenant), None, 1).await.unwrap();
    status[0].proof
}

async fn failed(database: &Arc<MemoryDatabase>, tenant: &TenantId) -> Option<(String, bool)> {
    let status = database.status(Some(tenant), None, 1).await.unwrap();
    let failed = status[0].failed_drill.clone();
    failed.map(|failed| (failed.reason, failed.refutes))
}

/// The differences of `acme`, of which there must be some, and no proof.
async fn differences(
    world: &World,
    database: &Arc<MemoryDatabase>,
    repository: &Repository,
) -> Vec<Difference> {
    let mut report = drill(world, repository).await;
    assert!(report.has_differences());
    assert_eq!(
        proof(database, &tenant("acme")).await,
        None,
        "no proof of what differs"
    );
    let acme = report
        .tenants
        .iter()
        .position(|(name, _)| *name == tenant("acme"));
    match report.tenants.swap_remove(acme.unwrap()).1 {
        Drilled::Different { differences, .. } => differences,
        other => panic!("differences are expected, not {other:?}"),
    }
}

/// Three versions, an apply and a decision of `acme`, one version of `beta`, all shadowed.
async fn shadowed(world: &World) -> (Arc<MemoryDatabase>, Repository) {
    let (database, repository) = world.claimed().await;
    create_many(&repository, &tenant("acme"), 3).await;
    apply(&repository, &tenant("acme"), 2).await;
    create(&repository, &tenant("beta"), "b").await;
    drain(&repository).await;
    (database, repository)
}
