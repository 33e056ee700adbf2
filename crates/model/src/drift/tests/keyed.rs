//! Elements of keyed lists: addressed by their key, everywhere.

use super::*;

fn with(lists: &Value, desired: &Value, live: &Value) -> Case {
    Case {
        policy: serde_json::from_value(json!({ "lists": lists })).unwrap(),
        ..Case::role(desired, desired, live)
    }
}

fn ports() -> Value {
    json!([{ "pointer": "/ports", "as": { "keyedBy": ["port", "protocol"] } }])
}

/// What the live attributes become.
fn patched(case: &Case, live: &Value) -> (Value, Value) {
    let plan = case.report().plan.unwrap();
    let [
        Step {
            action: Action::Update { patch },
            ..
        },
    ] = &plan[..]
    else {
        panic!("{plan:?}");
    };
    let mut patched = live.clone();
    let operations: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut patched, &operations).unwrap();
    (patched, patch.clone())
}

#[test]
fn a_change_is_named_by_the_key_wherever_the_element_stands() {
    let desired = json!({ "ports": [
        { "port": 80, "protocol": "TCP", "name": "web" },
        { "port": 80, "protocol": "UDP", "name": "quic" },
    ] });
    let live = json!({ "ports": [
        { "port": 443, "protocol": "TCP", "name": "added" },
        { "port": 80.0, "protocol": "UDP", "name": "other" },
        { "port": 80, "protocol": "TCP", "name": "web", "nodePort": 30000 },
    ] });
    let case = with(&ports(), &desired, &live);
    assert_eq!(
        case.pointers(),
        [
            "/ports/[port=80,protocol=UDP]/name",
            "/ports/[port=443,protocol=TCP]"
        ]
    );
    let (patched, patch) = patched(&case, &live);
    assert_eq!(
        patch,
        json!([
            { "op": "replace", "path": "/ports/1/name", "value": "quic", "pointer": "/ports/[port=80,protocol=UDP]/name" },
            { "op": "remove", "path": "/ports/0", "pointer": "/ports/[port=443,protocol=TCP]" },
        ])
    );
    let left = json!([
        { "port": 80.0, "protocol": "UDP", "name": "quic" },
        { "port": 80, "protocol": "TCP", "name": "web", "nodePort": 30000 },
    ]);
    assert_eq!(patched["ports"], left);
}

#[test]
fn a_rule_for_an_element_does_not_slide_onto_another() {
    let env = |first: &str, second: &str, values: [u32; 2]| json!({ "env": [{ "name": first, "v": values[0] }, { "name": second, "v": values[1] }] });
    let case = |live: Value| Case {
        policy: serde_json::from_value(json!({
            "lists": [{ "pointer": "/env", "as": { "keyedBy": "name" } }],
            "ignore": [{ "pointer": "/env/[name=A]/v" }],
        }))
        .unwrap(),
        ..Case::role(&env("A", "B", [1, 2]), &env("A", "B", [1, 2]), &live)
    };
    assert_eq!(case(env("A", "B", [9, 2])).verdict().0, Verdict::InSync);
    assert_eq!(case(env("B", "A", [2, 9])).verdict().0, Verdict::InSync);
    assert_eq!(case(env("B", "A", [9, 1])).pointers(), ["/env/[name=B]/v"]);
    let mut without = case(env("B", "C", [9, 3]));
    assert_eq!(
        without.pointers(),
        ["/env/[name=A]", "/env/[name=B]/v", "/env/[name=C]"]
    );
    // Stored by an older build: no element is at a place.
    without.policy.ignore[0].pointer = Some("/env/0/v".to_owned());
    let report = without.report();
    assert!(
        report.items[0]
            .changes
            .iter()
            .any(|change| change.pointer == "/env/[name=B]/v")
    );
    assert_eq!(
        report.unused_rules[0].rule.as_deref(),
        Some("/ignore/0/pointer")
    );
}

