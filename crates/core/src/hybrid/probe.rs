//! Whether a store keeps what driftline relies on.
//!
//! The probe writes below `_driftline/probe/<a fresh id>/` and nowhere else, several writers at once, and removes what it
//! wrote, also after a failure. Only a probe that is dropped half-way, or a request that the store carries out after it was
//! given up, leaves something behind; nothing reads it.
//!
//! Every probe judges by the same promises ([`PROMISES`]), a brief one with fewer tries. What a store answers to one
//! question is no reason not to ask the others: an error ends the check that it came up in. Checks that are not begun in time
//! are left out, and say so.
//!
//! It can prove that a store breaks a promise, never that it keeps it: a race that nobody lost by chance looks like order.

mod checks;
mod progress;
mod tally;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use self::checks::Probe;
pub use self::progress::ProbeProgress;
use driftline_model::Timestamp;
use driftline_ports::{
    BackendInfo, Clock, Entropy, Fault, Inspection, SnapshotStore, StoreResult, Verdict,
};

/// What driftline relies on, by the names of the checks that try it.
pub const PROMISES: [&str; 7] = [
    "create-race",
    "create-only",
    "replace-race",
    "compare-and-set",
    "read-after-write",
    "counter",
    "listing",
];

/// S3 refuses requests that are a quarter of an hour off.
const SKEW: Duration = Duration::from_mins(5);

/// How long trying may take, and removing what was written.
const LONGEST: Duration = Duration::from_secs(45);
const CLEANING: Duration = Duration::from_secs(10);

/// How thorough a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeLevel {
    /// Fifteen requests: for a start-up check.
    Brief,
    /// Everything, several times, and within a minute.
    Race {
        /// Writers at once; 2 to 64.
        writers: usize,
        /// Races of each kind; 1 to 1000.
        rounds: usize,
    },
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// The store, without secrets.
    pub url: String,
    /// What it says of itself.
    pub backend: BackendInfo,
    /// Each condition, in the order in which it was looked at.
    pub checks: Vec<Inspection>,
}

impl ProbeReport {
    /// Whether nothing that driftline relies on was found broken.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// What was found broken.
    pub fn failures(&self) -> impl Iterator<Item = &Inspection> {
        self.checks
            .iter()
            .filter(|check| check.verdict == Verdict::Fail)
    }

    /// The promises of which nobody knows whether they are kept: the store did not answer. A later probe may tell.
    pub fn open(&self) -> impl Iterator<Item = &Inspection> {
        self.checks
            .iter()
            .filter(|check| check.verdict == Verdict::Unknown && PROMISES.contains(&check.name))
    }
}

/// Probes a store. An error means that it was not reached, which is no verdict on it.
pub async fn probe(
    store: &dyn SnapshotStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    level: ProbeLevel,
    progress: &ProbeProgress,
) -> StoreResult<ProbeReport> {
    let before = clock.now();
    let backend = match store.ping().await {
        Ok(backend) => backend,
        // A store may know the questions that matter, and not this one.
        Err(error) if error.fault() == Fault::Refused => BackendInfo {
            version: error.report(),
            now: None,
        },
        Err(error) => return Err(error),
    };
    let after = clock.now();
    let mut probe = Probe {
        store,
        base: format!("_driftline/probe/{}/", entropy.uuid()),
        touched: BTreeSet::new(),
        written: std::sync::Mutex::default(),
        checks: Vec::new(),
        until: Instant::now() + LONGEST,
        progress,
    };
    probe.checks.push(clock_skew(&backend, before, after));
    probe.run(level).await;
    progress.begin("cleaning up");
    let cleaned = tokio::time::timeout(CLEANING, probe.clean(level)).await;
    let left = match cleaned {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.report()),
        Err(_) => Some("it took too long".to_owned()),
    };
    if let Some(reason) = left {
        let detail = format!(
            "objects below {} could not be removed: {reason}",
            probe.base
        );
        probe.check("cleaned-up", Verdict::Warn, detail);
    }
    Ok(ProbeReport {
        url: store.url(),
        backend,
        checks: probe.checks,
    })
}

fn clock_skew(backend: &BackendInfo, before: Timestamp, after: Timestamp) -> Inspection {
    let (verdict, detail) = match backend.now {
        None => (
            Verdict::Info,
            "the store has no clock of its own".to_owned(),
        ),
        Some(now) => {
            // A `Date` header has whole seconds.
            let skew = before
                .since(now)
                .max(now.since(after))
                .saturating_sub(Duration::from_secs(1));
            let verdict = if skew > SKEW {
                Verdict::Warn
            } else {
                Verdict::Pass
            };
            (
                verdict,
                format!(
                    "the store's clock and this machine's are {} s apart",
                    skew.as_secs()
                ),
            )
        }
    };
    Inspection {
        name: "clock-skew",
        verdict,
        detail,
    }
}
