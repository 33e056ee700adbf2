//! Drift of a list of 100,000 elements, at its worst: which is which is known of none, and most have changed.

use std::fmt::Write as _;
use std::hint::black_box;

use driftline::domain::content::Content;
use driftline::domain::drift::{
    ActualState, Comparison as Drift, Desired, Policy, Recorded, compare,
};
use driftline::domain::{Resources, Seq, Timestamp};
use tokio::time::Instant;

use crate::harness::{Aim, Comparison, Row, Unit, size, take_turns};

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "drift of a list of 100,000 elements",
            unit: Unit::Milliseconds,
            aim: Aim::Measured(3000.0),
            measure: || Box::pin(worst()),
        },
        Row {
            name: "drift of a list, 100,000 beside 10,000 as n log n",
            unit: Unit::Milliseconds,
            aim: Aim::Ratio(1.5),
            measure: || Box::pin(growth()),
        },
    ]
}

fn elements() -> usize {
    size(100_000, 500)
}

/// The least: the three documents are parsed.
async fn worst() -> Comparison {
    let cases = cases(elements());
    let floor = async || slowest(&cases, Documents::parse);
    take_turns(size(3, 1), floor, async || {
        slowest(&cases, Documents::compare)
    })
    .await
}

/// What a tenth takes, times ten, and a logarithm more.
async fn growth() -> Comparison {
    let (whole, tenth) = (cases(elements()), cases(elements() / 10));
    let floor = async || slowest(&tenth, Documents::compare) * 12.5;
    take_turns(size(3, 1), floor, async || {
        slowest(&whole, Documents::compare)
    })
    .await
}

/// What the slowest takes, in milliseconds.
fn slowest(cases: &[(&'static str, Documents)], run: impl Fn(&Documents)) -> f64 {
    let mut slowest = 0.0_f64;
    for (name, case) in cases {
        let begin = Instant::now();
        run(case);
        let time = begin.elapsed().as_secs_f64() * 1000.0;
        eprintln!("    {name}: {time:.0} ms");
        slowest = slowest.max(time);
    }
    slowest
}

struct Documents {
    desired: Vec<u8>,
    recorded: Vec<u8>,
    actual: Vec<u8>,
    policy: Policy,
}

fn cases(elements: usize) -> Vec<(&'static str, Documents)> {
    let case = |of: fn(usize, u8) -> String| Documents::of(elements, of);
    vec![
        (
            "texts",
            case(|number, state| format!("\"{}\"", mixed(number, state))),
        ),
        (
            "alike",
            case(|number, state| format!("\"{}\"", mixed(number, state) % 10)),
        ),
        (
            "objects",
            case(|number, state| {
                format!(
                    "{{\"port\":{},\"name\":\"n{number}\"}}",
                    mixed(number, state)
                )
            }),
        ),
        (
            "many shapes",
            case(|number, state| {
                let shape = number % 40;
                format!(
                    "{{\"port\":{},\"m{shape}\":{number}}}",
                    mixed(number, state)
                )
            }),
        ),
        (
            "nested",
            case(|number, state| {
                format!(
                    "{{\"a\":{{\"b\":[{{\"c\":{}}}]}},\"d\":null}}",
                    mixed(number, state)
                )
            }),
        ),
    ]
}

/// One in two says something else in each state.
fn mixed(number: usize, state: u8) -> usize {
    if number.is_multiple_of(2) {
        number
    } else {
        number * 3 + usize::from(state)
    }
}

impl Documents {
    /// The live list is in another order, and lacks one, so that places tell nothing.
    fn of(elements: usize, element: fn(usize, u8) -> String) -> Self {
        let list = |numbers: &mut dyn Iterator<Item = usize>, state: u8| {
            let mut text = String::new();
            for number in numbers {
                let comma = if text.is_empty() { "" } else { "," };
                // Writing to a String cannot fail.
                let _ = write!(text, "{comma}{}", element(number, state));
            }
            text
        };
        let manifest = |state: u8| {
            let list = list(&mut (0..elements), state);
            format!(
                "{{\"schemaVersion\":\"1\",\"firewalls\":[{{\"id\":\"f\",\"rules\":[{list}]}}]}}"
            )
            .into_bytes()
        };
        let live = list(&mut (1..elements).rev(), 2);
        Self {
            desired: manifest(0),
            recorded: manifest(1),
            actual: format!(
                "{{\"resources\":{{\"firewalls\":{{\"uid\":{{\"rules\":[{live}]}}}}}}}}"
            )
            .into_bytes(),
            policy: Policy::default(),
        }
    }

    fn parse(&self) {
        for document in [&self.desired, &self.recorded, &self.actual] {
            let value: serde_json::Value =
                serde_json::from_slice(document).expect("the document is JSON");
            drop(black_box(value));
        }
    }

    fn compare(&self) {
        let content = |bytes: &[u8]| Content::from_stored(bytes.to_vec().into());
        let (desired, recorded) = (content(&self.desired), content(&self.recorded));
        let actual = ActualState::parse(&self.actual).expect("the document is an actual state");
        let mut ids = Resources::new();
        let known = ids.entry("firewalls".to_owned()).or_default();
        known.insert("f".to_owned(), "uid".to_owned());
        let report = compare(&Drift {
            tenant: &"bench".parse().expect("a good name"),
            desired: Some(Desired {
                version: Seq::new(2),
                content: &desired,
            }),
            recorded: Some(Recorded {
                version: Seq::new(1),
                resources: &ids,
                content: Ok(&recorded),
            }),
            actual: Some(&actual),
            policy: &self.policy,
            acknowledgements: &[],
            now: Timestamp::EPOCH,
            strict: false,
            all: false,
            plan: false,
        });
        let report = report.expect("the content is a manifest's");
        assert!(!report.items.is_empty());
        drop(black_box(report));
    }
}
