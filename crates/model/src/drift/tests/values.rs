//! Values that are the same though they are spelt otherwise, that nobody names, that are too many, and that nobody may see.

use super::*;

fn policy(policy: Value) -> Policy {
    serde_json::from_value(policy).unwrap()
}

#[test]
fn what_is_empty_is_absent_both_ways_unless_every_field_counts() {
    for (empty, nothing) in [
        (json!({ "a": {} }), json!({})),
        (json!({ "a": [] }), json!({})),
        (
            json!({ "a": { "requests": {}, "limits": { "x": [], "y": null } } }),
            json!({}),
        ),
        (json!({ "a": [] }), json!({ "a": null })),
        (json!({ "a": {} }), json!({ "a": [] })),
        (
            json!({ "a": { "b": 1, "c": {} } }),
            json!({ "a": { "b": 1 } }),
        ),
        (
            json!({ "l": [{ "n": 1, "c": [] }] }),
            json!({ "l": [{ "n": 1 }] }),
        ),
        (
            json!({ "s": [{ "n": 1, "c": {} }, { "n": 2 }] }),
            json!({ "s": [{ "n": 2 }, { "n": 1 }] }),
        ),
    ] {
        for (desired, recorded, live) in [
            (&empty, &empty, &nothing),
            (&nothing, &empty, &empty),
            (&nothing, &empty, &nothing),
            (&empty, &nothing, &nothing),
        ] {
            let case = Case {
                policy: policy(json!({ "lists": [{ "pointer": "/s", "as": "set" }] })),
                ..Case::role(desired, recorded, live)
            };
            let report = case.report();
            assert_eq!(
                report.items[0].verdict,
                Verdict::InSync,
                "{desired} {recorded} {live}"
            );
            assert_eq!(report.plan, Some(Vec::new()), "{desired} {recorded} {live}");
        }
        let mut case = Case::role(&empty, &empty, &nothing);
        if empty["a"].is_object() && nothing["a"].is_null() {
            assert_eq!(
                {
                    case.strict = true;
                    case.verdict().0
                },
                Verdict::Drifted,
                "{empty}"
            );
            case.strict = false;
            case.policy.strict = true;
            assert_eq!(case.verdict().0, Verdict::Drifted, "{empty}");
        }
    }
    for (desired, live) in [
        (json!({ "a": [{}] }), json!({ "a": [] })),
        (json!({ "a": [] }), json!({ "a": [1] })),
        (json!({ "a": {} }), json!({ "a": "" })),
        (json!({ "a": "" }), json!({})),
        (json!({ "a": 0 }), json!({})),
        (json!({ "a": { "b": {} } }), json!({ "a": { "b": 1 } })),
    ] {
        assert_eq!(
            Case::role(&desired, &desired, &live).verdict().0,
            Verdict::Drifted,
            "{desired} {live}"
        );
    }
    let theirs = json!({ "labels": { "theirs": 1 } });
    assert_eq!(
        Case::role(&json!({ "labels": {} }), &json!({}), &theirs)
            .verdict()
            .0,
        Verdict::InSync
    );
}

