//! Two histories, and what a recovery would bring back: told as that, and not repaired.

use super::*;

#[tokio::test(start_paused = true)]
async fn two_histories_are_told_and_repaired_by_neither() {
    let world = World::new();
    let (primary, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 2).await;
    drain(&repository).await;
    let replica = Arc::new(primary.backup());
    create(&repository, &acme, "primary").await;
    drain(&repository).await;
    let promoted = world.repository(&replica);
    promoted.check_ownership().await.unwrap();
    create(&promoted, &acme, "replica").await;
    let report = promoted.verify(&acme, ReadData::All).await.unwrap();
    assert_eq!(report.findings[0].verdict, Verdict::Divergent);
    assert_eq!(report.findings[0].seq, Some(Seq::new(3)));
    assert_eq!(report.findings[0].repair, Mend::ResolveDivergence);
    let plan = promoted.plan_repair(None).await.unwrap();
    assert_eq!(plan.actions(), 0);
    assert!(plan.left().count() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_behind_is_told_to_recover() {
    let world = World::new();
    let (primary, repository) = world.claimed().await;
    let acme = tenant("acme");
    create(&repository, &acme, "1").await;
    drain(&repository).await;
    let behind = world.repository(&Arc::new(primary.fork()));
    create(&repository, &acme, "2").await;
    drain(&repository).await;
    let report = behind.verify(&acme, ReadData::Nothing).await.unwrap();
    assert_eq!(report.findings[0].verdict, Verdict::IndexOnly);
    assert_eq!(report.findings[0].repair, Mend::Recover);
}

/// The database goes back to an earlier moment without telling; a snapshot that was written meanwhile lies beyond the index,
/// where the next history has another entry.
async fn gone_back(left: &[usize]) -> Scene {
    let Scene {
        world,
        database,
        repository,
        acme,
    } = with(2).await;
    let backup = Arc::new(database.backup());
    for tag in ["lost 3", "lost 4"] {
        create(&repository, &acme, tag).await;
    }
    let rows = (database.as_ref() as &dyn driftline::ports::Database)
        .pending(&acme, Stream::Manifests, Seq::new(2), 10, u64::MAX)
        .await
        .unwrap();
    for row in left {
        let meta = &rows[*row].meta;
        let key = snapshot_key(&acme, meta.stream, meta.seq, meta.epoch);
        world.memory.insert(&key, Snapshot::write(&rows[*row]));
    }
    let repository = world.repository(&backup);
    Scene {
        world,
        database: backup,
        repository,
        acme,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_in_the_way_beyond_the_index_is_moved_away_and_shadowing_goes_on() {
    let scene = gone_back(&[1]).await;
    for tag in ["3", "4"] {
        create(&scene.repository, &scene.acme, tag).await;
    }
    let halted = drain(&scene.repository).await;
    assert_eq!(halted.left.stopped, 1);
    // A recovery finds nothing to bring back, and the next batch halts again.
    recover_all(&scene.repository).await;
    assert_eq!(drain(&scene.repository).await.left.stopped, 1);
    let report = scene.verify(ReadData::All).await;
    let found: Vec<_> = report.findings.iter().filter(|it| it.is_damage()).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    let told = (found[0].verdict, found[0].seq, found[0].repair);
    assert_eq!(
        told,
        (Verdict::BucketOnly, Some(Seq::new(4)), Mend::Quarantine)
    );
    scene.repair(4).await;
    assert_eq!(scene.quarantined().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_history_that_continues_the_index_is_no_stranger() {
    let scene = gone_back(&[0, 1]).await;
    for tag in ["3", "4"] {
        create(&scene.repository, &scene.acme, tag).await;
    }
    let halted = drain(&scene.repository).await;
    assert_eq!(halted.left.stopped, 1);
    let report = scene.verify(ReadData::All).await;
    assert_eq!(report.findings[0].verdict, Verdict::Divergent);
    assert_eq!(report.findings[0].repair, Mend::ResolveDivergence);
    assert_eq!(scene.plan().await.actions(), 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_recovery_would_adopt_is_left_to_it() {
    let scene = gone_back(&[0, 1]).await;
    let report = scene.verify(ReadData::All).await;
    let mends: Vec<_> = report.findings.iter().map(|it| it.repair).collect();
    assert_eq!(mends, [Mend::Recover; 2], "{:#?}", report.findings);
    assert_eq!(scene.plan().await.actions(), 0);
    recover_all(&scene.repository).await;
    assert_eq!(scene.verify(ReadData::All).await.findings, []);
}

/// A database that ends at version 5, and a bucket that goes on to 10.
async fn behind(index: impl FnOnce(&World)) -> (World, Arc<MemoryDatabase>, Repository) {
    let world = World::new();
    let (primary, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 5).await;
    drain(&repository).await;
    let old = Arc::new(primary.backup());
    create_many(&repository, &acme, 5).await;
    drain(&repository).await;
    index(&world);
    let repository = world.repository(&old);
    (world, old, repository)
}

#[tokio::test(start_paused = true)]
async fn what_a_recovery_would_bring_back_is_no_orphan_whatever_became_of_the_index() {
    let key = || index_key(&tenant("acme"), Stream::Manifests);
    for lost in [true, false] {
        let (_world, database, repository) = behind(|world| {
            let mut bytes = world.memory.remove(&key()).unwrap().to_vec();
            if !lost {
                bytes.push(b'x');
                world.memory.insert(&key(), bytes);
            }
        })
        .await;
        let acme = tenant("acme");
        let report = repository.verify(&acme, ReadData::All).await.unwrap();
        let adopted = report
            .findings
            .iter()
            .filter(|it| it.repair == Mend::Recover);
        assert_eq!(adopted.count(), 5, "{:#?}", report.findings);
        let plan = repository.plan_repair(None).await.unwrap();
        assert_eq!(plan.actions(), 0, "{plan:#?}");
        recover(&repository, &acme).await;
        let state = (database.as_ref() as &dyn driftline::ports::Database).tenant(&acme);
        assert_eq!(
            state.await.unwrap().unwrap().heads[Stream::Manifests].seq,
            Seq::new(10)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_histories_are_told_without_an_index_too() {
    for lost in [true, false] {
        let (_world, _database, repository) = behind(|world| {
            let key = index_key(&tenant("acme"), Stream::Manifests);
            world.memory.remove(&key).unwrap();
            if !lost {
                world.memory.insert(&key, "garbage");
            }
        })
        .await;
        let acme = tenant("acme");
        create(&repository, &acme, "another sixth").await;
        create(&repository, &acme, "another seventh").await;
        for read in [ReadData::Nothing, ReadData::All] {
            let report = repository.verify(&acme, read).await.unwrap();
            let divergent = report
                .findings
                .iter()
                .find(|it| it.verdict == Verdict::Divergent);
            assert_eq!(
                divergent.unwrap().seq,
                Some(Seq::new(6)),
                "{:#?}",
                report.findings
            );
        }
        assert_eq!(repository.plan_repair(None).await.unwrap().actions(), 0);
    }
}
