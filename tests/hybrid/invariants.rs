//! The invariants of the design, one by one.

use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::Content;
use driftline::domain::format::Snapshot;
use driftline::domain::{Digest, Seq, Stream, genesis};
use driftline::hybrid::Standing;
use driftline::ports::{
    CreateManifest, Durability, ErrorKind, Expectation, ManifestProvider, ManifestStore as _,
    RecoverTarget, RecoveryRequest, RecoveryStore as _, ShadowLedger as _, SnapshotStore as _,
    Source,
};
use tokio_util::sync::CancellationToken;

use crate::support::faults::{Flaw, Method, Moment, On};
use crate::support::world::{
    Repository, World, apply, content, create, create_many, drain, put_strangers_snapshot, tenant,
    try_create,
};

#[tokio::test(start_paused = true)]
async fn i1_numbers_are_dense_and_the_chain_links_every_version() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    let writers = (0..8).map(|writer| {
        let (repository, acme) = (repository.clone(), acme.clone());
        tokio::spawn(async move {
            for number in 0..5 {
                create(&repository, &acme, &format!("{writer}-{number}")).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut rows = database
        .history(&acme, Stream::Manifests, None, 1000)
        .await
        .unwrap();
    rows.reverse();
    let mut chain = genesis(&acme, Stream::Manifests);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row.seq, Seq::new(number));
        assert_eq!(row.expected_chain(chain), row.chain);
        chain = row.chain;
    }
    assert_eq!(rows.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn i2_a_lost_race_is_a_conflict_that_names_the_head() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    let first = create(&repository, &acme, "a").await.manifest;
    for stale in [
        Expectation::Version(Seq::default()),
        Expectation::Checksum(Digest::of(b"x")),
        Expectation::Chain(Digest::of(b"x")),
    ] {
        let request = CreateManifest {
            content: content("b"),
            expect: Some(stale),
            ..CreateManifest::default()
        };
        let error = repository
            .create_manifest(&acme, request)
            .await
            .unwrap_err();
        let head = ErrorKind::VersionConflict {
            head: Seq::new(1),
            checksum: Some(first.entry.meta.checksum),
            chain: first.entry.meta.chain,
        };
        assert_eq!(error.kind(), head);
    }
    let request = CreateManifest {
        content: content("b"),
        expect: Some(Expectation::Chain(first.entry.meta.chain)),
        ..CreateManifest::default()
    };
    assert_eq!(
        repository
            .create_manifest(&acme, request)
            .await
            .unwrap()
            .manifest
            .version(),
        Seq::new(2)
    );
}

#[tokio::test(start_paused = true)]
async fn i3_a_bucket_that_is_down_or_slow_never_holds_up_a_write() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    repository.start();
    world.bucket.set_down(true);
    let started = tokio::time::Instant::now();
    for number in 0..50 {
        create(&repository, &acme, &format!("{number}")).await;
    }
    assert_eq!(
        started.elapsed(),
        Duration::ZERO,
        "a write waited for the bucket"
    );
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(
        database.watermarks(&acme).await.unwrap()[Stream::Manifests],
        Seq::default()
    );
    let status = repository
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(status.at_risk.entries, 50);
    assert!(status.last_error.is_some());
    world.bucket.set_down(false);
    assert!(waits(&repository, "last", Duration::from_mins(3)).await.0);
    world.assert_settled(&database, &acme).await;
    assert!(repository.shutdown(Duration::from_secs(5)).await.unwrap());
}

/// A write that waits for the bucket, at most for so long: whether it got there, and how long that took.
async fn waits(repository: &Repository, tag: &str, longest: Duration) -> (bool, Duration) {
    let request = CreateManifest {
        content: content(tag),
        durability: Durability::Shadowed(longest),
        ..CreateManifest::default()
    };
    let began = tokio::time::Instant::now();
    let created = repository.create_manifest(&tenant("acme"), request).await;
    let created = created.unwrap();
    assert!(created.new);
    (created.manifest.shadowed, began.elapsed())
}

/// Two versions of which the second fails to be shadowed.
async fn failing(on: On, flaw: Flaw) -> (World, Arc<MemoryDatabase>, Repository) {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    world.bucket.fail(on, flaw);
    create(&repository, &acme, "b").await;
    assert_eq!(drain(&repository).await.left.backing_off, 1);
    (world, database, repository)
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_at_the_deadline_and_the_write_stands() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    world.bucket.set_down(true);
    repository.start();
    let (shadowed, _) = waits(&repository, "a", Duration::from_secs(2)).await;
    assert!(!shadowed);
    assert!(repository.current_manifest(&acme).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn i3_a_bucket_that_does_not_answer_holds_no_write_beyond_its_time() {
    let (world, _, repository) = failing(On::put("acme/").times(1), Flaw::Unavailable).await;
    repository.start();
    let gate = world.bucket.hold(On::any(), Moment::Before);
    let write = waits(&repository, "c", Duration::from_secs(2));
    let write = tokio::time::timeout(Duration::from_mins(5), write).await;
    let (shadowed, took) = write.unwrap();
    assert!(!shadowed);
    // A look at what keeps the tenant is cut there as well.
    assert!(took < Duration::from_millis(2050), "{took:?}");
    gate.release();
}

#[tokio::test(start_paused = true)]
async fn i3_a_bucket_that_does_not_answer_hides_nothing_that_another_process_shadowed() {
    let (world, database, repository) = failing(On::put("acme/").times(1), Flaw::Unavailable).await;
    let gate = world
        .bucket
        .hold(On::get("acme/index.json"), Moment::Before);
    let write = waits(&repository, "c", Duration::from_mins(10));
    let other = async {
        gate.reached().await;
        let other = world.repository_on(&database, Arc::new(world.memory.clone()));
        other.start();
        other
    };
    let (other, (shadowed, took)) = tokio::join!(other, write);
    assert!(shadowed && took < Duration::from_mins(2), "{took:?}");
    assert!(other.shutdown(Duration::from_secs(5)).await.unwrap());
    gate.release();
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_where_it_waits_for_somebody_who_decides() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    put_strangers_snapshot(&world, 1).await;
    assert_eq!(drain(&repository).await.left.stopped, 1);
    repository.start();
    let (shadowed, took) = waits(&repository, "b", Duration::from_hours(1)).await;
    assert!(!shadowed && took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_where_a_retry_fails_that_no_retry_mends() {
    for is_mended in [true, false] {
        let refused = On::put("acme/").times(if is_mended { 1 } else { usize::MAX });
        let (_world, _, repository) = failing(refused, Flaw::Refused).await;
        repository.start();
        let (shadowed, took) = waits(&repository, "c", Duration::from_hours(1)).await;
        assert_eq!(shadowed, is_mended);
        assert!(took < Duration::from_mins(5), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i3_waiting_for_the_bucket_ends_where_an_index_is_damaged() {
    let (world, _, repository) = failing(On::put("acme/").times(1), Flaw::Unavailable).await;
    world.memory.insert("acme/index.json", "spoilt");
    let (shadowed, took) = waits(&repository, "c", Duration::from_hours(1)).await;
    assert!(!shadowed && took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn i4_what_one_process_left_pending_another_one_shadows() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drop(repository);
    let next = world.repository(&database);
    assert_eq!(drain(&next).await.shadowed, 3);
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn i5_snapshots_come_before_the_page_before_the_index() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 128).await;
    drain(&repository).await;
    create_many(&repository, &acme, 2).await;
    world.bucket.take_calls();
    drain(&repository).await;
    let mut puts: Vec<String> = world
        .bucket
        .take_calls()
        .into_iter()
        .filter(|call| call.method == Method::Put)
        .map(|call| call.key)
        .collect();
    // The snapshots of a batch go up side by side.
    puts[..2].sort();
    assert_eq!(
        puts,
        [
            "acme/versions/v000129.json",
            "acme/versions/v000130.json",
            "acme/index/p000001.json",
            "acme/index.json"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn i5_a_batch_that_takes_long_ends_early_so_that_its_lease_still_holds() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 100).await;
    let slow = Flaw::Slow(Duration::from_secs(2));
    world.bucket.fail(On::put("acme/versions/"), slow);
    world.bucket.take_calls();
    assert_eq!(drain(&repository).await.shadowed, 100);
    let puts: Vec<String> = world
        .bucket
        .take_calls()
        .into_iter()
        .filter(|call| call.method == Method::Put && call.key.starts_with("acme/"))
        .map(|call| call.key)
        .collect();
    // Rounds of uploads begin after 0, 2 and 4 s of the 5 that a lease of 15 s leaves.
    let first = puts.iter().position(|key| key == "acme/index.json");
    assert_eq!(first, Some(3 * world.settings.concurrent_requests));
    // Nothing goes up twice.
    let batches = puts.iter().filter(|key| *key == "acme/index.json").count();
    assert_eq!(puts.len(), 100 + batches, "{puts:?}");
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn i5_a_page_is_sealed_only_from_entries_that_the_index_names_already() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 128).await;
    drain(&repository).await;
    assert_eq!(world.keys("acme/index/").await, Vec::<String>::new());
    create(&repository, &acme, "one more").await;
    drain(&repository).await;
    assert_eq!(world.keys("acme/index/").await, ["acme/index/p000001.json"]);
}

#[tokio::test(start_paused = true)]
async fn i7_a_divergent_history_halts_the_tenant_and_nobody_else() {
    let (world, acme, other) = (World::new(), tenant("acme"), tenant("other"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    let foreign = put_strangers_snapshot(&world, 1).await;
    create(&repository, &other, "o").await;
    let drained = drain(&repository).await;
    assert_eq!((drained.shadowed, drained.left.stopped), (1, 1));
    world.assert_settled(&database, &other).await;
    let halted = repository
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0)
        .halted
        .unwrap();
    assert_eq!(halted.bucket, foreign.meta.chain);
    // Writes go on, all streams stay where they are, and nothing was overwritten.
    create(&repository, &acme, "b").await;
    apply(&repository, &acme, 1).await;
    assert_eq!(drain(&repository).await.shadowed, 0);
    let object = world
        .memory
        .get("acme/versions/v000001.json", u64::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(object.bytes, Snapshot::write(&foreign));
}

#[tokio::test(start_paused = true)]
async fn i7_an_unreadable_object_halts_only_after_several_looks() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    world
        .memory
        .insert("acme/versions/v000001.json", &b"not a snapshot"[..]);
    let drained = drain(&repository).await;
    assert_eq!((drained.left.stopped, drained.left.backing_off), (0, 1));
    repository.start();
    tokio::time::sleep(Duration::from_mins(2)).await;
    let halted = database
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0)
        .halted
        .unwrap();
    assert_eq!(halted.bucket, Digest::of(b"not a snapshot"));
}

#[tokio::test(start_paused = true)]
async fn i8_an_entry_waits_until_the_index_names_the_version_it_refers_to() {
    let mut world = World::new();
    world.settings.batch_entries = 2;
    let acme = tenant("acme");
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 5).await;
    apply(&repository, &acme, 5).await;
    world.bucket.take_calls();
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;
    let puts: Vec<String> = world
        .bucket
        .take_calls()
        .into_iter()
        .filter(|call| call.method == Method::Put)
        .map(|call| call.key)
        .collect();
    let apply_at = puts
        .iter()
        .position(|key| key == "acme/applies/a000001.json")
        .unwrap();
    let last_index = puts
        .iter()
        .rposition(|key| key == "acme/index.json")
        .unwrap();
    assert!(last_index < apply_at, "{puts:?}");
}

#[tokio::test(start_paused = true)]
async fn i9_a_replicator_of_an_older_epoch_stops_and_says_what_to_do() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    let mut index = world.index(&acme, Stream::Manifests).await.unwrap();
    index.epoch = index.epoch.next();
    world.memory.insert("acme/index.json", index.to_bytes());
    create(&repository, &acme, "b").await;
    drain(&repository).await;
    assert_eq!(world.index(&acme, Stream::Manifests).await.unwrap(), index);
    let status = database
        .status(Some(&acme), None, 1)
        .await
        .unwrap()
        .remove(0);
    assert!(status.last_error.unwrap().contains("recovery unfinished"));
}

#[tokio::test(start_paused = true)]
async fn i10_two_databases_racing_for_a_fresh_bucket_have_one_winner() {
    let world = World::new();
    let (one, two) = (
        world.repository(&world.database()),
        world.repository(&world.database()),
    );
    let (first, second) = tokio::join!(one.check_ownership(), two.check_ownership());
    let owners = [first.unwrap(), second.unwrap()]
        .iter()
        .filter(|standing| matches!(standing, Standing::Owner(_)))
        .count();
    assert_eq!(owners, 1);
}

#[tokio::test(start_paused = true)]
async fn i11_what_comes_from_the_bucket_is_verified_and_named_when_it_is_damaged() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    database.lose_row(&acme, Stream::Manifests, Seq::new(2));
    let served = repository
        .manifest_by_version(&acme, Seq::new(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (served.source, served.active, served.shadowed),
        (Source::Bucket, Some(false), true)
    );

    let key = "acme/versions/v000002.json";
    let bytes = world
        .memory
        .get(key, u64::MAX)
        .await
        .unwrap()
        .unwrap()
        .bytes;
    for place in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.to_vec();
        flipped[place] ^= 0x20;
        world.memory.insert(key, flipped);
        let error = repository
            .manifest_by_version(&acme, Seq::new(2))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "damaged");
        assert!(error.to_string().contains(key), "{error}");
    }
    // Nothing beyond the head is asked of the bucket.
    world.bucket.take_calls();
    assert!(
        repository
            .manifest_by_version(&acme, Seq::new(4))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        repository
            .manifest_by_version(&tenant("nobody"), Seq::new(1))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(world.bucket.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn i12_a_thousand_versions_cost_the_same_each_and_an_idle_hour_costs_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    let mut written = Vec::new();
    // The first batch in a bucket's life probes it.
    create(&repository, &tenant("first"), "a").await;
    drain(&repository).await;
    for number in 0..1000 {
        create(&repository, &acme, &format!("{number:04}")).await;
        world.bucket.take_calls();
        drain(&repository).await;
        let counts = world.bucket.counts();
        assert_eq!(counts.lists, 0);
        assert!(counts.total() <= 12, "{counts:?}");
        written.push(counts.bytes_out);
    }
    let per_page = |from: usize| written[from..from + 128].iter().sum::<usize>();
    let (second, seventh) = (per_page(128), per_page(768));
    assert!(
        seventh < second + second / 100,
        "bytes per version grow: {second} then {seventh} for 128 versions"
    );

    for version in [1, 128, 129, 500, 1000] {
        database.lose_row(&acme, Stream::Manifests, Seq::new(version));
        world.bucket.take_calls();
        let served = repository
            .manifest_by_version(&acme, Seq::new(version))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(served.version(), Seq::new(version));
        let counts = world.bucket.counts();
        assert!(
            counts.gets <= 3 && counts.total() == counts.gets,
            "{counts:?}"
        );
    }

    repository.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.bucket.take_calls();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(world.bucket.counts().total(), 0, "an idle hour");
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_history_neither_overlap_nor_miss_while_versions_are_added() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    create_many(&repository, &acme, 300).await;
    drain(&repository).await;
    let (mut seen, mut recoverable) = (Vec::new(), Vec::new());
    let (mut before, mut bucket_before) = (None, None);
    loop {
        let page = repository.version_history(&acme, before, 70).await.unwrap();
        let in_bucket = repository
            .recoverable_versions(&acme, bucket_before, 70)
            .await
            .unwrap();
        seen.extend(page.items.iter().map(|meta| meta.seq.get()));
        recoverable.extend(in_bucket.items.iter().map(|meta| meta.seq.get()));
        create_many(&repository, &acme, 40).await;
        drain(&repository).await;
        (before, bucket_before) = (page.next, in_bucket.next);
        if before.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (1..=300).rev().collect();
    assert_eq!(seen, expected);
    assert_eq!(recoverable, expected);
    assert!(
        repository
            .version_history(&acme, None, 0)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        repository
            .version_history(&acme, None, 1001)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "one story from beginning to end")]
async fn recovery_to_a_version_or_a_time_decides_and_the_next_write_ends_it() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create(&repository, &acme, "a").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let second = create(&repository, &acme, "b").await.manifest.entry.meta;
    tokio::time::sleep(Duration::from_secs(10)).await;
    create(&repository, &acme, "c").await;
    drain(&repository).await;
    let at = RecoveryRequest {
        target: RecoverTarget::At(second.committed_at),
        ..RecoveryRequest::default()
    };
    let plan = repository
        .recover_from_s3(
            &acme,
            &RecoveryRequest {
                dry_run: true,
                ..at.clone()
            },
        )
        .await
        .unwrap();
    assert_eq!(plan.active_version, Seq::new(2));
    assert_eq!(
        repository
            .current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(3)
    );
    let recovery = repository.recover_from_s3(&acme, &at).await.unwrap();
    assert_eq!(
        (recovery.active_version, recovery.restored),
        (Seq::new(2), 0)
    );
    assert_eq!(
        repository
            .current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(2)
    );
    drain(&repository).await;
    world.assert_settled(&database, &acme).await;

    // The decision outlives the database, and ends with the next version.
    let fresh = world.database();
    let next = world.repository(&fresh);
    next.recover_all(
        &RecoveryRequest::default(),
        &driftline::hybrid::Progress::default(),
    )
    .await
    .unwrap();
    assert_eq!(
        next.current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(2)
    );
    assert_eq!(
        next.manifest_at(&acme, second.committed_at)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(2)
    );
    create(&next, &acme, "d").await;
    assert_eq!(
        next.current_manifest(&acme)
            .await
            .unwrap()
            .unwrap()
            .version(),
        Seq::new(4)
    );
    let copy = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(1)),
        as_new_version: true,
        ..RecoveryRequest::default()
    };
    let copied = next.recover_from_s3(&acme, &copy).await.unwrap();
    assert_eq!(
        (copied.new_version, copied.active_version),
        (Some(Seq::new(5)), Seq::new(5))
    );
    let manifest = next.current_manifest(&acme).await.unwrap().unwrap();
    assert!(
        manifest
            .entry
            .meta
            .message
            .unwrap()
            .as_str()
            .starts_with("recovered from version 1 with chain ")
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_content_rules_refuse_changes_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    let bad: [&[u8]; 4] = [
        b"{",
        b"{}",
        br#"{"schemaVersion":"1","a":1,"a":2}"#,
        br#"{"schemaVersion":"1","n":9007199254740993}"#,
    ];
    for raw in bad {
        let request = CreateManifest {
            content: raw.to_vec(),
            ..CreateManifest::default()
        };
        assert_eq!(
            repository
                .create_manifest(&acme, request)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput
        );
    }
    let wrong = CreateManifest {
        content: content("a"),
        checksum: Some(Digest::of(b"other")),
        ..CreateManifest::default()
    };
    assert_eq!(
        repository
            .create_manifest(&acme, wrong)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(database.tenant(&acme).await.unwrap(), None);
    let checksum = Content::parse_manifest(&content("a"), 1000)
        .unwrap()
        .checksum();
    let right = CreateManifest {
        content: content("a"),
        checksum: Some(checksum),
        ..CreateManifest::default()
    };
    assert!(repository.create_manifest(&acme, right).await.unwrap().new);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_key_and_unchanged_content_make_no_version() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    let keyed = |tag: &str| CreateManifest {
        content: content(tag),
        idempotency_key: Some("key".parse().unwrap()),
        ..CreateManifest::default()
    };
    assert!(
        repository
            .create_manifest(&acme, keyed("a"))
            .await
            .unwrap()
            .new
    );
    let replay = repository.create_manifest(&acme, keyed("a")).await.unwrap();
    assert!(!replay.new && replay.manifest.version() == Seq::new(1));
    assert_eq!(
        repository
            .create_manifest(&acme, keyed("b"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::IdempotencyConflict
    );
    let same = CreateManifest {
        content: content("a"),
        skip_unchanged: true,
        ..CreateManifest::default()
    };
    assert!(!repository.create_manifest(&acme, same).await.unwrap().new);
    assert!(create(&repository, &acme, "a").await.new);
}

#[tokio::test(start_paused = true)]
async fn stats_and_health_tell_each_side_apart() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (_, repository) = world.claimed().await;
    let empty = repository.stats(&acme).await.unwrap();
    assert_eq!(
        (
            empty.total_versions,
            empty.latest_version,
            empty.bucket_bytes
        ),
        (0, Seq::default(), Some(0))
    );
    create_many(&repository, &acme, 2).await;
    drain(&repository).await;
    let stats = repository.stats(&acme).await.unwrap();
    assert_eq!((stats.total_versions, stats.shadowed_versions), (2, 2));
    let health = repository.health_check().await;
    assert!(health.database.reachable && health.bucket.reachable && health.refusal.is_none());
    world.bucket.set_down(true);
    let health = repository.health_check().await;
    assert!(health.database.reachable && !health.bucket.reachable);
    assert!(
        repository
            .stats(&acme)
            .await
            .unwrap()
            .bucket_bytes
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_abandons_at_its_deadline_and_loses_nothing() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 3).await;
    let gate = world.bucket.hold(
        On::put("acme/index.json").times(1),
        crate::support::faults::Moment::Before,
    );
    repository.start();
    gate.reached().await;
    assert!(!repository.shutdown(Duration::from_secs(1)).await.unwrap());
    tokio::time::sleep(world.settings.lease * 2).await;
    let next = world.repository(&database);
    next.drain(CancellationToken::new()).await.unwrap();
    world.assert_settled(&database, &acme).await;
    assert!(try_create(&next, &acme, "on").await.is_ok());
    assert_eq!(
        database.identity().await.unwrap().bucket_id,
        Some(world.identity().await.unwrap().bucket_id)
    );
}
