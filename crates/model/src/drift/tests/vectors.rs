//! The cases of the system that driftline replaces, read as their file says: see its `format`, and where driftline differs on
//! purpose the comments here.

use super::*;
use crate::content::canonicalize;
use crate::vectors::{skipped, test_vectors};

/// What there is to say of each difference, and how much it matters; in a fixed order.
type Found = Vec<Value>;

fn collection(reference: &str) -> String {
    match reference {
        "category" => "categories".to_owned(),
        other => format!("{other}s"),
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

/// A vector, and the three states that it is about.
struct Vector<'v> {
    name: &'v str,
    input: &'v Value,
    expected: &'v Value,
    /// The recorded external ids, as they came back from where they were kept.
    ids: Value,
    /// They are not what was recorded.
    is_suspect: bool,
}

impl<'v> Vector<'v> {
    fn new(vector: &'v Value) -> Self {
        let (name, input) = (vector["id"].as_str().unwrap(), &vector["input"]);
        let shadow = &input["shadow"];
        let text = |name: &str| shadow[name].as_str();
        let (read_back, written) = (text("read_back_text"), text("written_text"));
        let ids = match (&shadow["resources"], read_back) {
            (Value::Null, Some(text)) => serde_json::from_str(text).unwrap_or_default(),
            (resources, _) => resources.clone(),
        };
        let digest = |text: &str| canonicalize(text.as_bytes()).ok();
        let is_tampered = read_back.zip(written).is_some_and(|(read_back, written)| {
            digest(read_back) != digest(written) || digest(read_back).is_none()
        });
        // A checksum that is given never equals a real one.
        let is_suspect = shadow["checksum"].is_string() || is_tampered;
        Self {
            name,
            input,
            expected: &vector["expected"],
            ids,
            is_suspect,
        }
    }

    fn case(&self) -> Case {
        let manifest = &self.input["manifest"];
        let ids = if self.ids.is_object() {
            self.ids.clone()
        } else {
            json!({})
        };
        let mut case = Case::new(manifest, manifest, &ids, &json!({}));
        if manifest.is_null() {
            case.desired = None;
        }
        if self.input["shadow"].is_null() || manifest.is_null() {
            case.recorded = None;
        }
        let actual = &self.input["actual"];
        case.actual = (!actual.is_null()).then(|| live(actual, manifest));
        case
    }

    fn is_resource(&self, resource_type: &str, id: &str) -> bool {
        let listed = self.input["manifest"][resource_type].as_array();
        listed.is_some_and(|all| all.iter().any(|one| one["id"] == *id))
            || self.ids[resource_type].get(id).is_some()
    }

    /// What driftline finds, in the words of the vectors.
    fn found(&self, report: &DriftReport, with_unmanaged: bool) -> Found {
        let mut found = Found::new();
        for item in &report.items {
            let of_type = item.resource_type.as_str();
            let (recorded, external) = (&item.recorded_external_id, &item.external_id);
            let is_outside = self.input["actual"].is_object();
            let id = item.manifest_id.clone();
            let said = match (item.verdict, item.kind) {
                (Verdict::InSync, _) => continue,
                (Verdict::Unmanaged, _) if !with_unmanaged => continue,
                (Verdict::Unmanaged, _) => {
                    let ids = self.input["actual"][of_type].as_object().unwrap();
                    let id = ids
                        .iter()
                        .find(|(_, live)| live.as_str() == external.as_deref());
                    json!([
                        of_type,
                        id.map(|(id, _)| id),
                        "extra",
                        external,
                        null,
                        external,
                        "actual"
                    ])
                }
                // Something that was recorded, and is not there.
                (_, Some(Kind::Missing))
                    if is_outside && external.is_some() && item.verdict != Verdict::Adopted =>
                {
                    json!([of_type, id, "missing", external, external, null, "actual"])
                }
                (_, Some(Kind::Missing)) => {
                    let listed = self.input["manifest"][of_type].as_array();
                    let wanted = listed
                        .and_then(|all| all.iter().find(|one| one["id"].as_str() == id.as_deref()));
                    json!([of_type, id, "missing", null, wanted, null, null])
                }
                (_, Some(Kind::Extra)) => json!([of_type, id, "extra", external, null, null, null]),
                (_, Some(Kind::Mismatch)) => {
                    json!([of_type, id, "mismatch", external, recorded, external, null])
                }
                (_, kind) => json!([
                    of_type,
                    id,
                    kind.map_or("unknown", Kind::name),
                    null,
                    null,
                    null,
                    null
                ]),
            };
            found.push(json!([said, item.severity.name()]));
        }
        found.sort_by_key(Value::to_string);
        found
    }

    /// What the vector expects, without the pseudo items: a version that differs is a status of the report, a checksum that
    /// fails the verdict `ledger_suspect`. The second value says which of them it has.
    fn wanted(&self) -> (Found, [bool; 2]) {
        let (mut wanted, mut pseudo) = (Found::new(), [false; 2]);
        for drift in self.expected["drifts"].as_array().unwrap() {
            let text = |member: &str| drift[member].as_str().unwrap_or_default();
            let (of_type, id) = (collection(text("resourceType")), text("manifestId"));
            let is_pseudo = text("driftType") == "mismatch" && !self.is_resource(&of_type, id);
            match id {
                "version" if is_pseudo => pseudo[0] = true,
                "checksum" if is_pseudo => pseudo[1] = true,
                _ => {
                    let said = json!([
                        of_type,
                        id,
                        drift["driftType"],
                        drift["discordId"],
                        drift["expected"],
                        drift["actual"],
                        drift["scope"]
                    ]);
                    wanted.push(json!([said, text("severity")]));
                }
            }
        }
        wanted.sort_by_key(Value::to_string);
        (wanted, pseudo)
    }

    fn check(&self) {
        let (name, expected) = (self.name, self.expected);
        let case = self.case();
        let report = case.report();
        if expected["error"].is_string() {
            return self.check_ordinary(&report);
        }
        let (wanted, [is_skewed, is_suspect]) = self.wanted();
        let counts = |member: &str| expected["summary"][member].as_u64();
        let names_unmanaged = counts("extraInActual").is_some_and(|count| count > 0)
            || expected["drifts"]
                .as_array()
                .unwrap()
                .iter()
                .any(|drift| drift["driftType"] == "extra" && drift["scope"] == "actual");
        let found = self.found(&report, names_unmanaged);
        assert_eq!(found, wanted, "{name}");
        let versions = (
            self.input["manifest_version"].as_u64(),
            self.input["shadow"]["version"].as_u64(),
        );
        if case.recorded.is_some() {
            assert_eq!(is_skewed, versions.0 != versions.1, "{name}");
            assert_eq!(is_suspect, self.is_suspect, "{name}");
        }
        if self.is_suspect {
            self.check_suspect();
        }
        if let Some(version) = expected["manifestVersion"].as_u64() {
            assert_eq!(versions.0.unwrap_or_default(), version, "{name}");
        }
        if let Some(version) = expected["shadowVersion"].as_u64() {
            assert_eq!(versions.1, Some(version), "{name}");
        }
        // Any difference counts there, also what is not applied yet.
        let differs = !found.is_empty() || is_skewed || is_suspect;
        if let Some(has_drift) = expected["hasDrift"].as_bool() {
            assert_eq!(differs, has_drift, "{name}");
        }
        self.check_summary(&found, is_suspect);
    }

    fn check_summary(&self, found: &Found, is_suspect: bool) {
        let size = |value: &Value| match value {
            Value::Array(all) => all.len(),
            Value::Object(all) => all.len(),
            _ => 0,
        };
        let types = ["roles", "channels", "categories"];
        let total = |of: &Value| {
            types
                .iter()
                .map(|of_type| size(&of[of_type]) as u64)
                .sum::<u64>()
        };
        let count = |kind: &str, scope: &Value| {
            let fits = |said: &&Value| said[0][2] == *kind && said[0][6] == *scope;
            found.iter().filter(fits).count() as u64
        };
        let (none, actual) = (Value::Null, json!("actual"));
        let has_manifest = !self.input["manifest"].is_null();
        for (member, counted) in [
            ("totalManifestResources", total(&self.input["manifest"])),
            (
                "totalShadowResources",
                if has_manifest { total(&self.ids) } else { 0 },
            ),
            ("missingFromShadow", count("missing", &none)),
            ("extraInShadow", count("extra", &none)),
            ("modified", count("modified", &none)),
            ("checksumMismatches", u64::from(is_suspect)),
            ("missingFromActual", count("missing", &actual)),
            ("extraInActual", count("extra", &actual)),
        ] {
            if let Some(expected) = self.expected["summary"].get(member) {
                assert_eq!(*expected, json!(counted), "{}: {member}", self.name);
            }
        }
    }

    /// A record that is not what was recorded is relied on in nothing.
    fn check_suspect(&self) {
        let content = |manifest: &Value| {
            let mut manifest = manifest.clone();
            manifest["schemaVersion"] = json!("1");
            Content::parse_manifest(manifest.to_string().as_bytes(), 1 << 20).unwrap()
        };
        let desired = content(&self.input["manifest"]);
        let report = compare(&Comparison {
            tenant: &"acme".parse::<TenantId>().unwrap(),
            desired: Some(Desired {
                version: Seq::new(1),
                content: &desired,
            }),
            recorded: Some(Recorded {
                version: Seq::new(1),
                resources: &Resources::new(),
                content: Err("its checksum fails"),
            }),
            actual: None,
            policy: &Policy::default(),
            acknowledgements: &[],
            now: Timestamp::EPOCH,
            strict: false,
            all: true,
            plan: true,
        })
        .unwrap();
        assert!(report.has_drift, "{}", self.name);
        let is_suspect = |item: &Item| item.verdict == Verdict::LedgerSuspect;
        assert!(report.items.iter().all(is_suspect), "{}", self.name);
        assert_eq!(report.plan, Some(Vec::new()), "{}", self.name);
    }

    /// What the reference could not read is ordinary input here: a type that one side does not mention is not seen (actual), or
    /// has nothing recorded (shadow).
    fn check_ordinary(&self, report: &DriftReport) {
        let actual = &self.input["actual"];
        for item in &report.items {
            let is_mentioned = actual.get(&item.resource_type).is_some();
            if !actual.is_null() && !is_mentioned {
                assert_eq!(item.verdict, Verdict::Unknown, "{}", self.name);
            }
            if actual.is_null() {
                let is_ordinary = matches!(item.verdict, Verdict::Pending | Verdict::InSync);
                assert!(is_ordinary, "{}", self.name);
            }
        }
    }
}

#[test]
fn vectors_drift() {
    let vectors = test_vectors("drift", include_str!("../../../tests/data/drift.json"));
    let mut checked = 0;
    for vector in vectors["cases"].as_array().unwrap() {
        checked += 1;
        let manifest = &vector["input"]["manifest"];
        if !manifest.is_null() && has_doubled_ids(manifest) {
            // Two resources with one id: refused when the manifest is created.
            skipped(&vector["id"], "such a manifest is refused");
            let text = manifest.to_string();
            assert!(Content::parse_manifest(text.as_bytes(), 1 << 20).is_err());
            continue;
        }
        Vector::new(vector).check();
    }
    assert_eq!(vectors["counts"]["cases"].as_u64(), Some(checked));
}

fn has_doubled_ids(manifest: &Value) -> bool {
    let collections = manifest
        .as_object()
        .into_iter()
        .flat_map(|all| all.values());
    collections.filter_map(Value::as_array).any(|all| {
        let mut ids: Vec<&str> = all.iter().filter_map(|one| one["id"].as_str()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        ids.len() < count
    })
}

/// A record that came back otherwise than it was written, as the format says and no case here does.
#[test]
fn a_tampered_record_is_suspect() {
    let manifest = json!({ "schemaVersion": "1", "roles": [{ "id": "r1" }], "channels": [], "categories": [] });
    let vector = |read_back: &str, is_suspect: bool| {
        let checksum = json!({ "resourceType": "role", "manifestId": "checksum", "driftType": "mismatch", "expected": "x", "actual": "y", "severity": "error" });
        let drifts = if is_suspect {
            json!([checksum])
        } else {
            json!([])
        };
        json!({
            "id": "tampered",
            "input": {
                "manifest_version": 1,
                "manifest": manifest,
                "shadow": { "version": 1, "written_text": r#"{"roles":{"r1":"d1"},"channels":{},"categories":{}}"#, "read_back_text": read_back },
                "actual": null,
            },
            "expected": { "hasDrift": is_suspect, "drifts": drifts, "summary": { "checksumMismatches": u32::from(is_suspect), "totalShadowResources": 1 } },
        })
    };
    Vector::new(&vector(
        r#"{"categories": {}, "channels": {}, "roles": {"r1": "d1"}}"#,
        false,
    ))
    .check();
    Vector::new(&vector(
        r#"{"roles":{"r1":"d2"},"channels":{},"categories":{}}"#,
        true,
    ))
    .check();
}
