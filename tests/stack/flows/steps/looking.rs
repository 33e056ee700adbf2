//! Words that look.

use super::*;

impl Run {
    /// Results without effect.
    pub(super) async fn look(&self, word: &str, argument: &Value) -> Value {
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
    pub(super) async fn drift(&self) -> Value {
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
}
