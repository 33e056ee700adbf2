//! What holds for every three states, tried on many. A failure names its seed.

use std::collections::BTreeMap;

use super::generator::{Generator, policy};
use super::*;

fn parse(document: &str) -> ActualState {
    ActualState::parse(document.as_bytes()).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn case(desired: &Value, recorded: &Value, ids: &Value) -> Case {
    Case {
        policy: policy(),
        ..Case::new(desired, recorded, ids, &json!({}))
    }
}

/// 100,000 triples in four parts, so that they run side by side.
fn nothing_changed(part: u64) {
    for seed in (0..25_000).map(|seed| seed * 4 + part) {
        let mut generator = Generator::new(seed);
        let manifest = generator.manifest();
        let ids = generator.ids(&manifest, 10);
        let live = generator.live(&manifest, &ids);
        let report = case(&manifest, &manifest, &ids).report_on(Some(&parse(&live)));
        let loud = report
            .items
            .iter()
            .find(|item| !matches!(item.verdict, Verdict::InSync | Verdict::Unmanaged));
        assert!(
            loud.is_none() && !report.has_drift,
            "seed {seed}: {loud:#?}\n{manifest}\n{live}"
        );
    }
}

#[test]
fn no_false_alarm_in_what_did_not_change_1() {
    nothing_changed(0);
}

#[test]
fn no_false_alarm_in_what_did_not_change_2() {
    nothing_changed(1);
}

#[test]
fn no_false_alarm_in_what_did_not_change_3() {
    nothing_changed(2);
}

#[test]
fn no_false_alarm_in_what_did_not_change_4() {
    nothing_changed(3);
}

#[test]
fn an_injected_change_is_found_alone_under_its_pointer() {
    let mut injected = 0;
    for seed in 0..10_000 {
        let mut generator = Generator::new(seed);
        let manifest = generator.manifest();
        let ids = generator.ids(&manifest, 10);
        let mut changed = manifest.clone();
        let Some(roles) = changed["roles"]
            .as_array_mut()
            .filter(|roles| !roles.is_empty())
        else {
            continue;
        };
        let place = usize::try_from(generator.below(roles.len() as u64)).unwrap();
        let id = roles[place]["id"].as_str().unwrap().to_owned();
        let pointer = generator.change(&mut roles[place], "");
        if pointer.is_empty() || pointer.contains("/ignored") || pointer.contains("/sets/") {
            continue;
        }
        injected += 1;
        let live = generator.live(&changed, &ids);
        let report = case(&manifest, &manifest, &ids).report_on(Some(&parse(&live)));
        let loud: Vec<&Item> = report
            .items
            .iter()
            .filter(|item| item.verdict.is_drift())
            .collect();
        let found: Vec<(&str, Verdict, Vec<&str>)> = loud
            .iter()
            .map(|item| {
                let pointers = item.changes.iter().map(|change| change.pointer.as_str());
                (
                    item.manifest_id.as_deref().unwrap(),
                    item.verdict,
                    pointers.collect(),
                )
            })
            .collect();
        let wanted = vec![(id.as_str(), Verdict::Drifted, vec![pointer.as_str()])];
        assert_eq!(found, wanted, "seed {seed}: {manifest}\n{live}");
    }
    assert!(injected > 5_000, "{injected}");
}

/// Three unrelated but overlapping states.
fn unrelated(seed: u64) -> (Generator, Case) {
    let mut generator = Generator::new(seed);
    let base = generator.manifest();
    let other = |generator: &mut Generator| {
        let mut manifest = match generator.below(4) {
            0 => generator.manifest(),
            _ => base.clone(),
        };
        for resource_type in ["roles", "channels"] {
            let resources = manifest[resource_type].as_array_mut().unwrap();
            resources.retain(|_| generator.below(6) > 0);
            for resource in resources {
                if generator.below(3) == 0 {
                    generator.change(resource, "");
                }
            }
        }
        manifest
    };
    let (desired, recorded, live) = (
        other(&mut generator),
        other(&mut generator),
        other(&mut generator),
    );
    let ids = generator.ids(&recorded, 8);
    let mut live_ids = generator.ids(&live, 9);
    // Some were made anew under another id.
    for (_, ids) in live_ids.as_object_mut().unwrap() {
        for (_, external_id) in ids.as_object_mut().unwrap() {
            if generator.below(8) == 0 {
                *external_id = json!(format!("again-{}", external_id.as_str().unwrap()));
            }
        }
    }
    let document = generator.live(&live, &live_ids);
    let mut case = case(&desired, &recorded, &ids);
    case.actual = Some(serde_json::from_str(&document).unwrap());
    (generator, case)
}

#[test]
fn every_resource_has_exactly_one_verdict() {
    for seed in 0..10_000 {
        let (_, case) = unrelated(seed);
        let report = case.report();
        let mut seen: BTreeMap<(String, Option<String>, Option<String>), u32> = BTreeMap::new();
        for item in &report.items {
            let id = item.manifest_id.clone();
            let external_id = if id.is_none() {
                item.external_id.clone()
            } else {
                None
            };
            *seen
                .entry((item.resource_type.clone(), id, external_id))
                .or_default() += 1;
        }
        assert!(seen.values().all(|count| *count == 1), "seed {seed}");
        let desired = case.desired.unwrap();
        let (_, ids) = case.recorded.unwrap();
        for resource_type in ["roles", "channels"] {
            let named = desired[resource_type].as_array().unwrap().iter();
            let mut named: Vec<String> = named
                .map(|resource| resource["id"].as_str().unwrap().to_owned())
                .collect();
            named.extend(ids[resource_type].as_object().unwrap().keys().cloned());
            named.sort();
            named.dedup();
            for id in named {
                let key = (resource_type.to_owned(), Some(id), None);
                assert!(seen.contains_key(&key), "seed {seed}: {key:?}");
            }
        }
        let total: u64 = report.summary.by_verdict.values().sum();
        assert_eq!(total, seen.len() as u64, "seed {seed}");
    }
}

#[test]
fn running_the_plan_brings_everything_in_sync() {
    for seed in 0..10_000 {
        let (_, mut case) = unrelated(seed);
        let report = case.report();
        let live = case.actual.as_mut().unwrap();
        let (_, mut ids) = case.recorded.clone().unwrap();
        for step in report.plan.as_ref().unwrap() {
            let resource_type = step.resource_type.as_str();
            let resources = &mut live["resources"][resource_type];
            let external_id = step.external_id.clone();
            match &step.action {
                Action::Create { attributes } => {
                    let external_id = format!("new-{}", step.manifest_id.as_ref().unwrap());
                    resources[&external_id] = attributes.clone();
                    ids[resource_type][step.manifest_id.as_ref().unwrap()] = json!(external_id);
                }
                Action::Update { patch } => {
                    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
                    let resource = &mut resources[external_id.as_ref().unwrap()];
                    json_patch::patch(resource, &patch).unwrap();
                    ids[resource_type][step.manifest_id.as_ref().unwrap()] = json!(external_id);
                }
                Action::Delete => {
                    resources
                        .as_object_mut()
                        .unwrap()
                        .remove(external_id.as_ref().unwrap());
                    let ids = ids[resource_type].as_object_mut().unwrap();
                    step.manifest_id.as_ref().and_then(|id| ids.remove(id));
                }
                Action::Record => {
                    let id = step.manifest_id.as_ref().unwrap();
                    if let Some(external_id) = external_id {
                        ids[resource_type][id] = json!(external_id);
                    } else {
                        ids[resource_type].as_object_mut().unwrap().remove(id);
                    }
                }
            }
        }
        // Then the desired version is recorded as applied.
        case.recorded = Some((case.desired.clone().unwrap(), ids));
        let after = case.report();
        let left = after
            .items
            .iter()
            .find(|item| !matches!(item.verdict, Verdict::InSync | Verdict::Unmanaged));
        assert!(
            left.is_none(),
            "seed {seed}: {left:#?}\n{:#?}\n{case:#?}",
            report.plan
        );
    }
}

#[test]
fn whatever_else_changes_after_an_acknowledgement_alarms() {
    let mut alarmed = 0;
    for seed in 0..5_000 {
        let (mut generator, mut case) = unrelated(seed);
        let before = case.report();
        let drifts = before.items.iter().filter(|item| item.verdict.is_drift());
        case.acknowledgements = drifts
            .map(|item| Acknowledgement {
                resource_type: item.resource_type.clone(),
                id: item.manifest_id.clone().unwrap(),
                pointer: String::new(),
                value: item.actual_digest.unwrap(),
                until: Timestamp::MAX,
                reason: "accepted".parse().unwrap(),
                by: None,
                decision: None,
            })
            .collect();
        assert!(!case.report().has_drift, "seed {seed}");
        let live = &mut case.actual.as_mut().unwrap()["resources"]["roles"];
        let mut resources = live.as_object_mut().unwrap().values_mut();
        let full = |resource: &&mut Value| !resource.as_object().unwrap().is_empty();
        let Some(resource) = resources.find(full) else {
            continue;
        };
        generator.change(resource, "");
        let after = case.report();
        for item in after.items.iter().filter(|item| item.verdict.is_drift()) {
            let same = |old: &&Item| {
                (&old.resource_type, &old.manifest_id) == (&item.resource_type, &item.manifest_id)
            };
            let old = before.items.iter().find(same).unwrap();
            // What is empty is absent: that is no change.
            let said = |item: &Item| {
                let changes = item.changes.iter().map(|change| {
                    let Change {
                        pointer, actual, ..
                    } = change;
                    let id = item.manifest_id.as_deref().unwrap();
                    let policy = &case.policy;
                    (
                        pointer.clone(),
                        value_digest(policy, &item.resource_type, id, pointer, actual),
                    )
                });
                (item.kind, changes.collect::<Vec<_>>())
            };
            if said(old) != said(item) {
                alarmed += 1;
                assert!(item.alarms(), "seed {seed}: {old:#?}\n{item:#?}");
            }
        }
    }
    assert!(alarmed > 500, "{alarmed}");
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    for seed in 0..500 {
        let (_, case) = unrelated(seed);
        let report = case.report();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<DriftReport>(&text).unwrap(),
            report,
            "seed {seed}"
        );
    }
}
