//! Tenants end by decision.

use driftline::domain::{Decision, Seq, Stream};
use driftline::ports::{ErrorKind, ManifestStore as _};
use driftline::prelude::*;

use crate::support::world::{
    Repository, World, create, create_many, drain, recover_all, tenant, try_create,
};

async fn retire(repository: &Repository, name: &str) {
    let by = Some("alice".parse().unwrap());
    let reason = "contract ended".parse().unwrap();
    repository
        .set_retired(&tenant(name), true, by, reason)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_retired_tenant_is_read_and_not_written_until_it_is_reinstated() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 2).await;
    retire(&repository, "acme").await;

    let decision = database.entry(&acme, Stream::Decisions, Seq::new(1)).await;
    let decision = decision.unwrap().unwrap().entry;
    assert_eq!(decision.content, Decision::Retire.to_content().unwrap());
    assert_eq!(decision.meta.message.unwrap().as_str(), "contract ended");
    assert_eq!(decision.meta.created_by.unwrap().as_str(), "alice");

    let refused = try_create(&repository, &acme, "more").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let manifest = repository.current_manifest(&acme).await.unwrap().unwrap();
    assert_eq!(
        (manifest.version(), manifest.retired),
        (Seq::new(2), Some(true))
    );
    let history = repository.version_history(&acme, None, 10).await.unwrap();
    assert_eq!((history.items.len(), history.retired), (2, Some(true)));
    assert!(repository.stats(&acme).await.unwrap().retired);

    let back = "they came back".parse().unwrap();
    repository
        .set_retired(&acme, false, None, back)
        .await
        .unwrap();
    create(&repository, &acme, "more").await;
    let history = repository.version_history(&acme, None, 10).await.unwrap();
    assert_eq!((history.items.len(), history.retired), (3, Some(false)));
    assert!(!repository.stats(&acme).await.unwrap().retired);
}

#[tokio::test(start_paused = true)]
async fn what_is_so_already_is_refused_and_leaves_no_decision() {
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    create(&repository, &acme, "a").await;
    let set = async |name: &str, retired| {
        let reason = "x".parse().unwrap();
        let done = repository
            .set_retired(&tenant(name), retired, None, reason)
            .await;
        done.map(|meta| meta.seq).map_err(|error| error.kind())
    };
    assert_eq!(set("nobody", true).await, Err(ErrorKind::NotFound));
    assert_eq!(set("acme", false).await, Err(ErrorKind::Refused));
    assert_eq!(set("acme", true).await, Ok(Seq::new(1)));
    assert_eq!(set("acme", true).await, Err(ErrorKind::Refused));
    let state = database.tenant(&acme).await.unwrap().unwrap();
    assert_eq!(state.heads[Stream::Decisions].seq, Seq::new(1));
}

#[tokio::test(start_paused = true)]
async fn recovery_brings_a_retired_tenant_back_as_retired() {
    let world = World::new();
    let (_, repository) = world.claimed().await;
    for name in ["acme", "beta", "gamma"] {
        create(&repository, &tenant(name), "a").await;
    }
    retire(&repository, "acme").await;
    retire(&repository, "beta").await;
    let reason = "they came back".parse().unwrap();
    let beta = tenant("beta");
    repository
        .set_retired(&beta, false, None, reason)
        .await
        .unwrap();
    drain(&repository).await;

    let database = world.database();
    let restored = world.repository(&database);
    recover_all(&restored).await;
    for (name, retired) in [("acme", Some(Seq::new(1))), ("beta", None), ("gamma", None)] {
        let state = database.tenant(&tenant(name)).await.unwrap().unwrap();
        assert_eq!(state.retired, retired, "{name}");
    }
    let refused = try_create(&restored, &tenant("acme"), "b")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    create(&restored, &tenant("beta"), "b").await;
}

#[tokio::test(start_paused = true)]
async fn a_retired_tenant_is_proven_restorable_as_retired() {
    let world = World::new();
    let (_, repository) = world.claimed().await;
    create(&repository, &tenant("acme"), "a").await;
    retire(&repository, "acme").await;
    drain(&repository).await;
    let progress = driftline::hybrid::drill::DrillProgress::default();
    let scope = driftline::hybrid::drill::DrillScope::All;
    let report = repository.drill(world.database(), &scope, &progress).await;
    let report = report.unwrap();
    assert!(
        !report.has_differences() && !report.has_failures(),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_forgets_the_end_of_a_tenant_is_a_difference() {
    use driftline::domain::TenantState;
    use driftline::ports::{RecoveryStore as _, ShadowLedger as _};
    let world = World::new();
    let (database, repository) = world.claimed().await;
    let acme = tenant("acme");
    create(&repository, &acme, "a").await;
    retire(&repository, "acme").await;
    drain(&repository).await;
    // The other way about, so that it holds whatever recovery restores: the live row names another decision.
    let bucket = database.identity().await.unwrap().bucket_id.unwrap();
    let watermarks = database.watermarks(&acme).await.unwrap();
    let restore = database.begin_restore(&acme).await.unwrap();
    let state = TenantState {
        retired: Some(Seq::new(7)),
        ..restore.state().unwrap().clone()
    };
    restore.commit(&state, bucket, &watermarks).await.unwrap();
    let progress = driftline::hybrid::drill::DrillProgress::default();
    let scope = driftline::hybrid::drill::DrillScope::All;
    let report = repository.drill(world.database(), &scope, &progress).await;
    assert!(report.unwrap().has_differences());
}
