//! Lists that are made to cost much: comparing them takes memory in proportion to their length, whatever they hold, and ends.

use driftline::domain::content::Content;
use driftline::domain::drift::{
    ActualState, Comparison, Desired, DriftReport, Policy, Recorded, Verdict, compare,
};
use driftline::domain::{Resources, Seq, Timestamp};
use serde_json::{Value, json};

use crate::{ALLOCATOR, alone, tenant};

/// Elements of a list. A search among all pairs would not end, and remembering them would take gigabytes.
const ELEMENTS: usize = 10_000;

/// What a comparison may allocate at once for each byte of the three documents: small objects take the most.
const PER_BYTE: usize = 150;

struct Case {
    what: &'static str,
    policy: Value,
    desired: fn(usize) -> Value,
    live: fn(usize) -> Value,
    verdict: Verdict,
}

fn cases() -> Vec<Case> {
    let set = || json!({ "lists": [{ "pointer": "/l", "as": "set" }] });
    let keyed = |keys: Value| json!({ "lists": [{ "pointer": "/l", "as": { "keyedBy": keys } }] });
    vec![
        Case {
            what: "a sequence that is one shorter",
            policy: json!({}),
            desired: |n| json!({ "n": n, "x": "y" }),
            live: |n| {
                if n == 0 {
                    Value::Null
                } else {
                    json!({ "n": n, "x": "y", "added": n })
                }
            },
            verdict: Verdict::Drifted,
        },
        Case {
            what: "a sequence of other elements",
            policy: json!({}),
            desired: |n| json!({ "a": n }),
            live: |n| if n == 0 { Value::Null } else { json!({}) },
            verdict: Verdict::Drifted,
        },
        Case {
            what: "a set in another order",
            policy: set(),
            desired: |n| json!({ "n": n, "x": [n] }),
            live: |n| json!({ "n": ELEMENTS - 1 - n, "x": [ELEMENTS - 1 - n], "added": 1 }),
            verdict: Verdict::InSync,
        },
        Case {
            what: "a set of equal elements and one that is not",
            policy: set(),
            desired: |_| json!({ "a": 1 }),
            live: |n| {
                if n == 0 {
                    json!({ "a": 2 })
                } else {
                    json!({ "a": 1, "u": n })
                }
            },
            verdict: Verdict::Drifted,
        },
        Case {
            what: "a set of elements that name different fields",
            policy: set(),
            desired: |n| {
                if n % 2 == 0 {
                    json!({ "a": n / 100 })
                } else {
                    json!({ "a": n / 100, "b": n })
                }
            },
            live: |n| json!({ "a": (ELEMENTS - 1 - n) / 100, "b": ELEMENTS - 1 - n }),
            verdict: Verdict::InSync,
        },
        Case {
            what: "a set without a scalar in common",
            policy: set(),
            desired: |n| json!({ "to": vec![n; n % 20], "ports": [{ "p": n }] }),
            live: |n| {
                let n = ELEMENTS - 1 - n;
                json!({ "to": vec![n; n % 20], "ports": [{ "p": n, "protocol": "TCP" }], "id": n })
            },
            verdict: Verdict::InSync,
        },
        Case {
            what: "a keyed list in another order",
            policy: keyed(json!(["n", "m"])),
            desired: |n| json!({ "n": n / 2, "m": n % 2, "v": n }),
            live: |n| {
                let n = ELEMENTS - 1 - n;
                json!({ "n": n / 2, "m": n % 2, "v": n, "added": 1 })
            },
            verdict: Verdict::InSync,
        },
        Case {
            what: "a keyed list of one key",
            policy: keyed(json!("k")),
            desired: |n| json!({ "k": 1, "v": n }),
            live: |n| json!({ "k": 1, "v": n + 1 }),
            verdict: Verdict::Drifted,
        },
        Case {
            what: "a keyed list without the key",
            policy: keyed(json!("name")),
            desired: |n| json!({ "nmae": n }),
            live: |n| json!({ "nmae": ELEMENTS - 1 - n }),
            verdict: Verdict::InSync,
        },
    ]
}

