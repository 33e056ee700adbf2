//! Objects of today's format that damage makes look like the older layout's: damaged, and nothing else.

use driftline::domain::format::{index_key, parse_snapshot_key};
use driftline::domain::integrity::{Finding, Verdict};
use driftline::hybrid::integrity::ReadData;

use super::*;
use crate::support::world::{apply, create_many};

const FIRST: &str = "acme/versions/v000001.json";

/// Three versions, all of them shadowed.
async fn shadowed() -> (World, Repository, TenantId) {
    let world = World::new();
    let (_, repository) = world.claimed().await;
    let acme = tenant("acme");
    create_many(&repository, &acme, 3).await;
    drain(&repository).await;
    (world, repository, acme)
}

fn change(world: &World, key: &str, members: &[&str]) {
    let bytes = world.memory.remove(key).unwrap();
    let mut text = String::from_utf8(bytes.to_vec()).unwrap();
    for member in members {
        let (written, lost) = (format!("\"{member}\":"), format!("\"~{}\":", &member[1..]));
        assert!(text.contains(&written), "{text}");
        text = text.replacen(&written, &lost, 1);
    }
    world.memory.insert(key, text);
}

/// Recovers the tenant into an empty database.
async fn recovered(world: &World, acme: &TenantId) -> Recovery {
    let repository = world.repository(&world.database());
    repository.check_ownership().await.unwrap();
    recover(&repository, acme).await
}

/// Nobody took the tenant for one of the older layout.
async fn is_todays(world: &World, recovery: &Recovery) {
    assert!(recovery.legacy.is_empty(), "{:?}", recovery.legacy);
    let copies = world.keys("_driftline/legacy/").await;
    assert!(copies.is_empty(), "{copies:?}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_lost_its_format_is_damaged_and_its_tenant_is_todays() {
    for members in [
        &["format"][..],
        &["format", "chain"],
        &["format", "committedAt"],
    ] {
        let (world, repository, acme) = shadowed().await;
        world.memory.remove(&index_key(&acme, Stream::Manifests));
        change(&world, FIRST, members);
        let report = repository.verify(&acme, ReadData::All).await.unwrap();
        let of_first = |it: &&Finding| it.object.as_deref() == Some(FIRST);
        let verdicts: Vec<_> = (report.findings.iter().filter(of_first))
            .map(|it| it.verdict)
            .collect();
        assert_eq!(verdicts, [Verdict::Malformed]);
        let listed = repository.recoverable_versions(&acme, None, 10).await;
        assert_eq!(listed.unwrap().items, []);
        let recovery = recovered(&world, &acme).await;
        is_todays(&world, &recovery).await;
        let failed: Vec<_> = recovery.failures.iter().map(|it| &it.object).collect();
        assert_eq!(failed, [FIRST]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_lost_its_format_is_damaged_and_its_tenant_is_todays() {
    for members in [
        &["format"][..],
        &["format", "selfSha256"],
        &["format", "prevChain"],
    ] {
        let (world, _, acme) = shadowed().await;
        let index = index_key(&acme, Stream::Manifests);
        change(&world, &index, members);
        let recovery = recovered(&world, &acme).await;
        is_todays(&world, &recovery).await;
        assert_eq!(recovery.restored, 3);
        let around: Vec<_> = recovery.worked_around.iter().map(|it| &it.object).collect();
        assert_eq!(around, [&index]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_looks_like_the_older_layouts_beside_todays_is_damage() {
    let foreign = r#"{"content":{"schemaVersion":"1"}}"#;
    // Beside another snapshot, or beside an apply of the first epoch.
    for (versions, with_apply) in [(2, false), (1, true)] {
        let world = World::new();
        let (_, repository) = world.claimed().await;
        let acme = tenant("acme");
        create_many(&repository, &acme, versions).await;
        if with_apply {
            apply(&repository, &acme, 1).await;
        }
        drain(&repository).await;
        world.memory.remove(&index_key(&acme, Stream::Manifests));
        world.memory.remove(FIRST);
        world.memory.insert(FIRST, foreign);
        let recovery = recovered(&world, &acme).await;
        is_todays(&world, &recovery).await;
        let failed: Vec<_> = (recovery.failures.iter())
            .filter(|it| parse_snapshot_key(&it.object).is_some_and(|it| it.0 == Stream::Manifests))
            .map(|it| &it.object)
            .collect();
        assert_eq!(failed, [FIRST]);
    }
}
