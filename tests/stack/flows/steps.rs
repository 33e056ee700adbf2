//! The words of the scripts: each does something to the repository or to what it stands on.

mod happening;
mod looking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftline::domain::content::Content;
use driftline::domain::drift::Verdict;
use driftline::domain::format::{index_key, snapshot_key};
use driftline::domain::{Digest, Epoch, Resources, Seq, ShortText, Stream, TenantId};
use driftline::hybrid::{HybridManifestRepository, Progress, Sides};
use driftline::ports::{
    CreateManifest, Durability, Error, ErrorKind, Manifest, Ownership, Precondition, PutOutcome,
    RecordApply, RecoverTarget, Recovery, RecoveryRequest, SnapshotStore,
};
use driftline::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::audit;
use crate::support::pairs::{Kind, Pair, keys, overwrite, settings, unreachable_database};
use driftline_conformance::faults::{FaultyStore, Flaw, On};

/// The tenant that the scripts' object keys name.
const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// Another one.
const OTHER: &str = "22222222-2222-4222-8222-222222222222";
/// The prefix that they show.
const PREFIX: &str = "manifests/";

/// Words with a result.
pub const RESULTS: [&str; 20] = [
    "create",
    "apply",
    "recover",
    "rebuild",
    "current",
    "by_version",
    "history",
    "history_full",
    "validate",
    "rows",
    "current_shadow",
    "shadow_by_version",
    "drift",
    "stats",
    "health",
    "checksum_of",
    "synthesized_by",
    "s3_keys",
    "s3_version_objects",
    "s3_tag",
];

/// Words without.
pub const SILENT: [&str; 13] = [
    "settle",
    "pg_delete",
    "pg_wipe",
    "pg_tamper",
    "pg_down",
    "s3_tamper",
    "s3_tamper_with_checksum",
    "s3_foreign",
    "s3_drop_index",
    "s3_fail_put",
    "s3_fail_index",
    "s3_down",
    "s3_write_again",
];

/// The codes of errors that driftline has a kind for. The others are suggestions.
pub fn is_code(text: &str) -> bool {
    let known = [
        "CHECKSUM_MISMATCH",
        "MANIFEST_NOT_FOUND",
        "INVALID_INPUT",
        "INVALID_LIMIT",
    ];
    known.contains(&text)
}

/// One script under way.
pub struct Run {
    pair: Pair,
    bucket: FaultyStore,
    repository: HybridManifestRepository,
    tenant: TenantId,
    /// The bucket fails until the end: nothing that is pending will settle.
    broken: bool,
}

impl Run {
    /// A script on fresh backends; each call of the bucket takes `latency`.
    pub async fn new(kind: Kind, latency: Option<Duration>) -> Self {
        let pair = Pair::new(kind).await;
        let slow = FaultyStore::around(Arc::clone(&pair.snapshots));
        if let Some(latency) = latency {
            slow.fail(On::any(), Flaw::Slow(latency));
        }
        let bucket = FaultyStore::around(Arc::new(slow));
        let repository = repository(&pair, &bucket);
        repository.check_ownership().await.unwrap();
        Self {
            pair,
            bucket,
            repository,
            tenant: TENANT.parse().unwrap(),
            broken: false,
        }
    }

    /// Does one step, and returns its result if it has one.
    pub async fn step(&mut self, step: &[Value]) -> Option<Value> {
        let word = step[0].as_str().unwrap();
        let argument = step.get(1).unwrap_or(&Value::Null);
        match word {
            "create" => Some(self.create(argument, step.get(2)).await),
            "apply" => Some(self.apply(argument, &step[2]).await),
            "recover" => Some(self.recover(argument).await),
            "current" | "by_version" | "history" | "history_full" | "validate" | "rows"
            | "current_shadow" | "shadow_by_version" | "stats" | "health" | "checksum_of"
            | "synthesized_by" | "s3_keys" | "s3_version_objects" | "s3_tag" => {
                Some(self.look(word, argument).await)
            }
            "drift" => Some(self.drift().await),
            "rebuild" => {
                self.rebuild().await;
                Some(self.look("history", &Value::Null).await)
            }
            _ => {
                self.happen(word, argument).await;
                None
            }
        }
    }

    async fn create(&self, tag: &Value, options: Option<&Value>) -> Value {
        let option = |name: &str| options.and_then(|options| options[name].as_str());
        let request = CreateManifest {
            content: content(tag),
            created_by: option("synthesizedBy").map(|by| by.parse().unwrap()),
            // What is no digest at all cannot even be said.
            checksum: option("checksum").map(digest),
            ..CreateManifest::default()
        };
        match self.repository.create_manifest(&self.tenant, request).await {
            Ok(created) => {
                assert!(created.new);
                shown(&created.manifest)
            }
            Err(error) => failed(&error),
        }
    }

