use super::*;

fn drifted(live: u32) -> Case {
    let color = |number: u32| json!({ "color": number, "name": "x" });
    Case::role(&color(1), &color(1), &color(live))
}

fn accept(case: &Case, pointer: &str) -> Acknowledgement {
    let item = &case.report().items[0];
    let value = if pointer.is_empty() {
        item.actual_digest.unwrap()
    } else {
        let change = item
            .changes
            .iter()
            .find(|change| change.pointer == pointer)
            .unwrap();
        value_digest(&case.policy, "roles", "r1", pointer, &change.actual)
    };
    Acknowledgement {
        resource_type: "roles".to_owned(),
        id: "r1".to_owned(),
        pointer: pointer.to_owned(),
        value,
        until: Timestamp::from_micros(1000).unwrap(),
        reason: "maintenance".parse().unwrap(),
        by: None,
        decision: None,
    }
}

#[test]
fn an_accepted_value_is_silent_and_shown() {
    for pointer in ["", "/color"] {
        let acknowledgements = vec![accept(&drifted(2), pointer)];
        let case = |live: u32| Case {
            acknowledgements: acknowledgements.clone(),
            ..drifted(live)
        };
        let report = case(2).report();
        let shown = report.items[0].acknowledgement.clone().unwrap();
        assert_eq!(
            (shown.pointers, shown.reason.as_str()),
            (vec![pointer.to_owned()], "maintenance")
        );
        assert_eq!(report.items[0].verdict, Verdict::Drifted);
        assert!(!report.has_drift);
        assert_eq!(
            report.plan,
            Some(Vec::new()),
            "an accepted value is not undone"
        );
        assert!(case(3).report().has_drift, "any other value alarms again");
    }
}

#[test]
fn an_acknowledgement_ends_at_its_time() {
    let mut case = drifted(2);
    case.acknowledgements = vec![accept(&case, "")];
    case.now = Timestamp::from_micros(999).unwrap();
    assert!(!case.report().has_drift);
    case.now = Timestamp::from_micros(1000).unwrap();
    assert!(case.report().has_drift);
}

#[test]
fn an_accepted_field_leaves_the_others_alarming() {
    let fields = |a: u32, b: u32| json!({ "a": a, "b": b });
    let mut case = Case::role(&fields(1, 1), &fields(1, 1), &fields(2, 2));
    case.acknowledgements = vec![accept(&case, "/a")];
    let report = case.report();
    assert!(report.has_drift);
    let patch = json!([{ "op": "replace", "path": "/b", "value": 1 }]);
    assert_eq!(report.plan.unwrap()[0].action, Action::Update { patch });
}

#[test]
fn a_deletion_can_be_accepted() {
    let role = json!({ "roles": [{ "id": "r1" }] });
    let ids = json!({ "roles": { "r1": "d1" } });
    let mut case = Case::new(&role, &role, &ids, &json!({ "roles": {} }));
    case.acknowledgements = vec![accept(&case, "")];
    assert!(!case.report().has_drift);
    case.actual = Some(json!({ "roles": { "d2": { "manifestId": "r1" } } }));
    assert!(case.report().has_drift);
}

#[test]
fn noise_does_not_end_an_acknowledgement() {
    let policy = Policy {
        lists: vec![ListRule {
            resource_type: None,
            pointer: "/tags".to_owned(),
            kind: ListKind::Set,
        }],
        ..Policy::default()
    };
    let tags = |tags: Value| json!({ "tags": tags, "n": 1 });
    let case = |live: Value| Case {
        policy: policy.clone(),
        ..Case::role(&tags(json!(["a"])), &tags(json!(["a"])), &live)
    };
    for pointer in ["", "/tags"] {
        let before = case(json!({ "tags": ["a", "b"], "n": 1 }));
        let mut after = case(json!({ "tags": ["b", "a"], "n": 1.0, "resourceVersion": 7 }));
        after.acknowledgements = vec![accept(&before, pointer)];
        assert!(!after.report().has_drift, "{pointer}");
    }
}

