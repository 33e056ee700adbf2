//! Scripts of operations and faults on one tenant, with what has to come of them, on every pair of backends.
//!
//! The vectors record another system. Where driftline differs on purpose, this module says so, by what stands in a case and
//! not by its name: [`skipped`] tells which cases are about what driftline does not have, [`judge`] which answers are others.

mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;

use self::steps::{RESULTS, Run, SILENT, is_checksum_right};
use crate::support::pairs::Kind;
use crate::support::vectors::vectors;

#[derive(Deserialize)]
struct File {
    format_version: u32,
    counts: Counts,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Counts {
    cases: usize,
    #[serde(default)]
    reference_bug: Option<usize>,
}

#[derive(Clone, Deserialize)]
struct Case {
    id: String,
    steps: Vec<Vec<Value>>,
    expected: Vec<Value>,
    #[serde(default)]
    options: Value,
    #[serde(default)]
    reference_bug: bool,
}

impl Case {
    fn has(&self, word: &str) -> bool {
        self.steps.iter().any(|step| step[0] == word)
    }

    /// How long each call of the object store takes.
    fn latency(&self) -> Option<Duration> {
        let millis = self.options["s3_latency"].as_u64();
        millis.map(Duration::from_millis)
    }
}

fn load() -> File {
    serde_json::from_str(&vectors("repository_flows")).unwrap()
}

/// Why a case is not run: it is about something that driftline does not have.
fn skipped(case: &Case) -> Option<&'static str> {
    if case.has("mark_last_shadow") {
        return Some("an apply has no status");
    }
    let unshadowed = |step: &Vec<Value>| {
        step.get(2)
            .is_some_and(|options| options["skipShadowWrite"] == true)
    };
    case.steps
        .iter()
        .any(unshadowed)
        .then_some("every version is shadowed")
}

/// What an answer means.
#[derive(Debug, PartialEq)]
enum Judgement {
    Right,
    Wrong,
    /// Driftline answers otherwise on purpose, and what follows from it is not compared.
    Other,
}

/// Judges the answer to a step, which comes after these steps and answers.
fn judge(
    before: &[Vec<Value>],
    answers: &[Value],
    step: &[Value],
    wanted: &Value,
    found: &Value,
) -> Judgement {
    if matches(wanted, found) {
        return Judgement::Right;
    }
    let word = step[0].as_str().unwrap();
    let happened = |words: &[&str]| {
        before
            .iter()
            .any(|step| words.iter().any(|word| step[0] == *word))
    };
    match word {
        // A checksum of the caller's is verified, not kept.
        "create"
            if step
                .get(2)
                .is_some_and(|options| options["checksum"].is_string()) =>
        {
            let refused = found["error"] == "INVALID_INPUT" && !is_checksum_right(step);
            if refused {
                Judgement::Other
            } else {
                Judgement::Wrong
            }
        }
        // In whatever order.
        "drift" => {
            let mut sorted = wanted.clone();
            if let Some(items) = sorted["items"].as_array_mut() {
                items.sort_by_key(Value::to_string);
            }
            if matches(&sorted, found) {
                Judgement::Right
            } else {
                Judgement::Wrong
            }
        }
        // Versions are found without their index, and without being told.
        "history" if *wanted == Value::Array(Vec::new()) && happened(&["s3_drop_index"]) => {
            let newest = answers
                .iter()
                .filter_map(|answer| answer["version"].as_u64())
                .max();
            let all: Vec<_> = (1..=newest.unwrap_or(0)).rev().collect();
            if serde_json::json!(all) == *found {
                Judgement::Right
            } else {
                Judgement::Wrong
            }
        }
        // Nothing is restored unverified, whatever is asked for.
        "recover"
            if step
                .get(1)
                .is_some_and(|options| options["validate"] == false) =>
        {
            let tampered = happened(&["s3_tamper", "s3_tamper_with_checksum", "s3_foreign"]);
            if tampered && found["success"] == false {
                Judgement::Other
            } else {
                Judgement::Wrong
            }
        }
        // How many there are, or their numbers: both are in their names.
        "s3_version_objects" => {
            let names = found.as_array().map(Vec::as_slice).unwrap_or_default();
            let number = |name: &Value| {
                let name = name.as_str()?.rsplit('/').next()?.strip_prefix('v')?;
                name.split('.').next()?.parse::<u64>().ok()
            };
            let numbers: Option<Vec<u64>> = names.iter().map(number).collect();
            let right = wanted.as_u64() == u64::try_from(names.len()).ok()
                || serde_json::json!(numbers) == *wanted;
            if right {
                Judgement::Right
            } else {
                Judgement::Wrong
            }
        }
        _ => Judgement::Wrong,
    }
}

/// Where only some members are expected, the others are free. Messages for people are not compared, and neither are codes
/// that driftline has no word for: that there is an error is.
fn matches(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => expected.iter().all(|(name, value)| {
            let free = name == "error" && value.as_str().is_some_and(|text| !steps::is_code(text));
            actual
                .get(name)
                .is_some_and(|found| free || matches(value, found))
        }),
        (expected, actual) => expected == actual,
    }
}

/// Runs a case; `false` when it ends with an answer that is another one on purpose.
async fn run(kind: Kind, case: Case) -> bool {
    let mut run = Run::new(kind, case.latency()).await;
    let id = &case.id;
    let mut wanted = case.expected.iter();
    let mut answers = Vec::new();
    for (place, step) in case.steps.iter().enumerate() {
        let Some(found) = run.step(step).await else {
            continue;
        };
        let wanted = wanted
            .next()
            .unwrap_or_else(|| panic!("{id}: nothing is expected of step {place}"));
        match judge(&case.steps[..place], &answers, step, wanted, &found) {
            Judgement::Right => answers.push(found),
            Judgement::Wrong => panic!("{id}, step {place}: {wanted} is expected, not {found}"),
            Judgement::Other => return false,
        }
    }
    assert_eq!(wanted.next(), None, "{id}");
    true
}

