//! Repairs, and two histories that become one.

use async_trait::async_trait;
use driftline::domain::format::{Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::{Entry, EntryId, Seq, Stream, TenantId};
use driftline::hybrid::integrity::{ReadData, VerifyProgress};
use driftline::hybrid::{OnFailover, Progress, Standing};
use driftline::ports::{Hint, RecoveryRequest, SnapshotStore as _};
use driftline::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calls::Calls;
use crate::site::Site;
use crate::support::world::{
    Repository, World, apply, content, create, create_many, drain, tenant,
};
use crate::sweep::{Operation, sweep, sweep_where};

/// A tenant of which everything is shadowed, and then a damaged and a missing snapshot, a lost row, a damaged index, and where
/// there are pages a lost one.
struct Repair {
    versions: usize,
}

fn flip(world: &World, key: &str) {
    let mut bytes = world.memory.remove(key).unwrap().to_vec();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    world.memory.insert(key, bytes);
}

fn has_page(versions: usize) -> bool {
    versions > 128
}

#[async_trait]
impl Operation for Repair {
    async fn site(&self) -> Site {
        let mut world = World::new();
        // So many reads at once come in no order that would be the same every time.
        world.settings.concurrent_requests = 1;
        let (database, repository) = world.claimed().await;
        let acme = tenant("acme");
        create_many(&repository, &acme, self.versions).await;
        apply(&repository, &acme, 2).await;
        drain(&repository).await;
        create(&repository, &tenant("other"), "only").await;
        create(&repository, &acme, "one more").await;
        drain(&repository).await;
        let site = Site::new(world, database).await;
        let memory = &site.world.memory;
        flip(&site.world, "acme/versions/v000002.json");
        memory.remove("acme/versions/v000003.json").unwrap();
        site.database
            .lose_row(&acme, Stream::Manifests, Seq::new(4));
        if has_page(self.versions) {
            let page = page_key(&acme, Stream::Manifests, 1);
            memory.remove(&page).unwrap();
            flip(&site.world, &index_key(&acme, Stream::Applies));
        } else {
            flip(&site.world, &index_key(&acme, Stream::Manifests));
            memory.remove(&index_key(&acme, Stream::Applies)).unwrap();
        }
        site
    }

    async fn run(&self, process: &Repository) -> Result<(), String> {
        let text = |error: driftline::ports::Error| error.to_string();
        let plan = process.plan_repair(None).await.map_err(text)?;
        if !plan.unseen.is_empty() || plan.left().count() > 0 {
            return Err(format!("not everything can be mended: {plan:#?}"));
        }
        let report = process.apply_repair(&plan).await.map_err(text)?;
        for (_, outcome) in report.tenants {
            outcome.map_err(text)?;
        }
        let drained = process.drain(tokio_util::sync::CancellationToken::new());
        let left = drained.await.map_err(text)?.left;
        if left.backing_off + left.stopped + left.ready + left.leased > 0 {
            let status = process.status(None, None, 10).await.map_err(text)?;
            return Err(format!("something is left: {status:#?}"));
        }
        Ok(())
    }

    async fn done(&self, site: &Site) -> Result<(), String> {
        if site.now().await != site.rows {
            return Err("the rows are not those of before".to_owned());
        }
        let all = site.process(&Calls::default());
        let progress = VerifyProgress::default();
        let report = all.verify_all(ReadData::All, &progress);
        let report = report.await.unwrap();
        if report.has_damage() {
            return Err(format!("there is damage: {:#?}", report.findings));
        }
        site.agree().await
    }

    async fn kept(&self, site: &Site) -> Result<(), String> {
        let now = site.now().await;
        for (stream, entries) in &site.rows {
            for entry in entries {
                let rows = now.get(stream).into_iter().flatten();
                let ours: Vec<_> = rows.filter(|row| row.meta.seq == entry.meta.seq).collect();
                if ours.iter().any(|row| *row != entry) || ours.len() > 1 {
                    return Err(format!("{} is another", entry.meta.seq));
                }
                let object = site.world.memory.get(&key(entry), u64::MAX).await.unwrap();
                let is_there = object.is_some_and(|it| it.bytes == Snapshot::write(entry));
                if ours.is_empty() && !is_there {
                    return Err(format!("{} is lost", entry.meta.seq));
                }
            }
        }
        Ok(())
    }
}

fn key(entry: &Entry) -> String {
    let meta = &entry.meta;
    snapshot_key(&meta.tenant, meta.stream, meta.seq, meta.epoch)
}

/// A replica that lagged was promoted and went on: both histories are to be kept.
struct Resolve;

const COMMON: [&str; 2] = ["one", "two"];
const THEIRS: [&str; 2] = ["theirs one", "theirs two"];
const OURS: [&str; 2] = ["ours one", "ours two"];

fn canonical(tag: &str) -> Vec<u8> {
    driftline::domain::content::canonicalize(&content(tag)).unwrap()
}

impl Resolve {
    fn versions(site: &BTreeMap<(TenantId, Stream), Vec<Entry>>) -> Vec<Vec<u8>> {
        let versions = &site[&(tenant("acme"), Stream::Manifests)];
        let bytes = versions.iter().map(|it| it.content.as_bytes().to_vec());
        bytes.collect()
    }
}

#[async_trait]
impl Operation for Resolve {
    async fn site(&self) -> Site {
        let mut world = World::new();
        world.settings.on_failover = OnFailover::Trust;
        let acme = tenant("acme");
        let (primary, lost) = world.claimed().await;
        for tag in COMMON {
            create(&lost, &acme, tag).await;
        }
        apply(&lost, &acme, 1).await;
        create(&lost, &tenant("other"), "only").await;
        drain(&lost).await;
        let replica = Arc::new(primary.backup());
        for tag in THEIRS {
            create(&lost, &acme, tag).await;
        }
        apply(&lost, &acme, 4).await;
        drain(&lost).await;
        let restored = world.repository(&replica);
        restored.check_ownership().await.unwrap();
        for tag in OURS {
            create(&restored, &acme, tag).await;
        }
        apply(&restored, &acme, 3).await;
        assert_eq!(drain(&restored).await.left.stopped, 1);
        Site::new(world, replica).await
    }

    async fn run(&self, process: &Repository) -> Result<(), String> {
        let request = RecoveryRequest {
            resolve_divergence: true,
            ..RecoveryRequest::default()
        };
        let recovery = process.recover_from_s3(&tenant("acme"), &request).await;
        let recovery = recovery.map_err(|error| error.to_string())?;
        if !recovery.failures.is_empty() {
            return Err(format!("{:?}", recovery.failures));
        }
        let drained = process.drain(tokio_util::sync::CancellationToken::new());
        let left = drained.await.map_err(|error| error.to_string())?.left;
        if left.backing_off + left.stopped + left.ready + left.leased > 0 {
            return Err("something is left".to_owned());
        }
        Ok(())
    }

    async fn again(&self, process: &Repository) -> Result<(), String> {
        let first = self.run(process).await;
        // Cut off after `bucket.json` was taken over, it leaves a database that awaits recovery as a whole, and says so.
        match process.check_ownership().await {
            Ok(Standing::Owner(_)) => first,
            Ok(Standing::Refused(reason))
                if matches!(reason.hint, Some(Hint::Recover { tenant: None, .. })) =>
            {
                let (request, progress) = (RecoveryRequest::default(), Progress::default());
                let report = process.recover_all(&request, &progress).await;
                let report = report.map_err(|error| error.to_string())?;
                match report.unfinished {
                    None => self.run(process).await,
                    Some(unfinished) => Err(unfinished),
                }
            }
            other => Err(format!("{other:?}")),
        }
    }

    async fn done(&self, site: &Site) -> Result<(), String> {
        let rows = site.now().await;
        let expected = COMMON.into_iter().chain(THEIRS).chain(OURS);
        let expected: Vec<_> = expected.map(canonical).collect();
        if Self::versions(&rows) != expected {
            return Err("the versions are not those of both histories".to_owned());
        }
        let applies = &rows[&(tenant("acme"), Stream::Applies)];
        let decisions = &rows[&(tenant("acme"), Stream::Decisions)];
        if (applies.len(), decisions.len()) != (3, 1) {
            let (applies, decisions) = (applies.len(), decisions.len());
            return Err(format!("{applies} applies and {decisions} decisions"));
        }
        site.agree().await
    }

    async fn kept(&self, site: &Site) -> Result<(), String> {
        let mut times = BTreeMap::<EntryId, u32>::new();
        for entry in site.now().await.values().flatten() {
            *times.entry(entry.meta.id).or_default() += 1;
        }
        let is_once = |entry: &&Entry| times.get(&entry.meta.id) == Some(&1);
        if let Some(entry) = site.rows.values().flatten().find(|it| !is_once(it)) {
            return Err(format!("{} is not there once", entry.meta.seq));
        }
        for version in 1..=4 {
            let key = format!("acme/versions/v{version:06}.json");
            if site
                .world
                .memory
                .get(&key, u64::MAX)
                .await
                .unwrap()
                .is_none()
            {
                return Err(format!("{key} is lost"));
            }
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_repair_survives_every_fault_at_every_call() {
    sweep("repair", &Repair { versions: 4 }).await;
}

/// Most calls read one of many snapshots or rows, and are those of the other sweep: here it is the page's.
#[tokio::test(start_paused = true)]
async fn a_repair_of_a_page_survives_every_fault_at_every_call_for_it() {
    let page = page_key(&tenant("acme"), Stream::Manifests, 1);
    let repair = Repair { versions: 130 };
    sweep_where("repair a page", &repair, |_, what| what.contains(&page)).await;
}

#[tokio::test(start_paused = true)]
async fn a_resolution_of_two_histories_survives_every_fault_at_every_call() {
    sweep("resolve a divergence", &Resolve).await;
}
