//! Recovery by the script that lies in a bucket: a shell, and what every machine has.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use driftline::domain::{Entry, Seq, Stream};
use driftline::ports::{CreateManifest, ManifestStore as _, SnapshotStore};
use driftline::prelude::*;

use super::world::{Repository, World, drain, recover_all, tenant};

/// How many versions [`history`] makes.
pub const VERSIONS: u64 = 270;

/// Texts that a careless reader of JSON lines takes for members, splits or expands.
const TEXTS: [&str; 8] = [
    r#"ops "night" shift"#,
    r#"x","message":null,"s3Key":"p/versions/v000001.json","sizeBytes":1"#,
    r"back\slash\",
    r#"\","message":"\"#,
    "  spaces  and   more ",
    "%s $HOME `id` * $(id) 'q' \\n",
    "zwölf Größen – 漢字",
    ",",
];

/// A history of `acme` in two pages and an index, the later part of it in a second epoch; what the database holds of it.
pub async fn history(world: &World, store: Arc<dyn SnapshotStore>) -> Vec<Entry> {
    let lost = world.database();
    let repository = world.repository_on(&lost, Arc::clone(&store));
    repository.check_ownership().await.unwrap();
    add(&repository, 1..=130).await;
    add(&repository, 131..=200).await;
    let database = world.database();
    let repository = world.repository_on(&database, store);
    assert_eq!(recover_all(&repository).await[0].restored, 200);
    add(&repository, 201..=262).await;
    add(&repository, 263..=VERSIONS).await;
    let mut entries = Vec::new();
    for version in 1..=VERSIONS {
        let stored = database
            .entry(&tenant("acme"), Stream::Manifests, Seq::new(version))
            .await;
        entries.push(stored.unwrap().unwrap().entry);
    }
    assert_eq!(entries[199].meta.epoch.get(), 1);
    assert_eq!(entries[200].meta.epoch.get(), 2);
    entries
}

async fn add(repository: &Repository, versions: std::ops::RangeInclusive<u64>) {
    let text = |number: u64| {
        let place = usize::try_from(number).unwrap() % (TEXTS.len() + 1);
        TEXTS.get(place).map(|text| text.parse().unwrap())
    };
    for number in versions {
        let content = format!(
            r#"{{"schemaVersion":"1","n":{number},"content":"\"content\":\n","text":"ü % \\ {}"}}"#,
            "long ".repeat(usize::try_from(number % 7).unwrap())
        );
        let request = CreateManifest {
            content: content.into_bytes(),
            created_by: text(number),
            message: text(number / 2),
            ..CreateManifest::default()
        };
        repository
            .create_manifest(&tenant("acme"), request)
            .await
            .unwrap();
    }
    drain(repository).await;
}

/// How a run of the script ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub told: String,
}

/// Runs the script for `acme` into `directory`.
pub fn run(script: &Path, base: &str, directory: &Path, environment: &[(&str, String)]) -> Run {
    let output = Command::new("sh")
        .arg(script)
        .arg("acme")
        .arg(directory)
        .env("BASE", base)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    Run {
        code: output.status.code(),
        told: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `directory` holds these versions byte for byte, `except` for some, their history, and nothing else.
pub fn assert_recovered(directory: &Path, entries: &[Entry], except: &[u64]) {
    let mut history = "version\tepoch\tchecksum\tchain\tcreatedAt\tcreatedBy\n".to_owned();
    let mut files = vec!["history.tsv".to_owned()];
    for entry in entries {
        let meta = &entry.meta;
        let name = format!("v{:06}.json", meta.seq.get());
        let by = serde_json::to_string(&meta.created_by).unwrap();
        writeln!(
            history,
            "{}\t{}\t{}\t{}\t{}\t{by}",
            meta.seq, meta.epoch, meta.checksum, meta.chain, meta.created_at
        )
        .unwrap();
        if except.contains(&meta.seq.get()) {
            continue;
        }
        let bytes = std::fs::read(directory.join(&name)).unwrap();
        assert!(bytes == entry.content.as_bytes(), "{name} is another");
        files.push(name);
    }
    let told = std::fs::read_to_string(directory.join("history.tsv")).unwrap();
    assert_eq!(told, history);
    let mut found: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, files);
}
