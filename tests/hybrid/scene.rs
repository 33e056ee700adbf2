//! One tenant of which a test damages a side.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::index_key;
use driftline::domain::integrity::Finding;
use driftline::domain::{Entry, Seq, Stream, TenantId};
use driftline::hybrid::integrity::{ReadData, RepairPlan, VerifyReport};
use driftline::ports::ManifestStore as _;

use crate::support::world::*;

pub struct Scene {
    pub world: World,
    pub database: Arc<MemoryDatabase>,
    pub repository: Repository,
    pub acme: TenantId,
}

impl Scene {
    /// So many versions, none of which is shadowed.
    pub async fn pending(versions: usize) -> Self {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        let acme = tenant("acme");
        create_many(&repository, &acme, versions).await;
        Self {
            world,
            database,
            repository,
            acme,
        }
    }

    /// So many versions, all of them shadowed.
    pub async fn shadowed(versions: usize) -> Self {
        let scene = Self::pending(versions).await;
        drain(&scene.repository).await;
        scene
    }

    /// So many versions of which this one was applied, all of it shadowed.
    pub async fn applied(versions: usize, version: u64) -> Self {
        let scene = Self::pending(versions).await;
        apply(&scene.repository, &scene.acme, version).await;
        drain(&scene.repository).await;
        scene
    }

    pub async fn row(&self, stream: Stream, seq: u64) -> Entry {
        let stored = self.database.entry(&self.acme, stream, Seq::new(seq)).await;
        stored.unwrap().unwrap().entry
    }

    /// Loses the row of a version.
    pub fn lose_row(&self, seq: u64) {
        let seq = Seq::new(seq);
        self.database.lose_row(&self.acme, Stream::Manifests, seq);
    }

    /// Damages the row of a version.
    pub fn damage_row(&self, seq: u64) {
        let (seq, content) = (Seq::new(seq), r#"{"schemaVersion":"rotten"}"#);
        let (acme, stream) = (&self.acme, Stream::Manifests);
        self.database.damage_row(acme, stream, seq, content);
    }

    pub fn lose_index(&self, stream: Stream) {
        let lost = self.world.memory.remove(&index_key(&self.acme, stream));
        assert!(lost.is_some());
    }

    pub async fn verify(&self, read: ReadData) -> VerifyReport {
        self.repository.verify(&self.acme, read).await.unwrap()
    }

    pub async fn damage(&self) -> Vec<Finding> {
        let findings = self.verify(ReadData::All).await.findings;
        findings.into_iter().filter(Finding::is_damage).collect()
    }

    /// Carries out a repair.
    pub async fn mend(&self) -> RepairPlan {
        let plan = self.repository.plan_repair(None).await.unwrap();
        for (_, outcome) in self.repository.apply_repair(&plan).await.unwrap().tenants {
            outcome.unwrap();
        }
        plan
    }

    pub async fn assert_settled(&self) {
        self.world.assert_settled(&self.database, &self.acme).await;
    }
}
