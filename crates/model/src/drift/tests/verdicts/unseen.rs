//! What was not seen, or cannot be relied on.

use super::*;

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
        unmanaged: super::super::Unmanaged::Delete,
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
