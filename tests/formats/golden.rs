//! Buckets that earlier builds wrote, one for each format: this build restores each of them, and always will.
//!
//! `tests/golden/v1/` is such a bucket, as a directory, and `tests/golden/v1.tsv` its history. They are never written again.
//! A new format gets a directory of its own: the generator below makes one where there is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::Content;
use driftline::domain::drift::{Acknowledgement, IgnoreRule, Policy};
use driftline::domain::format::{Snapshot, snapshot_key};
use driftline::domain::{Digest, Entry, Seq, Stream, TenantId, Timestamp};
use driftline::ports::{
    CreateManifest, Database, DecideDrift, DriftDecision, Durability, RecordApply, RecoverTarget,
    RecoveryRequest, SnapshotStore as _,
};
use driftline::prelude::*;

use crate::support::by_hand::run;
use crate::support::root;
use crate::support::world::{Repository, World, drain, recover_all, tenant};

fn golden(name: &str) -> PathBuf {
    root().join("tests/golden").join(name)
}

/// Every entry of a database, a line each: tenant, stream, number, epoch, checksum, chain; then the active versions.
async fn told(database: &dyn Database) -> String {
    let mut told = String::new();
    for state in database.tenants(None, 100).await.unwrap() {
        for stream in Stream::ALL {
            for entry in entries(database, &state.tenant, stream).await {
                let meta = &entry.meta;
                writeln!(
                    told,
                    "{}\t{stream}\t{}\t{}\t{}\t{}",
                    meta.tenant, meta.seq, meta.epoch, meta.checksum, meta.chain
                )
                .unwrap();
            }
        }
        let active = state.active_version();
        writeln!(told, "{}\tactive\t{active}", state.tenant).unwrap();
    }
    told
}

async fn entries(database: &dyn Database, tenant: &TenantId, stream: Stream) -> Vec<Entry> {
    let metas = database.history(tenant, stream, None, 1000).await.unwrap();
    let mut entries = Vec::new();
    for meta in metas.into_iter().rev() {
        let stored = database.entry(tenant, stream, meta.seq).await;
        entries.push(stored.unwrap().unwrap().entry);
    }
    entries
}

