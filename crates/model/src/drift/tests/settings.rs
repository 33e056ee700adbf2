//! Settings are one more item, beside the resources.

use super::*;

fn manifest(level: u32) -> Value {
    json!({"guild": {"verification_level": level}, "limits": [1, 2], "roles": [{"id": "a"}]})
}

fn case(desired: u32, recorded: u32, live: Option<&Value>) -> Case {
    let mut document = json!({"resources": {"roles": {"1": {}}}});
    if let Some(live) = live {
        document["settings"] = live.clone();
    }
    let ids = json!({"roles": {"a": "1"}});
    Case::new(&manifest(desired), &manifest(recorded), &ids, &document)
}

fn settings(report: &DriftReport) -> Option<(Verdict, Vec<&str>)> {
    let mut items = report.items.iter();
    let item = items.find(|item| item.resource_type == SETTINGS)?;
    assert_eq!(item.manifest_id.as_deref(), Some(SETTINGS));
    assert_eq!(item.external_id, None);
    let pointers = item.changes.iter();
    let pointers = pointers.map(|change| change.pointer.as_str()).collect();
    Some((item.verdict, pointers))
}

#[test]
fn what_was_not_applied_is_pending_whoever_looked() {
    let at = vec!["/guild/verification_level"];
    let report = case(0, 3, None).report();
    assert_eq!(settings(&report), Some((Verdict::Pending, at.clone())));
    assert!(report.summary.settings_not_observed && !report.has_drift);
    let live = json!({"guild": {"verification_level": 3, "name": "x"}, "limits": [1, 2]});
    let report = case(0, 3, Some(&live)).report();
    assert_eq!(settings(&report), Some((Verdict::Pending, at.clone())));
    assert!(!report.summary.settings_not_observed);
    let plan = report.plan.unwrap();
    let patch = json!([{"op": "replace", "path": "/guild/verification_level", "value": 0}]);
    assert_eq!(
        (plan.len(), &plan[0].action),
        (1, &Action::Update { patch })
    );
    assert_eq!(
        (plan[0].resource_type.as_str(), &plan[0].external_id),
        (SETTINGS, &None)
    );
    let mut alone = case(0, 3, None);
    alone.actual = None;
    let report = alone.report();
    assert_eq!(settings(&report), Some((Verdict::Pending, at)));
    assert!(!report.summary.settings_not_observed);
}

#[test]
fn what_is_live_is_compared() {
    for (desired, recorded, live, verdict) in [
        (3, 3, 3, Verdict::InSync),
        (3, 3, 4, Verdict::Drifted),
        (0, 3, 0, Verdict::Adopted),
        (0, 3, 4, Verdict::Conflict),
    ] {
        let live = json!({"guild": {"verification_level": live}, "limits": [1, 2]});
        let report = case(desired, recorded, Some(&live)).report();
        assert_eq!(settings(&report).map(|found| found.0), Some(verdict));
        assert_eq!(report.has_drift, verdict.is_drift());
    }
}

#[test]
fn what_nobody_looked_at_is_said() {
    let report = case(3, 3, None).report();
    assert_eq!(settings(&report), None);
    assert!(report.summary.settings_not_observed);
    assert_eq!(report.count(Verdict::InSync), 1);
    let mut told = case(3, 3, None);
    told.actual.as_mut().unwrap()["errors"] = json!([{"type": "settings", "message": "403"}]);
    assert_eq!(settings(&told.report()), Some((Verdict::Unknown, vec![])));
}

#[test]
fn without_settings_there_is_no_such_item() {
    let manifest = json!({"roles": [{"id": "a"}]});
    let ids = json!({"roles": {"a": "1"}});
    let live = json!({"roles": {"1": {}}});
    let report = Case::new(&manifest, &manifest, &ids, &live).report();
    assert!(!report.summary.settings_not_observed);
    assert_eq!(report.items.len(), 1);
}

#[test]
fn resources_that_are_called_settings_are_others() {
    let manifest = json!({"x": 1, "settings": [{"id": "settings", "n": 1}]});
    let ids = json!({"settings": {"settings": "1"}});
    let document = json!({"resources": {"settings": {"1": {"n": 1}}}, "settings": {"x": 2}});
    let report = Case::new(&manifest, &manifest, &ids, &document).report();
    let found: Vec<_> = report
        .items
        .iter()
        .map(|item| (&*item.resource_type, item.verdict))
        .collect();
    let wanted = [
        ("(settings)", Verdict::Drifted),
        ("settings", Verdict::InSync),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn where_nothing_was_applied_live_settings_are_no_drift() {
    for (live, verdict) in [(3, Verdict::InSync), (4, Verdict::Pending)] {
        let live = json!({"guild": {"verification_level": live}, "limits": [1, 2]});
        let mut case = case(3, 3, Some(&live));
        case.recorded = None;
        let report = case.report();
        assert_eq!(settings(&report).map(|found| found.0), Some(verdict));
    }
}

#[test]
fn audits_do_not_take_what_was_not_observed_for_mended() {
    let live = |level: u32| json!({"guild": {"verification_level": level}, "limits": [1, 2]});
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
    let mut memory = Memory::default();
    let mut seen = |case: Case, second: i64| {
        let mut report = case.report();
        report.observed_at = Some(at(second));
        memory.observe(&mut report, at(second), true)
    };
    let new = seen(case(3, 3, Some(&live(4))), 1).new;
    assert_eq!((new.len(), new[0].resource_type.as_str()), (1, SETTINGS));
    assert!(seen(case(3, 3, None), 2).resolved.is_empty());
    assert_eq!(seen(case(3, 3, Some(&live(4))), 3).continuing.len(), 1);
    assert_eq!(seen(case(3, 3, Some(&live(3))), 4).resolved.len(), 1);
    seen(case(3, 3, None), 5);
    let mut report = case(3, 3, Some(&live(4))).report();
    report.observed_at = Some(at(6));
    memory.observe(&mut report, at(6), true);
    let onset = report.items[0].onset.as_ref().unwrap();
    assert_eq!((onset.after, onset.occurrence), (Some(at(4)), 2));
}
