use super::*;
use Kind::{Extra, Mismatch, Missing, Modified};
use Verdict::{Adopted, Conflict, Drifted, InSync, Pending, Unknown, Unmanaged};

#[test]
fn the_verdict_follows_from_which_states_are_equal() {
    let of = |desired: u32, recorded: u32, actual: u32| {
        let color = |number: u32| json!({ "color": number });
        Case::role(&color(desired), &color(recorded), &color(actual)).verdict()
    };
    assert_eq!(of(1, 1, 1), (InSync, None));
    assert_eq!(of(2, 1, 1), (Pending, Some(Modified)));
    assert_eq!(of(1, 1, 2), (Drifted, Some(Modified)));
    assert_eq!(of(2, 1, 2), (Adopted, Some(Modified)));
    assert_eq!(of(1, 2, 3), (Conflict, Some(Modified)));
}

#[test]
fn a_missing_resource_is_a_value_of_its_own() {
    let one = |color: u32| json!({ "roles": [{ "id": "r1", "color": color }] });
    let none = json!({ "roles": [] });
    let live = |color: u32| json!({ "roles": { "d1": { "color": color, "manifestId": "r1" } } });
    let empty = json!({ "roles": {} });
    let (ids, no_ids) = (json!({ "roles": { "r1": "d1" } }), json!({}));
    let of = |desired: &Value, recorded: &Value, ids: &Value, actual: &Value| {
        Case::new(desired, recorded, ids, actual).verdict()
    };
    assert_eq!(
        of(&one(1), &none, &no_ids, &empty),
        (Pending, Some(Missing))
    );
    assert_eq!(of(&one(1), &one(1), &ids, &empty), (Drifted, Some(Missing)));
    assert_eq!(
        of(&one(2), &one(1), &ids, &empty),
        (Conflict, Some(Missing))
    );
    assert_eq!(of(&none, &one(1), &ids, &live(1)), (Pending, Some(Extra)));
    assert_eq!(of(&none, &one(1), &ids, &live(2)), (Conflict, Some(Extra)));
    assert_eq!(of(&none, &one(1), &ids, &empty), (Adopted, Some(Extra)));
    assert_eq!(
        of(&one(1), &none, &no_ids, &live(1)),
        (Adopted, Some(Missing))
    );
    assert_eq!(
        of(&one(1), &none, &no_ids, &live(2)),
        (Conflict, Some(Modified))
    );
    assert_eq!(
        of(&none, &none, &no_ids, &live(1)),
        (Unmanaged, Some(Extra))
    );
}

#[test]
fn another_external_id_is_a_mismatch() {
    let role = json!({ "roles": [{ "id": "r1", "color": 1 }] });
    let ids = json!({ "roles": { "r1": "d1" } });
    let live = json!({ "roles": { "d9": { "color": 1, "manifestId": "r1" } } });
    let case = Case::new(&role, &role, &ids, &live);
    assert_eq!(case.verdict(), (Drifted, Some(Mismatch)));
    let report = case.report();
    assert_eq!(report.items[0].external_id.as_deref(), Some("d9"));
    assert_eq!(report.items[0].recorded_external_id.as_deref(), Some("d1"));
    assert_eq!(report.items[0].severity, Severity::Error);
    assert!(report.items[0].changes.is_empty());
    let plan = report.plan.unwrap();
    assert_eq!((plan.len(), &plan[0].action), (1, &Action::Record));
    assert_eq!(plan[0].external_id.as_deref(), Some("d9"));
}

#[test]
fn the_recorded_external_id_wins_over_a_claim() {
    let role = json!({ "roles": [{ "id": "r1", "color": 1 }] });
    let ids = json!({ "roles": { "r1": "d1" } });
    let live = json!({ "roles": { "d0": { "manifestId": "r1" }, "d1": { "color": 1 } } });
    let report = Case::new(&role, &role, &ids, &live).report();
    let found: Vec<_> = report
        .items
        .iter()
        .map(|item| (item.verdict, item.external_id.as_deref()))
        .collect();
    assert_eq!(found, [(Unmanaged, Some("d0")), (InSync, Some("d1"))]);
}

