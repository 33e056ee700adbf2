//! Drills: what they prove, what they find, and what they leave alone.

use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::Content;
use driftline::domain::format::{Snapshot, index_key, page_key, snapshot_key};
use driftline::domain::{Entry, Epoch, Seq, Stream, TenantId};
use driftline::hybrid::drill::{Difference, DrillProgress, DrillReport, DrillScope, Drilled};
use driftline::ports::{
    Error, ErrorKind, ManifestStore as _, RecoveryStore as _, RestoreProof, ShadowLedger as _,
    SnapshotStore as _,
};

use crate::support::faults::{Flaw, Method, Moment, On};
use crate::support::world::{
    Repository, World, apply, create, create_many, drain, overwrite, tenant,
};

async fn try_drill(
    world: &World,
    repository: &Repository,
    scope: DrillScope,
) -> Result<DrillReport, Error> {
    let progress = DrillProgress::default();
    repository.drill(world.database(), &scope, &progress).await
}

async fn drill(world: &World, repository: &Repository) -> DrillReport {
    let before = world.memory.snapshot();
    let report = try_drill(world, repository, DrillScope::All).await.unwrap();
    assert_eq!(
        world.memory.snapshot(),
        before,
        "a drill writes nothing to the bucket"
    );
    report
}

async fn proof(database: &Arc<MemoryDatabase>, tenant: &TenantId) -> Option<RestoreProof> {
    let status = database.status(Some(tenant), None, 1).await.unwrap();
    status[0].proof
}

async fn failed(database: &Arc<MemoryDatabase>, tenant: &TenantId) -> Option<(String, bool)> {
    let status = database.status(Some(tenant), None, 1).await.unwrap();
    let failed = status[0].failed_drill.clone();
    failed.map(|failed| (failed.reason, failed.refutes))
}

/// The differences of `acme`, of which there must be some, and no proof.
async fn differences(
    world: &World,
    database: &Arc<MemoryDatabase>,
    repository: &Repository,
) -> Vec<Difference> {
    let mut report = drill(world, repository).await;
    assert!(report.has_differences());
    assert_eq!(
        proof(database, &tenant("acme")).await,
        None,
        "no proof of what differs"
    );
    let acme = report
        .tenants
        .iter()
        .position(|(name, _)| *name == tenant("acme"));
    match report.tenants.swap_remove(acme.unwrap()).1 {
        Drilled::Different { differences, .. } => differences,
        other => panic!("differences are expected, not {other:?}"),
    }
}

/// Three versions, an apply and a decision of `acme`, one version of `beta`, all shadowed.
async fn shadowed(world: &World) -> (Arc<MemoryDatabase>, Repository) {
    let (database, repository) = world.claimed().await;
    create_many(&repository, &tenant("acme"), 3).await;
    apply(&repository, &tenant("acme"), 2).await;
    create(&repository, &tenant("beta"), "b").await;
    drain(&repository).await;
    (database, repository)
}

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
async fn a_drill_proves_every_tenant_and_touches_nothing() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let at_risk = create(&repository, &tenant("acme"), "at risk").await;
    create(&repository, &tenant("new"), "nothing shadowed").await;
    let (tenants, calls) = (
        database.tenants(None, 10).await.unwrap(),
        world.bucket.counts(),
    );
    let report = drill(&world, &repository).await;

    assert!(!report.has_differences() && !report.has_failures());
    let names: Vec<_> = report
        .tenants
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["acme", "beta", "new"]);
    assert!(matches!(report.tenants[2].1, Drilled::Nothing));
    let Drilled::Proven {
        proof: told,
        compared,
    } = &report.tenants[0].1
    else {
        panic!("{report:?}")
    };
    assert_eq!((told.version, compared.entries), (Seq::new(3), 4));
    assert!(at_risk.manifest.version() > told.version);
    assert_eq!(proof(&database, &tenant("acme")).await, Some(*told));
    assert_eq!(proof(&database, &tenant("new")).await, None);

    let after = world.bucket.counts();
    assert_eq!((after.puts, after.deletes), (calls.puts, calls.deletes));
    assert_eq!(database.tenants(None, 10).await.unwrap(), tenants);
    assert!(world.identity().await.unwrap().database_id == database.identity().await.unwrap().id);
}