/// Copies the bucket, since a recovery takes it over.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        if file.path().is_dir() {
            copy(&file.path(), &to);
        } else {
            std::fs::copy(file.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn the_bucket_of_format_1_comes_back_entry_by_entry_and_goes_on() {
    let expected = std::fs::read_to_string(golden("v1.tsv")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let bucket = directory.path().join("bucket");
    copy(&golden("v1"), &bucket);
    let store = Arc::new(DirectorySnapshotStore::open(&bucket).unwrap());

    let world = World::new();
    let database = world.database();
    let repository = world.repository_on(&database, store.clone());
    for recovery in recover_all(&repository).await {
        assert_eq!(recovery.failures, []);
        assert_eq!(recovery.worked_around, []);
        assert_eq!(recovery.orphans, [] as [&str; 0]);
        assert_eq!(recovery.void_references, []);
    }
    assert_eq!(told(database.as_ref()).await, expected);

    // What is beside the digests in that file is covered by them: the content and, through the chain, every member. A build
    // that writes this format writes the same bytes.
    for name in ["acme", "zenith-2.x"].map(tenant) {
        for stream in Stream::ALL {
            let mut chain = driftline::domain::genesis(&name, stream);
            for entry in entries(database.as_ref(), &name, stream).await {
                let meta = &entry.meta;
                let content = Content::from_stored(entry.content.bytes().clone());
                assert_eq!(content.checksum(), meta.checksum);
                assert_eq!(meta.expected_chain(chain), meta.chain);
                chain = meta.chain;
                let key = snapshot_key(&name, stream, meta.seq, meta.epoch);
                let object = store.get(&key, u64::MAX).await.unwrap().unwrap();
                assert_eq!(Snapshot::write(&entry), object.bytes, "{key}");
            }
        }
    }
    let rules = repository.drift_rules(&tenant("acme")).await.unwrap();
    assert_eq!(rules.policy, policy());
    assert_eq!(rules.acknowledgements.len(), 1);
    assert_eq!(rules.acknowledgements[0].reason, acknowledgement().reason);
    assert_eq!(rules.unread, []);
    let live = repository.current_shadow_state(&tenant("acme")).await;
    let live = live.unwrap().unwrap();
    assert_eq!((live.version, live.resolves), (Seq::new(143), true));

    // And the history goes on where it was.
    create(&repository, "acme", 1000, Some("later")).await;
    drain(&repository).await;
    let fresh = world.database();
    recover_all(&world.repository_on(&fresh, store)).await;
    let newest = entries(fresh.as_ref(), &tenant("acme"), Stream::Manifests).await;
    assert_eq!(newest.len(), 145);
}

#[test]
fn the_script_recovers_the_bucket_of_format_1() {
    let directory = tempfile::tempdir().unwrap();
    let into = directory.path().join("acme");
    let script = root().join("crates/core/src/hybrid/handbook/recover.sh");
    let base = golden("v1").display().to_string();
    let ended = run(&script, &base, &into, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    let expected = std::fs::read_to_string(golden("v1.tsv")).unwrap();
    let expected = expected.lines().filter_map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        (fields[..2] == ["acme", "manifests"]).then(|| (fields[2].to_owned(), fields[4].to_owned()))
    });
    let mut count = 0;
    for (version, checksum) in expected {
        let name = format!("v{version:0>6}.json");
        let bytes = std::fs::read(into.join(name)).unwrap();
        assert_eq!(Digest::of(&bytes).to_string(), checksum);
        count += 1;
    }
    assert_eq!(count, 144);
}

async fn create(repository: &Repository, name: &str, number: u64, by: Option<&str>) {
    let content = match number % 3 {
        0 => format!(
            r#"{{"schemaVersion":"1.0","n":{number},"roles":[{{"id":"r1"}},{{"id":"r2"}}]}}"#
        ),
        1 => format!(r#"{{"schemaVersion":"1.0","n":-{number}.5e-7,"text":"ü \"q\" \n \u20ac"}}"#),
        _ => format!(r#"{{ "schemaVersion" : "1.1", "z":[], "a":{{"n":{number}}} }}"#),
    };
    let request = CreateManifest {
        content: content.into_bytes(),
        created_by: by.map(|by| by.parse().unwrap()),
        message: number
            .is_multiple_of(5)
            .then(|| "a \"message\" \\ – é".parse().unwrap()),
        created_at: number
            .is_multiple_of(4)
            .then(|| Timestamp::from_micros(1_600_000_000_000_000).unwrap()),
        ..CreateManifest::default()
    };
    repository
        .create_manifest(&tenant(name), request)
        .await
        .unwrap();
}

async fn apply(repository: &Repository, version: u64) {
    let ids = BTreeMap::from([("r1".to_owned(), format!("x-{version}"))]);
    let request = RecordApply {
        version: Seq::new(version),
        resources: BTreeMap::from([("roles".to_owned(), ids)]),
        allow_unknown: true,
        created_by: Some("deployer".parse().unwrap()),
        message: None,
        durability: Durability::Committed,
    };
    repository
        .record_apply(&tenant("acme"), request)
        .await
        .unwrap();
}

fn policy() -> Policy {
    Policy {
        ignore: vec![IgnoreRule {
            resource_type: Some("roles".to_owned()),
            id: None,
            pointer: Some("/color".to_owned()),
        }],
        order: vec!["roles".to_owned()],
        ..Policy::default()
    }
}

fn acknowledgement() -> Acknowledgement {
    Acknowledgement {
        resource_type: "roles".to_owned(),
        id: "r1".to_owned(),
        pointer: "/name".to_owned(),
        value: Digest::of(b"\"R\""),
        until: Timestamp::from_micros(1_800_000_000_000_000).unwrap(),
        reason: "until the move is over".parse().unwrap(),
        by: None,
        decision: None,
    }
}

async fn decide(repository: &Repository, decision: DriftDecision) {
    let request = DecideDrift {
        decision,
        created_by: Some("operator".parse().unwrap()),
        message: None,
        durability: Durability::Committed,
    };
    repository
        .decide_drift(&tenant("acme"), request)
        .await
        .unwrap();
}

async fn activate(repository: &Repository, version: u64) {
    let request = RecoveryRequest {
        target: RecoverTarget::Version(Seq::new(version)),
        ..RecoveryRequest::default()
    };
    let recovery = repository.recover_from_s3(&tenant("acme"), &request).await;
    assert_eq!(recovery.unwrap().active_version, Seq::new(version));
}

/// Makes the bucket of the current format. To be run once, by whoever adds a format; it refuses to write over one.
#[tokio::test(start_paused = true)]
#[ignore = "writes tests/golden, once for each format"]
async fn generate() {
    let world = World::new();
    let lost = world.database();
    let repository = world.repository_on(&lost, Arc::new(world.memory.clone()));
    repository.check_ownership().await.unwrap();
    first_epoch(&repository).await;
    let database: Arc<MemoryDatabase> = world.database();
    let repository = world.repository_on(&database, Arc::new(world.memory.clone()));
    recover_all(&repository).await;
    second_epoch(&repository).await;

    assert!(
        !golden("v1").exists(),
        "a format's bucket is never written again"
    );
    for key in world.keys("").await {
        // The texts for people are no part of the format.
        if key.starts_with("_driftline/") && key != "_driftline/bucket.json" {
            continue;
        }
        let object = world.memory.get(&key, u64::MAX).await.unwrap().unwrap();
        let path = golden("v1").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, object.bytes).unwrap();
    }
    std::fs::write(golden("v1.tsv"), told(database.as_ref()).await).unwrap();
}

async fn first_epoch(repository: &Repository) {
    for number in 1..=132 {
        create(
            repository,
            "acme",
            number,
            (number % 2 == 0).then_some("ops \"night\""),
        )
        .await;
        tokio::time::advance(Duration::from_micros(1_234_567)).await;
    }
    apply(repository, 130).await;
    decide(repository, DriftDecision::Policy(Policy::default())).await;
    drain(repository).await;
    for number in 133..=140 {
        create(repository, "acme", number, None).await;
    }
    decide(repository, DriftDecision::Acknowledge(acknowledgement())).await;
    activate(repository, 131).await;
    for number in 1..=3 {
        create(repository, "zenith-2.x", number, Some("Zoë – 漢字")).await;
        tokio::time::advance(Duration::from_hours(30)).await;
    }
    drain(repository).await;
}

async fn second_epoch(repository: &Repository) {
    for number in 141..=144 {
        create(repository, "acme", number, Some("successor")).await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    apply(repository, 143).await;
    decide(repository, DriftDecision::Policy(policy())).await;
    activate(repository, 7).await;
    create(repository, "zenith-2.x", 4, None).await;
    drain(repository).await;
}