#[test]
fn only_named_fields_are_compared() {
    let named = json!({ "spec": { "list": [{ "name": "a" }], "on": true } });
    let live = json!({ "uid": "x", "spec": { "list": [{ "name": "a", "added": 1 }], "on": true, "more": {} } });
    assert_eq!(Case::role(&named, &named, &live).verdict(), (InSync, None));
    let strict = Case {
        strict: true,
        ..Case::role(&named, &named, &live)
    };
    assert_eq!(
        strict.pointers(),
        ["/spec/list/0/added", "/spec/more", "/uid"]
    );
}

#[test]
fn a_field_that_is_desired_no_longer_is_expected_to_be_gone() {
    let (with, without) = (json!({ "a": 1, "b": 2 }), json!({ "a": 1 }));
    let case = Case::role(&without, &with, &with);
    assert_eq!(
        (case.verdict(), case.pointers()),
        ((Pending, Some(Modified)), vec!["/b".to_owned()])
    );
    let case = Case::role(&without, &with, &without);
    assert_eq!(case.verdict(), (Adopted, Some(Modified)));
}

#[test]
fn what_others_keep_in_an_object_is_not_ours() {
    let live = json!({ "labels": { "theirs": 1 } });
    let ours = json!({ "labels": { "ours": 1 } });
    let none = json!({});
    assert_eq!(
        Case::role(&ours, &none, &live).verdict(),
        (Pending, Some(Modified))
    );
    assert_eq!(
        Case::role(&none, &ours, &live).verdict(),
        (Adopted, Some(Modified))
    );
}

#[test]
fn an_empty_object_is_a_value_when_every_field_counts() {
    let (empty, other) = (
        json!({ "emptyDir": {} }),
        json!({ "hostPath": { "path": "/" } }),
    );
    let strict = Case {
        strict: true,
        ..Case::role(&empty, &empty, &other)
    };
    assert_eq!(strict.pointers(), ["/emptyDir", "/hostPath"]);
    assert_eq!(
        Case::role(&empty, &other, &empty).verdict(),
        (Adopted, Some(Modified))
    );
}

#[test]
fn absent_is_null_and_numbers_are_values() {
    let desired = json!({ "a": null, "b": 1, "big": 9_007_199_254_740_992_u64 });
    let live = json!({ "b": 1.0, "c": null, "big": 9_007_199_254_740_992_u64 });
    assert_eq!(
        Case::role(&desired, &desired, &live).verdict(),
        (InSync, None)
    );
    let live = json!({ "b": 1.0, "big": 9_007_199_254_740_993_u64 });
    assert_eq!(Case::role(&desired, &desired, &live).pointers(), ["/big"]);
}

#[test]
fn a_difference_is_shown_where_it_begins() {
    let desired =
        json!({ "a": { "b": { "c": 1 } }, "list": [1, 2], "each": [{ "x": 1 }, { "x": 2 }] });
    let live = json!({ "a": {}, "list": [1, 2, 3], "each": [{ "x": 1 }, { "x": 9 }] });
    let case = Case::role(&desired, &desired, &live);
    assert_eq!(case.pointers(), ["/a/b", "/each/1/x", "/list"]);
}

#[test]
fn lists_compare_as_the_policy_says() {
    let policy = Policy {
        lists: vec![
            ListRule {
                resource_type: Some("roles".to_owned()),
                pointer: "/verbs".to_owned(),
                kind: ListKind::Set,
            },
            ListRule {
                resource_type: None,
                pointer: "/**/env".to_owned(),
                kind: ListKind::KeyedBy("name".into()),
            },
        ],
        ..Policy::default()
    };
    let desired = json!({ "verbs": ["get", "list"], "box": { "env": [{ "name": "A", "v": 1 }, { "name": "B", "v": 2 }] } });
    let case = |live: Value| Case {
        policy: policy.clone(),
        ..Case::role(&desired, &desired, &live)
    };
    let same = json!({ "verbs": ["list", "get"], "box": { "env": [{ "name": "B", "v": 2 }, { "name": "A", "v": 1 }] } });
    assert_eq!(case(same).verdict(), (InSync, None));
    let other = json!({ "verbs": ["list", "list"], "box": { "env": [{ "name": "C" }, { "name": "B", "v": 3 }] } });
    assert_eq!(
        case(other).pointers(),
        [
            "/box/env/[name=A]",
            "/box/env/[name=B]/v",
            "/box/env/[name=C]",
            "/verbs"
        ]
    );
}

