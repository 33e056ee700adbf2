//! Manifests of a cluster against what its API server makes of them: it adds fields to every object, and none of them may
//! raise an alarm.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use driftline::domain::content::Content;
use driftline::domain::drift::{
    ActualState, Comparison, Desired, DriftReport, Policy, Recorded, Verdict, compare,
};
use driftline::domain::{Resources, Seq, Timestamp};
use serde_json::{Value, json};

/// What an API server adds to the containers of a pod.
fn default_container(container: &mut Value) {
    for (field, value) in [
        ("imagePullPolicy", json!("IfNotPresent")),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ] {
        container
            .as_object_mut()
            .unwrap()
            .entry(field)
            .or_insert(value);
    }
    for port in container
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        port.as_object_mut()
            .unwrap()
            .entry("protocol")
            .or_insert(json!("TCP"));
    }
    for probe in ["livenessProbe", "readinessProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            probe
                .as_object_mut()
                .unwrap()
                .entry("failureThreshold")
                .or_insert(json!(3));
        }
    }
}

/// An object as the API server gives it back.
fn served(resource: &Value, uid: &str) -> Value {
    let mut live = resource.clone();
    live.as_object_mut().unwrap().remove("id");
    live["metadata"]["uid"] = json!(uid);
    live["metadata"]["resourceVersion"] = json!("4711");
    live["metadata"]["creationTimestamp"] = json!("2026-07-05T08:00:00Z");
    live["metadata"]["managedFields"] =
        json!([{ "manager": "kubectl", "operation": "Apply", "fieldsV1": { "f:spec": {} } }]);
    live["status"] = json!({ "observedGeneration": 3, "conditions": [{ "type": "Available", "status": "True" }] });
    if let Some(spec) = live.pointer_mut("/spec/template/spec") {
        spec["restartPolicy"] = json!("Always");
        for containers in ["containers", "initContainers"] {
            let containers = spec.get_mut(containers).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(default_container);
        }
        live["spec"]["revisionHistoryLimit"] = json!(10);
    }
    live
}

type Objects<'a> = BTreeMap<(&'a str, &'a str), &'a Value>;

fn objects(manifest: &Value) -> Objects<'_> {
    let collections = manifest.as_object().unwrap().iter();
    let listed = collections.filter_map(|(kind, all)| Some((kind.as_str(), all.as_array()?)));
    listed
        .flat_map(|(kind, all)| {
            all.iter()
                .map(move |object| ((kind, object["id"].as_str().unwrap()), object))
        })
        .collect()
}

/// Compares `desired` with `applied` recorded and `live` served.
fn report(applied: &Value, live: &Value, desired: &Value) -> DriftReport {
    let content = |manifest: &Value| {
        Content::parse_manifest(manifest.to_string().as_bytes(), Content::DEFAULT_LIMIT).unwrap()
    };
    let uid = |kind: &str, id: &str| format!("uid-{kind}-{id}");
    let mut resources = Resources::new();
    for (kind, id) in objects(applied).into_keys() {
        resources
            .entry(kind.to_owned())
            .or_default()
            .insert(id.to_owned(), uid(kind, id));
    }
    let mut seen = json!({ "observedAt": "2026-11-21T10:15:00Z", "resources": {} });
    for ((kind, id), object) in objects(live) {
        seen["resources"][kind][uid(kind, id)] = served(object, &uid(kind, id));
    }
    let actual = ActualState::parse(seen.to_string().as_bytes()).unwrap();
    compare(&Comparison {
        tenant: &"cluster".parse().unwrap(),
        desired: Some(Desired {
            version: Seq::new(3),
            content: &content(desired),
        }),
        recorded: Some(Recorded {
            version: Seq::new(1),
            resources: &resources,
            content: Ok(&content(applied)),
        }),
        actual: Some(&actual),
        policy: &Policy::default(),
        acknowledgements: &[],
        now: Timestamp::EPOCH,
        strict: false,
        all: true,
        plan: false,
    })
    .unwrap()
}

