//! A database with many tenants, of which few are written to.

use std::sync::Arc;
use std::time::Duration;

use driftline::domain::TenantId;
use driftline::domain::format::{BUCKET_KEY, BucketIdentity};
use driftline::hybrid::Standing;
use driftline::ports::{
    CreateManifest, Precondition, RecoveryStore as _, ShadowLedger as _, SnapshotStore as _,
    StateReader as _,
};
use driftline::prelude::*;
use futures::StreamExt;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bucket;
use crate::database::Bench;
use crate::harness::size;
use crate::shadow::Noticing;
use crate::support::postgres::Reached as _;

/// Tenants that are written to.
pub const ACTIVE: usize = 2_000;

/// One tenant of which all others are copies. Their chains are not theirs, which nobody sees who does not write.
const MODEL: &str = "idle-000000";

/// A database with many tenants, and its bucket. Nothing is pending.
pub struct Crowd {
    pub bench: Bench,
    pub bucket: Arc<Noticing>,
}

/// 100,000 tenants, shared by all rows that need them.
pub async fn many() -> &'static Crowd {
    static MANY: OnceCell<Crowd> = OnceCell::const_new();
    MANY.get_or_init(|| Crowd::make(size(100_000, 300), size(ACTIVE, 20)))
        .await
}

/// 1,000 tenants, to compare with.
pub async fn few() -> &'static Crowd {
    static FEW: OnceCell<Crowd> = OnceCell::const_new();
    FEW.get_or_init(|| Crowd::make(size(1_000, 30), 20)).await
}

/// A tenant that is written to.
pub fn active(number: usize) -> TenantId {
    format!("active-{number:06}").parse().expect("a good name")
}

impl Crowd {
    async fn make(tenants: usize, active_ones: usize) -> Self {
        let bench = Bench::open().await;
        let bucket = Arc::new(Noticing::default());
        // The bucket that the database was claimed for.
        let identity = bench.store.identity().await.expect("the store answers");
        let marker = BucketIdentity {
            bucket_id: identity.bucket_id.expect("the database is claimed"),
            database_id: identity.id,
            generation: identity.generation,
        };
        let put = bucket.put(BUCKET_KEY, marker.to_bytes(), Precondition::Absent);
        put.await.expect("the bucket answers");
        let repository =
            bucket::repository(Arc::new(bench.store.clone()), Arc::clone(&bucket) as _);
        let standing = repository.check_ownership().await;
        let Ok(Standing::Owner(owned)) = standing else {
            panic!("{standing:?}");
        };
        let probed = bench.store.record_probe(owned.bucket_id).await;
        probed.expect("the probe is on record");
        let names = (0..active_ones).map(active);
        let names = names.chain([MODEL.parse().expect("a good name")]);
        futures::stream::iter(names)
            .map(|tenant| {
                let repository = &repository;
                async move {
                    let content = br#"{"schemaVersion":"1","settings":{"note":"small"}}"#.to_vec();
                    let manifest = CreateManifest {
                        content,
                        ..CreateManifest::default()
                    };
                    let created = repository.create_manifest(&tenant, manifest).await;
                    created.expect("the repository writes");
                }
            })
            .buffer_unordered(16)
            .collect::<Vec<()>>()
            .await;
        let drained = repository.drain(CancellationToken::new()).await;
        drained.expect("everything is shadowed");
        let crowd = Self { bench, bucket };
        crowd.copy(tenants - active_ones - 1).await;
        crowd
    }

    /// Copies the model's rows as they are, whatever their columns.
    async fn copy(&self, copies: usize) {
        let database = &self.bench.database;
        let mut owner = database.connect(&database.owner()).await;
        let scope = "SELECT set_config('driftline.scope', 'all', false)";
        owner.execute(scope).await.expect("a setting");
        for table in ["tenant", "shadowing", "entry"] {
            let copy = format!(
                "INSERT INTO driftline.{table} SELECT r.* FROM driftline.{table} t, generate_series(1, {copies}) n,
                    LATERAL jsonb_populate_record(t, jsonb_build_object('tenant', 'idle-' || lpad(n::text, 6, '0'))) r
                WHERE t.tenant = '{MODEL}'"
            );
            let done = owner.execute(AssertSqlSafe(copy)).await;
            done.expect("the rows are copied");
        }
        for table in ["tenant", "shadowing", "entry"] {
            let vacuum = format!("VACUUM (ANALYZE) driftline.{table}");
            let vacuumed = owner.execute(AssertSqlSafe(vacuum)).await;
            vacuumed.expect("the table is vacuumed");
        }
    }

    /// The names of one page in the midst of all.
    pub async fn page(&self) -> Vec<TenantId> {
        let after = "idle-000001".parse().expect("a good name");
        let names = self.bench.store.tenant_names(Some(&after), 100).await;
        names.expect("the store answers")
    }
}

/// How long `once` takes in the middle of several times, in milliseconds.
pub async fn milliseconds<O>(mut once: impl FnMut() -> O) -> f64
where
    O: Future<Output = ()>,
{
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..size(15, 3) {
        let begin = Instant::now();
        once().await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
