//! What a plan does, and what it leaves alone.

use super::*;

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
        case.policy.unmanaged = super::super::Unmanaged::Delete;
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