fn list(element: fn(usize) -> Value) -> Vec<Value> {
    (0..ELEMENTS)
        .map(element)
        .filter(|element| !element.is_null())
        .collect()
}

/// The report, the most that was allocated at once, and the bytes that were compared.
fn measured(case: &Case) -> (DriftReport, usize, usize) {
    let manifest = json!({ "schemaVersion": "1", "t": [{ "id": "a", "l": list(case.desired) }] });
    let live = json!({ "resources": { "t": { "x": { "l": list(case.live) } } } }).to_string();
    let desired = Content::parse_manifest(manifest.to_string().as_bytes(), usize::MAX).unwrap();
    let actual = ActualState::parse(live.as_bytes()).unwrap();
    let policy: Policy = serde_json::from_value(case.policy.clone()).unwrap();
    let resources: Resources = serde_json::from_value(json!({ "t": { "a": "x" } })).unwrap();
    let bytes = 2 * desired.len() + live.len();
    drop((manifest, live));
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let report = compare(&Comparison {
        tenant: &tenant(),
        desired: Some(Desired {
            version: Seq::new(1),
            content: &desired,
        }),
        recorded: Some(Recorded {
            version: Seq::new(1),
            resources: &resources,
            content: Ok(&desired),
        }),
        actual: Some(&actual),
        policy: &policy,
        acknowledgements: &[],
        now: Timestamp::EPOCH,
        strict: false,
        all: true,
        plan: true,
    });
    let most = ALLOCATOR.peak_usage().saturating_sub(before);
    (report.unwrap(), most, bytes)
}

#[test]
fn memory_of_a_comparison_is_in_proportion_to_its_lists() {
    alone(|| {
        let mut most = Vec::new();
        for case in cases() {
            let (report, allocated, bytes) = measured(&case);
            assert_eq!(report.items[0].verdict, case.verdict, "{}", case.what);
            assert!(
                allocated <= PER_BYTE * bytes,
                "{}: {allocated} bytes of memory for {bytes} bytes",
                case.what
            );
            most.push((allocated / bytes, case.what));
        }
        most.sort_unstable();
        println!("bytes of memory for a byte compared: {most:?}");
    });
}

/// Attributes that nobody names are passed over, whatever they are.
#[test]
fn what_nobody_names_costs_nothing() {
    alone(|| {
        let odd = format!("{}{}", "[{\"a\":".repeat(20_000), "1e999");
        let odd = format!("{odd}{}", "}]".repeat(20_000));
        let live = format!(r#"{{"resources":{{"t":{{"x":{{"odd":{odd},"l":[1,2]}}}}}}}}"#);
        let manifest = r#"{"schemaVersion":"1","t":[{"id":"a","l":[1]}]}"#;
        let desired = Content::parse_manifest(manifest.as_bytes(), 1000).unwrap();
        let actual = ActualState::parse(live.as_bytes()).unwrap();
        let resources: Resources = serde_json::from_value(json!({ "t": { "a": "x" } })).unwrap();
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let report = compare(&Comparison {
            tenant: &tenant(),
            desired: Some(Desired {
                version: Seq::new(1),
                content: &desired,
            }),
            recorded: Some(Recorded {
                version: Seq::new(1),
                resources: &resources,
                content: Ok(&desired),
            }),
            actual: Some(&actual),
            policy: &Policy::default(),
            acknowledgements: &[],
            now: Timestamp::EPOCH,
            strict: false,
            all: true,
            plan: true,
        })
        .unwrap();
        assert_eq!(report.items[0].verdict, Verdict::Drifted);
        assert!(ALLOCATOR.peak_usage().saturating_sub(before) < 64 * 1024);
    });
}