#[test]
fn a_place_in_a_keyed_list_is_refused() {
    let check = |policy: Value| serde_json::from_value::<Policy>(policy).unwrap().check();
    let lists = json!([
        { "pointer": "/ports", "as": { "keyedBy": ["port", "protocol"] } },
        { "type": "roles", "pointer": "/**/env", "as": { "keyedBy": "name" } },
        { "pointer": "/tags", "as": "set" },
    ]);
    for (member, pointer) in [
        ("ignore", "/ports/0/name"),
        ("ignore", "/ports/0"),
        ("ignore", "/*/1/name"),
        ("ignore", "/ports/[port=80]/name"),
        ("ignore", "/ports/[protocol=TCP,port=80]/name"),
        ("ignore", "/ports/name"),
        ("ignore", "/a/b/env/3/value"),
        ("ignore", "/tags/0"),
        ("redact", "/a/env/0"),
        ("equality", "/ports/2/name"),
    ] {
        let rule = json!([{ "pointer": pointer, "as": "ip" }]);
        let mut policy = json!({ "lists": lists });
        policy[member] = rule;
        let (at, reason) = check(policy).unwrap_err();
        assert_eq!(at, format!("/{member}/0/pointer"), "{pointer}");
        assert!(reason.contains("slide onto another"), "{pointer}");
    }
    let nested = json!({ "lists": [lists[0], { "pointer": "/ports/0/hosts", "as": "set" }] });
    assert_eq!(check(nested).unwrap_err().0, "/lists/1/pointer");
    for pointer in [
        "/ports",
        "/ports/*/name",
        "/ports/[port=80,protocol=TCP]/name",
        "/ports/[port=80,*]/name",
        "/**/name",
        "/**",
        "/ports/[]",
        "/other/0",
        "/ports/**",
        "/env/[name=\"80\"]/value",
        "/env/[name=a~1b]",
        "/tags/*",
    ] {
        assert_eq!(
            check(json!({ "lists": lists, "ignore": [{ "pointer": pointer }] })),
            Ok(()),
            "{pointer}"
        );
    }
    let other = json!({ "lists": lists, "ignore": [{ "type": "channels", "pointer": "/env/0" }] });
    assert_eq!(check(other), Ok(()));
}

#[test]
fn a_key_that_no_element_has_is_told() {
    let lists = json!([{ "pointer": "/l", "as": { "keyedBy": "nmae" } }]);
    let desired = json!({ "l": [{ "name": "a", "v": 1 }, { "name": "b", "v": 2 }] });
    let case = |live: Value| with(&lists, &desired, &live);
    let same = case(json!({ "l": [{ "name": "b", "v": 2 }, { "name": "a", "v": 1, "added": 1 }] }));
    let report = same.report();
    assert_eq!(report.items[0].verdict, Verdict::InSync);
    let [unused] = &report.unused_rules[..] else {
        panic!("{report:?}");
    };
    assert_eq!(
        (
            unused.rule.as_deref(),
            unused.pointer.as_deref(),
            unused.resource.as_deref()
        ),
        (Some("/lists/0"), Some("/l"), Some("roles/r1"))
    );
    assert!(
        unused.reason.contains("no element of the list has nmae"),
        "{unused:?}"
    );
    let other = case(json!({ "l": [{ "name": "b", "v": 2 }, { "name": "a", "v": 3 }] }));
    assert_eq!(other.pointers(), ["/l"]);
}

#[test]
fn elements_without_the_key_leave_the_others_in_their_places() {
    let lists = json!([{ "pointer": "/l", "as": { "keyedBy": "name" } }]);
    let desired = json!({ "l": [{ "name": "a", "v": 1 }, { "v": 2 }] });
    let case = |live: Value| with(&lists, &desired, &live);
    let report = case(json!({ "l": [{ "v": 2 }, { "name": "a", "v": 1 }] })).report();
    assert_eq!(report.items[0].verdict, Verdict::InSync);
    assert!(
        report.unused_rules[0]
            .reason
            .contains("some elements of the list lack name")
    );
    // What the live system gave a key is still the same element.
    assert_eq!(
        case(json!({ "l": [{ "name": "b", "v": 2 }, { "name": "a", "v": 1 }] }))
            .verdict()
            .0,
        Verdict::InSync
    );
    let changed = json!({ "l": [{ "v": 3 }, { "name": "a", "v": 9 }] });
    let case = case(changed.clone());
    assert_eq!(case.pointers(), ["/l/[name=a]/v", "/l/[]"]);
    let (patched, _) = patched(&case, &changed);
    assert_eq!(
        patched,
        json!({ "l": [{ "v": 2 }, { "name": "a", "v": 1 }] })
    );
}

