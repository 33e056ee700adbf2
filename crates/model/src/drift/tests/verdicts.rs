mod fields;
mod plans;
mod unseen;

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
