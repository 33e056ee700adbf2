//! Every kind of damage is found, named, and mended without touching what is well.

mod histories;
mod looks;
mod mending;
mod other_bytes;
mod plans;

use std::sync::Arc;

use bytes::Bytes;
use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::format::{BUCKET_KEY, Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::integrity::{Finding, Mend, Verdict};
use driftline::domain::{Seq, Stream};
use driftline::hybrid::integrity::{Action, ReadData, RepairPlan, VerifyProgress};
use driftline::ports::{ErrorKind, ManifestStore as _, SnapshotStore};

use crate::scene::Scene;
use crate::support::world::*;
use driftline_conformance::faults::{Flaw, On};

const V2: &str = "acme/versions/v000002.json";

/// A tenant with so many versions, an apply, and everything shadowed.
async fn with(versions: usize) -> Scene {
    Scene::applied(versions, 1).await
}

impl Scene {
    /// The only damage there is.
    async fn only(&self, read: ReadData) -> Finding {
        let report = self.verify(read).await;
        let [finding] = &report.findings[..] else {
            panic!("one finding is expected: {:#?}", report.findings)
        };
        finding.clone()
    }

    async fn plan(&self) -> RepairPlan {
        self.repository.plan_repair(Some(&self.acme)).await.unwrap()
    }

    /// Repairs, and sees that all is well and that every version is what it was.
    async fn repair(&self, versions: usize) {
        let plan = self.plan().await;
        assert!(plan.actions() > 0, "{plan:#?}");
        let report = self.repository.apply_repair(&plan).await.unwrap();
        for (_, outcome) in report.tenants {
            outcome.unwrap();
        }
        drain(&self.repository).await;
        let after = self.verify(ReadData::All).await;
        assert_eq!(after.findings, [], "{plan:#?}");
        self.assert_settled().await;
        // What the bucket holds brings the very same history back.
        let other = self.world.database();
        let fresh = self.world.repository(&other);
        recover_all(&fresh).await;
        for version in 1..=versions as u64 {
            let read = async |repository: &Repository| {
                use driftline::prelude::*;
                let found = repository.manifest_by_version(&self.acme, Seq::new(version));
                found.await.unwrap().unwrap().entry
            };
            assert_eq!(read(&fresh).await, read(&self.repository).await);
        }
    }

    fn flip(&self, key: &str) {
        let mut bytes = self.world.memory.remove(key).unwrap().to_vec();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        self.world.memory.insert(key, bytes);
    }

    async fn quarantined(&self) -> Vec<String> {
        self.world.keys("_driftline/quarantine/").await
    }
}
