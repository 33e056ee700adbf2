//! The cases of the system that driftline replaces, read as its page says: see `tests/data/drift.json`.

use std::collections::BTreeMap;

use super::*;

/// Kind, severity and external id by type and manifest id.
type Found = BTreeMap<String, (String, String, Option<String>)>;

fn collection(reference: &str) -> &'static str {
    match reference {
        "role" => "roles",
        "channel" => "channels",
        _ => "categories",
    }
}

/// The live side of a vector holds ids alone: what is there is there as desired.
fn live(actual: &Value, manifest: &Value) -> Value {
    let mut resources = json!({});
    for (resource_type, ids) in actual.as_object().unwrap() {
        resources[resource_type] = json!({});
        for (manifest_id, external_id) in ids.as_object().unwrap() {
            let listed = manifest[resource_type].as_array();
            let wanted = listed.and_then(|all| all.iter().find(|one| one["id"] == **manifest_id));
            let mut attributes = wanted.cloned().unwrap_or_else(|| json!({}));
            attributes["manifestId"] = json!(manifest_id);
            resources[resource_type][external_id.as_str().unwrap()] = attributes;
        }
    }
    resources
}

#[test]
fn the_reference_vectors_hold() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/data/drift.json")).unwrap();
    let mut checked = 0;
    for vector in vectors["cases"].as_array().unwrap() {
        let (name, input, expected) = (&vector["id"], &vector["input"], &vector["expected"]);
        let manifest = &input["manifest"];
        if name == "drift.ids.01" {
            // Two resources with one id: refused when the manifest is created.
            let text = manifest.to_string();
            assert!(Content::parse_manifest(text.as_bytes(), 1 << 20).is_err());
            checked += 1;
            continue;
        }
        let shadow = &input["shadow"];
        let ids = match (&shadow["resources"], &shadow["read_back_text"]) {
            (Value::Null, Value::String(text)) => serde_json::from_str(text).unwrap(),
            (resources, _) => resources.clone(),
        };
        let mut case = Case::new(manifest, manifest, &ids, &json!({}));
        if manifest.is_null() {
            case.desired = None;
        }
        if shadow.is_null() || manifest.is_null() {
            case.recorded = None;
        }
        case.actual = (!input["actual"].is_null()).then(|| live(&input["actual"], manifest));
        let report = case.report();
        let versions = (
            input["manifest_version"].as_u64(),
            shadow["version"].as_u64(),
        );
        let suspect = shadow["checksum"].is_string();
        if expected["error"].is_string() {
            // What the reference could not read is ordinary input here: a type that one side does not mention is not seen
            // (actual), or has nothing recorded (shadow).
            for item in &report.items {
                let mentioned = input["actual"].get(&item.resource_type).is_some();
                if !input["actual"].is_null() && !mentioned {
                    assert_eq!(item.verdict, Verdict::Unknown, "{name}");
                }
                if input["actual"].is_null() {
                    assert!(
                        matches!(item.verdict, Verdict::Pending | Verdict::InSync),
                        "{name}"
                    );
                }
            }
            checked += 1;
            continue;
        }
        let mut found = Found::new();
        for item in report
            .items
            .iter()
            .filter(|item| !matches!(item.verdict, Verdict::InSync | Verdict::Unmanaged))
        {
            let key = format!(
                "{}/{}",
                item.resource_type,
                item.manifest_id.as_deref().unwrap_or_default()
            );
            let kind = item.kind.map_or("unknown", Kind::name).to_owned();
            // The reference knows an external id only where the item is about one.
            let shows_id = matches!(item.kind, Some(Kind::Extra | Kind::Mismatch));
            let external_id = item.external_id.clone().filter(|_| shows_id);
            found.insert(key, (kind, item.severity.name().to_owned(), external_id));
        }
        let mut wanted = Found::new();
        for drift in expected["drifts"].as_array().unwrap() {
            let text = |member: &str| drift[member].as_str().unwrap_or_default().to_owned();
            let (resource_type, id) = (collection(&text("resourceType")), text("manifestId"));
            let is_resource = manifest[resource_type]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["id"] == *id))
                || ids[resource_type].get(&id).is_some();
            match id.as_str() {
                "version" if !is_resource => assert_ne!(versions.0, versions.1, "{name}"),
                "checksum" if !is_resource => assert!(suspect, "{name}"),
                _ => {
                    let kind = text("driftType");
                    let shows_id = matches!(kind.as_str(), "extra" | "mismatch");
                    let external_id = shows_id.then(|| text("discordId"));
                    wanted.insert(
                        format!("{resource_type}/{id}"),
                        (kind, text("severity"), external_id),
                    );
                }
            }
        }
        assert_eq!(found, wanted, "{name}");
        checked += 1;
    }
    assert_eq!(checked, vectors["counts"]["cases"].as_u64().unwrap());
}