fn live_text(desired: &Value, live: &str) -> DriftReport {
    let case = Case::role(desired, desired, &json!({}));
    let document = format!(r#"{{"resources":{{"roles":{{"d1":{live}}}}}}}"#);
    case.report_on(Some(&ActualState::parse(document.as_bytes()).unwrap()))
}

#[test]
fn a_number_that_no_document_may_hold_is_its_text() {
    let huge = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    for (id, live, same) in [
        ("8389765929445198309", "8389765929445198309", true),
        ("8389765929445198309", "8389765929445198310", false),
        ("-8389765929445198309", "-8389765929445198309", true),
        (huge, huge, true),
        (
            huge,
            "115792089237316195423570985008687907853269984665640564039457584007913129639936",
            false,
        ),
        ("9007199254740993", "9007199254740993.0", true),
        ("9007199254740993", "9007199254740992", false),
        ("1000000000000000000000", "1e21", true),
        ("80", "80", false),
    ] {
        let report = live_text(&json!({ "id2": id }), &format!(r#"{{"id2":{live}}}"#));
        assert_eq!(
            report.items[0].verdict == Verdict::InSync,
            same,
            "{id} {live}"
        );
    }
    let reversed = Case::role(
        &json!({ "n": 9_007_199_254_740_994_u64 }),
        &json!({ "n": 9_007_199_254_740_994_u64 }),
        &json!({ "n": "9007199254740994" }),
    );
    assert_eq!(reversed.verdict().0, Verdict::InSync);
}

#[test]
fn a_rule_makes_values_the_same_wherever_it_fits() {
    let policy = policy(json!({
        "lists": [
            { "pointer": "/containers", "as": { "keyedBy": "name" } },
            { "pointer": "/rules", "as": "set" },
            { "pointer": "/hosts", "as": { "keyedBy": "host" } },
        ],
        "equality": [
            { "pointer": "/containers/*/limits/*", "as": "quantity" },
            { "pointer": "/rules/*/cidr", "as": "ip" },
            { "pointer": "/hosts/*/host", "as": "case-insensitive" },
            { "pointer": "/timeouts/*", "as": "duration" },
            { "pointer": "/at", "as": "instant" },
            { "type": "roles", "id": "r*", "pointer": "/job", "as": "integer-string" },
        ],
    }));
    let desired = json!({
        "containers": [{ "name": "a", "limits": { "cpu": "1000m", "memory": "1G" } }],
        "rules": [{ "cidr": "2001:DB8::/32", "n": 1 }, { "cidr": "10.0.0.0/8", "n": 2 }],
        "hosts": [{ "host": "WWW.example", "v": 1 }],
        "timeouts": ["90m", "10s"],
        "at": "2026-01-31T08:00:00Z",
        "job": "80",
    });
    let case = |live: Value| Case {
        policy: policy.clone(),
        ..Case::role(&desired, &desired, &live)
    };
    let same = json!({
        "containers": [{ "name": "a", "limits": { "cpu": 1, "memory": "1000M" } }],
        "rules": [{ "cidr": "10.0.0.0/8", "n": 2 }, { "cidr": "2001:db8:0::/32", "n": 1 }],
        "hosts": [{ "host": "www.example", "v": 1 }],
        "timeouts": ["PT1H30M", "10000ms"],
        "at": "2026-01-31T09:00:00+01:00",
        "job": 80,
    });
    let report = case(same.clone()).report();
    assert_eq!(
        (report.items[0].verdict, report.plan),
        (Verdict::InSync, Some(Vec::new()))
    );
    let other = json!({
        "containers": [{ "name": "a", "limits": { "cpu": "1001m", "memory": "1Gi" } }],
        "rules": same["rules"], "hosts": [{ "host": "www.example", "v": 2 }],
        "timeouts": ["PT1H31M", "10000ms"], "at": "2026-01-31T09:00:00Z", "job": 81,
    });
    assert_eq!(
        case(other).pointers(),
        [
            "/at",
            "/containers/[name=a]/limits/cpu",
            "/containers/[name=a]/limits/memory",
            "/hosts/[host=WWW.example]/v",
            "/job",
            "/timeouts/0",
        ]
    );
}

#[test]
fn what_nobody_names_hides_no_drift_and_what_is_there_twice_is_unknown() {
    let named = json!({ "color": 1, "spec": { "n": 1 } });
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for odd in ["1e999", r#""\ud800""#, r#"{"\ud800":1}"#, &deep] {
        let report = live_text(
            &named,
            &format!(r#"{{"load":{odd},"color":2,"spec":{{"n":1,"x":{odd}}}}}"#),
        );
        assert_eq!(report.items[0].verdict, Verdict::Drifted, "{odd}");
        assert_eq!(report.items[0].changes[0].pointer, "/color");
    }
    for (live, reason) in [
        (
            r#"{"color":1e999,"spec":{"n":1}}"#,
            "cannot be read at /color: a number is out of range",
        ),
        (
            r#"{"color":1,"color":2,"spec":{"n":1}}"#,
            "cannot be read at /color: it is there twice",
        ),
        (
            r#"{"color":1,"spec":{"n":1},"spec":{"n":2}}"#,
            "cannot be read at /spec: it is there twice",
        ),
    ] {
        let report = live_text(&named, live);
        assert_eq!(report.items[0].verdict, Verdict::Unknown, "{live}");
        let told = report.items[0].reason.as_deref().unwrap();
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn what_takes_too_much_work_is_unknown_and_not_compared_for_ever() {
    // Every element of the one set may be every element of the other, and is not: no sketch tells that.
    let element = |n: u32, v: u32| json!({ "in": [{ "a": n }, { "b": v }] });
    let list = |v: u32| json!({ "s": (0..1000).map(|n| element(n, v)).collect::<Vec<_>>() });
    let case = Case {
        policy: policy(
            json!({ "lists": [{ "pointer": "/s", "as": "set" }, { "pointer": "/s/*/in", "as": "set" }] }),
        ),
        ..Case::role(&list(1), &list(1), &list(2))
    };
    let report = case.report();
    assert_eq!(report.items[0].verdict, Verdict::Unknown);
    assert!(
        report.items[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("too much work")
    );
}

#[test]
fn what_is_redacted_is_shown_nowhere() {
    let secret = |text: &str| {
        json!({
            "password": text,
            "n": 1,
            "env": [{ "name": "KEY", "value": text }, { "name": "B", "value": "open" }],
            "auth": { "token": text },
        })
    };
    let policy = policy(json!({
        "lists": [{ "pointer": "/env", "as": { "keyedBy": "name" } }],
        "redact": ["/password", "/env/[name=KEY]/value", { "type": "roles", "pointer": "/auth" }],
    }));
    let case = |live: Value| Case {
        policy: policy.clone(),
        ..Case::role(&secret("hunter2"), &secret("hunter2"), &live)
    };
    let drifted = case(secret("swordfish"));
    let report = drifted.report();
    let text = serde_json::to_string(&report).unwrap();
    assert!(
        !text.contains("hunter2") && !text.contains("swordfish"),
        "{text}"
    );
    assert_eq!(report.items[0].changes.len(), 3);
    let change = report.items[0]
        .changes
        .iter()
        .find(|change| change.pointer == "/password")
        .unwrap();
    let digest = value_digest(&policy, "roles", "r1", "/password", &json!("swordfish"));
    assert_eq!(change.actual, json!({ "redacted": { "sha256": digest } }));
    assert_eq!(change.actual_digest, Some(digest));
    let plan = report.plan.unwrap();
    assert_eq!(plan[0].withheld.len(), 3);
    let Action::Update { patch } = &plan[0].action else {
        panic!("{plan:?}");
    };
    assert!(
        serde_json::from_value::<json_patch::Patch>(patch.clone()).is_err(),
        "nothing can run it by mistake: {patch}"
    );
    // What is missing altogether, and what stands in something larger.
    for live in [
        json!({}),
        json!({ "password": "swordfish", "n": 1, "env": "x", "auth": 1 }),
    ] {
        let report = case(live).report();
        let text = serde_json::to_string(&report).unwrap();
        assert!(
            !text.contains("hunter2") && !text.contains("swordfish"),
            "{text}"
        );
    }
    let missing = Case {
        actual: Some(json!({ "roles": {} })),
        ..case(json!({}))
    };
    let report = missing.report();
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("hunter2") && text.contains("open"), "{text}");
    assert_eq!(report.plan.unwrap()[0].withheld.len(), 3);
    // It can be accepted by its digest, and only itself.
    let mut accepted = drifted.clone();
    accepted.acknowledgements = report_acks(&drifted);
    assert!(!accepted.report().has_drift);
    accepted.actual = case(secret("another")).actual;
    assert!(accepted.report().has_drift);
}

fn report_acks(case: &Case) -> Vec<Acknowledgement> {
    let report = case.report();
    let item = &report.items[0];
    let all = item.changes.iter().map(|change| Acknowledgement {
        resource_type: item.resource_type.clone(),
        id: item.manifest_id.clone().unwrap(),
        pointer: change.pointer.clone(),
        value: change.actual_digest.unwrap(),
        until: Timestamp::MAX,
        reason: "so be it".parse().unwrap(),
        by: None,
        decision: None,
    });
    all.collect()
}

#[test]
fn what_is_kept_of_a_long_value_is_its_beginning_and_its_digest() {
    let text = |c: &str| json!({ "text": c.repeat(1 << 19), "list": [c, 1, 2], "short": c });
    let case = Case::role(&text("a"), &text("b"), &text("ü"));
    let mut report = case.report();
    report.plan = None;
    let whole = report.clone();
    report.cut(&case.policy);
    assert!(serde_json::to_string(&report).unwrap().len() < 20_000);
    let find = |report: &DriftReport, pointer: &str| {
        let mut changes = report.items[0].changes.iter();
        changes
            .find(|change| change.pointer == pointer)
            .unwrap()
            .clone()
    };
    assert_eq!(find(&report, "/short"), find(&whole, "/short"));
    let (cut, whole) = (find(&report, "/text"), find(&whole, "/text"));
    let Some(Placeholder::Cut { bytes, begins, .. }) = Placeholder::of(&cut.actual) else {
        panic!("{cut:?}");
    };
    assert_eq!(bytes, (2 << 19) + 2);
    assert!(begins.len() <= KEPT && begins.len() > KEPT - 4);
    let digest = value_digest(&case.policy, "roles", "r1", "/text", &whole.actual);
    assert_eq!(cut.actual_digest, Some(digest));
    assert_ne!(cut.desired, cut.recorded);
}