#[test]
fn equal_keys_are_matched_among_themselves() {
    let lists = json!([{ "pointer": "/l", "as": { "keyedBy": "name" } }]);
    let desired =
        json!({ "l": [{ "name": "a", "v": 1 }, { "name": "b", "v": 5 }, { "name": "a", "v": 2 }] });
    let case = |live: Value| with(&lists, &desired, &live);
    let same = case(
        json!({ "l": [{ "name": "a", "v": 2 }, { "name": "a", "v": 1 }, { "name": "b", "v": 5 }] }),
    );
    let report = same.report();
    assert_eq!(report.items[0].verdict, Verdict::InSync);
    assert!(report.unused_rules[0].reason.contains("the same name"));
    let live =
        json!({ "l": [{ "name": "a", "v": 2 }, { "name": "a", "v": 7 }, { "name": "b", "v": 6 }] });
    let case = case(live.clone());
    assert_eq!(case.pointers(), ["/l/[name=a]", "/l/[name=b]/v"]);
    let (patched, _) = patched(&case, &live);
    let after = with(&lists, &desired, &patched);
    assert_eq!(after.verdict().0, Verdict::InSync, "{patched}");
}

#[test]
fn an_acknowledgement_of_an_element_stays_with_it() {
    let lists = json!([{ "pointer": "/l", "as": { "keyedBy": "name" } }]);
    let list = |values: [(&str, u32); 2]| json!({ "l": values.map(|(name, v)| json!({ "name": name, "v": v })) });
    let desired = list([("a", 1), ("b", 1)]);
    let accepted = |pointer: &str| Acknowledgement {
        resource_type: "roles".to_owned(),
        id: "r1".to_owned(),
        pointer: pointer.to_owned(),
        value: value_digest(&Policy::default(), "roles", "r1", "/x", &json!(7)),
        until: Timestamp::MAX,
        reason: "so be it".parse().unwrap(),
        by: None,
        decision: None,
    };
    let case = |pointer: &str, live: Value| Case {
        acknowledgements: vec![accepted(pointer)],
        ..with(&lists, &desired, &live)
    };
    let has_drift = |pointer: &str, live| case(pointer, live).report().has_drift;
    assert!(!has_drift("/l/[name=b]/v", list([("b", 7), ("a", 1)])));
    assert!(has_drift("/l/[name=b]/v", list([("b", 1), ("a", 7)])));
    // Of a place, as older builds stored it, nothing is accepted; and that is said.
    let old = case("/l/1/v", list([("a", 1), ("b", 7)])).report();
    assert!(old.has_drift);
    assert!(
        old.unused_rules[0]
            .reason
            .contains("an acknowledgement names a place")
    );
}

#[test]
fn keys_that_are_awkward_to_write_are_escaped() {
    let lists = json!([{ "pointer": "/l", "as": { "keyedBy": "n" } }]);
    let desired = json!({ "l": [{ "n": "a/b~c", "v": 1 }, { "n": "80", "v": 1 }, { "n": 80, "v": 1 }, { "n": "x,y=z]", "v": 1 }] });
    let live = json!({ "l": [{ "n": "a/b~c", "v": 2 }, { "n": "80", "v": 2 }, { "n": 80, "v": 2 }, { "n": "x,y=z]", "v": 2 }] });
    let case = with(&lists, &desired, &live);
    let pointers = case.pointers();
    assert_eq!(
        pointers,
        [
            "/l/[n=a~1b~0c]/v",
            r#"/l/[n="80"]/v"#,
            "/l/[n=80]/v",
            r#"/l/[n="x,y=z]"]/v"#
        ]
    );
    for pointer in pointers {
        let mut case = case.clone();
        case.policy.ignore = vec![IgnoreRule {
            pointer: Some(pointer.clone()),
            ..IgnoreRule::default()
        }];
        assert_eq!(case.policy.check(), Ok(()), "{pointer}");
        assert_eq!(case.pointers().len(), 3, "{pointer}");
    }
}
