//! Resources that got another name: what is live stays.

use super::*;

fn steps(case: &Case) -> Vec<String> {
    let plan = case.report().plan.unwrap();
    let steps = plan.iter().map(|step| {
        let action = match &step.action {
            Action::Create { .. } => "create",
            Action::Update { .. } => "update",
            Action::Delete => "delete",
            Action::Record => "record",
        };
        let renamed = step
            .renamed_from
            .as_ref()
            .map(|old| format!(" from {}/{}", old.resource_type, old.manifest_id));
        format!(
            "{action} {}/{} {}{}",
            step.resource_type,
            step.manifest_id.as_deref().unwrap_or("-"),
            step.external_id.as_deref().unwrap_or("-"),
            renamed.unwrap_or_default()
        )
    });
    steps.collect()
}

fn case(live: &Value) -> Case {
    Case::new(
        &json!({"roles": [{"id": "administrator", "name": "A"}, {"id": "guest", "name": "G"}]}),
        &json!({"roles": [{"id": "admin", "name": "A"}, {"id": "old", "name": "O"}]}),
        &json!({"roles": {"admin": "r-1", "old": "r-2"}}),
        live,
    )
}

#[test]
fn what_is_the_same_under_another_id_is_recorded() {
    let plan = steps(&case(
        &json!({"roles": {"r-1": {"name": "A"}, "r-2": {"name": "O"}}}),
    ));
    let wanted = [
        "create roles/guest -",
        "record roles/administrator r-1 from roles/admin",
        "record roles/admin -",
        "delete roles/old r-2",
    ];
    assert_eq!(plan, wanted);
}

#[test]
fn what_names_its_new_id_itself_is_recorded() {
    let live = json!({"roles": {"r-1": {"name": "B", "manifestId": "administrator"}, "r-2": {"name": "O"}}});
    let plan = steps(&case(&live));
    let wanted = [
        "create roles/guest -",
        "update roles/administrator r-1 from roles/admin",
        "record roles/admin -",
        "delete roles/old r-2",
    ];
    assert_eq!(plan, wanted);
}

#[test]
fn what_drifted_meanwhile_is_updated_and_recorded() {
    let plan = steps(&case(
        &json!({"roles": {"r-1": {"name": "A!"}, "r-2": {"name": "O"}}}),
    ));
    let wanted = [
        "create roles/guest -",
        "update roles/administrator r-1 from roles/admin",
        "record roles/administrator r-1 from roles/admin",
        "record roles/admin -",
        "delete roles/old r-2",
    ];
    assert_eq!(plan, wanted);
}

#[test]
fn a_collection_that_is_called_something_else_stays() {
    let manifest =
        |of_type: &str| json!({of_type: [{"id": "admin", "name": "A"}, {"id": "mod", "n": 1}]});
    let ids = json!({"roles": {"admin": "r-1", "mod": "r-2"}});
    let attributes = json!({"r-1": {"name": "A"}, "r-2": {"n": 1}});
    for live in [
        json!({"roles": attributes}),
        json!({"groups": attributes}),
        json!({"groups": attributes, "roles": {}}),
        json!({"roles": attributes, "groups": {}}),
    ] {
        let mut case = Case::new(&manifest("groups"), &manifest("roles"), &ids, &live);
        case.policy.unmanaged = Unmanaged::Delete;
        let wanted = [
            "record groups/admin r-1 from roles/admin",
            "record groups/mod r-2 from roles/mod",
            "record roles/admin -",
            "record roles/mod -",
        ];
        assert_eq!(steps(&case), wanted, "{live}");
    }
}

#[test]
fn what_has_nothing_in_common_is_deleted_and_created() {
    let desired = json!({"roles": [{"id": "b"}, {"id": "c", "n": 2}]});
    let recorded = json!({"roles": [{"id": "a"}, {"id": "d", "n": 1}]});
    let ids = json!({"roles": {"a": "r-1", "d": "r-2"}});
    let live = json!({"roles": {"r-1": {}, "r-2": {"n": 1}}});
    let plan = steps(&Case::new(&desired, &recorded, &ids, &live));
    let wanted = [
        "create roles/b -",
        "create roles/c -",
        "delete roles/a r-1",
        "delete roles/d r-2",
    ];
    assert_eq!(plan, wanted);
}

#[test]
fn what_only_a_record_names_is_called_that() {
    let manifest = json!({"roles": [{"id": "a", "n": 1}]});
    let ids = json!({"roles": {"a": "r-1", "Admin": "r-2"}, "rolls": {"x": "r-3"}});
    let live = json!({"roles": {"r-1": {"n": 1}, "r-2": {}}, "rolls": {"r-3": {"n": 1}}});
    let case = Case::new(&manifest, &manifest, &ids, &live);
    let wanted = ["delete rolls/x r-3", "delete roles/Admin r-2"];
    assert_eq!(steps(&case), wanted);
    for step in case.report().plan.unwrap() {
        let reason = "only the record of the last apply names it: neither version 1, which was applied, nor version 2 has it";
        assert_eq!(step.reason.as_deref(), Some(reason));
    }
}
