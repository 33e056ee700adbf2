//! A control plane: versions, applies, and decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftline::domain::drift::{Policy, Unmanaged};
use driftline::domain::{Seq, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::ports::{
    CreateManifest, DecideDrift, DriftDecision, Durability, ErrorKind, Expectation, RecordApply,
    RecoverTarget, RecoveryRequest,
};
use driftline::prelude::*;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::process::Process;
use crate::world::World;

pub async fn write(process: Arc<Process>) {
    let repository = process.repository();
    let draws = &process.world.draws;
    look(&repository).await;
    loop {
        sleep(draws.millis(0, 700)).await;
        let tenant = draws.pick(&process.world.tenants).clone();
        let done = match draws.below(10) {
            0..=4 => create(&process, &repository, &tenant).await,
            5..=7 => apply(&process, &repository, &tenant).await,
            8 => decide(&process, &repository, &tenant).await,
            _ => activate(&process, &repository, &tenant).await,
        };
        if let Err(ErrorKind::Refused) = done {
            look(&repository).await;
            sleep(draws.millis(100, 900)).await;
        }
    }
}

/// What a process does first, and again when it is refused.
async fn look(repository: &HybridManifestRepository) {
    for _ in 0..3 {
        if repository.check_ownership().await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

type Done = Result<(), ErrorKind>;

/// So many versions of one tenant that a page is due, or nearly.
pub async fn write_a_page(world: &World, process: &Arc<Process>) {
    let repository = process.repository();
    for _ in 0..world.draws.between(124, 130) {
        let request = CreateManifest {
            content: content(world.next_tag()),
            ..CreateManifest::default()
        };
        let _ = repository.create_manifest(&world.tenants[0], request).await;
    }
    let _ = repository.drain(CancellationToken::new()).await;
}

/// The content of a version: no two are alike, so that each can be told apart.
pub fn content(tag: impl std::fmt::Display) -> Vec<u8> {
    format!(r#"{{"schemaVersion":"1","tag":"{tag}","roles":[{{"id":"r1","name":"R"}}]}}"#)
        .into_bytes()
}

async fn create(
    process: &Process,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
) -> Done {
    let draws = &process.world.draws;
    let tag = process.world.next_tag();
    let keyed = draws.chance(0.6);
    let expect = if draws.chance(0.2) {
        let head = repository
            .stats(tenant)
            .await
            .map_err(|error| error.kind())?;
        Some(Expectation::Version(head.latest_version))
    } else {
        None
    };
    let durability = if draws.chance(0.2) {
        Durability::Shadowed(draws.millis(10, 2000))
    } else {
        Durability::Committed
    };
    for _ in 0..3 {
        let request = CreateManifest {
            content: content(tag),
            idempotency_key: keyed.then(|| format!("key-{tag}").parse().expect("a short text")),
            expect,
            durability,
            ..CreateManifest::default()
        };
        let error = match repository.create_manifest(tenant, request).await {
            Ok(created) => {
                process.world.watch(|model| model.served(&created.manifest));
                return Ok(());
            }
            Err(error) => error.kind(),
        };
        // Without a key a repeat would be another version.
        if !keyed
            || !matches!(
                error,
                ErrorKind::OutcomeUnknown(_) | ErrorKind::Unavailable(_)
            )
        {
            return Err(error);
        }
        sleep(draws.millis(0, 200)).await;
    }
    Ok(())
}

/// A version that is there: often the newest, which is the least shadowed.
async fn some_version(
    process: &Process,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
) -> Result<Option<Seq>, ErrorKind> {
    let history = repository
        .version_history(tenant, None, 4)
        .await
        .map_err(|error| error.kind())?;
    if history.items.is_empty() {
        return Ok(None);
    }
    if process.world.draws.chance(0.6) {
        return Ok(history.items.first().map(|meta| meta.seq));
    }
    Ok(Some(process.world.draws.pick(&history.items).seq))
}

async fn apply(
    process: &Process,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
) -> Done {
    let Some(version) = some_version(process, repository, tenant).await? else {
        return Ok(());
    };
    let external = format!("x{}", process.world.next_tag());
    let request = RecordApply {
        version,
        resources: BTreeMap::from([(
            "roles".to_owned(),
            BTreeMap::from([("r1".to_owned(), external)]),
        )]),
        allow_unknown: true,
        created_by: None,
        message: None,
        durability: Durability::Committed,
    };
    repository
        .record_apply(tenant, request)
        .await
        .map(drop)
        .map_err(|error| error.kind())
}

async fn decide(
    process: &Process,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
) -> Done {
    let policy = Policy {
        unmanaged: *process
            .world
            .draws
            .pick(&[Unmanaged::Report, Unmanaged::Ignore]),
        ..Policy::default()
    };
    let request = DecideDrift {
        decision: DriftDecision::Policy(policy),
        created_by: None,
        message: None,
        durability: Durability::Committed,
    };
    repository
        .decide_drift(tenant, request)
        .await
        .map(drop)
        .map_err(|error| error.kind())
}

/// An older version becomes the active one.
async fn activate(
    process: &Process,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
) -> Done {
    let Some(version) = some_version(process, repository, tenant).await? else {
        return Ok(());
    };
    let request = RecoveryRequest {
        target: RecoverTarget::Version(version),
        as_new_version: process.world.draws.chance(0.3),
        ..RecoveryRequest::default()
    };
    repository
        .recover_from_s3(tenant, &request)
        .await
        .map(drop)
        .map_err(|error| error.kind())
}