    async fn apply(&self, version: &Value, resources: &Value) -> Value {
        let resources: Resources = serde_json::from_value(resources.clone()).unwrap();
        let request = RecordApply {
            version: seq(version),
            resources,
            allow_unknown: true,
            created_by: None,
            message: None,
            durability: Durability::Committed,
        };
        match self.repository.record_apply(&self.tenant, request).await {
            Ok(state) => json!({"manifestVersion": state.version, "status": "applied"}),
            Err(error) => failed(&error),
        }
    }

    async fn recover(&self, options: &Value) -> Value {
        let target = options.get("targetVersion");
        let request = RecoveryRequest {
            target: target.map_or(RecoverTarget::Newest, |version| {
                RecoverTarget::Version(seq(version))
            }),
            as_new_version: options["createNewVersion"] == true,
            dry_run: false,
            by: options["recoveredBy"].as_str().map(text),
            ..RecoveryRequest::default()
        };
        let asked = target.map_or(0, |version| seq(version).get());
        match self.recovery(&request).await {
            Ok(recovery) => {
                let mut shown =
                    json!({"success": true, "restoredVersion": self.chosen(&recovery).await});
                if let Some(version) = recovery.new_version {
                    shown["newVersion"] = json!(version);
                }
                shown
            }
            Err(error) => {
                let known = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged);
                assert!(known, "{error}");
                json!({"success": false, "restoredVersion": asked, "error": error.to_string()})
            }
        }
    }

    /// A lost database is brought back as a whole: it shadows again once all its tenants are there.
    async fn recovery(&self, request: &RecoveryRequest) -> Result<Recovery, Error> {
        let identity = self.pair.database.identity().await.unwrap();
        if identity.ownership != Ownership::AwaitingRecovery {
            return self.repository.recover_from_s3(&self.tenant, request).await;
        }
        let all = self
            .repository
            .recover_all(request, &Progress::default())
            .await?;
        assert_eq!(all.unfinished, None);
        let mine = |(tenant, outcome)| (tenant == self.tenant).then_some(outcome);
        all.tenants.into_iter().find_map(mine).unwrap()
    }

    /// Which version a recovery made active, or copied.
    async fn chosen(&self, recovery: &Recovery) -> u64 {
        let Some(copy) = recovery.new_version else {
            return recovery.active_version.get();
        };
        assert_eq!(recovery.active_version, copy);
        let copy = self
            .repository
            .manifest_by_version(&self.tenant, copy)
            .await;
        let message = copy.unwrap().unwrap().entry.meta.message.unwrap();
        let source = message.as_str().strip_prefix("recovered from version ");
        let number = source.and_then(|rest| rest.split(' ').next());
        number.unwrap().parse().unwrap()
    }
}

fn sides(pair: &Pair, bucket: &FaultyStore) -> Sides {
    Sides {
        snapshots: Arc::new(bucket.clone()),
        ..pair.sides()
    }
}

fn repository(pair: &Pair, bucket: &FaultyStore) -> HybridManifestRepository {
    HybridManifestRepository::new(sides(pair, bucket), settings())
}

fn shown(manifest: &Manifest) -> Value {
    let content: BTreeMap<String, Value> =
        serde_json::from_slice(manifest.content().as_bytes()).unwrap();
    json!({
        "version": manifest.version(),
        "tag": content["schemaVersion"],
        "isActive": manifest.active,
    })
}

/// The scripts' codes.
fn failed(error: &Error) -> Value {
    let code = match error.kind() {
        ErrorKind::Damaged => "CHECKSUM_MISMATCH",
        ErrorKind::NotFound => "MANIFEST_NOT_FOUND",
        ErrorKind::InvalidInput => "INVALID_INPUT",
        _ => error.code(),
    };
    json!({ "error": code })
}

/// The content that a script creates.
fn content(tag: &Value) -> Vec<u8> {
    let content = json!({
        "schemaVersion": tag, "theme": {"themeId": "t"},
        "roles": [{"id": "r1", "name": "R1", "color": "#FFF"}], "channels": [], "categories": [],
    });
    content.to_string().into_bytes()
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap_or_else(|_| Digest::of(text.as_bytes()))
}

/// Whether the checksum that a step gives is that of what it creates.
pub fn is_checksum_right(step: &[Value]) -> bool {
    let content = Content::parse_manifest(&content(&step[1]), 1 << 20).unwrap();
    let given = step[2]["checksum"].as_str().map(digest);
    given == Some(content.checksum())
}

fn seq(number: &Value) -> Seq {
    Seq::new(number.as_u64().unwrap())
}

fn text(text: &str) -> ShortText {
    text.parse().unwrap()
}
