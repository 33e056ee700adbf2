//! What a recovery that changes nothing keeps in memory.

use std::sync::Arc;

use driftline::adapters::memory::{MemoryDatabase, MemorySnapshotStore};
use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::hybrid::{HybridManifestRepository, Progress, Settings, Sides, Whom};
use driftline::ports::{CreateManifest, RecoveryRequest};
use driftline::prelude::*;
use tokio_util::sync::CancellationToken;

use super::{ALLOCATOR, alone};

const ENTRIES: usize = 60;

fn repository(bucket: &MemorySnapshotStore) -> HybridManifestRepository {
    let system = Arc::new(System);
    let sides = Sides {
        database: Arc::new(MemoryDatabase::new(system.clone(), system.clone())),
        snapshots: Arc::new(bucket.clone()),
        clock: system.clone(),
        entropy: system,
    };
    let settings = Settings {
        concurrent_tenants: 1,
        ..Settings::default()
    };
    HybridManifestRepository::new(sides, settings)
}

/// A database that has lost everything, beside a bucket with so many tenants.
async fn lost(tenants: usize) -> HybridManifestRepository {
    let bucket = MemorySnapshotStore::new();
    let owner = repository(&bucket);
    owner.check_ownership().await.unwrap();
    for number in 0..tenants {
        let tenant: TenantId = format!("t{number:03}").parse().unwrap();
        for version in 0..ENTRIES {
            let content = format!(r#"{{"schemaVersion":"1","n":{version}}}"#);
            let request = CreateManifest {
                content: content.into_bytes(),
                ..CreateManifest::default()
            };
            owner.create_manifest(&tenant, request).await.unwrap();
        }
    }
    owner.drain(CancellationToken::new()).await.unwrap();
    repository(&bucket)
}

/// The most that was allocated at once while everything was looked at, and how many rows were told.
async fn most(tenants: usize, is_written: bool) -> (usize, usize) {
    let repository = lost(tenants).await;
    let (request, progress) = (RecoveryRequest::default(), Progress::default());
    let told = std::sync::atomic::AtomicUsize::new(0);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    if is_written {
        let count = |plan: driftline::domain::recovery::TenantPlan| {
            told.fetch_add(plan.rows.len(), std::sync::atomic::Ordering::Relaxed);
        };
        let plan = repository
            .plan_recovery_to(Whom::All, &request, &progress, &count)
            .await
            .unwrap();
        assert_eq!(plan.failed, []);
    } else {
        let request = RecoveryRequest {
            dry_run: true,
            ..request
        };
        let report = repository.recover_all(&request, &progress).await.unwrap();
        let restored = report.tenants.iter().map(|(_, it)| it.as_ref().unwrap());
        let restored: u64 = restored.map(|it| it.restored).sum();
        assert_eq!(restored, (tenants * ENTRIES) as u64);
    }
    let most = ALLOCATOR.peak_usage().saturating_sub(before);
    (most, told.into_inner())
}

#[test]
fn what_a_recovery_would_do_is_not_kept_entry_by_entry() {
    /// Far less than the rows of a tenant take: its name, and counts.
    const PER_TENANT: usize = 2 * 1024;
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for is_written in [false, true] {
            let (few, told) = runtime.block_on(most(4, is_written));
            assert_eq!(told, if is_written { 4 * ENTRIES } else { 0 });
            let (many, _) = runtime.block_on(most(64, is_written));
            assert!(
                many < few + 60 * PER_TENANT,
                "{few} bytes for 4 tenants, {many} for 64 (written: {is_written})"
            );
        }
    });
}
