//! Scripts of operations and faults on one tenant, with what has to come of them, on every pair of backends.
//!
//! The vectors record another system. Where driftline differs on purpose, this module says so: [`SKIPPED`], [`ADAPTED`],
//! and the steps themselves.

mod steps;

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use self::steps::Run;
use crate::support::pairs::Kind;

/// Cases about what driftline does not have.
const SKIPPED: [&str; 2] = [
    // Every version is shadowed.
    "repository.create.skip_shadow",
    // An apply has no status.
    "repository.apply.failed_status_ignored",
];

/// Cases whose expectation is another one here.
const ADAPTED: [&str; 3] = [
    // A checksum of the caller's is verified, not kept.
    "repository.create.caller_checksum_kept",
    // Versions are found without their index, and without being told.
    "repository.history.rebuild",
    // Comparing desired, recorded and actual state has suites of its own; the steps before it are run.
    "repository.apply.drift_stale_version",
];

#[derive(Deserialize)]
struct File {
    format_version: u32,
    counts: Counts,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Counts {
    cases: usize,
    reference_bug: usize,
}

#[derive(Clone, Deserialize)]
struct Case {
    id: String,
    steps: Vec<Vec<Value>>,
    expected: Vec<Value>,
    #[serde(default)]
    reference_bug: bool,
}

fn load() -> File {
    serde_json::from_str(include_str!("../data/repository_flows.json")).unwrap()
}

/// The case as it reads for driftline.
fn adapt(mut case: Case) -> Case {
    match case.id.as_str() {
        "repository.create.caller_checksum_kept" => {
            case.expected = vec![json!({"error": "INVALID_INPUT"}), Value::Null];
        }
        "repository.history.rebuild" => case.expected[2] = json!([2, 1]),
        "repository.apply.drift_stale_version" => {
            assert_eq!(case.steps.pop(), Some(vec![json!("drift")]));
            case.expected.pop();
        }
        _ => {}
    }
    case
}

/// Where only some members are expected, the others are free; messages for people are not compared.
fn matches(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => expected.iter().all(|(name, value)| {
            let message = name == "error" && value.as_str().is_some_and(|text| text.contains(' '));
            actual
                .get(name)
                .is_some_and(|found| message || matches(value, found))
        }),
        (expected, actual) => expected == actual,
    }
}

async fn run(kind: Kind, case: Case) {
    let case = adapt(case);
    let mut run = Run::new(kind).await;
    let mut results = Vec::new();
    for step in &case.steps {
        results.extend(run.step(step).await);
    }
    let id = &case.id;
    assert_eq!(results.len(), case.expected.len(), "{id}: {results:?}");
    for (place, (expected, actual)) in case.expected.iter().zip(&results).enumerate() {
        let holds = matches(expected, actual);
        assert!(
            holds,
            "{id}, result {place}: {expected} is expected, not {actual}"
        );
    }
}

async fn run_all(kind: Kind) {
    let cases = load().cases;
    let total = cases.len();
    let chosen = cases
        .into_iter()
        .filter(|case| !SKIPPED.contains(&case.id.as_str()));
    let ran = stream::iter(chosen)
        .map(|case| tokio::spawn(run(kind, case)))
        .buffer_unordered(4)
        .fold(0, async |ran, outcome| {
            outcome.unwrap();
            ran + 1
        })
        .await;
    assert_eq!(ran, total - SKIPPED.len());
}

#[test]
fn every_case_is_run_unless_it_is_named_here() {
    let file = load();
    assert_eq!(file.format_version, 1);
    let ids: BTreeSet<_> = file.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids.len(), file.counts.cases);
    let bugs = file.cases.iter().filter(|case| case.reference_bug).count();
    assert_eq!(bugs, file.counts.reference_bug);
    for id in SKIPPED.iter().chain(&ADAPTED) {
        assert!(ids.contains(id), "there is no case {id}");
    }
    for case in &file.cases {
        let before = case.expected.clone();
        let adapted = adapt(case.clone()).expected != before;
        assert_eq!(adapted, ADAPTED.contains(&&*case.id), "{}", case.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_hold_in_memory() {
    run_all(Kind::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_hold_on_sqlite_and_a_directory() {
    run_all(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_hold_on_postgres_and_s3() {
    run_all(Kind::Services).await;
}
