//! Rows, rounds, medians, and the table that shows them.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// Rounds of a row; each runs the floor and driftline.
const ROUNDS: usize = 7;

/// How long one side of a round runs.
pub const ROUND: Duration = Duration::from_millis(1500);

/// Whether a smaller size is asked for: by `--quick`, or because cargo runs this as a test, which does not say `--bench`.
pub fn quick() -> bool {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    has("--quick") || !has("--bench")
}

/// One of two sizes.
pub fn size<T>(whole: T, small: T) -> T {
    if quick() { small } else { whole }
}

/// Something to compare.
#[derive(Clone, Copy)]
pub struct Row {
    /// What is done, for the table and the command line.
    pub name: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// What is aimed at.
    pub aim: Aim,
    /// Measures it.
    pub measure: fn() -> Pin<Box<dyn Future<Output = Comparison>>>,
}

/// What is aimed at: of driftline's share of the floor, or of what is measured, whatever the floor costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "of", content = "value")]
pub enum Aim {
    /// The least, or the most, of the floor.
    Ratio(f64),
    /// The least, or the most, in the row's unit.
    Measured(f64),
}

/// What a row counts. The ratio is always driftline's share of the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// More is better: the aim is the least.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Megabytes; more is better.
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    /// Requests for each version; less is better: the aim is the most.
    #[serde(rename = "requests/version")]
    RequestsPerVersion,
    /// Memory; less is better.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// Time; less is better.
    #[serde(rename = "ms")]
    Milliseconds,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::RequestsPerVersion => "requests/version",
            Self::Mebibytes => "MiB",
            Self::Milliseconds => "ms",
        }
    }

    const fn is_less_better(self) -> bool {
        match self {
            Self::PerSecond | Self::MegabytesPerSecond => false,
            Self::RequestsPerVersion | Self::Mebibytes | Self::Milliseconds => true,
        }
    }

    fn is_met(self, measured: f64, ratio: f64, aim: Aim) -> bool {
        let (value, aim) = match aim {
            Aim::Ratio(aim) => (ratio, aim),
            Aim::Measured(aim) => (measured, aim),
        };
        if self.is_less_better() {
            value <= aim
        } else {
            value >= aim
        }
    }
}

/// The medians of a row.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// The least that the work costs, or what it may cost.
    pub floor: f64,
    /// What it costs.
    pub driftline: f64,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    unit: Unit,
    floor: f64,
    driftline: f64,
    ratio: f64,
    aim: Aim,
    met: bool,
}

/// Runs the rows whose name contains one of the command line's words (all, if there are none), shows them, and stores them
/// as `target/bench/{bench}.json`.
pub fn run(bench: &str, rows: &[Row]) -> ExitCode {
    // Cargo passes `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let chosen = rows.iter().filter(|row| {
        wanted.is_empty() || wanted.iter().any(|name| row.name.contains(name.as_str()))
    });
    let mut lines = Vec::new();
    for row in chosen {
        eprintln!("{} …", row.name);
        let Comparison { floor, driftline } = runtime.block_on((row.measure)());
        let ratio = driftline / floor;
        lines.push(Line {
            name: row.name,
            unit: row.unit,
            floor,
            driftline,
            ratio,
            aim: row.aim,
            met: row.unit.is_met(driftline, ratio, row.aim),
        });
    }
    if lines.is_empty() {
        // As a test it shares the command line with all others, and what is wanted of them may be nothing of this.
        if !std::env::args().any(|argument| argument == "--bench" || argument == "--quick") {
            return ExitCode::SUCCESS;
        }
        eprintln!(
            "no such row; there are: {}",
            rows.iter()
                .map(|row| row.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
        return ExitCode::from(64);
    }
    print!("{}", table(&lines));
    store(bench, &lines);
    ExitCode::SUCCESS
}

/// Lets both sides take turns and returns the medians of what they tell, which is a rate.
pub async fn interleave<F, D>(
    mut floor: impl FnMut() -> F,
    mut driftline: impl FnMut() -> D,
) -> Comparison
where
    F: Future<Output = f64>,
    D: Future<Output = f64>,
{
    // One round each to warm up.
    floor().await;
    driftline().await;
    take_turns(size(ROUNDS, 1), floor, driftline).await
}

/// The same for sides that take minutes, with so many rounds.
pub async fn take_turns<F, D>(
    rounds: usize,
    mut floor: impl FnMut() -> F,
    mut driftline: impl FnMut() -> D,
) -> Comparison
where
    F: Future<Output = f64>,
    D: Future<Output = f64>,
{
    let (mut floors, mut driftlines) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whoever goes second may find the disk busy with what the first left behind.
        if round % 2 == 0 {
            floors.push(floor().await);
            driftlines.push(driftline().await);
        } else {
            driftlines.push(driftline().await);
            floors.push(floor().await);
        }
        eprintln!(
            "  floor {:10.1}   driftline {:10.1}",
            floors[round], driftlines[round]
        );
    }
    Comparison {
        floor: median(floors),
        driftline: median(driftlines),
    }
}

/// How often `once` ends per second when it runs again and again in `tasks` tasks. `once` is given the task's number.
pub async fn rate<T, O>(tasks: usize, once: T) -> f64
where
    T: Fn(usize) -> O + Clone + Send + 'static,
    O: Future<Output = ()> + Send,
{
    let begin = Instant::now();
    let end = begin + size(ROUND, ROUND / 30);
    let running = (0..tasks).map(|task| {
        let once = once.clone();
        tokio::spawn(async move {
            let mut done = 0_u32;
            while Instant::now() < end {
                once(task).await;
                done += 1;
            }
            done
        })
    });
    let mut done = 0;
    for task in running.collect::<Vec<_>>() {
        done += task.await.expect("no task panics");
    }
    f64::from(done) / begin.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:width$}  {:>10}  {:>10}  {:>8}  {:>24}  met\n",
        "row", "measured", "floor", "ratio", "aim"
    );
    for line in lines {
        let sign = if line.unit.is_less_better() {
            "≤"
        } else {
            "≥"
        };
        let aim = match line.aim {
            Aim::Ratio(aim) => format!("{sign} {aim:.2} of the floor"),
            Aim::Measured(aim) => format!("{sign} {aim:.0} {}", line.unit.name()),
        };
        let met = if line.met { "yes" } else { "missed" };
        let (measured, floor, ratio) = (line.driftline, line.floor, line.ratio);
        let _ = writeln!(
            text,
            "{:width$}  {measured:>10.2}  {floor:>10.2}  {ratio:>8.3}  {aim:>24}  {met} ({})",
            line.name,
            line.unit.name()
        );
    }
    text
}

/// Rows that were not run keep what an earlier run found.
fn store(bench: &str, lines: &[Line]) {
    let directory = crate::support::root().join("target/bench");
    let size = size("", "-quick");
    let file = directory.join(format!("{bench}{size}.json"));
    let new = serde_json::to_value(lines).expect("numbers and names are JSON");
    let new = new.as_array().cloned().unwrap_or_default();
    let old = std::fs::read(&file)
        .ok()
        .and_then(|text| serde_json::from_slice::<Vec<serde_json::Value>>(&text).ok());
    let mut all = old.unwrap_or_default();
    all.retain(|line| new.iter().all(|newer| newer["name"] != line["name"]));
    all.extend(new);
    let text = serde_json::to_string_pretty(&all).expect("numbers and names are JSON");
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&file, text))
        .expect("the results can be stored");
}