async fn run_all(kind: Kind) {
    let cases = load().cases;
    let total = cases.len();
    let (skip, chosen): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| skipped(case).is_some());
    for case in &skip {
        println!(
            "skipped: {}: {}",
            case.id,
            skipped(case).unwrap_or_default()
        );
    }
    let ran = stream::iter(chosen)
        .map(|case| async move {
            let id = case.id.clone();
            (id, tokio::spawn(run(kind, case)).await.unwrap())
        })
        .buffer_unordered(4)
        .fold(0, async |ran, (id, whole)| {
            if !whole {
                println!("another answer on purpose: {id}");
            }
            ran + 1
        })
        .await;
    assert_eq!(ran + skip.len(), total);
}

#[test]
fn vectors_repository_flows_are_understood() {
    let file = load();
    assert_eq!(file.format_version, 1);
    let ids: BTreeSet<_> = file.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids.len(), file.counts.cases);
    let bugs = file.cases.iter().filter(|case| case.reference_bug).count();
    assert_eq!(bugs, file.counts.reference_bug.unwrap_or(bugs));
    for case in &file.cases {
        for step in &case.steps {
            let word = step[0].as_str().unwrap();
            let known =
                RESULTS.contains(&word) || SILENT.contains(&word) || word == "mark_last_shadow";
            assert!(known, "{}: there is no word {word}", case.id);
        }
    }
    if std::env::var_os("DRIFTLINE_VECTORS").is_none() {
        let skipped = file.cases.iter().filter(|case| skipped(case).is_some());
        let names: Vec<_> = skipped.map(|case| &*case.id).collect();
        let wanted = [
            "repository.create.skip_shadow",
            "repository.apply.failed_status_ignored",
        ];
        assert_eq!(names, wanted);
    }
}

#[test]
fn vectors_repository_flows_judge_what_differs_on_purpose() {
    use serde_json::json;
    let judge = |before: Value, step: Value, wanted: Value, found: Value| {
        let before: Vec<Vec<Value>> = serde_json::from_value(before).unwrap();
        super::flows::judge(
            &before,
            &[json!({"version": 2})],
            step.as_array().unwrap(),
            &wanted,
            &found,
        )
    };
    let lost = || json!([["s3_drop_index"]]);
    assert_eq!(
        judge(lost(), json!(["history"]), json!([]), json!([2, 1])),
        Judgement::Right
    );
    assert_eq!(
        judge(lost(), json!(["history"]), json!([]), json!([1])),
        Judgement::Wrong
    );
    assert_eq!(
        judge(json!([]), json!(["history"]), json!([]), json!([2, 1])),
        Judgement::Wrong
    );
    let objects = || {
        json!([
            "manifests/t/versions/v000001.json",
            "manifests/t/versions/v000002.e2.json"
        ])
    };
    for wanted in [json!(2), json!([1, 2]), objects()] {
        assert_eq!(
            judge(json!([]), json!(["s3_version_objects"]), wanted, objects()),
            Judgement::Right
        );
    }
    assert_eq!(
        judge(
            json!([]),
            json!(["s3_version_objects"]),
            json!(1),
            objects()
        ),
        Judgement::Wrong
    );
    let recover = || json!(["recover", {"validate": false}]);
    let (done, not) = (json!({"success": true}), json!({"success": false}));
    assert_eq!(
        judge(
            json!([["s3_foreign", 1]]),
            recover(),
            done.clone(),
            not.clone()
        ),
        Judgement::Other
    );
    assert_eq!(judge(json!([]), recover(), done, not), Judgement::Wrong);
}

/// Every word of the format, also those that no case uses.
async fn words(kind: Kind) {
    use serde_json::json;
    let script = |steps: Value| serde_json::from_value::<Vec<Vec<Value>>>(steps).unwrap();
    let mut run = Run::new(kind, Some(Duration::from_millis(2))).await;
    let mut answers = Vec::new();
    for step in script(json!([
        ["drift"],
        ["create", "a"], ["create", "b"], ["drift"], ["settle"], ["s3_version_objects"], ["s3_tag", 2],
        ["apply", 2, {"roles": {"r1": "d1"}, "channels": {}, "categories": {}}], ["drift"],
        ["s3_foreign", 1], ["pg_delete", 1], ["by_version", 1], ["recover", {"targetVersion": 1, "createNewVersion": true}],
    ])) {
        answers.extend(run.step(&step).await);
    }
    let key = |number: u64| {
        json!(format!(
            "manifests/11111111-1111-4111-8111-111111111111/versions/v{number:06}.json"
        ))
    };
    let wanted = [
        json!({"hasDrift": false, "items": []}),
        json!({"version": 1}),
        json!({"version": 2}),
        json!({"hasDrift": true, "items": ["missing:role:r1"]}),
        json!([key(1), key(2)]),
        json!("b"),
        json!({"manifestVersion": 2}),
        json!({"hasDrift": false, "items": []}),
        json!({"error": "CHECKSUM_MISMATCH"}),
        json!({"success": false}),
    ];
    assert_eq!(answers.len(), wanted.len(), "{answers:?}");
    for (wanted, found) in wanted.iter().zip(&answers) {
        assert!(matches(wanted, found), "{wanted} is expected, not {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_repository_flows_memory() {
    words(Kind::Memory).await;
    run_all(Kind::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_repository_flows_sqlite_and_a_directory() {
    words(Kind::Embedded).await;
    run_all(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_repository_flows_postgres_and_s3() {
    words(Kind::Services).await;
    run_all(Kind::Services).await;
}
