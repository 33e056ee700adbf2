//! Buckets of the older layout: recovered from, continued, and left as they were.

mod crashes;
mod odd;
mod todays;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::canonicalize;
use driftline::domain::format::{Damage, Problem};
use driftline::domain::{Digest, Entry, Epoch, Seq, Stream, TenantId};
use driftline::hybrid::Standing;
use driftline::ports::{
    Database, ErrorKind, Hint, Recovery, RecoveryRequest, RecoveryState, SnapshotStore,
};
use driftline::prelude::*;

use crate::support::legacy::{self, COMMUNITY, Version, index_key, key, made};
use crate::support::world::{
    Repository, World, create, drain, recover, recover_all, tenant, try_create,
};

fn community() -> TenantId {
    tenant(COMMUNITY)
}

fn fill(world: &World, versions: &[Version]) {
    for (key, text) in legacy::objects(versions) {
        world.memory.insert(&key, text);
    }
}

fn copy_key() -> String {
    format!("_driftline/legacy/{COMMUNITY}/index.json")
}

/// Every object with its bytes.
async fn objects(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for key in world.keys("").await {
        let object = world.memory.get(&key, u64::MAX).await.unwrap().unwrap();
        objects.insert(key, object.bytes.to_vec());
    }
    objects
}

async fn entries(database: &Arc<MemoryDatabase>) -> Vec<Entry> {
    let database: &dyn Database = database.as_ref();
    let mut entries = Vec::new();
    while let Some(stored) = database
        .entry(
            &community(),
            Stream::Manifests,
            Seq::new(entries.len() as u64 + 1),
        )
        .await
        .unwrap()
    {
        entries.push(stored.entry);
    }
    entries
}

