use serde_json::json;

use super::*;

fn parsed(operations: &Value) -> Vec<json_patch::PatchOperation> {
    serde_json::from_value(operations.clone()).unwrap()
}

/// The operations; they turn one into the other.
fn operations(from: &Value, to: &Value) -> Vec<Value> {
    let patch = patch(from, to, false).operations;
    let operations = serde_json::to_value(&patch).unwrap();
    let mut now = from.clone();
    json_patch::patch(&mut now, &parsed(&operations)).unwrap();
    assert_eq!(now, *to);
    let Value::Array(operations) = operations else {
        panic!("a patch is a list")
    };
    operations
}

fn list(ids: &[usize]) -> Value {
    ids.iter()
        .map(|id| json!({ "id": format!("r{id}"), "n": id }))
        .collect()
}

#[test]
fn a_resource_in_front_is_one_operation() {
    let (from, to) = (
        json!({ "roles": list(&[1, 2, 3]) }),
        json!({ "roles": list(&[9, 1, 2, 3]) }),
    );
    assert_eq!(
        operations(&from, &to),
        [json!({
            "op": "add", "path": "/roles/0", "value": { "id": "r9", "n": 9 },
        })]
    );
}

#[test]
fn a_resource_is_compared_with_itself_wherever_it_stands() {
    let from = json!({ "roles": [{ "id": "a", "x": { "n": 1 } }, { "id": "b", "l": [1, 2] }] });
    let to = json!({ "roles": [{ "id": "b", "l": [0, 1, 2] }, { "id": "a", "x": { "n": 2 } }] });
    operations(&from, &to);
    let found = patch(&from, &to, false).operations;
    let short: Vec<_> = found
        .iter()
        .map(|it| format!("{:?} {} {}", it.op, it.path, it.resource.unwrap().id))
        .collect();
    assert_eq!(
        short,
        [
            "Move /roles/0 b",
            "Add /roles/0/l/0 b",
            "Replace /roles/1/x/n a"
        ]
    );
}

#[test]
fn the_same_element_twice_and_keys_that_need_escapes() {
    operations(
        &json!({ "a/~": [1, 1, 2] }),
        &json!({ "a/~": [2, 1, 3, 1, 1] }),
    );
    operations(
        &json!([{ "id": "a" }, { "id": "a", "n": 1 }]),
        &json!([{ "id": "a", "n": 2 }]),
    );
    operations(&json!({ "": { "x": null } }), &json!({ "": [] }));
    operations(
        &json!({ "l": [{ "id": 1 }, [1, [2]]] }),
        &json!({ "l": [[1, [3]], { "id": 2 }] }),
    );
}

/// Every list of up to four of five elements into every other, by id and by value.
#[test]
fn every_order_comes_out() {
    let mut lists = vec![Vec::new()];
    let mut longest = lists.clone();
    for _ in 0..4 {
        let longer = |list: &Vec<usize>| {
            let rest = (0..5).filter(|id| !list.contains(id)).collect::<Vec<_>>();
            rest.into_iter()
                .map(|id| [&list[..], &[id]].concat())
                .collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        lists.extend(longest.clone());
    }
    for from in &lists {
        for to in &lists {
            let found = operations(&list(from), &list(to));
            let moves = found.iter().filter(|it| it["op"] == "move").count();
            assert!(moves < 4, "{from:?} {to:?}");
            operations(&json!(from), &json!(to));
        }
    }
}

#[test]
fn an_order_that_is_ignored_leaves_what_else_differs() {
    let from = json!({ "roles": list(&[1, 2, 3]) });
    assert!(
        patch(&from, &json!({ "roles": list(&[3, 1, 2]) }), true)
            .operations
            .is_empty()
    );
    // The order of a list without ids says something.
    assert_eq!(
        patch(&json!([1, 2]), &json!([2, 1]), true).operations.len(),
        1
    );
    let mut to = json!({ "roles": list(&[3, 4, 1]) });
    to["roles"][0]["n"] = json!(7);
    let patch = patch(&from, &to, true).operations;
    let mut now = from.clone();
    let operations = serde_json::to_value(&patch).unwrap();
    json_patch::patch(&mut now, &parsed(&operations)).unwrap();
    let expected = json!([{ "id": "r1", "n": 1 }, { "id": "r3", "n": 7 }, { "id": "r4", "n": 4 }]);
    assert_eq!(now["roles"], expected);
}

#[test]
fn long_lists_take_no_square() {
    let ids: Vec<usize> = (0..100_000).collect();
    let (from, reversed) = (
        list(&ids),
        list(&ids.iter().rev().copied().collect::<Vec<_>>()),
    );
    assert_eq!(
        patch(&from, &reversed, false).operations.len(),
        ids.len() - 1
    );
    assert!(patch(&from, &reversed, true).operations.is_empty());
    let (numbers, others) = (json!(ids), ids.iter().map(|n| json!(n + 1)).collect());
    assert_eq!(patch(&numbers, &others, false).operations.len(), 2);
}
