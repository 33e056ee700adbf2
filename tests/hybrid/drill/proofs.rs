//! What a drill proves, and what it puts on record.

use super::*;

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
