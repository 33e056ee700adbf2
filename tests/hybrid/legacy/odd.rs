//! Older buckets that are damaged, contradict themselves or meet another history.

use super::*;
use crate::support::world::create_many;

async fn recovered(world: &World) -> (Recovery, Arc<MemoryDatabase>, Repository) {
    let database = world.database();
    let repository = world.repository(&database);
    let recovery = recover_all(&repository).await.remove(0);
    (recovery, database, repository)
}

#[tokio::test(start_paused = true)]
async fn a_lost_index_is_done_without_and_the_tenant_is_marked_all_the_same() {
    let world = World::new();
    fill(&world, &[1, 2, 3].map(Version::new));
    world.memory.remove(&index_key()).unwrap();
    let (recovery, database, repository) = recovered(&world).await;
    assert_eq!(recovery.legacy.len(), 3);
    assert_eq!(recovery.worked_around[0].problem, Problem::Missing);
    assert_eq!(recovery.worked_around.len(), 1);
    assert!(recovery.failures.is_empty(), "{:?}", recovery.failures);
    assert!(world.keys("_driftline/legacy/").await.contains(&copy_key()));
    is_whole(&world, &database, &repository).await;
    assert!(recover(&repository, &community()).await.orphans.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_index_is_kept_as_it_was() {
    let world = World::new();
    fill(&world, &[1, 2, 3].map(Version::new));
    let text = legacy::index(&[Version::new(1).entry("")]);
    let torn = text.as_bytes()[..100].to_vec();
    world.memory.insert(&index_key(), torn.clone());
    let (recovery, database, repository) = recovered(&world).await;
    assert_eq!(recovery.legacy.len(), 3);
    assert_eq!(objects(&world).await[&copy_key()], torn);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_content_twice_is_one_version_and_other_content_is_none() {
    let world = World::new();
    fill(&world, &[1, 2, 3, 4].map(Version::new));
    let twice = format!("{COMMUNITY}/versions/v001.json");
    let reordered = format!("{COMMUNITY}/versions/v2.json");
    let other = format!("{COMMUNITY}/versions/v3.json");
    world.memory.insert(&twice, Version::new(1).pretty());
    // The proven one of the two stands for both.
    world
        .memory
        .insert(&reordered, Version::reordered(2).compact());
    world
        .memory
        .insert(&other, Version::tagged(3, "other").compact());
    let (recovery, database, _) = recovered(&world).await;
    assert_eq!(numbers(&recovery), [(1, 1), (2, 2), (4, 3)]);
    assert!(recovery.legacy.iter().all(|mapping| mapping.verified));
    assert_eq!(failed(&recovery), [key(3), other.clone()]);
    assert_eq!(
        recovery.failures[0].problem,
        Problem::Contradicted { other }
    );
    assert_eq!(tags(&entries(&database).await), ["1", "2", "4"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_the_index_does_not_confirm_is_not_proven() {
    let world = World::new();
    fill(&world, &[Version::new(1), Version::new(2)]);
    let other = Version::tagged(1, "rewritten");
    world.memory.insert(&key(1), other.compact());
    let repository = world.repository(&world.database());
    let recovery = recover_leaving_out(&repository).await.remove(0);
    assert_eq!(failed(&recovery), [key(1)]);
    assert_eq!(
        recovery.failures[0].problem,
        Problem::UnverifiableLegacy {
            stored: Some(Version::new(1).checksum),
            actual: other.checksum
        }
    );
    assert_eq!(numbers(&recovery), [(2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn content_that_is_refused_and_objects_that_are_no_snapshots_are_named() {
    let world = World::new();
    let exact = Version {
        stored: r#"{"schemaVersion":"1","roles":[{"id":"r1","limit":9007199254740993}]}"#
            .to_owned(),
        ..Version::new(2)
    };
    fill(&world, &[Version::new(1), exact, Version::new(3)]);
    world.memory.insert(&key(4), "{");
    world.memory.insert(&key(5), Version::new(1).compact());
    let (recovery, ..) = recovered(&world).await;
    assert_eq!(numbers(&recovery), [(1, 1), (3, 2)]);
    assert_eq!(failed(&recovery), [key(2), key(4), key(5)]);
    let Problem::Refused(error) = &recovery.failures[0].problem else {
        panic!("{}", recovery.failures[0]);
    };
    assert_eq!(error.pointer(), "/roles/0/limit");
    assert!(matches!(
        recovery.failures[1].problem,
        Problem::Malformed(_)
    ));
    assert!(matches!(
        recovery.failures[2].problem,
        Problem::Misplaced { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_identifier_or_times_gets_what_follows_from_it() {
    let world = World::new();
    for number in [1, 2] {
        let content = made(&number.to_string());
        let checksum = Digest::of(content.as_bytes());
        let text =
            format!(r#"{{"checksum":"{checksum}","message":"two\nlines","content":{content}}}"#);
        world.memory.insert(&key(number), text);
    }
    // One identifier cannot be that of two versions.
    let twin = Version {
        id: Version::new(3).id,
        ..Version::new(4)
    };
    world.memory.insert(&key(3), Version::new(3).compact());
    world.memory.insert(&key(4), twin.compact());
    let (_, database, repository) = recovered(&world).await;
    let entries_of = entries(&database).await;
    let first = &entries_of[0].meta;
    assert_eq!((&first.created_by, &first.message), (&None, &None));
    assert_eq!(first.created_at, driftline::domain::Timestamp::EPOCH);
    let ids: std::collections::BTreeSet<_> = entries_of.iter().map(|entry| entry.meta.id).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(entries_of[2].meta.id.to_string(), Version::new(3).id);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn times_that_go_back_do_not_take_committed_at_back() {
    let world = World::new();
    let late = Version::new(1)
        .compact()
        .replace(&legacy::time(1), "2024-06-01T00:00:00Z");
    world.memory.insert(&key(1), late);
    world.memory.insert(&key(2), Version::new(2).compact());
    let (_, database, _) = recovered(&world).await;
    let entries = entries(&database).await;
    assert!(entries[1].meta.created_at < entries[0].meta.created_at);
    assert_eq!(entries[1].meta.committed_at, entries[0].meta.committed_at);
}

#[tokio::test(start_paused = true)]
async fn a_database_with_another_history_of_that_name_keeps_it_and_so_does_the_bucket() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    create_many(&repository, &community(), 2).await;
    fill(&world, &[1, 2, 3].map(Version::new));
    let before = (objects(&world).await, entries(&database).await);
    let error = repository
        .recover_from_s3(&community(), &RecoveryRequest::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DivergentHistory);
    assert_eq!((objects(&world).await, entries(&database).await), before);
}

#[tokio::test(start_paused = true)]
async fn a_claimed_database_takes_over_a_tenant_that_comes_later() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    create(&repository, &tenant("acme"), "x").await;
    drain(&repository).await;
    fill(&world, &[1, 2].map(Version::new));
    let recovery = recover(&repository, &community()).await;
    assert_eq!(recovery.epoch, Epoch::new(2));
    assert_eq!(numbers(&recovery), [(1, 1), (2, 2)]);
    drain(&repository).await;
    world.assert_settled(&database, &community()).await;
    world.assert_settled(&database, &tenant("acme")).await;
}

#[tokio::test(start_paused = true)]
async fn an_older_system_that_writes_on_is_found_out_and_nothing_of_it_is_lost() {
    let world = World::new();
    fill(&world, &[1, 2].map(Version::new));
    let (_, database, repository) = recovered(&world).await;
    create(&repository, &community(), "ours").await;
    drain(&repository).await;
    let ours = entries(&database).await;
    // It knows nothing of today's index, and replaces it by its own.
    fill(&world, &[1, 2, 3].map(Version::new));
    let second = objects(&world).await[&index_key()].clone();
    let recovery = recover_all(&repository).await.remove(0);
    assert_eq!(
        recovery.failures,
        [Damage {
            object: key(3),
            problem: Problem::LeftOut
        }]
    );
    assert_eq!(entries(&database).await, ours);
    let kept = objects(&world).await;
    let kept = kept
        .iter()
        .filter(|(key, _)| key.starts_with("_driftline/legacy/"));
    assert!(kept.clone().count() == 2 && kept.clone().any(|(_, bytes)| *bytes == second));
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn keys_in_the_index_may_have_the_buckets_prefix() {
    let mut world = World::new();
    world.memory = world.memory.with_prefix("old/place");
    world.bucket = driftline_conformance::faults::FaultyStore::over(world.memory.clone());
    let named = [1, 2, 3].map(|number| Version::new(number).entry("old/place/"));
    world.memory.insert(&index_key(), legacy::index(&named));
    for number in [1, 3] {
        world
            .memory
            .insert(&key(number), Version::new(number).compact());
    }
    let (recovery, database, repository) = recovered(&world).await;
    assert_eq!(numbers(&recovery), [(1, 1), (3, 2)]);
    assert_eq!(failed(&recovery), [key(2)]);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_history_comes_back_without_being_held_in_memory() {
    let mut world = World::new();
    world.settings.recovery_memory = 3000;
    world.settings.batch_entries = 130;
    let versions: Vec<_> = (1..=300).map(Version::new).collect();
    fill(&world, &versions);
    let (recovery, database, repository) = recovered(&world).await;
    assert_eq!((recovery.restored, recovery.legacy.len()), (300, 300));
    let mapped = recovery.legacy.iter().zip(1..);
    assert!(
        mapped
            .clone()
            .all(|(mapping, number)| mapping.new_version.get() == number)
    );
    drain(&repository).await;
    let index = world.index(&community(), Stream::Manifests).await.unwrap();
    assert!(index.sealed_pages > 0);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_changes_while_it_is_recovered_fails_the_tenant_and_loses_no_place() {
    let mut world = World::new();
    world.settings.recovery_memory = 0;
    fill(&world, &[1, 2, 3].map(Version::new));
    let database = world.database();
    let repository = world.repository(&database);
    // Stock is taken, and only then the object is read again.
    let gate = world.bucket.hold(
        driftline_conformance::faults::On::get(&key(2))
            .skip(2)
            .times(1),
        driftline_conformance::faults::Moment::Before,
    );
    let run = tokio::spawn({
        let repository = repository.clone();
        async move {
            repository
                .recover_from_s3(&community(), &RecoveryRequest::default())
                .await
        }
    });
    gate.reached().await;
    let whole = Version::new(2).compact();
    world
        .memory
        .insert(&key(2), Version::tagged(2, "x").compact());
    gate.release();
    let error = run.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable(_)));
    assert!(entries(&database).await.is_empty());
    world.memory.insert(&key(2), whole);
    assert_eq!(recover(&repository, &community()).await.restored, 3);
}

#[tokio::test(start_paused = true)]
async fn an_index_of_the_older_layout_over_todays_objects_does_not_hide_them() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    create_many(&repository, &community(), 3).await;
    drain(&repository).await;
    let before = entries(&database).await;
    world
        .memory
        .insert(&index_key(), legacy::index(&[Version::new(7).entry("")]));
    let (recovery, database, repository) = recovered(&world).await;
    assert_eq!(failed(&recovery), [key(7)]);
    assert!(recovery.orphans.is_empty());
    assert_eq!(entries(&database).await, before);
    is_whole(&world, &database, &repository).await;
}

#[tokio::test(start_paused = true)]
async fn objects_that_only_the_index_can_tell_are_found_and_must_be_what_it_says() {
    let world = World::new();
    let odd = |number: u64| {
        Version::new(number).entry("").replace(
            &key(number),
            &format!("{COMMUNITY}/versions/first-{number}.json"),
        )
    };
    for number in [1, 2] {
        let text = Version::new(1).compact();
        world
            .memory
            .insert(&format!("{COMMUNITY}/versions/first-{number}.json"), text);
    }
    let text = legacy::index(&[odd(2), odd(1), "{}".to_owned()]);
    world.memory.insert(&index_key(), text);
    let (recovery, database, _) = recovered(&world).await;
    assert_eq!(tags(&entries(&database).await), ["1"]);
    assert_eq!(recovery.failures.len(), 1);
    assert!(matches!(
        recovery.failures[0].problem,
        Problem::Misplaced { .. }
    ));
    // An entry of the index that says nothing at all is told as well.
    assert_eq!(recovery.worked_around[0].object, index_key());
}

#[tokio::test(start_paused = true)]
async fn the_index_is_not_replaced_before_its_copy_is_seen() {
    let world = World::new();
    fill(&world, &[Version::new(1)]);
    let database = world.database();
    let repository = world.repository(&database);
    let gate = world.bucket.hold(
        driftline_conformance::faults::On::put("_driftline/legacy/").times(1),
        driftline_conformance::faults::Moment::After,
    );
    let run = tokio::spawn({
        let repository = repository.clone();
        async move {
            repository
                .recover_from_s3(&community(), &RecoveryRequest::default())
                .await
        }
    });
    gate.reached().await;
    let old = objects(&world).await[&index_key()].clone();
    world.memory.remove(&copy_key()).unwrap();
    gate.release();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(objects(&world).await[&index_key()], old);
}