#[test]
fn what_the_policy_ignores_is_neither_shown_nor_changed() {
    let desired = json!({ "a": 1, "meta": { "note": "x", "keep": 1 } });
    let live = json!({ "a": 2, "meta": { "note": "y", "keep": 1 } });
    let ignore = |pointer: Option<&str>| Policy {
        ignore: vec![IgnoreRule {
            resource_type: Some("ro*".to_owned()),
            id: Some("r?".to_owned()),
            pointer: pointer.map(str::to_owned),
        }],
        ..Policy::default()
    };
    let case = |policy: Policy| Case {
        policy,
        ..Case::role(&desired, &desired, &live)
    };
    let note = case(ignore(Some("/*/note")));
    assert_eq!(note.pointers(), ["/a"]);
    let plan = note.report().plan.unwrap();
    let patch = json!([{ "op": "replace", "path": "/a", "value": 1 }]);
    assert_eq!(plan[0].action, Action::Update { patch });
    let whole = case(ignore(None)).report();
    assert!(whole.items.is_empty() && !whole.has_drift);
    assert_eq!(whole.summary.ignored, 1);
}

#[test]
fn what_was_not_seen_is_unknown_and_never_missing() {
    let two = json!({ "roles": [{ "id": "r1" }, { "id": "r2" }], "channels": [{ "id": "c1" }] });
    let ids = json!({ "roles": { "r1": "d1", "r2": "d2" }, "channels": { "c1": "x1" } });
    let verdicts = |actual: Value| {
        let report = Case::new(&two, &two, &ids, &actual).report();
        let mut found: Vec<_> = report
            .items
            .iter()
            .map(|item| (item.manifest_id.clone().unwrap(), item.verdict))
            .collect();
        found.sort();
        assert_eq!(
            report.has_drift,
            found.iter().any(|(_, verdict)| verdict.is_drift())
        );
        found
            .into_iter()
            .map(|(_, verdict)| verdict)
            .collect::<Vec<_>>()
    };
    // A type that is not listed was not looked at.
    assert_eq!(
        verdicts(json!({ "resources": { "roles": { "d1": {}, "d2": {} } } })),
        [Unknown, InSync, InSync]
    );
    // A listed type is complete …
    assert_eq!(
        verdicts(json!({ "resources": { "roles": { "d1": {} }, "channels": {} } })),
        [Drifted, InSync, Drifted]
    );
    // … unless an error names it; what was seen all the same is compared.
    let errors = json!([{ "type": "roles", "message": "timeout" }]);
    assert_eq!(
        verdicts(
            json!({ "resources": { "roles": { "d1": {} }, "channels": {} }, "errors": errors })
        ),
        [Drifted, InSync, Unknown]
    );
    // An error about one resource leaves the others complete.
    let errors = json!([{ "type": "roles", "id": "d2", "message": "403" }]);
    assert_eq!(
        verdicts(
            json!({ "resources": { "roles": {}, "channels": { "x1": {} } }, "errors": errors })
        ),
        [InSync, Drifted, Unknown]
    );
    // An error about everything leaves nothing complete.
    let errors = json!([{ "message": "the network is down" }]);
    assert_eq!(
        verdicts(
            json!({ "resources": { "roles": { "d1": {} }, "channels": {} }, "errors": errors })
        ),
        [Unknown, InSync, Unknown]
    );
    let case = Case::new(&two, &two, &ids, &json!({}));
    let failed = case.report_on(Some(&ActualState::failed("no answer")));
    assert_eq!(
        (failed.status, failed.has_drift),
        (Status::NotObserved, false)
    );
    assert!(
        failed
            .items
            .iter()
            .all(|item| item.verdict == Unknown && item.reason.as_deref() == Some("no answer"))
    );
    assert_eq!(failed.plan, Some(Vec::new()));
}

