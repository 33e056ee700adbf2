//! What is no drill: of a database in use, of another bucket, of one that fails.

use super::*;

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