#[tokio::test(start_paused = true)]
async fn histories_with_pages_and_several_epochs_are_proven() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 150).await;
    drain(&repository).await;
    create_many(&repository, &acme, 150).await;
    drain(&repository).await;
    let after = world.database();
    let second = world.repository(&after);
    assert_eq!(crate::support::world::recover_all(&second).await.len(), 1);
    create_many(&second, &acme, 5).await;
    drain(&second).await;
    let report = drill(&world, &second).await;
    assert!(
        matches!(&report.tenants[0].1, Drilled::Proven { proof, .. } if proof.version == Seq::new(305)),
        "{report:?}"
    );
    drop(database);
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
async fn writers_and_replicators_at_work_are_no_difference() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    for round in 0..40_usize {
        // Everything that was read of the bucket is older than what is written while the drill is held at one of its reads.
        let place = [
            "acme/index.json",
            "acme/versions/",
            "bucket.json",
            "acme/applies/",
        ];
        let gate = world.bucket.hold(
            On::get(place[round % 4]).skip(round / 8).times(1),
            Moment::After,
        );
        let drilling = {
            let (repository, scratch) = (repository.clone(), world.database());
            tokio::spawn(async move {
                let progress = DrillProgress::default();
                repository.drill(scratch, &DrillScope::All, &progress).await
            })
        };
        tokio::select! {
            () = gate.reached() => {}
            () = tokio::time::sleep(std::time::Duration::from_secs(5)) => {}
        }
        let other = world.repository_on(&database, Arc::new(world.memory.clone()));
        create_many(&other, &tenant("acme"), 3).await;
        apply(&other, &tenant("beta"), 1).await;
        create(&other, &tenant(&format!("new-{round}")), "n").await;
        drain(&other).await;
        gate.release();
        let report = drilling.await.unwrap().unwrap();
        assert!(
            !report.has_differences() && !report.has_failures(),
            "round {round}: {report:?}"
        );
        world.bucket.heal();
    }
    assert!(proof(&database, &tenant("acme")).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_between_listing_and_fence_is_begun_anew() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    create_many(&repository, &tenant("acme"), 2).await;
    drain(&repository).await;
    let gate = world
        .bucket
        .hold(On::get("acme/versions/").times(1), Moment::After);
    let drilling = {
        let (repository, scratch) = (repository.clone(), world.database());
        tokio::spawn(async move {
            let progress = DrillProgress::default();
            repository.drill(scratch, &DrillScope::All, &progress).await
        })
    };
    gate.reached().await;
    let other = world.repository_on(&database, Arc::new(world.memory.clone()));
    apply(&other, &tenant("acme"), 1).await;
    drain(&other).await;
    gate.release();
    let report = drilling.await.unwrap().unwrap();
    assert!(
        !report.has_differences() && !report.has_failures(),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sample_draws_some_and_at_least_one() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    for number in 0..10 {
        create(&repository, &tenant(&format!("t{number}")), "x").await;
    }
    drain(&repository).await;
    create(&repository, &tenant("new"), "nothing shadowed").await;
    for (percent, wanted) in [(1.0, 1), (25.0, 3), (100.0, 10)] {
        let report = try_drill(&world, &repository, DrillScope::Sample { percent })
            .await
            .unwrap();
        assert_eq!(report.tenants.len(), wanted, "{percent}%");
        for (name, drilled) in &report.tenants {
            assert!(
                matches!(drilled, Drilled::Proven { .. }),
                "{name}: {drilled:?}"
            );
            assert!(proof(&database, name).await.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_tenant_is_drilled_alone() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    world.bucket.take_calls();
    let scope = |name: &str| DrillScope::Tenants(vec![tenant(name)]);
    let report = try_drill(&world, &repository, scope("beta")).await.unwrap();
    assert!(matches!(report.tenants[..], [(_, Drilled::Proven { .. })]));
    assert_eq!(proof(&database, &tenant("acme")).await, None);
    let calls = world.bucket.calls();
    let lists = calls.iter().filter(|call| call.method == Method::List);
    assert!(lists.clone().any(|call| call.key == "beta/"));
    assert!(
        lists.clone().all(|call| !call.key.is_empty()),
        "nothing else is listed"
    );
    let error = try_drill(&world, &repository, scope("nobody"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_database_in_use_is_no_scratch() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let progress = DrillProgress::default();
    let claimed = world.database();
    let other_bucket = driftline::domain::BucketId(uuid::Uuid::from_u128(7));
    claimed
        .claim(None, other_bucket, Epoch::FIRST)
        .await
        .unwrap();
    let full = world.database();
    full.await_recovery(None, Some(&tenant("acme")))
        .await
        .unwrap();
    for (scratch, why) in [
        (database, "live"),
        (claimed, "in use"),
        (full, "tenants in it"),
    ] {
        let before = (
            scratch.identity().await.unwrap(),
            scratch.tenants(None, 9).await.unwrap(),
        );
        let error = repository
            .drill(scratch.clone(), &DrillScope::All, &progress)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(why), "{error}");
        let after = (
            scratch.identity().await.unwrap(),
            scratch.tenants(None, 9).await.unwrap(),
        );
        assert_eq!(after, before);
    }
}

#[tokio::test(start_paused = true)]
async fn another_bucket_proves_nothing() {
    let (world, elsewhere) = (World::new(), World::new());
    let (database, repository) = shadowed(&world).await;
    shadowed(&elsewhere).await;
    for object in ["_driftline/bucket.json"] {
        let bytes = elsewhere
            .memory
            .get(object, u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes;
        // Identifiers count up in every world: this one has to be another.
        let text = String::from_utf8(bytes.to_vec()).unwrap().replace(
            "00000000-0000-0000-0000-0000000000",
            "00000000-0000-0000-0000-0000000001",
        );
        overwrite(&elsewhere.memory, object, text.into_bytes()).await;
    }
    let wrong = world.repository_on(&database, Arc::new(elsewhere.memory.clone()));
    let error = try_drill(&world, &wrong, DrillScope::All)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let unseen = world.repository(&world.database());
    let error = try_drill(&world, &unseen, DrillScope::All)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    drop(repository);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_fails_is_a_failure_and_no_difference() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let snapshot = On::get("acme/versions/v000002.json");
    world.bucket.fail(snapshot, Flaw::Unavailable);
    let report = drill(&world, &repository).await;
    assert!(
        report.has_failures() && !report.has_differences(),
        "{report:?}"
    );
    assert!(matches!(&report.tenants[0].1, Drilled::Failed(_)));
    assert_eq!(proof(&database, &tenant("acme")).await, None);
    assert!(proof(&database, &tenant("beta")).await.is_some());
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

#[tokio::test(start_paused = true)]
async fn a_drill_that_finds_something_ends_the_earlier_proof_until_one_proves_again() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    drill(&world, &repository).await;
    assert!(proof(&database, &acme).await.is_some());
    let key = snapshot_key(&acme, Stream::Manifests, Seq::new(2), Epoch::FIRST);
    let bytes = world.memory.remove(&key).unwrap();
    differences(&world, &database, &repository).await;
    let (reason, refutes) = failed(&database, &acme).await.unwrap();
    assert!(refutes && reason.contains(&key), "{reason}");
    assert!(proof(&database, &beta).await.is_some());
    assert_eq!(failed(&database, &beta).await, None);
    // An outage neither proves nor refutes.
    world.bucket.set_down(true);
    drop(try_drill(&world, &repository, DrillScope::All).await);
    assert_eq!(failed(&database, &acme).await, Some((reason, true)));
    world.bucket.heal();
    world.memory.insert(&key, bytes);
    drill(&world, &repository).await;
    assert!(proof(&database, &acme).await.is_some());
    assert_eq!(failed(&database, &acme).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_drill_that_cannot_be_carried_out_is_on_record_beside_the_proof() {
    let world = World::new();
    let (database, repository) = shadowed(&world).await;
    let acme = tenant("acme");
    drill(&world, &repository).await;
    let proven = proof(&database, &acme).await;
    assert!(proven.is_some());
    world.bucket.set_down(true);
    try_drill(&world, &repository, DrillScope::All)
        .await
        .unwrap_err();
    let (_, refutes) = failed(&database, &acme).await.unwrap();
    assert!(!refutes);
    assert_eq!(proof(&database, &acme).await, proven);
}
