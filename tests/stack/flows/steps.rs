//! The words of the scripts: each does something to the repository or to what it stands on.

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
use crate::support::faults::{FaultyStore, Flaw, On};
use crate::support::pairs::{Kind, Pair, keys, overwrite, settings, unreachable_database};

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
        let slow = FaultyStore::new(Arc::clone(&pair.snapshots));
        if let Some(latency) = latency {
            slow.fail(On::any(), Flaw::Slow(latency));
        }
        let bucket = FaultyStore::new(Arc::new(slow));
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

    /// Results without effect.
    async fn look(&self, word: &str, argument: &Value) -> Value {
        let (repository, tenant) = (&self.repository, &self.tenant);
        match word {
            "current" => {
                let found = repository.current_manifest(tenant).await;
                found.unwrap().as_ref().map_or(Value::Null, shown)
            }
            "by_version" => {
                let found = repository.manifest_by_version(tenant, seq(argument)).await;
                match found {
                    Ok(found) => found.as_ref().map_or(Value::Null, shown),
                    Err(error) => failed(&error),
                }
            }
            "history" => self.history(argument).await,
            "history_full" => {
                let named = audit::index(&self.bucket, tenant, Stream::Manifests).await;
                let items = named.iter().rev().map(|named| {
                    let key = format!("{PREFIX}{}", named.key());
                    assert!(key.ends_with(&named.s3_key));
                    json!({"version": named.meta.seq, "createdBy": named.meta.created_by, "s3Key": key})
                });
                items.collect()
            }
            "validate" => {
                let valid = repository.validate_checksum(tenant, seq(argument)).await;
                json!(valid.unwrap())
            }
            "rows" => {
                let page = repository
                    .version_history(tenant, None, 1000)
                    .await
                    .unwrap();
                let rows = page.items.iter().rev();
                rows.map(|meta| json!([meta.seq, page.active == Some(meta.seq)]))
                    .collect()
            }
            "current_shadow" | "shadow_by_version" => {
                let state = if word == "current_shadow" {
                    repository.current_shadow_state(tenant).await
                } else {
                    repository
                        .shadow_state_by_version(tenant, seq(argument))
                        .await
                };
                state.unwrap().map_or(Value::Null, |state| {
                    assert!(state.resolves);
                    json!({"manifestVersion": state.version, "role": state.resources["roles"]["r1"]})
                })
            }
            "stats" => self.stats().await,
            "health" => {
                let health = repository.health_check().await;
                json!({"s3": health.bucket.reachable, "postgres": health.database.reachable})
            }
            "checksum_of" => {
                let found = repository.manifest_by_version(tenant, seq(argument)).await;
                let found = found.unwrap();
                json!(found.map(|found| found.entry.meta.checksum))
            }
            "synthesized_by" => {
                let page = repository.version_history(tenant, None, 1).await.unwrap();
                json!(page.items[0].created_by)
            }
            "s3_keys" => {
                let keys = keys(&self.bucket, &format!("{tenant}/")).await;
                keys.iter()
                    .map(|key| json!(format!("{PREFIX}{key}")))
                    .collect()
            }
            "s3_version_objects" => {
                let keys = keys(&self.bucket, &format!("{tenant}/versions/")).await;
                keys.iter()
                    .map(|key| json!(format!("{PREFIX}{key}")))
                    .collect()
            }
            "s3_tag" => {
                let object = self.bucket.get(&self.snapshot(argument), u64::MAX).await;
                let snapshot: Value =
                    serde_json::from_slice(&object.unwrap().unwrap().bytes).unwrap();
                snapshot["content"]["schemaVersion"].clone()
            }
            _ => panic!("there is no word {word}"),
        }
    }

    /// What differs, without an actual state: kind, type and id. The versions are an item there, and a status here; what is no
    /// collection of the scripts' manifests is none of theirs.
    async fn drift(&self) -> Value {
        let report = match self.repository.detect_drift(&self.tenant, None).await {
            Ok(report) => report,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return json!({"hasDrift": false, "items": []});
            }
            Err(error) => return failed(&error),
        };
        let mut items = Vec::new();
        for item in &report.items {
            let reference = match item.resource_type.as_str() {
                "roles" => "role",
                "channels" => "channel",
                "categories" => "category",
                _ => continue,
            };
            if let (Some(kind), Some(id)) = (item.kind, &item.manifest_id)
                && item.verdict != Verdict::InSync
            {
                items.push(format!("{}:{reference}:{id}", kind.name()));
            }
        }
        let recorded = report.recorded_version;
        if recorded.is_some_and(|recorded| recorded != report.desired_version) {
            items.push("mismatch:role:version".to_owned());
        }
        items.sort();
        json!({"hasDrift": !items.is_empty(), "items": items})
    }

    async fn history(&self, limit: &Value) -> Value {
        let limit = if limit.is_null() {
            1000
        } else if let Some(limit) = limit.as_u64() {
            u32::try_from(limit).unwrap()
        } else {
            // The port takes no negative limit.
            return json!({"error": "INVALID_LIMIT"});
        };
        let page = self
            .repository
            .recoverable_versions(&self.tenant, None, limit)
            .await;
        page.unwrap()
            .items
            .iter()
            .map(|meta| json!(meta.seq))
            .collect()
    }

    async fn stats(&self) -> Value {
        let stats = self.repository.stats(&self.tenant).await.unwrap();
        let objects = keys(&self.bucket, &format!("{}/versions/", self.tenant)).await;
        assert_eq!(stats.shadowed_versions, objects.len() as u64);
        json!({
            "totalVersions": stats.total_versions,
            "latestVersion": stats.latest_version,
            "s3ObjectCount": objects.len(),
        })
    }

    /// What the world does to the two sides.
    async fn happen(&mut self, word: &str, argument: &Value) {
        let tenant = self.tenant.clone();
        match word {
            "settle" => self.settle().await,
            "pg_delete" => self.pair.lose_row(&tenant, seq(argument)).await,
            "pg_wipe" => {
                self.pair.lose_database().await;
                self.repository = repository(&self.pair, &self.bucket);
                self.repository.check_ownership().await.unwrap();
            }
            "pg_tamper" => {
                let content = br#"{"schemaVersion":"tampered"}"#;
                self.pair.tamper_row(&tenant, seq(argument), content).await;
            }
            "pg_down" => {
                let sides = Sides {
                    database: unreachable_database().await,
                    ..sides(&self.pair, &self.bucket)
                };
                self.repository = HybridManifestRepository::new(sides, settings());
            }
            "s3_tamper" => self.change(argument, false).await,
            "s3_tamper_with_checksum" => self.change(argument, true).await,
            "s3_foreign" => {
                let key = self.snapshot(argument);
                let object = self.bucket.get(&key, u64::MAX).await.unwrap().unwrap();
                let before = String::from_utf8(object.bytes.to_vec()).unwrap();
                let after = before.replace(TENANT, OTHER);
                assert_ne!(before, after);
                overwrite(self.pair.snapshots.as_ref(), &key, after.into_bytes()).await;
            }
            "s3_drop_index" => {
                let key = index_key(&tenant, Stream::Manifests);
                self.pair.snapshots.delete(&key).await.unwrap();
            }
            "s3_fail_put" => {
                self.broken = true;
                self.bucket.fail(On::put("/versions/"), Flaw::Unavailable);
            }
            // Once: whoever retries, gets through.
            "s3_fail_index" => self
                .bucket
                .fail(On::put("/index.json").times(1), Flaw::Unavailable),
            "s3_down" => self.bucket.set_down(true),
            "s3_write_again" => {
                let key = self.snapshot(argument);
                let bytes = self
                    .bucket
                    .get(&key, u64::MAX)
                    .await
                    .unwrap()
                    .unwrap()
                    .bytes;
                let again = self.bucket.put(&key, bytes, Precondition::Absent).await;
                assert_eq!(again.unwrap(), PutOutcome::PreconditionFailed);
                self.rebuild().await;
            }
            _ => panic!("there is no word {word}"),
        }
    }

    /// Waits until everything is shadowed, or all that can be.
    async fn settle(&self) {
        for _ in 0..100 {
            let drained = self
                .repository
                .drain(CancellationToken::new())
                .await
                .unwrap();
            if drained.left.backing_off == 0 || self.broken {
                assert_eq!(drained.left.stopped, 0);
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing settles");
    }

    /// Shadows everything once more, as after a bucket that went back.
    async fn rebuild(&self) {
        let database = &self.pair.database;
        let bucket = database.identity().await.unwrap().bucket_id.unwrap();
        let lowered = database
            .lower_watermark(&self.tenant, bucket, Stream::Manifests, Seq::default())
            .await;
        lowered.unwrap();
        self.settle().await;
    }

    /// Changes the content of a snapshot, and if wanted the checksum that stands beside it.
    async fn change(&self, version: &Value, with_checksum: bool) {
        let key = self.snapshot(version);
        let bytes = self
            .bucket
            .get(&key, u64::MAX)
            .await
            .unwrap()
            .unwrap()
            .bytes;
        let before = String::from_utf8(bytes.to_vec()).unwrap();
        let mut after = before.replace("#FFF", "#000");
        assert_ne!(before, after);
        if with_checksum {
            let content = |text: &str| {
                let line = text
                    .lines()
                    .skip_while(|line| *line != "\"content\":")
                    .nth(1);
                Digest::of(line.unwrap().as_bytes()).to_string()
            };
            let (old, new) = (content(&before), content(&after));
            assert!(after.contains(&old));
            after = after.replace(&old, &new);
        }
        overwrite(self.pair.snapshots.as_ref(), &key, after.into_bytes()).await;
    }

    fn snapshot(&self, version: &Value) -> String {
        snapshot_key(&self.tenant, Stream::Manifests, seq(version), Epoch::FIRST)
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
