//! Another server, or another timeline, than the one that was checked.

use std::sync::Arc;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::adapters::system::System;
use driftline::domain::{BucketId, PerStream, Seq, Stream, genesis};
use driftline::hybrid::{HybridManifestRepository, Progress, Settings, Sides, Standing};
use driftline::ports::{
    CreateManifest, Database, Fault, ManifestStore as _, Mark, RecoveryRequest, RecoveryStore as _,
    ShadowLedger as _, Whereabouts,
};
use driftline::prelude::*;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::support::postgres::{Reached as _, claimed, run};
use crate::{committed, manifest, tenant};
use driftline_conformance::services::Replica;
use driftline_conformance::services::{Cluster, Fsync};

fn repository(
    database: &PostgresDatabase,
    snapshots: &MemorySnapshotStore,
) -> HybridManifestRepository {
    let sides = Sides {
        database: Arc::new(database.clone()) as Arc<dyn Database>,
        snapshots: Arc::new(snapshots.clone()),
        clock: Arc::new(System),
        entropy: Arc::new(System),
    };
    HybridManifestRepository::new(sides, Settings::default())
}

async fn create(repository: &HybridManifestRepository, name: &str, text: &str) -> Seq {
    let request = CreateManifest {
        content: format!("{{\"schemaVersion\":\"1\",\"text\":\"{text}\"}}").into_bytes(),
        ..CreateManifest::default()
    };
    let created = repository.create_manifest(&tenant(name), request).await;
    created.unwrap().manifest.version()
}

async fn drain(repository: &HybridManifestRepository) {
    repository.drain(CancellationToken::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writes_on_another_timeline_than_was_checked_fails() {
    let (place, database) = claimed().await;
    let acme = tenant("acme");
    committed(database.append(&acme, &manifest("a")).await.unwrap());
    let bucket = BucketId(uuid::Uuid::from_u128(0xB0));
    let restore = database.begin_restore(&acme).await.unwrap();
    drop(restore);
    let mut owner = place.connect(&place.owner()).await;
    let elsewhere = "UPDATE driftline.database SET server_timeline = 99";
    run(&mut owner, elsewhere.to_owned()).await;
    let at = database.identity().await.unwrap();
    assert_eq!(at.whereabouts, Whereabouts::Promoted);
    let refused = database.append(&acme, &manifest("b")).await.unwrap_err();
    assert_eq!(refused.fault(), Fault::Elsewhere);
    let refused = database.begin_restore(&acme).await.map(drop).unwrap_err();
    assert_eq!(refused.fault(), Fault::Elsewhere);
    let mark = Mark {
        stream: Stream::Manifests,
        seq: Seq::default(),
        chain: genesis(&acme, Stream::Manifests),
    };
    let refused = database.advance_watermark(&acme, bucket, &mark).await;
    assert_eq!(refused.unwrap_err().fault(), Fault::Elsewhere);
    let refused = database.lower_watermark(&acme, bucket, Stream::Manifests, Seq::default());
    assert_eq!(refused.await.unwrap_err().fault(), Fault::Elsewhere);
    assert_eq!(
        database.watermarks(&acme).await.unwrap(),
        PerStream::default()
    );
    assert!(database.settle(&at, None).await.unwrap());
    committed(database.append(&acme, &manifest("b")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_template_is_another_one_and_a_role_that_may_not_ask_for_the_server_is_not() {
    let (place, database) = claimed().await;
    let mut admin = PgConnection::connect(&place.url("postgres")).await.unwrap();
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC";
    run(&mut admin, revoke.to_owned()).await;
    let at = database.identity().await.unwrap();
    assert_eq!((at.whereabouts, at.server.0[0]), (Whereabouts::Here, 0));
    committed(
        database
            .append(&tenant("acme"), &manifest("a"))
            .await
            .unwrap(),
    );
    admin.close().await.unwrap();
    database.close().await;

    let (name, copy) = (place.name(), format!("{}_copy", place.name()));
    let mut server = PgConnection::connect(&Cluster::shared().admin())
        .await
        .unwrap();
    run(
        &mut server,
        format!("CREATE DATABASE {copy} TEMPLATE {name}"),
    )
    .await;
    let url = format!("{}_copy", place.url(&place.app()));
    let copied = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let identity = copied.identity().await.unwrap();
    assert_eq!(identity.whereabouts, Whereabouts::Elsewhere);
    let refused = copied
        .append(&tenant("acme"), &manifest("b"))
        .await
        .unwrap_err();
    assert_eq!(refused.fault(), Fault::Elsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_goes_on_on_the_promoted_server_takes_no_number_that_the_bucket_has() {
    let cluster = Cluster::start(Fsync::Off);
    let place = cluster.database();
    place.migrate().await;
    let primary = place.adapter(&place.app()).await;
    let snapshots = MemorySnapshotStore::new();
    let before = repository(&primary, &snapshots);
    assert!(matches!(
        before.check_ownership().await.unwrap(),
        Standing::Owner(_)
    ));
    create(&before, "acme", "1").await;
    create(&before, "acme", "2").await;
    drain(&before).await;
    let replica = Replica::of(&cluster);
    create(&before, "acme", "not on the replica").await;
    drain(&before).await;
    primary.close().await;
    replica.promote();

    let url = place
        .url(&place.app())
        .replace(&cluster.port().to_string(), &replica.port.to_string());
    let promoted = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    let identity = promoted.identity().await.unwrap();
    assert_eq!(identity.whereabouts, Whereabouts::Promoted);
    // The driver gets another server for the same name; nobody asks for a check.
    let refused = promoted.append(&tenant("acme"), &manifest("twice")).await;
    assert_eq!(refused.unwrap_err().fault(), Fault::Elsewhere);
    let after = repository(&promoted, &snapshots);
    assert_eq!(create(&after, "acme", "4").await, Seq::new(4));
    drain(&after).await;
    let request = RecoveryRequest::default();
    let report = after
        .recover_all(&request, &Progress::default())
        .await
        .unwrap();
    assert_eq!(report.tenants[0].1.as_ref().unwrap().restored, 0);
}