#[test]
fn what_is_added_to_a_list_is_part_of_what_is_accepted() {
    let rules = |live: Value| {
        let desired = json!({ "rules": [{ "port": 80 }] });
        Case::role(&desired, &desired, &json!({ "rules": live }))
    };
    let before = rules(json!([{ "port": 80, "added": 1 }, { "cidr": "10.0.0.0/8" }]));
    let shown = &before.report().items[0].changes[0].actual;
    assert_eq!(shown, &json!([{ "port": 80 }, { "cidr": "10.0.0.0/8" }]));
    for pointer in ["", "/rules"] {
        let accepted = vec![accept(&before, pointer)];
        let with = |live: Value| Case {
            acknowledgements: accepted.clone(),
            ..rules(live)
        };
        let same = with(json!([{ "port": 80, "added": 2 }, { "cidr": "10.0.0.0/8" }]));
        assert!(!same.report().has_drift, "{pointer}");
        let other = with(json!([{ "port": 80 }, { "cidr": "0.0.0.0/0" }]));
        assert!(other.report().has_drift, "{pointer}");
    }
}

fn keyed(live: &Value) -> Case {
    let desired =
        json!({ "c": [{ "name": "a", "image": 1 }, { "name": "b", "image": 1, "rep": 3 }] });
    Case {
        policy: serde_json::from_value(
            json!({ "lists": [{ "pointer": "/c", "as": { "keyedBy": "name" } }] }),
        )
        .unwrap(),
        ..Case::role(&desired, &desired, &json!({ "c": live }))
    }
}

#[test]
fn what_is_accepted_in_a_keyed_list_is_the_element_with_that_key() {
    let before =
        keyed(&json!([{ "name": "b", "image": 2, "rep": 3 }, { "name": "a", "image": 1 }]));
    assert_eq!(before.pointers(), ["/c/[name=b]/image"]);
    for pointer in ["", "/c/[name=b]/image"] {
        let accepted = vec![accept(&before, pointer)];
        let with = |live: Value| Case {
            acknowledgements: accepted.clone(),
            ..keyed(&live)
        };
        let same =
            with(json!([{ "name": "a", "image": 1.0 }, { "name": "b", "image": 2, "rep": 3 }]));
        assert!(!same.report().has_drift, "{pointer}");
        let other =
            with(json!([{ "name": "b", "image": 2, "rep": 99 }, { "name": "a", "image": 1 }]));
        assert!(other.report().has_drift, "{pointer}");
    }
}

#[test]
fn an_accepted_drift_keeps_no_new_version_back() {
    let fields = |color: u32, n: u32| json!({ "color": color, "n": n });
    for pointer in ["", "/color"] {
        let drifted = Case::role(&fields(1, 1), &fields(1, 1), &fields(2, 1));
        let mut case = Case::role(&fields(1, 2), &fields(1, 1), &fields(2, 1));
        case.acknowledgements = vec![accept(&drifted, pointer)];
        let report = case.report();
        assert!(!report.has_drift, "{pointer}");
        let patch = json!([{ "op": "replace", "path": "/n", "value": 2 }]);
        assert_eq!(
            report.plan.unwrap()[0].action,
            Action::Update { patch },
            "{pointer}"
        );
    }
}

#[test]
fn a_field_that_is_accepted_is_shown_while_others_alarm() {
    let fields = |a: u32, b: u32| json!({ "a": a, "b": b });
    let mut case = Case::role(&fields(1, 1), &fields(1, 1), &fields(2, 2));
    case.acknowledgements = vec![accept(&case, "/a")];
    let report = case.report();
    let accepted = &report.items[0].accepted;
    assert_eq!(
        (accepted.len(), &accepted[0].pointers[0]),
        (1, &"/a".to_owned())
    );
}
