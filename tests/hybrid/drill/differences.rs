//! What differs or is damaged is named.

use super::*;

/// Changes rows of `acme` behind everybody's back.
async fn tamper(database: &Arc<MemoryDatabase>, seq: u64, change: impl FnOnce(&mut Entry)) {
    let (acme, seq) = (tenant("acme"), Seq::new(seq));
    let stored = database.entry(&acme, Stream::Manifests, seq).await.unwrap();
    let mut entry = stored.unwrap().entry;
    change(&mut entry);
    let bucket = database.identity().await.unwrap().bucket_id.unwrap();
    let watermarks = database.watermarks(&acme).await.unwrap();
    let mut restore = database.begin_restore(&acme).await.unwrap();
    let state = restore.state().unwrap().clone();
    restore.remove(Stream::Manifests, &[seq]).await.unwrap();
    restore.insert(&[entry]).await.unwrap();
    restore.commit(&state, bucket, &watermarks).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flipped_byte_in_a_snapshot_is_named() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let key = snapshot_key(
        &tenant("acme"),
        Stream::Manifests,
        Seq::new(2),
        Epoch::FIRST,
    );
    let mut bytes = world
        .memory
        .get(&key, u64::MAX)
        .await
        .unwrap()
        .unwrap()
        .bytes
        .to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(&world.memory, &key, bytes).await;
    let found = differences(&world, &database, &repository).await;
    let [Difference::Damaged(damage)] = &found[..] else {
        panic!("the damage alone tells: {found:?}")
    };
    assert_eq!(damage.object, key);
    assert!(
        proof(&database, &tenant("beta")).await.is_some(),
        "the others are proven"
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_snapshot_and_a_missing_tail_are_named() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let acme = tenant("acme");
    let key = snapshot_key(&acme, Stream::Manifests, Seq::new(2), Epoch::FIRST);
    world.memory.remove(&key).unwrap();
    let found = differences(&world, &database, &repository).await;
    assert!(
        matches!(&found[..], [Difference::Damaged(damage)] if damage.object == key),
        "{found:?}"
    );

    // Without its index the chain is followed, and ends at the hole.
    world
        .memory
        .remove(&index_key(&acme, Stream::Manifests))
        .unwrap();
    let found = differences(&world, &database, &repository).await;
    let (from, to) = (Seq::new(2), Seq::new(3));
    let lost = Difference::NotRestored {
        stream: Stream::Manifests,
        from,
        to,
    };
    assert!(found.contains(&lost), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_of_which_the_bucket_lost_everything_is_named() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    for key in world.keys("acme/").await {
        world.memory.remove(&key);
    }
    let found = differences(&world, &database, &repository).await;
    assert_eq!(found, [Difference::NotInBucket]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_row_is_named_by_what_changed() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    tamper(&database, 2, |entry| {
        let bytes = entry.content.as_bytes().to_vec();
        let bytes = String::from_utf8(bytes).unwrap().replace('R', "X");
        entry.content = Content::trusted(bytes.into_bytes().into(), entry.meta.checksum);
    })
    .await;
    let found = differences(&world, &database, &repository).await;
    assert!(
        matches!(&found[..], [Difference::Content { seq, .. }] if *seq == Seq::new(2)),
        "{found:?}"
    );
    tamper(&database, 1, |entry| {
        entry.meta.message = Some("forged".parse().unwrap());
    })
    .await;
    let found = differences(&world, &database, &repository).await;
    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        told[0],
        "manifests/1: message is \"forged\" in the database, but null came back"
    );
}

/// A field, and what forges it.
type Change = (&'static str, fn(&mut Entry));

#[tokio::test(start_paused = true)]
async fn every_field_of_an_entry_is_compared() {
    let changes: [Change; 8] = [
        ("id", |entry| {
            entry.meta.id.0 = uuid::Uuid::from_u128(99);
        }),
        ("epoch", |entry| {
            entry.meta.epoch = Epoch::new(7);
        }),
        ("checksum", |entry| {
            entry.meta.checksum = driftline::domain::Digest::of(b"x");
        }),
        ("chain", |entry| {
            entry.meta.chain = driftline::domain::Digest::of(b"x");
        }),
        ("createdAt", |entry| {
            entry.meta.created_at = "2020-01-01T00:00:00Z".parse().unwrap();
        }),
        ("committedAt", |entry| {
            entry.meta.committed_at = "2020-01-01T00:00:00Z".parse().unwrap();
        }),
        ("createdBy", |entry| {
            entry.meta.created_by = Some("x".parse().unwrap());
        }),
        ("message", |entry| {
            entry.meta.message = Some("x".parse().unwrap());
        }),
    ];
    for (name, change) in changes {
        let world = World::new();
        let (database, repository) = shadowed(&world).await;
        tamper(&database, 1, change).await;
        let found = differences(&world, &database, &repository).await;
        assert!(
            matches!(&found[..], [Difference::Field { field, .. }] if *field == name),
            "{name}: {found:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_the_database_lost_is_named() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    database.lose_row(&tenant("acme"), Stream::Manifests, Seq::new(2));
    let found = differences(&world, &database, &repository).await;
    let (from, to) = (Seq::new(2), Seq::new(2));
    assert_eq!(
        found,
        [Difference::NotInDatabase {
            stream: Stream::Manifests,
            from,
            to
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_bucket_has_beyond_the_database_is_named() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    // A copy from a while ago that is taken for the live database: its own id, and fewer rows.
    let copy = Arc::new(database.fork());
    create_many(&repository, &tenant("acme"), 2).await;
    create(&repository, &tenant("gamma"), "g").await;
    drain(&repository).await;
    let old = world.repository(&copy);
    let report = drill(&world, &old).await;
    let Drilled::Different { differences, .. } = &report.tenants[0].1 else {
        panic!("{report:?}")
    };
    let (from, to) = (Seq::new(4), Seq::new(5));
    assert_eq!(
        differences[..],
        [Difference::NotInDatabase {
            stream: Stream::Manifests,
            from,
            to
        }]
    );
    assert!(matches!(report.tenants[1].1, Drilled::Proven { .. }));
    assert!(
        matches!(&report.tenants[2].1, Drilled::Different { differences, .. } if differences[..] == [Difference::UnknownTenant])
    );
}

#[tokio::test(start_paused = true)]
async fn another_active_version_is_named_while_the_entries_are_the_same() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let acme = tenant("acme");
    let bucket = database.identity().await.unwrap().bucket_id.unwrap();
    let watermarks = database.watermarks(&acme).await.unwrap();
    let restore = database.begin_restore(&acme).await.unwrap();
    let mut state = restore.state().unwrap().clone();
    let first = database
        .entry(&acme, Stream::Manifests, Seq::new(1))
        .await
        .unwrap()
        .unwrap();
    state.activation = Some(driftline::domain::Activation {
        decision: Seq::new(1),
        target: driftline::domain::VersionRef {
            version: Seq::new(1),
            chain: first.entry.meta.chain,
        },
        head_chain: state.heads[Stream::Manifests].chain,
    });
    restore.commit(&state, bucket, &watermarks).await.unwrap();
    let found = differences(&world, &database, &repository).await;
    assert_eq!(
        found[0].to_string(),
        "activeVersion is 1 in the database, but 3 came back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_index_is_told_although_everything_came_back() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let key = index_key(&tenant("acme"), Stream::Manifests);
    overwrite(&world.memory, &key, b"{}".to_vec()).await;
    let report = drill(&world, &repository).await;
    assert!(report.has_differences());
    assert!(
        matches!(&report.tenants[0].1, Drilled::Proven { compared, .. } if compared.worked_around[0].object == key)
    );
    assert!(
        proof(&database, &tenant("acme")).await.is_some(),
        "it is restorable all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_page_is_worked_around_or_told() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    for _ in 0..3 {
        create_many(&repository, &acme, 130).await;
        drain(&repository).await;
    }
    let key = page_key(&acme, Stream::Manifests, 1);
    overwrite(&world.memory, &key, b"{}".to_vec()).await;
    let report = drill(&world, &repository).await;
    assert!(
        matches!(&report.tenants[0].1, Drilled::Proven { compared, .. } if compared.worked_around[0].object == key),
        "{report:?}"
    );
    // A snapshot in the lost page cannot be found by anything else.
    let lost = snapshot_key(&acme, Stream::Manifests, Seq::new(100), Epoch::FIRST);
    world.memory.remove(&lost).unwrap();
    let report = drill(&world, &repository).await;
    assert!(
        report.has_differences() && !report.has_failures(),
        "{report:?}"
    );
    assert!(!matches!(report.tenants[0].1, Drilled::Proven { .. }));
    drop(database);
}

#[tokio::test(start_paused = true)]
async fn a_valid_snapshot_of_another_history_is_not_proven() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let stranger = crate::support::world::put_strangers_snapshot(&world, 2).await;
    assert!(Snapshot::write(&stranger).len() > 10);
    let found = differences(&world, &database, &repository).await;
    assert!(matches!(&found[..], [Difference::Damaged(_)]), "{found:?}");
}
