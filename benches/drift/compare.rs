//! Comparing 100,000 resources of which one in a hundred changed: from three documents to the report.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use driftline::domain::content::Content;
use driftline::domain::drift::{
    ActualState, Comparison as Drift, Desired, Policy, Recorded, Verdict, compare,
};
use driftline::domain::{Resources, Seq, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::{Aim, Comparison, Row, Unit, interleave};

const RESOURCES: usize = 100_000;

/// Before the argument of a process that measures its memory.
const ALONE: &str = "--compare-alone";

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "compare 100,000 resources, 1 % changed",
            unit: Unit::Milliseconds,
            aim: Aim::Ratio(1.5),
            measure: || Box::pin(time()),
        },
        Row {
            name: "compare 100,000 resources, peak memory",
            unit: Unit::Mebibytes,
            aim: Aim::Ratio(2.0),
            measure: || Box::pin(memory()),
        },
    ]
}

/// The three documents, and the external ids that were recorded.
struct Documents {
    desired: Vec<u8>,
    recorded: Vec<u8>,
    actual: Vec<u8>,
    ids: Resources,
}

impl Documents {
    /// One in a hundred differs: in turns it drifted, it waits to be applied, it was done by hand, and it is gone.
    fn generate() -> Self {
        let (mut desired, mut recorded, mut actual) = (String::new(), String::new(), String::new());
        let mut ids = Resources::new();
        let known = ids.entry("deployments".to_owned()).or_default();
        for number in 0..RESOURCES {
            let comma = if number == 0 { "" } else { "," };
            let images = match number % 400 {
                0 => ["1.0", "1.0", "1.1"],
                100 => ["1.1", "1.0", "1.0"],
                200 => ["1.1", "1.0", "1.1"],
                _ => ["1.0"; 3],
            };
            for (text, image) in [&mut desired, &mut recorded].into_iter().zip(images) {
                // Writing to a String cannot fail.
                let _ = write!(
                    text,
                    "{comma}{{\"apiVersion\":\"apps/v1\",\"id\":\"app-{number}\",{}",
                    named(number, image)
                );
            }
            if number % 400 != 300 {
                let _ = write!(
                    actual,
                    "{comma}\"uid-{number}\":{{\"apiVersion\":\"apps/v1\",\"status\":{{\"replicas\":3,\"ready\":true}},\
                     \"resourceVersion\":\"{number}\",{}",
                    named(number, images[2])
                );
            }
            known.insert(format!("app-{number}"), format!("uid-{number}"));
        }
        let manifest = |text: &str| {
            format!("{{\"deployments\":[{text}],\"schemaVersion\":\"1\"}}").into_bytes()
        };
        Self {
            desired: manifest(&desired),
            recorded: manifest(&recorded),
            actual: format!("{{\"resources\":{{\"deployments\":{{{actual}}}}}}}").into_bytes(),
            ids,
        }
    }

    /// What any comparison has to do first.
    fn parse(&self) -> [Value; 3] {
        [&self.desired, &self.recorded, &self.actual]
            .map(|document| serde_json::from_slice(document).expect("the document is JSON"))
    }

    fn compare(&self) {
        let content = |bytes: &[u8]| Content::from_stored(bytes.to_vec().into());
        let (desired, recorded) = (content(&self.desired), content(&self.recorded));
        let actual = ActualState::parse(&self.actual).expect("the document is an actual state");
        let report = compare(&Drift {
            tenant: &"bench".parse().expect("a good name"),
            desired: Some(Desired {
                version: Seq::new(2),
                content: &desired,
            }),
            recorded: Some(Recorded {
                version: Seq::new(1),
                resources: &self.ids,
                content: Ok(&recorded),
            }),
            actual: Some(&actual),
            policy: &Policy::default(),
            acknowledgements: &[],
            now: Timestamp::EPOCH,
            strict: false,
            all: false,
            plan: false,
        })
        .expect("the content is a manifest's");
        let quarter = (RESOURCES / 400) as u64;
        assert_eq!(report.count(Verdict::Drifted), 2 * quarter);
        assert_eq!(report.count(Verdict::Pending), quarter);
        assert_eq!(report.count(Verdict::Adopted), quarter);
        assert_eq!(
            report.count(Verdict::InSync),
            RESOURCES as u64 - 4 * quarter
        );
        drop(black_box(report));
    }
}

/// What all three documents say of a resource.
fn named(number: usize, image: &str) -> String {
    format!(
        "\"metadata\":{{\"labels\":{{\"app.kubernetes.io/name\":\"app-{number}\",\"app.kubernetes.io/part-of\":\"bench\"}},\
         \"name\":\"app-{number}\"}},\"spec\":{{\"containers\":[{{\"args\":[\"serve\",\"--port=8080\"],\"image\":\
         \"registry/app:{image}\",\"name\":\"app\",\"ports\":[{{\"containerPort\":8080,\"name\":\"http\"}}]}}],\
         \"replicas\":3}}}}"
    )
}

async fn time() -> Comparison {
    let documents = Documents::generate();
    let milliseconds = |run: &dyn Fn()| {
        let begin = Instant::now();
        run();
        begin.elapsed().as_secs_f64() * 1000.0
    };
    let floor = async || milliseconds(&|| drop(black_box(documents.parse())));
    let driftline = async || milliseconds(&|| documents.compare());
    interleave(floor, driftline).await
}

#[expect(clippy::unused_async, reason = "rows are measured alike")]
async fn memory() -> Comparison {
    Comparison {
        floor: peak("parse"),
        driftline: peak("compare"),
    }
}

/// What a process of its own takes at most beyond what the documents do, in MiB.
fn peak(what: &str) -> f64 {
    let this = std::env::current_exe().expect("this program has a name");
    let output = Command::new(this).args([ALONE, what]).output();
    let output = output.expect("this program runs once more");
    assert!(output.status.success(), "{}", output.status);
    let kibibytes = String::from_utf8(output.stdout).expect("a number is text");
    kibibytes.trim().parse::<f64>().expect("a number of KiB") / 1024.0
}

/// Parses or compares, and prints by how much that raised the peak of the resident memory in KiB, if that is what this
/// process was started for.
pub fn in_a_process_of_its_own() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip_while(|argument| argument != ALONE);
    arguments.next()?;
    let what = arguments.next().expect("parse or compare");
    let documents = Documents::generate();
    // The peak so far is that of making the documents: from here on it counts anew.
    std::fs::write("/proc/self/clear_refs", "5").expect("this is Linux");
    let before = peak_of_this_process();
    if what == "parse" {
        drop(black_box(documents.parse()));
    } else {
        documents.compare();
    }
    println!("{}", peak_of_this_process() - before);
    Some(ExitCode::SUCCESS)
}

fn peak_of_this_process() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.expect("the peak").trim().trim_end_matches(" kB");
    peak.parse().expect("a number of KiB")
}
