//! What decisions amount to is kept in memory: no decision is read twice, and nothing is kept for another history.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::drift::{Policy, Unmanaged};
use driftline::domain::{Entry, Seq, Stream, TenantId};
use driftline::hybrid::inspection::Inspector;
use driftline::ports::{
    Asked, Clock as _, DecideDrift, DriftDecision, Durability, ReadSession, StateReader,
    StoreResult, TenantDocuments,
};
use driftline::prelude::*;

use crate::scene::Scene;
use crate::support::world::*;

/// Reads a database that can be put in another one's place, and counts the decisions.
#[derive(Debug)]
struct Counting {
    database: Mutex<Arc<MemoryDatabase>>,
    decisions: AtomicUsize,
}

impl Counting {
    fn inspector(scene: &Scene) -> (Arc<Self>, Inspector) {
        let reader = Arc::new(Self {
            database: Mutex::new(scene.database.clone()),
            decisions: AtomicUsize::new(0),
        });
        let bucket = Arc::new(scene.world.bucket.clone());
        let inspector = Inspector::new(reader.clone(), bucket, scene.world.clock.clone());
        (reader, inspector)
    }

    fn database(&self) -> Arc<MemoryDatabase> {
        self.database.lock().unwrap().clone()
    }

    /// The decisions that were read since it was asked last.
    fn read(&self) -> usize {
        self.decisions.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl StateReader for Counting {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        self.database().tenant_names(after, limit).await
    }

    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        let found = self.database().documents(tenants, max_bytes).await?;
        let decisions = found.0.iter().map(|found| found.decisions.len()).sum();
        self.decisions.fetch_add(decisions, Ordering::Relaxed);
        Ok(found)
    }

    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        self.database().stored_entry(tenant, stream, seq).await
    }

    async fn session(&self) -> StoreResult<ReadSession> {
        self.database().session().await
    }
}

async fn decide(repository: &Repository, tenant: &TenantId, unmanaged: Unmanaged) {
    let policy = Policy {
        unmanaged,
        ..Policy::default()
    };
    let request = DecideDrift {
        decision: DriftDecision::Policy(policy),
        created_by: None,
        message: None,
        durability: Durability::Committed,
    };
    repository.decide_drift(tenant, request).await.unwrap();
}

async fn decided(scene: &Scene, policies: &[Unmanaged]) {
    for policy in policies {
        decide(&scene.repository, &scene.acme, *policy).await;
    }
}

async fn unmanaged(inspector: &Inspector, tenant: &TenantId) -> Unmanaged {
    let inspected = inspector.read_one(tenant).await.unwrap().unwrap();
    inspected.rules.policy.unmanaged
}

use Unmanaged::{Delete, Ignore, Report};

#[tokio::test(start_paused = true)]
async fn no_decision_is_read_twice() {
    let scene = Scene::shadowed(1).await;
    decided(&scene, &[Ignore, Delete, Ignore]).await;
    let (reader, inspector) = Counting::inspector(&scene);
    assert_eq!(unmanaged(&inspector, &scene.acme).await, Ignore);
    assert_eq!(reader.read(), 3);
    assert_eq!(unmanaged(&inspector, &scene.acme).await, Ignore);
    assert_eq!(reader.read(), 0, "nothing was decided since");
    decided(&scene, &[Delete]).await;
    assert_eq!(unmanaged(&inspector, &scene.acme).await, Delete);
    assert_eq!(reader.read(), 1, "the one that is new");
    // Of a page of tenants each has its own.
    let other = tenant("beta");
    create(&scene.repository, &other, "1").await;
    decide(&scene.repository, &other, Ignore).await;
    let names = [tenant("abc"), scene.acme.clone(), other];
    for expected in [1, 0] {
        let found = inspector.read(&names).await.unwrap();
        let policies = found.into_iter().map(|(name, found)| {
            let unmanaged = found.unwrap().rules.policy.unmanaged;
            (name.to_string(), unmanaged)
        });
        let expected_policies = [("acme", Delete), ("beta", Ignore)];
        assert!(policies.eq(expected_policies.map(|(name, policy)| (name.to_owned(), policy))));
        assert_eq!(reader.read(), expected);
    }
}

/// The watermark's chain is looked for in whatever history is there: shorter, as long, longer by one or by more.
#[tokio::test(start_paused = true)]
async fn a_projection_counts_for_its_own_history_only() {
    let scene = Scene::shadowed(1).await;
    decided(&scene, &[Delete, Delete]).await;
    for policies in [
        &[][..],
        &[Ignore],
        &[Delete, Ignore],
        &[Delete, Delete, Ignore],
        &[Delete, Delete, Ignore, Ignore],
    ] {
        let (reader, inspector) = Counting::inspector(&scene);
        assert_eq!(unmanaged(&inspector, &scene.acme).await, Delete);
        // What is there now began with another version, at another time.
        let other = Scene::shadowed(2).await;
        tokio::time::sleep(std::time::Duration::from_secs(7)).await;
        decided(&other, policies).await;
        *reader.database.lock().unwrap() = other.database.clone();
        let expected = policies.last().copied().unwrap_or(Report);
        for _ in 0..2 {
            let found = unmanaged(&inspector, &scene.acme).await;
            assert_eq!(found, expected, "after {policies:?}");
        }
        reader.read();
        unmanaged(&inspector, &scene.acme).await;
        assert_eq!(reader.read(), 0, "{policies:?} is kept as well");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_and_a_look_at_the_rules_share_what_is_known() {
    let scene = Scene::shadowed(1).await;
    let (repository, acme) = (&scene.repository, &scene.acme);
    decided(&scene, &[Ignore]).await;
    assert_eq!(
        repository.drift_rules(acme).await.unwrap().policy.unmanaged,
        Ignore
    );
    // Whoever read it once more would find it damaged.
    let (stream, seq) = (Stream::Decisions, Seq::new(1));
    scene.database.damage_row(acme, stream, seq, "{}");
    decided(&scene, &[Delete]).await;
    assert_eq!(
        repository.drift_rules(acme).await.unwrap().policy.unmanaged,
        Delete
    );
    let report = repository.detect_drift(acme, None).await.unwrap();
    assert!(report.damaged_rows.is_empty());
    let at = scene.world.clock.now();
    let found = repository.manifest_at(acme, at).await.unwrap().unwrap();
    assert_eq!(found.entry.meta.seq, Seq::new(1));
    let damaged = async || repository.stats(acme).await.unwrap().damaged_reads;
    assert_eq!(damaged().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_damaged_decision_led_to_is_not_kept() {
    let scene = Scene::shadowed(1).await;
    decided(&scene, &[Ignore, Delete]).await;
    drain(&scene.repository).await;
    let (stream, seq) = (Stream::Decisions, Seq::new(1));
    scene.database.damage_row(&scene.acme, stream, seq, "{}");
    for _ in 0..2 {
        let report = scene.repository.detect_drift(&scene.acme, None).await;
        assert_eq!(
            report.unwrap().damaged_rows.len(),
            1,
            "it is told each time"
        );
    }
    let (reader, inspector) = Counting::inspector(&scene);
    for _ in 0..2 {
        assert_eq!(unmanaged(&inspector, &scene.acme).await, Delete);
        assert_eq!(reader.read(), 2);
    }
}
