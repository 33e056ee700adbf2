//! Which fields are compared, and how.

use super::*;

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