#[test]
fn attributes_that_were_not_seen_are_not_compared() {
    let role = json!({ "roles": [{ "id": "r1", "color": 1 }, { "id": "r2" }] });
    let ids = json!({ "roles": { "r1": "d1" } });
    let report = Case::new(&role, &role, &ids, &json!({ "roles": { "d1": null } })).report();
    let verdicts: Vec<_> = report.items.iter().map(|item| item.verdict).collect();
    assert_eq!(verdicts, [Pending, Unknown]);
}

#[test]
fn a_record_that_cannot_be_relied_on_is_suspect() {
    let content =
        Content::parse_manifest(br#"{"schemaVersion":"1","roles":[{"id":"r1"}]}"#, 1000).unwrap();
    let actual = ActualState::parse(br#"{"resources":{"roles":{"d1":{},"d7":{}}}}"#).unwrap();
    let resources: Resources =
        serde_json::from_value(json!({ "roles": { "r1": "d1", "r2": "d2" } })).unwrap();
    let policy = Policy {
        unmanaged: super::Unmanaged::Delete,
        ..Policy::default()
    };
    let report = compare(&Comparison {
        tenant: &"acme".parse().unwrap(),
        desired: Some(Desired {
            version: Seq::new(1),
            content: &content,
        }),
        recorded: Some(Recorded {
            version: Seq::new(1),
            resources: &resources,
            content: Err("its checksum fails"),
        }),
        actual: Some(&actual),
        policy: &policy,
        acknowledgements: &[],
        now: Timestamp::EPOCH,
        strict: false,
        all: false,
        plan: true,
    })
    .unwrap();
    assert!(report.has_drift);
    assert_eq!(report.count(Verdict::LedgerSuspect), 2);
    assert_eq!(
        report.items[0].reason.as_deref(),
        Some("its checksum fails")
    );
    assert_eq!(report.plan, Some(Vec::new()), "nothing is deleted on doubt");
}

#[test]
fn a_tenant_without_manifest_or_applies_has_a_status_of_its_own() {
    let role = json!({ "roles": [{ "id": "r1" }] });
    let case = Case::new(
        &role,
        &role,
        &json!({ "roles": { "r1": "d1" } }),
        &json!({ "roles": {} }),
    );
    let status = |case: &Case| case.report().status;
    assert_eq!(status(&case), Status::Compared);
    let unobserved = Case {
        actual: None,
        ..case.clone()
    };
    assert_eq!(status(&unobserved), Status::NotObserved);
    let never = Case {
        recorded: None,
        ..case.clone()
    };
    assert_eq!(status(&never), Status::NeverApplied);
    let none = Case {
        desired: None,
        ..case
    };
    assert_eq!(status(&none), Status::NoManifest);
    assert!(none.report().items.is_empty());
}

#[test]
fn unmanaged_resources_are_shown_left_out_or_deleted() {
    let none = json!({ "roles": [] });
    let live = json!({ "roles": { "d1": {} } });
    let case = |unmanaged: super::Unmanaged| Case {
        policy: Policy {
            unmanaged,
            ..Policy::default()
        },
        ..Case::new(&none, &none, &json!({}), &live)
    };
    let report = case(super::Unmanaged::Report).report();
    assert_eq!(
        (
            report.items.len(),
            report.has_drift,
            report.plan.unwrap().len()
        ),
        (1, false, 0)
    );
    assert!(case(super::Unmanaged::Ignore).report().items.is_empty());
    let plan = case(super::Unmanaged::Delete).report().plan.unwrap();
    assert_eq!(
        (plan[0].action.clone(), plan[0].external_id.as_deref()),
        (Action::Delete, Some("d1"))
    );
}

#[test]
fn a_plan_creates_before_it_deletes() {
    let manifest = |ids: &[&str]| {
        let all: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        json!({ "categories": all, "roles": all })
    };
    let (desired, recorded) = (manifest(&["new"]), manifest(&["old"]));
    let ids = json!({ "categories": { "old": "1" }, "roles": { "old": "2" } });
    let live = json!({ "categories": { "1": {} }, "roles": { "2": {} } });
    let case = Case {
        policy: Policy {
            order: vec!["roles".to_owned()],
            ..Policy::default()
        },
        ..Case::new(&desired, &recorded, &ids, &live)
    };
    let plan = case.report().plan.unwrap();
    let steps: Vec<_> = plan
        .iter()
        .map(|step| {
            (
                matches!(step.action, Action::Delete),
                step.resource_type.as_str(),
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            (false, "roles"),
            (false, "categories"),
            (true, "categories"),
            (true, "roles")
        ]
    );
}

#[test]
fn a_document_that_is_no_actual_state_is_refused() {
    for (document, message) in [
        ("", "it is empty"),
        ("[]", "an object with `resources` is expected, not an array"),
        ("{}", "`resources` is missing"),
        ("<html>", "it is HTML, not JSON"),
        (
            r#"{"resources":{"roles":{"a":{}}"#,
            "it ends in the middle of an object",
        ),
        (r#"{"resources":{"roles":[]}}"#, "an object"),
        (
            r#"{"resources":{"roles":{"a":1}}}"#,
            "/resources/roles/a: an object with attributes is expected",
        ),
        (
            r#"{"resources":{"roles":{"a":{},"a":{}}}}"#,
            "the key `a` is there twice",
        ),
        (
            r#"{"resources":{"roles":{},"roles":{}}}"#,
            "the key `roles` is there twice",
        ),
        (r#"{"resources":{}} x"#, "something follows the value"),
    ] {
        let error = ActualState::parse(document.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{document}: {error}");
    }
}

#[test]
fn a_field_that_is_dropped_inside_a_set_is_expected_to_be_gone() {
    let policy: Policy =
        serde_json::from_value(json!({ "lists": [{ "pointer": "/r", "as": "set" }] })).unwrap();
    let list = |element: Value| json!({ "r": [element, { "z": 1 }] });
    let case = |live: Value| Case {
        policy: policy.clone(),
        ..Case::role(
            &list(json!({ "a": 1 })),
            &list(json!({ "a": 1, "b": 2 })),
            &live,
        )
    };
    let pending = case(list(json!({ "a": 1, "b": 2, "added": 1 })));
    assert_eq!(pending.verdict(), (Pending, Some(Modified)));
    let plan = pending.report().plan.unwrap();
    assert!(
        matches!(&plan[0].action, Action::Update { patch } if patch.to_string().contains("/r/")),
        "{plan:?}"
    );
    assert_eq!(
        case(list(json!({ "a": 1, "b": 3 }))).verdict(),
        (Conflict, Some(Modified))
    );
    assert_eq!(
        case(list(json!({ "a": 1 }))).verdict(),
        (Adopted, Some(Modified))
    );
}

#[test]
fn a_large_set_in_another_order_is_the_same() {
    let policy: Policy =
        serde_json::from_value(json!({ "lists": [{ "pointer": "/r", "as": "set" }] })).unwrap();
    let all: Vec<Value> = (0..2000)
        .map(|n| json!({ "n": n, "x": { "y": n } }))
        .collect();
    let live: Vec<Value> = (0..2000)
        .rev()
        .map(|n| json!({ "n": n, "x": { "y": n, "added": 1 } }))
        .collect();
    let desired = json!({ "r": all });
    let case = Case {
        policy,
        ..Case::role(&desired, &desired, &json!({ "r": live }))
    };
    assert_eq!(case.verdict(), (InSync, None));
}

#[test]
fn a_plan_leaves_alone_what_the_policy_ignores_in_lists() {
    let desired = json!({ "n": 1, "c": [{ "name": "a", "image": 1 }] });
    let live =
        json!({ "n": 2, "c": [{ "name": "a", "image": 7, "added": 1 }, { "name": "sidecar" }] });
    let policy: Policy = serde_json::from_value(json!({
        "lists": [{ "pointer": "/c", "as": { "keyedBy": "name" } }],
        "ignore": [{ "pointer": "/c/[name=sidecar]" }, { "pointer": "/c/*/image" }],
    }))
    .unwrap();
    let case = Case {
        policy,
        ..Case::role(&desired, &desired, &live)
    };
    let patch = json!([{ "op": "replace", "path": "/n", "value": 1 }]);
    assert_eq!(
        case.report().plan.unwrap()[0].action,
        Action::Update { patch }
    );
}

#[test]
fn a_plan_keeps_what_others_added_to_elements_that_stay() {
    let desired = json!({ "c": [{ "port": 80 }] });
    let live = json!({ "c": [{ "cidr": "x" }, { "port": 80, "added": 1 }] });
    let plan = Case::role(&desired, &desired, &live).report().plan.unwrap();
    let Action::Update { patch } = &plan[0].action else {
        panic!("{plan:?}");
    };
    let mut patched = live.clone();
    json_patch::patch(
        &mut patched,
        &serde_json::from_value::<json_patch::Patch>(patch.clone()).unwrap(),
    )
    .unwrap();
    assert_eq!(patched, json!({ "c": [{ "port": 80, "added": 1 }] }));
}

#[test]
fn nothing_unmanaged_is_deleted_on_doubt() {
    let one = json!({ "roles": [{ "id": "r1" }] });
    let ids = json!({ "roles": { "r1": "d1" } });
    let deletes = |recorded: bool, actual: Value| {
        let mut case = Case::new(&one, &one, &ids, &actual);
        case.policy.unmanaged = super::Unmanaged::Delete;
        if !recorded {
            case.recorded = None;
        }
        let plan = case.report().plan.unwrap();
        plan.iter()
            .filter(|step| step.action == Action::Delete)
            .count()
    };
    let roles = json!({ "d1": {}, "x1": {} });
    assert_eq!(deletes(true, json!({ "resources": { "roles": roles } })), 1);
    assert_eq!(
        deletes(false, json!({ "resources": { "roles": roles } })),
        0,
        "never applied"
    );
    let errors = json!([{ "type": "roles", "message": "page 2: 403" }]);
    assert_eq!(
        deletes(
            true,
            json!({ "resources": { "roles": roles }, "errors": errors })
        ),
        0
    );
    assert_eq!(
        deletes(
            true,
            json!({ "resources": { "roles": { "d1": null, "x1": {} } } })
        ),
        0
    );
}

#[test]
fn a_live_value_that_cannot_be_read_blinds_one_resource_only() {
    let two = json!({ "roles": [{ "id": "r1", "load": 1 }, { "id": "r2" }] });
    let ids = json!({ "roles": { "r1": "d1", "r2": "d2" } });
    let case = Case::new(&two, &two, &ids, &json!({}));
    for odd in ["1e999", r#""\ud800""#] {
        let document =
            format!(r#"{{"resources":{{"roles":{{"d1":{{"load":{odd}}},"d2":{{}}}}}}}}"#);
        let report = case.report_on(Some(&ActualState::parse(document.as_bytes()).unwrap()));
        let found: Vec<_> = report.items.iter().map(|item| item.verdict).collect();
        assert_eq!(found, [Unknown, InSync], "{odd}");
        assert!(
            report.items[0]
                .reason
                .as_ref()
                .unwrap()
                .contains("`d1` cannot be read")
        );
    }
}

#[test]
fn swapped_resources_are_found() {
    let two = json!({ "roles": [{ "id": "a", "n": 1 }, { "id": "b", "n": 1 }] });
    let ids = json!({ "roles": { "a": "x1", "b": "x2" } });
    let live = json!({ "roles": { "x1": { "n": 1, "manifestId": "b" }, "x2": { "n": 1, "manifestId": "a" } } });
    let report = Case::new(&two, &two, &ids, &live).report();
    assert_eq!(report.count(Drifted), 2);
    assert!(report.items.iter().all(|item| item.kind == Some(Mismatch)));
}
