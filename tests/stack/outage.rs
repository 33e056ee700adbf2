//! A bucket whose server stops answering, or dies: writes go on as ever, and everything lands afterwards.

use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::s3::{S3Options, S3SnapshotStore};
use driftline::adapters::system::System;
use driftline::domain::{Stream, TenantId};
use driftline::hybrid::{HybridManifestRepository, Settings, Sides};
use driftline::ports::{CreateManifest, Database, SnapshotStore};
use driftline::prelude::*;
use tokio::time::Instant;

use crate::support::audit;
use crate::support::pairs::settings;
use crate::support::{localstack, postgres};
use crate::tenant;
use driftline_conformance::services::LocalStack;
use driftline_conformance::services::free_port;

/// How long a request to the bucket is waited for: much longer than a write may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bucket on a server that the test may stop and kill.
struct Stack {
    server: LocalStack,
    port: u16,
    database: Arc<dyn Database>,
    _postgres: driftline_conformance::services::Database,
    snapshots: Arc<dyn SnapshotStore>,
    repository: HybridManifestRepository,
    acme: TenantId,
}

impl Stack {
    async fn new() -> Self {
        let port = free_port();
        let server = LocalStack::start(port);
        let options = S3Options {
            connect_timeout: PATIENCE,
            request_timeout: PATIENCE,
            operation_timeout: PATIENCE,
            ..localstack::options(server.endpoint())
        };
        let url = format!("s3://{}/prefix", server.fresh_bucket());
        let snapshots: Arc<dyn SnapshotStore> =
            Arc::new(S3SnapshotStore::connect(&url, &options).await.unwrap());
        let (postgres, database) = postgres::unclaimed().await;
        let database: Arc<dyn Database> = Arc::new(database);
        let sides = Sides {
            database: Arc::clone(&database),
            snapshots: Arc::clone(&snapshots),
            clock: Arc::new(System),
            entropy: Arc::new(System),
        };
        let settings = Settings {
            max_backoff: Duration::from_secs(1),
            ..settings()
        };
        let repository = HybridManifestRepository::new(sides, settings);
        repository.check_ownership().await.unwrap();
        repository.start();
        Self {
            server,
            port,
            database,
            _postgres: postgres,
            snapshots,
            repository,
            acme: tenant("acme"),
        }
    }

    /// Writes for about three time-outs, and returns how long each write took.
    async fn write(&self, what: &str) -> Vec<Duration> {
        let mut took = Vec::new();
        for number in 0..60 {
            let request = CreateManifest {
                content: format!(r#"{{"schemaVersion":"1","what":"{what}","number":{number}}}"#)
                    .into_bytes(),
                ..CreateManifest::default()
            };
            let started = Instant::now();
            let created = self.repository.create_manifest(&self.acme, request).await;
            created.unwrap();
            took.push(started.elapsed());
            tokio::time::sleep(PATIENCE / 20).await;
        }
        took.sort();
        took
    }

    /// Writes while the bucket is away: as fast as before, and told apart from a database that fails.
    async fn write_without_bucket(&self, usual: &[Duration]) {
        let took = self.write("away").await;
        let (median, before) = (took[took.len() / 2], usual[usual.len() / 2]);
        assert!(
            median < 4 * before + Duration::from_millis(20),
            "a write takes {median:?}, not {before:?} as before"
        );
        // Had one waited for the bucket, it would have taken that long.
        assert!(took[took.len() - 1] < PATIENCE, "{took:?}");
        let health = self.repository.health_check().await;
        assert!(health.database.reachable && !health.bucket.reachable);
        assert_eq!(health.refusal, None);
        let status = self.status().await;
        assert!(status.at_risk.entries > 0 && status.at_risk.bytes > 0);
        assert!(status.last_error.is_some() && status.halted.is_none());
    }

    async fn status(&self) -> driftline::ports::TenantStatus {
        let status = self.repository.status(Some(&self.acme), None, 1).await;
        status.unwrap().remove(0)
    }

    async fn assert_everything_lands(&self, versions: usize) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.status().await.at_risk.entries > 0 {
            let late = Instant::now() > deadline;
            assert!(!late, "{:?}", self.status().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (database, snapshots) = (self.database.as_ref(), self.snapshots.as_ref());
        let history = audit::settled(database, snapshots, &self.acme).await;
        assert_eq!(history[Stream::Manifests].len(), versions);
        assert_eq!(self.status().await.last_error, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_s3_hangs_writes_keep_their_latency_and_everything_lands_when_it_goes_on() {
    let stack = Stack::new().await;
    let usual = stack.write("before").await;
    stack.server.pause();
    stack.write_without_bucket(&usual).await;
    stack.server.resume();
    stack.assert_everything_lands(120).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_that_was_killed_and_comes_back_empty_is_filled_with_the_whole_history_once_that_is_meant()
 {
    let mut stack = Stack::new().await;
    let usual = stack.write("before").await;
    stack.server.kill();
    stack.write_without_bucket(&usual).await;
    stack.server = LocalStack::start(stack.port);
    stack.server.fresh_bucket();
    // It might as well be another bucket: nothing is shadowed before that is said to be meant.
    stack.repository.start_new_bucket().await.unwrap();
    stack.assert_everything_lands(120).await;
}
