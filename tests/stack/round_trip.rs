//! A history is imported and shadowed, the database is lost, and everything comes back from the bucket alone.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use driftline::domain::content::Content;
use driftline::domain::{Seq, ShortText, Stream, Timestamp};
use driftline::ports::{CreateManifest, RecoveryRequest, RecoveryState, Source};
use driftline::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::support::audit;
use crate::support::pairs::{Kind, Pair};
use crate::support::root;
use crate::tenant;

const FIXTURE: &str = "argo-cd-namespace-install.ndjson.zst";

/// A line of a history.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    created_at: Timestamp,
    by: ShortText,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// A history of forty versions: collections that come and go, resources that change, texts that need care.
fn generated() -> String {
    let versions = 1..=40u32;
    let lines = versions.map(|version| {
        let roles: Vec<_> = (version / 3..version)
            .map(|role| format!(r#"{{"name":"R{role} \u00e9 \"q\"","id":"r{role}","limit":{role}.50,"weight":1e-{role}}}"#))
            .collect();
        let channels = if version % 4 == 0 { r#""channels":[],"# } else { "" };
        let filler = "é\\n".repeat(usize::try_from(version * version).unwrap());
        format!(
            r#"{{"createdAt":"20{:02}-01-31T08:00:0{}.123456+02:00","by":"author-{version}","content":{{"text":"{filler}",{channels}"roles":[{}],"schemaVersion":"1.{version}","empty":{{}},"nothing":null}}}}"#,
            10 + version / 2,
            version % 10,
            roles.join(",")
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The history of a real deployment, where it is to be found.
fn real() -> Option<String> {
    let beside = || root().parent().map(|parent| parent.join("shared/fixtures"));
    let directory = std::env::var_os("DRIFTLINE_FIXTURES").map(PathBuf::from);
    let file = directory.or_else(beside)?.join(FIXTURE);
    if !file.exists() {
        return None;
    }
    let child = Command::new("zstd")
        .args(["-dc", "--long=27"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("the command `zstd` unpacks the fixture");
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success());
    Some(text)
}

/// Imports the history, loses the database, recovers it, and compares with the original.
async fn comes_back(kind: Kind, history: &str) {
    let mut pair = Pair::new(kind).await;
    let repository = pair.repository().await;
    repository.start();
    let name = tenant("acme");
    let lines: Vec<_> = history
        .lines()
        .map(|line| serde_json::from_str::<Line<'_>>(line).unwrap())
        .collect();
    for line in &lines {
        let request = CreateManifest {
            content: line.content.get().as_bytes().to_vec(),
            created_at: Some(line.created_at),
            created_by: Some(line.by.clone()),
            ..CreateManifest::default()
        };
        repository.create_manifest(&name, request).await.unwrap();
    }
    let drained = repository.drain(CancellationToken::new()).await.unwrap();
    assert_eq!(drained.left, driftline::ports::Backlog::default());
    assert!(
        repository
            .shutdown(std::time::Duration::from_secs(10))
            .await
            .unwrap()
    );
    let before = audit::settled(pair.database.as_ref(), pair.snapshots.as_ref(), &name).await;

    pair.lose_database().await;
    assert_eq!(pair.database.tenants(None, 10).await.unwrap(), []);
    let repository = pair.repository().await;
    let recovery = repository
        .recover_from_s3(&name, &RecoveryRequest::default())
        .await
        .unwrap();
    assert_eq!(recovery.state, RecoveryState::Empty);
    assert_eq!(recovery.restored, lines.len() as u64);
    assert_eq!(recovery.failures, []);
    let after = audit::settled(pair.database.as_ref(), pair.snapshots.as_ref(), &name).await;
    assert!(after == before, "something came back otherwise");

    // And it is what was imported.
    let versions = &after[Stream::Manifests];
    assert_eq!(versions.len(), lines.len());
    for (entry, line) in versions.iter().zip(&lines) {
        let content =
            Content::parse_manifest(line.content.get().as_bytes(), Content::DEFAULT_LIMIT).unwrap();
        assert_eq!(entry.content.as_bytes(), content.as_bytes());
        assert_eq!(entry.meta.checksum, content.checksum());
        assert_eq!(entry.meta.created_at, line.created_at);
        assert_eq!(entry.meta.created_by.as_ref(), Some(&line.by));
    }
    let last = Seq::new(lines.len() as u64);
    let current = repository.current_manifest(&name).await.unwrap().unwrap();
    assert_eq!(
        (current.version(), current.source),
        (last, Source::Database)
    );
    assert_eq!(current.entry, versions[versions.len() - 1]);
}

async fn real_history_comes_back(kind: Kind) {
    if let Some(history) = real() {
        println!("{} versions of {FIXTURE}", history.lines().count());
        comes_back(kind, &history).await;
    } else {
        println!("{FIXTURE} is not there (DRIFTLINE_FIXTURES): generated data instead");
        comes_back(kind, &generated()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_versions_come_back_to_postgres_from_s3_alone() {
    comes_back(Kind::Services, &generated()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_versions_come_back_to_sqlite_from_a_directory_alone() {
    comes_back(Kind::Embedded, &generated()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_history_comes_back_to_postgres_from_s3_alone() {
    real_history_comes_back(Kind::Services).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_history_comes_back_to_sqlite_from_a_directory_alone() {
    real_history_comes_back(Kind::Embedded).await;
}