fn tags(entries: &[Entry]) -> Vec<String> {
    let tag = |entry: &Entry| {
        entry.content.to_value().unwrap()["tag"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    entries.iter().map(tag).collect()
}

fn accepting() -> RecoveryRequest {
    RecoveryRequest {
        accept_unverified: true,
        ..RecoveryRequest::default()
    }
}

fn leaving_out() -> RecoveryRequest {
    RecoveryRequest {
        leave_out: true,
        ..RecoveryRequest::default()
    }
}

/// Without what nothing proves, which is decided.
async fn recover_leaving_out(repository: &Repository) -> Vec<Recovery> {
    let request = leaving_out();
    let progress = driftline::hybrid::Progress::default();
    let report = repository.recover_all(&request, &progress).await.unwrap();
    assert_eq!(report.unfinished, None);
    let outcomes = report.tenants.into_iter();
    outcomes.map(|(_, outcome)| outcome.unwrap()).collect()
}

async fn recover_accepting(repository: &Repository) -> Recovery {
    let progress = driftline::hybrid::Progress::default();
    let report = repository
        .recover_all(&accepting(), &progress)
        .await
        .unwrap();
    assert_eq!(report.unfinished, None);
    let (_, outcome) = report.tenants.into_iter().next().unwrap();
    outcome.unwrap()
}

fn numbers(recovery: &Recovery) -> Vec<(u64, u64)> {
    let pair = |mapping: &driftline::ports::LegacyMapping| {
        (mapping.old_version.get(), mapping.new_version.get())
    };
    recovery.legacy.iter().map(pair).collect()
}

fn failed(recovery: &Recovery) -> Vec<&str> {
    let failures = recovery.failures.iter();
    failures.map(|failure| failure.object.as_str()).collect()
}

/// Everything shadowed in today's format, index and database alike, and everything comes back from there.
async fn is_whole(world: &World, database: &Arc<MemoryDatabase>, repository: &Repository) {
    drain(repository).await;
    world.assert_settled(database, &community()).await;
    let before = entries(database).await;
    let other = world.database();
    recover_all(&world.repository(&other)).await;
    assert_eq!(entries(&other).await, before);
}

/// Versions 1 to 6. Of them 3 went through JSONB, 4 is missing from the index, 5 has no object, and 6 is named twice; the
/// index has no order, and 2 lies under a key that is not padded.
fn mixed(world: &World) {
    let version = |number| {
        if number == 3 {
            Version::reordered(number)
        } else {
            Version::new(number)
        }
    };
    let second = format!("{COMMUNITY}/versions/v2.json");
    for number in [1, 3, 6] {
        world.memory.insert(&key(number), version(number).compact());
    }
    world.memory.insert(&second, version(2).pretty());
    world.memory.insert(&key(4), version(4).pretty());
    let entries = [6, 1, 5, 3, 2, 6].map(|number| version(number).entry(""));
    world.memory.insert(&index_key(), legacy::index(&entries));
}

#[tokio::test(start_paused = true)]
async fn an_older_bucket_is_recovered_and_continued_in_todays_format() {
    let world = World::new();
    mixed(&world);
    let before = objects(&world).await;
    let database = world.database();
    let repository = world.repository(&database);
    let recovery = recover_leaving_out(&repository).await.remove(0);

    assert_eq!(recovery.state, RecoveryState::Empty);
    assert_eq!((recovery.restored, recovery.head), (4, Seq::new(4)));
    assert_eq!(recovery.epoch, Epoch::new(2));
    assert_eq!(numbers(&recovery), [(1, 1), (2, 2), (4, 3), (6, 4)]);
    assert_eq!(failed(&recovery), [key(3), key(5)]);
    assert!(matches!(
        recovery.failures[0].problem,
        Problem::UnverifiableLegacy {
            stored: Some(_),
            ..
        }
    ));
    assert_eq!(recovery.failures[1].problem, Problem::Missing);
    assert_eq!(
        (&recovery.orphans, &recovery.worked_around),
        (&Vec::new(), &Vec::new())
    );

    let restored = entries(&database).await;
    assert_eq!(tags(&restored), ["1", "2", "4", "6"]);
    for (entry, mapping) in restored.iter().zip(&recovery.legacy) {
        let old = Version::new(mapping.old_version.get());
        assert_eq!(
            entry.content.as_bytes(),
            canonicalize(made(&old.tag).as_bytes()).unwrap()
        );
        assert_eq!(mapping.old_digest, Some(old.checksum));
        assert_eq!(mapping.new_checksum, entry.meta.checksum);
        assert_ne!(mapping.new_checksum, old.checksum);
        assert!(mapping.verified);
        assert_eq!(entry.meta.id.to_string(), old.id);
        assert_eq!(entry.meta.epoch, Epoch::new(2));
        assert_eq!(
            entry.meta.created_at,
            legacy::time(old.number).parse().unwrap()
        );
        assert_eq!(entry.meta.committed_at, entry.meta.created_at);
        assert_eq!(entry.meta.created_by, Some("alice".parse().unwrap()));
        assert_eq!(
            entry.meta.message,
            Some(format!("v{}", old.number).parse().unwrap())
        );
    }

    // Nothing that was there has changed but the index, and that is kept.
    let after = objects(&world).await;
    for (key, bytes) in &before {
        if *key != index_key() {
            assert_eq!(after.get(key), Some(bytes), "{key}");
        }
    }
    assert_eq!(after[&copy_key()], before[&index_key()]);
    let index = world.index(&community(), Stream::Manifests).await.unwrap();
    assert_eq!(
        (index.latest(), index.epoch),
        (Seq::default(), Epoch::new(2))
    );

    let next = create(&repository, &community(), "new").await;
    assert_eq!(next.manifest.version(), Seq::new(5));
    is_whole(&world, &database, &repository).await;
    let after = objects(&world).await;
    assert!(after.contains_key(&format!("{COMMUNITY}/versions/v000005.e2.json")));
    assert_eq!(after[&key(1)], before[&key(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_second_recovery_changes_nothing_and_finds_nothing_wrong() {
    let world = World::new();
    mixed(&world);
    let database = world.database();
    let repository = world.repository(&database);
    recover_leaving_out(&repository).await;
    create(&repository, &community(), "new").await;
    for _ in 0..2 {
        let before = (objects(&world).await, entries(&database).await);
        let recovery = recover_all(&repository).await.remove(0);
        assert_eq!(recovery.restored, 0);
        assert!(recovery.legacy.is_empty());
        assert!(recovery.failures.is_empty(), "{:?}", recovery.failures);
        assert!(recovery.orphans.is_empty());
        assert!(recovery.worked_around.is_empty());
        assert_eq!((objects(&world).await, entries(&database).await), before);
        drain(&repository).await;
    }
    // Nor does it read what it does not need.
    world.bucket.take_calls();
    recover(&repository, &community()).await;
    let read = world.bucket.calls();
    let read = read.iter().map(|call| call.key.clone());
    let objects: Vec<_> = read.filter(|read| read.contains("versions/")).collect();
    assert!(objects.is_empty(), "{objects:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nothing_proves_comes_back_only_when_it_is_accepted() {
    let world = World::new();
    mixed(&world);
    let database = world.database();
    let repository = world.repository(&database);
    let recovery = recover_accepting(&repository).await;
    assert_eq!(numbers(&recovery), [(1, 1), (2, 2), (3, 3), (4, 4), (6, 5)]);
    assert_eq!(failed(&recovery), [key(5)]);
    let verified: Vec<_> = recovery
        .legacy
        .iter()
        .map(|mapping| mapping.verified)
        .collect();
    assert_eq!(verified, [true, true, false, true, true]);
    assert_eq!(
        recovery.legacy[2].old_digest,
        Some(Digest::of(made("3").as_bytes()))
    );
    assert_eq!(tags(&entries(&database).await), ["1", "2", "3", "4", "6"]);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn numbers_stay_where_nothing_is_lost() {
    let world = World::new();
    fill(&world, &[1, 2, 3].map(Version::new));
    let database = world.database();
    let repository = world.repository(&database);
    let recovery = recover(&repository, &community()).await;
    assert_eq!(numbers(&recovery), [(1, 1), (2, 2), (3, 3)]);
    assert!(recovery.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_has_lost_its_place_once_the_history_goes_on() {
    let world = World::new();
    mixed(&world);
    let database = world.database();
    let repository = world.repository(&database);
    recover_leaving_out(&repository).await;
    drain(&repository).await;
    let before = (objects(&world).await, entries(&database).await);
    let recovery = recover_accepting(&repository).await;
    assert_eq!(recovery.restored, 0);
    assert_eq!(
        recovery.failures[0],
        Damage {
            object: key(3),
            problem: Problem::LeftOut
        }
    );
    assert_eq!((objects(&world).await, entries(&database).await), before);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_at_the_end_can_be_accepted_until_the_history_goes_on() {
    let world = World::new();
    fill(
        &world,
        &[Version::new(1), Version::new(2), Version::reordered(3)],
    );
    let database = world.database();
    let repository = world.repository(&database);
    let recovery = recover_leaving_out(&repository).await.remove(0);
    assert_eq!(failed(&recovery), [key(3)]);
    drain(&repository).await;
    let recovery = recover_accepting(&repository).await;
    assert_eq!(numbers(&recovery), [(3, 3)]);
    assert_eq!(tags(&entries(&database).await), ["1", "2", "3"]);
    is_whole(&world, &database, &repository).await;
    // It was accepted, and is not asked about again.
    assert!(recover(&repository, &community()).await.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_of_which_nothing_is_proven_is_taken_over_without_a_version() {
    let world = World::new();
    fill(&world, &[Version::reordered(1), Version::reordered(2)]);
    let database = world.database();
    let repository = world.repository(&database);
    let recovery = recover_all(&repository).await.remove(0);
    assert_eq!((recovery.restored, recovery.head), (0, Seq::default()));
    assert_eq!(failed(&recovery), [key(1), key(2)]);
    let recovery = recover_accepting(&repository).await;
    assert_eq!(numbers(&recovery), [(1, 1), (2, 2)]);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let world = World::new();
    mixed(&world);
    let before = objects(&world).await;
    let database = world.database();
    let repository = world.repository(&database);
    let request = RecoveryRequest {
        dry_run: true,
        ..accepting()
    };
    let recovery = repository
        .recover_from_s3(&community(), &request)
        .await
        .unwrap();
    assert_eq!((recovery.restored, recovery.epoch), (5, Epoch::new(2)));
    assert_eq!(recovery.legacy.len(), 5);
    assert_eq!(objects(&world).await, before);
    assert!(entries(&database).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_database_takes_no_write_beside_an_older_bucket_before_it_is_recovered() {
    let world = World::new();
    mixed(&world);
    let database = world.database();
    let repository = world.repository(&database);
    let Standing::Refused(reason) = repository.check_ownership().await.unwrap() else {
        panic!("an older bucket was claimed");
    };
    assert!(
        matches!(reason.hint, Some(Hint::Recover { tenant: None, .. })),
        "{reason:?}"
    );
    let error = try_create(&repository, &community(), "early")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let proven = repository
        .recoverable_versions(&community(), None, 100)
        .await
        .unwrap();
    let proven: Vec<_> = proven.items.iter().map(|meta| meta.epoch.get()).collect();
    assert_eq!(proven, [0; 4]);
    recover_leaving_out(&repository).await;
    try_create(&repository, &community(), "then").await.unwrap();
}

/// Nothing is proven of 3: it waits, and with it what would take its place.
#[tokio::test(start_paused = true)]
async fn a_tenant_awaits_recovery_while_what_nothing_proves_waits_for_a_decision() {
    let world = World::new();
    mixed(&world);
    let database = world.database();
    let repository = world.repository(&database);
    for _ in 0..2 {
        let recovery = recover_all(&repository).await.remove(0);
        assert_eq!(recovery.held, 3, "3, and 4 and 6 after it");
        assert_eq!(failed(&recovery), [key(3), key(5)]);
        assert_eq!(tags(&entries(&database).await), ["1", "2"]);
        let early = try_create(&repository, &community(), "early").await;
        assert_eq!(early.unwrap_err().kind(), ErrorKind::Refused);
        drain(&repository).await;
    }
    let recovery = recover_accepting(&repository).await;
    assert_eq!(numbers(&recovery), [(3, 3), (4, 4), (6, 5)]);
    assert_eq!(recovery.held, 0);
    assert_eq!(tags(&entries(&database).await), ["1", "2", "3", "4", "6"]);
    create(&repository, &community(), "then").await;
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_opened_for_good_without_what_nothing_proves() {
    let world = World::new();
    fill(&world, &[1, 2].map(Version::reordered));
    let database = world.database();
    let repository = world.repository(&database);
    assert_eq!(recover_all(&repository).await[0].held, 2);
    assert_eq!(recover_leaving_out(&repository).await[0].held, 0);
    drain(&repository).await;
    // That was decided, and outlives the database.
    let other = world.database();
    let repository = world.repository(&other);
    assert_eq!(recover_all(&repository).await[0].held, 0);
    create(&repository, &community(), "first").await;
}