/// The report says of each object what comparing the three versions themselves says, and shows nothing else.
fn check(applied: &Value, live: &Value, desired: &Value) -> BTreeMap<Verdict, u64> {
    let report = report(applied, live, desired);
    let (old, seen, new) = (objects(applied), objects(live), objects(desired));
    for item in &report.items {
        let key = (
            item.resource_type.as_str(),
            item.manifest_id.as_deref().unwrap(),
        );
        let (s, a, d) = (old.get(&key), seen.get(&key), new.get(&key));
        let wanted = match (d == s, s == a, d == a) {
            (true, true, _) => Verdict::InSync,
            (false, true, _) => Verdict::Pending,
            (true, false, _) => Verdict::Drifted,
            (false, false, true) => Verdict::Adopted,
            (false, false, false) => Verdict::Conflict,
        };
        assert_eq!(item.verdict, wanted, "{key:?}");
        for change in &item.changes {
            let at = |object: Option<&&Value>| {
                object
                    .and_then(|object| object.pointer(&change.pointer))
                    .cloned()
                    .unwrap_or_default()
            };
            let (d, s, a) = (at(d), at(s), at(a));
            assert!(d != s || s != a, "{key:?} {}", change.pointer);
            assert_eq!(
                (&change.desired, &change.recorded),
                (&d, &s),
                "{key:?} {}",
                change.pointer
            );
        }
    }
    let all: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    assert_eq!(report.items.len(), all.len());
    report.summary.by_verdict
}

#[test]
fn what_an_api_server_adds_is_no_drift() {
    let version = |image: &str, env: &[&str], data: &str| {
        let env: Vec<Value> = env
            .iter()
            .map(|name| json!({ "name": name, "value": "x" }))
            .collect();
        json!({
            "schemaVersion": "1",
            "configMaps": [{ "id": "cm", "metadata": { "name": "cm" }, "data": { "a.yaml": data } }],
            "deployments": [
                { "id": "server", "metadata": { "name": "server" }, "spec": { "replicas": 1, "template": { "spec": {
                    "containers": [{ "name": "server", "image": image, "env": env, "ports": [{ "containerPort": 80 }],
                        "readinessProbe": { "httpGet": { "path": "/", "port": 80 } } }] } } } },
                { "id": "redis", "metadata": { "name": "redis" }, "spec": { "template": { "spec": {
                    "containers": [{ "name": "redis", "image": image }] } } } },
            ],
        })
    };
    let first = version("a:1", &["ONE"], "x");
    assert_eq!(
        check(&first, &first, &first),
        BTreeMap::from([(Verdict::InSync, 3)])
    );
    let second = version("a:1", &["ONE", "TWO"], "x");
    let third = version("a:2", &["ONE", "TWO"], "y");
    let wanted = [(Verdict::Pending, 2), (Verdict::Conflict, 1)];
    assert_eq!(check(&first, &second, &third), BTreeMap::from(wanted));
    let wanted = [(Verdict::InSync, 2), (Verdict::Drifted, 1)];
    assert_eq!(check(&first, &second, &first), BTreeMap::from(wanted));
    let wanted = [(Verdict::InSync, 2), (Verdict::Adopted, 1)];
    assert_eq!(check(&first, &second, &second), BTreeMap::from(wanted));
}

/// A real history, if it is at hand: see `DRIFTLINE_FIXTURES`.
fn history() -> Option<Vec<Value>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let directory = std::env::var_os("DRIFTLINE_FIXTURES")
        .map_or_else(|| root.join("../shared/fixtures"), PathBuf::from);
    let file = directory.join("argo-cd-namespace-install.ndjson.zst");
    let output = Command::new("zstd")
        .args(["-d", "-c", "--long=27"])
        .arg(&file)
        .stderr(Stdio::null())
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    let lines = String::from_utf8(output.stdout).unwrap();
    let content = |line: &str| serde_json::from_str::<Value>(line).unwrap()["content"].take();
    Some(lines.lines().map(content).collect())
}

#[test]
fn a_real_history_shows_what_changed_and_nothing_else() {
    let Some(history) = history() else {
        // The small history above stands for it.
        return what_an_api_server_adds_is_no_drift();
    };
    let version = |number: usize| &history[number - 1];
    let found = check(version(300), version(305), version(313));
    let wanted = [
        (Verdict::InSync, 42),
        (Verdict::Pending, 3),
        (Verdict::Adopted, 2),
        (Verdict::Conflict, 3),
    ];
    assert_eq!(found, BTreeMap::from(wanted));
}
