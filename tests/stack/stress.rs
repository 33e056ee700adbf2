//! Two replicators and eight writers on twenty tenants, on Postgres and LocalStack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use driftline::domain::format::PAGE_SIZE;
use driftline::domain::{Seq, Stream, TenantId};
use driftline::hybrid::{HybridManifestRepository, Progress, Sides};
use driftline::ports::{
    CreateManifest, Durability, ErrorKind, RecordApply, RecoverTarget, RecoveryRequest,
};
use driftline::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::support::audit::{self, History};
use crate::support::pairs::{Kind, Pair, settings};
use crate::{soak, tenant};
use driftline_conformance::faults::{Chances, FaultyStore, Outcome};

const TENANTS: usize = 20;
const WRITERS: u64 = 8;

/// What a writer was told about: per tenant, the tags of its versions and how many applies and activations were recorded.
#[derive(Debug, Default)]
struct Acknowledged {
    tags: BTreeMap<TenantId, BTreeMap<Seq, String>>,
    applies: BTreeMap<TenantId, usize>,
}

/// One writer: mostly versions, some applies, some activations, on tenants picked at random.
async fn write(
    repository: Arc<HybridManifestRepository>,
    tenants: Vec<TenantId>,
    writer: u64,
    until: Instant,
) -> Acknowledged {
    let mut rng = StdRng::seed_from_u64(writer);
    let mut done = Acknowledged::default();
    for number in 0.. {
        if Instant::now() >= until {
            break;
        }
        // The first one is hot.
        let name = &tenants[rng.random_range(0..tenants.len() + 5).saturating_sub(5)];
        let known = done.tags.get(name).and_then(|tags| tags.keys().next_back());
        match (rng.random_range(0..10), known.copied()) {
            (0..2, Some(version)) => {
                apply(&repository, name, version).await;
                *done.applies.entry(name.clone()).or_default() += 1;
            }
            (2, Some(version)) => {
                let target = Seq::new(rng.random_range(1..=version.get()));
                activate(&repository, name, target).await;
            }
            _ => {
                let tag = format!("{writer}-{number}");
                let version = create(&repository, name, &tag, &mut rng).await;
                done.tags
                    .entry(name.clone())
                    .or_default()
                    .insert(version, tag);
            }
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await;
    }
    done
}

async fn create(
    repository: &HybridManifestRepository,
    tenant: &TenantId,
    tag: &str,
    rng: &mut StdRng,
) -> Seq {
    let filler = "x".repeat(rng.random_range(0..4000));
    let request = CreateManifest {
        content: format!(
            r#"{{"schemaVersion":"1","tag":"{tag}","filler":"{filler}","roles":[{{"id":"r1"}}]}}"#
        )
        .into_bytes(),
        created_by: Some("writer".parse().unwrap()),
        message: Some(tag.parse().unwrap()),
        ..CreateManifest::default()
    };
    let created = repository.create_manifest(tenant, request).await.unwrap();
    assert!(created.new);
    created.manifest.version()
}

async fn apply(repository: &HybridManifestRepository, tenant: &TenantId, version: Seq) {
    let resources = BTreeMap::from([("r1".to_owned(), "external".to_owned())]);
    let request = RecordApply {
        version,
        resources: BTreeMap::from([("roles".to_owned(), resources)]),
        allow_unknown: true,
        created_by: None,
        message: None,
        durability: Durability::Committed,
    };
    let state = repository.record_apply(tenant, request).await.unwrap();
    assert!(state.resolves);
}

/// Activates a version in place. Others write meanwhile: an activation that lost its race changes nothing.
async fn activate(repository: &HybridManifestRepository, tenant: &TenantId, version: Seq) {
    let request = RecoveryRequest {
        target: RecoverTarget::Version(version),
        ..RecoveryRequest::default()
    };
    match repository.recover_from_s3(tenant, &request).await {
        Ok(recovery) => {
            assert_eq!(recovery.failures, []);
            assert_eq!(recovery.restored, 0);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Stale, "{error}"),
    }
}

/// Every reference names a version by its number and its very chain.
fn assert_references_resolve(history: &History) {
    for stream in [Stream::Applies, Stream::Decisions] {
        for entry in &history[stream] {
            let found = stream.references(&entry.content);
            assert!(!found.is_empty());
            for reference in found {
                let place = usize::try_from(reference.version.get()).unwrap() - 1;
                let version = &history[Stream::Manifests][place].meta;
                assert_eq!(
                    version.chain, reference.chain,
                    "{stream} {} of {}",
                    entry.meta.seq, entry.meta.tenant
                );
            }
        }
    }
}

/// What was acknowledged is there: under its number, once, and nothing else is.
fn assert_acknowledged(tenant: &TenantId, history: &History, writers: &[Acknowledged]) {
    let mut told = BTreeMap::new();
    for (version, tag) in writers
        .iter()
        .filter_map(|done| done.tags.get(tenant))
        .flatten()
    {
        assert_eq!(
            told.insert(*version, tag.clone()),
            None,
            "{tenant} {version}"
        );
    }
    let there = history[Stream::Manifests].iter();
    let there: BTreeMap<_, _> = there
        .map(|entry| {
            (
                entry.meta.seq,
                entry.meta.message.clone().unwrap().to_string(),
            )
        })
        .collect();
    assert_eq!(there, told, "{tenant}");
    let tags: BTreeSet<_> = there.values().collect();
    assert_eq!(tags.len(), there.len(), "{tenant}");
    let applies: usize = writers
        .iter()
        .filter_map(|done| done.applies.get(tenant))
        .sum();
    assert_eq!(history[Stream::Applies].len(), applies, "{tenant}");
}

async fn wait_until_shadowed(repository: &HybridManifestRepository) {
    for _ in 0..600 {
        let tenants = repository.status(None, None, 1000).await.unwrap();
        for status in &tenants {
            assert_eq!(status.halted, None, "{}", status.state.tenant);
        }
        if tenants.iter().all(|status| status.at_risk.entries == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = repository.status(None, None, 1000).await.unwrap();
    let left: Vec<_> = left
        .iter()
        .filter(|status| status.at_risk.entries > 0)
        .collect();
    panic!("not everything is shadowed after a minute: {left:#?}");
}

/// Nothing is pending, and so nobody will look at an index that went back.
async fn assert_index_is_complete(pair: &Pair, tenant: &TenantId) {
    let state = pair.database.tenant(tenant).await.unwrap();
    for (stream, head) in state.iter().flat_map(|state| state.heads.iter()) {
        let named = audit::index(pair.snapshots.as_ref(), tenant, stream).await;
        let named = named.last().map_or(Seq::default(), |last| last.meta.seq);
        assert_eq!(named, head.seq, "index of {tenant}'s {stream}");
    }
}

/// Every fifth request to the bucket takes up to a tenth of a second.
fn slow() -> Chances {
    Chances {
        slow: 0.2,
        ..Chances::default()
    }
}

/// The database is lost, and everything comes back from the bucket alone, row by row, and takes writes again.
async fn comes_back(pair: &mut Pair, tenants: &[TenantId], before: &[History]) {
    pair.lose_database().await;
    let recovered = pair.repository().await;
    let report = recovered
        .recover_all(&RecoveryRequest::default(), &Progress::default())
        .await
        .unwrap();
    assert_eq!(report.unfinished, None, "{report:?}");
    let outcomes: Vec<_> = report
        .tenants
        .iter()
        .map(|(_, outcome)| outcome.as_ref().unwrap())
        .collect();
    assert_eq!(outcomes.len(), TENANTS);
    for outcome in outcomes {
        assert_eq!(
            (
                &*outcome.failures,
                &*outcome.orphans,
                &*outcome.void_references
            ),
            (&[][..], &[][..], &[][..])
        );
    }
    for (name, before) in tenants.iter().zip(before) {
        let (database, bucket) = (&pair.database, &pair.snapshots);
        let after = audit::settled(database.as_ref(), bucket.as_ref(), name).await;
        assert!(after == *before, "{name} came back otherwise");
        // And it takes writes again.
        let mut rng = StdRng::seed_from_u64(0);
        let next = create(&recovered, name, "after", &mut rng).await;
        assert_eq!(next.get(), before[Stream::Manifests].len() as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_eight_writers_and_two_replicators_index_and_database_are_equal() {
    let mut pair = Pair::new(Kind::Services).await;
    // Leases end in the middle of batches, and some requests take long: the two get into each other's way.
    let settings = settings();
    let ending = pair.ending_leases().await;
    let buckets = [1, 2].map(|seed| {
        let bucket = FaultyStore::around(Arc::clone(&pair.snapshots));
        bucket.randomly(seed, slow());
        bucket
    });
    let other = pair.another_connection().await;
    let [one, two] = [
        (Arc::clone(&pair.database), &buckets[0]),
        (other, &buckets[1]),
    ]
    .map(|(database, bucket)| {
        let sides = Sides {
            database,
            snapshots: Arc::new(bucket.clone()),
            ..pair.sides()
        };
        Arc::new(HybridManifestRepository::new(sides, settings.clone()))
    });
    for repository in [&one, &two] {
        repository.check_ownership().await.unwrap();
    }
    let tenants: Vec<_> = (0..TENANTS).map(|n| tenant(&format!("t{n}"))).collect();
    // Enough for pages to be sealed on the way.
    let (mut before, mut rng) = (Acknowledged::default(), StdRng::seed_from_u64(0));
    for number in 0..PAGE_SIZE {
        let tag = format!("before-{number}");
        let version = create(&one, &tenants[0], &tag, &mut rng).await;
        let tags = before.tags.entry(tenants[0].clone()).or_default();
        tags.insert(version, tag);
    }
    one.start();
    two.start();
    let rounds = if soak() { 60 } else { 5 };
    let mut done = vec![before];
    for round in 0..rounds {
        let until = Instant::now() + Duration::from_secs(2);
        let writers = (0..WRITERS).map(|writer| {
            let repository = if writer % 2 == 0 { &one } else { &two };
            let (repository, tenants) = (Arc::clone(repository), tenants.clone());
            tokio::spawn(write(repository, tenants, round * WRITERS + writer, until))
        });
        for writer in writers.collect::<Vec<_>>() {
            done.push(writer.await.unwrap());
        }
        wait_until_shadowed(&one).await;
        for name in &tenants {
            assert_index_is_complete(&pair, name).await;
        }
    }
    ending.abort();
    for repository in [&one, &two] {
        assert!(repository.is_shadowing());
        assert!(repository.shutdown(Duration::from_secs(10)).await.unwrap());
    }
    let mut before = Vec::new();
    for name in &tenants {
        let (database, bucket) = (&pair.database, &pair.snapshots);
        let history = audit::settled(database.as_ref(), bucket.as_ref(), name).await;
        assert_acknowledged(name, &history, &done);
        assert_references_resolve(&history);
        before.push(history);
    }
    let entries: usize = before
        .iter()
        .flat_map(driftline::domain::PerStream::iter)
        .map(|(_, entries)| entries.len())
        .sum();
    let met = buckets.iter().flat_map(FaultyStore::calls).filter(|call| {
        call.key.ends_with("index.json") && call.outcome == Outcome::PreconditionFailed
    });
    let met = met.count();
    println!("{entries} entries, {met} lost races for an index");
    assert!(met > 0, "the replicators never met");

    comes_back(&mut pair, &tenants, &before).await;
}
