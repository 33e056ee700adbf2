//! Auditing 10,000 tenants that did not change, on Postgres, with files as the live system.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::adapters::postgres::{PostgresOptions, PostgresReader};
use driftline::adapters::sources::{FileOptions, FileSource};
use driftline::adapters::system::System;
use driftline::domain::{Resources, Seq, TenantId};
use driftline::hybrid::audit::{
    AuditPlan, AuditResult, AuditSettings, Audited, Auditor, Schedule, TenantPlan,
};
use driftline::hybrid::inspection::Inspector;
use driftline::ports::{CreateManifest, Durability, RecordApply};
use driftline::prelude::*;
use futures::StreamExt;
use sqlx::Row as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::database::{Bench, content, create};
use crate::harness::{Aim, Comparison, Row, Unit, interleave};

const TENANTS: usize = 10_000;

/// Tenants that both sides work on at once.
const AT_ONCE: usize = 8;

/// What an audit cannot do without, in one statement.
const READ: &str = "SELECT t.manifests_head, t.manifests_chain, t.decisions_head, m.seq, m.checksum, m.chain, m.content, \
    a.seq, a.checksum, a.content
    FROM driftline.tenant t
    JOIN driftline.entry m ON m.tenant = t.tenant AND m.stream = 0 AND m.seq = t.manifests_head
    JOIN driftline.entry a ON a.tenant = t.tenant AND a.stream = 1 AND a.seq = t.applies_head
    WHERE t.tenant = $1";

pub fn rows() -> Vec<Row> {
    vec![Row {
        name: "audit 10,000 unchanged tenants",
        unit: Unit::PerSecond,
        aim: Aim::Ratio(0.5),
        measure: || Box::pin(throughput()),
    }]
}

async fn throughput() -> Comparison {
    let bench = Bench::open().await;
    let directory = tempfile::tempdir().expect("a directory");
    let tenants: Vec<TenantId> = (0..TENANTS)
        .map(|number| format!("tenant-{number:05}").parse().expect("a good name"))
        .collect();
    fill(&bench, &tenants, directory.path()).await;
    let auditor = auditor(&bench, directory.path()).await;
    let pool = &bench.floor;
    let floor = async || {
        let begin = Instant::now();
        let reads = tenants.iter().map(|tenant| async move {
            let mut transaction = pool.begin().await.expect("a transaction");
            let scope = sqlx::query("SELECT set_config('driftline.tenant', $1, true)");
            let scope = scope.bind(tenant.as_str());
            scope.execute(&mut *transaction).await.expect("a setting");
            let row = sqlx::query(READ).bind(tenant.as_str());
            let row = row.fetch_one(&mut *transaction).await.expect("a row");
            assert!(row.get::<Vec<u8>, _>(6).len() > 1000);
        });
        let reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        reads.collect::<Vec<()>>().await;
        per_second(begin)
    };
    let driftline = async || {
        let begin = Instant::now();
        let stored = AtomicU64::new(0);
        let listener = |AuditResult { tenant, audited }: AuditResult| match audited {
            Audited::Stored(report) if report.drift.items.is_empty() => {
                stored.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("{tenant}: {other:?}"),
        };
        let stop = CancellationToken::new();
        auditor
            .run(None, &listener, &stop)
            .await
            .expect("the audits run");
        assert_eq!(stored.into_inner(), TENANTS as u64);
        per_second(begin)
    };
    interleave(floor, driftline).await
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn per_second(begin: Instant) -> f64 {
    TENANTS as f64 / begin.elapsed().as_secs_f64()
}

/// Every tenant has one version, applied, and live as it is desired.
async fn fill(bench: &Bench, tenants: &[TenantId], directory: &Path) {
    let content = content();
    let document: serde_json::Value =
        serde_json::from_slice(content.as_bytes()).expect("content is JSON");
    let roles = document["roles"].as_array().expect("roles");
    let mut resources = Resources::new();
    let mut live = serde_json::json!({ "resources": { "roles": {} } });
    for role in roles {
        let id = role["id"].as_str().expect("an id");
        let known = resources.entry("roles".to_owned()).or_default();
        known.insert(id.to_owned(), format!("live-{id}"));
        live["resources"]["roles"][format!("live-{id}")] = role.clone();
    }
    let live = live.to_string();
    let request: CreateManifest = create(&content);
    let (resources, live, request) = (&resources, &live, &request);
    let filled = tenants.iter().map(|tenant| async move {
        let created = bench
            .repository
            .create_manifest(tenant, request.clone())
            .await;
        let version: Seq = created.expect("a version").manifest.version();
        let apply = RecordApply {
            version,
            resources: resources.clone(),
            allow_unknown: false,
            created_by: None,
            message: None,
            durability: Durability::Committed,
        };
        let applied = bench.repository.record_apply(tenant, apply).await;
        applied.expect("an apply");
        let file = directory.join(format!("{tenant}.json"));
        std::fs::write(file, live).expect("a file");
    });
    let filled = futures::stream::iter(filled).buffer_unordered(16);
    filled.collect::<Vec<()>>().await;
}

async fn auditor(bench: &Bench, directory: &Path) -> Auditor {
    let options = PostgresOptions::default();
    let reader = PostgresReader::connect(&bench.url, options)
        .await
        .expect("a good URL");
    let snapshots = Arc::new(MemorySnapshotStore::new());
    let inspector = Inspector::new(Arc::new(reader), snapshots, Arc::new(System));
    let url = format!("file:{}/{{tenant}}.json", directory.display());
    let source = FileSource::new(&url, FileOptions::default()).expect("a good URL");
    let plan = AuditPlan {
        default: TenantPlan {
            source: Some(Arc::new(source)),
            schedule: Schedule::every(std::time::Duration::from_mins(15)),
            receivers: Vec::new(),
        },
        ..AuditPlan::default()
    };
    let settings = AuditSettings {
        parallelism: AT_ONCE,
        ..AuditSettings::default()
    };
    let log = Arc::new(bench.store.clone());
    Auditor::new(
        inspector,
        log,
        Arc::new(System),
        Arc::new(System),
        plan,
        settings,
    )
}
