//! The real program on a pair of backends.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};

use driftline::domain::{Stream, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::ports::{CreateManifest, Durability, RecordApply, RecoverTarget, RecoveryRequest};
use driftline::prelude::*;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::audit::{self, History};
use crate::support::pairs::{Kind, Pair};

/// What the program runs on.
pub struct Site {
    pub pair: Pair,
}

impl Site {
    /// Both sides, empty; the database has seen its bucket.
    pub async fn new(kind: Kind) -> Self {
        let pair = Pair::durable(kind).await;
        // What a killed replicator held is free again after a second, not after fifteen.
        std::fs::write(
            pair.directory().join("driftline.toml"),
            "lease-seconds = 1\n",
        )
        .unwrap();
        pair.repository().await;
        Self { pair }
    }

    /// `driftline LINE`, ready to be started.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
        command
            .args(line.split(' '))
            .current_dir(self.pair.directory())
            .env_clear()
            .envs(self.pair.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn start(&self, line: &str) -> Child {
        self.command(line).spawn().unwrap()
    }

    /// Runs a command that has to succeed, and returns what it printed.
    pub fn must(&self, line: &str) -> Value {
        let output = self.command(&format!("{line} -o json")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line}: {} {told}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Runs a command that has to be killed at a fail point, before it prints anything.
    pub fn dies(&self, line: &str, failpoint: &str) {
        let mut command = self.command(line);
        let output = command.env("FAILPOINTS", failpoint).output().unwrap();
        assert!(
            was_killed(&output),
            "{line} with {failpoint} lives: {} {}",
            output.status,
            said(&output)
        );
        // Whoever waits for the bucket may see the watermark before the process dies.
        if !failpoint.starts_with("batch-watermark") {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{failpoint}");
        }
        if self.pair.has_servers() {
            // Servers carry out what was on its way when the process died. Whoever looked before and writes after that is
            // told to look again, which is right, and is not what these tests are about.
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    }

    /// Writes the manifest that says `tag`, and returns the file's name.
    pub fn manifest(&self, tag: &str) -> String {
        let name = format!("{tag}.json");
        std::fs::write(self.pair.directory().join(&name), content(tag)).unwrap();
        name
    }

    /// Writes `lines.ndjson`, a history with these messages.
    pub fn lines(&self, names: &[String]) {
        let line = |name: &String| {
            let content = content(name);
            format!("{{\"message\":\"{name}\",\"content\":{content}}}\n")
        };
        let lines: String = names.iter().map(line).collect();
        std::fs::write(self.pair.directory().join("lines.ndjson"), lines).unwrap();
    }

    /// Creates a version, and returns its number as it was acknowledged.
    pub fn create(&self, tenant: &str, tag: &str) -> u64 {
        let file = self.manifest(tag);
        let created = self.must(&format!(
            "manifest create --tenant {tenant} --file {file} --message {tag}"
        ));
        created["version"].as_u64().unwrap()
    }

    /// Shadows what is pending, and fails unless both sides are equal then.
    pub async fn settle(&self, tenant: &TenantId) -> History {
        self.must("replicate --drain");
        let (database, bucket) = (self.pair.database.as_ref(), self.pair.snapshots.as_ref());
        audit::settled(database, bucket, tenant).await
    }

    pub async fn rows(&self, tenant: &TenantId) -> History {
        audit::rows(self.pair.database.as_ref(), tenant).await
    }

    /// A history of this many versions in the bucket, and as many that are not yet, with an apply and an activation after
    /// them: a batch for each stream.
    pub async fn fill(&self, tenant: &TenantId, shadowed: usize, pending: usize) -> History {
        let repository = self.pair.repository().await;
        for number in 0..shadowed {
            append(&repository, tenant, &format!("shadowed-{number}")).await;
        }
        let drained = repository.drain(CancellationToken::new()).await.unwrap();
        assert_eq!(drained.shadowed, shadowed as u64);
        for number in 0..pending {
            append(&repository, tenant, &format!("pending-{number}")).await;
        }
        let head = repository.current_manifest(tenant).await.unwrap().unwrap();
        let apply = RecordApply {
            version: head.version(),
            resources: std::collections::BTreeMap::default(),
            allow_unknown: false,
            created_by: None,
            message: None,
            durability: Durability::Committed,
        };
        repository.record_apply(tenant, apply).await.unwrap();
        let activate = RecoveryRequest {
            target: RecoverTarget::Version(driftline::domain::Seq::new(1)),
            ..RecoveryRequest::default()
        };
        repository.recover_from_s3(tenant, &activate).await.unwrap();
        let history = self.rows(tenant).await;
        assert_eq!(history[Stream::Manifests].len(), shadowed + pending);
        assert_eq!(history[Stream::Applies].len(), 1);
        assert_eq!(history[Stream::Decisions].len(), 1);
        history
    }
}

async fn append(repository: &HybridManifestRepository, tenant: &TenantId, tag: &str) {
    let request = CreateManifest {
        content: content(tag).into_bytes(),
        message: Some(tag.parse().unwrap()),
        ..CreateManifest::default()
    };
    repository.create_manifest(tenant, request).await.unwrap();
}

fn content(tag: &str) -> String {
    format!(r#"{{"schemaVersion":"1","tag":"{tag}","roles":[{{"id":"r1"}}]}}"#)
}

/// The messages of a history's versions, in order.
pub fn tags(history: &History) -> Vec<String> {
    let versions = history[Stream::Manifests].iter();
    versions
        .map(|entry| entry.meta.message.as_ref().unwrap().to_string())
        .collect()
}

pub fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}
