//! Whether a store keeps what driftline relies on.
//!
//! The probe writes below `_driftline/probe/<a fresh id>/` and nowhere else, several writers at once, and removes what it
//! wrote, also after a failure. Only a probe that is dropped half-way, or a request that the store carries out after it was
//! given up, leaves something behind; nothing reads it.
//!
//! It can prove that a store breaks a promise, never that it keeps it: a race that nobody lost by chance looks like order.

mod checks;
mod tally;

use std::collections::BTreeSet;
use std::time::Duration;

use self::checks::Probe;
use crate::domain::Timestamp;
use crate::ports::{BackendInfo, Clock, Entropy, Inspection, SnapshotStore, StoreResult, Verdict};

/// S3 refuses requests that are a quarter of an hour off.
const SKEW: Duration = Duration::from_mins(5);

/// How thorough a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeLevel {
    /// Fifteen requests: for a start-up check.
    Brief,
    /// Everything, several times.
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
}

/// Probes a store. An error means that it was not reached or refused the probe, which is no verdict on it.
pub async fn probe(
    store: &dyn SnapshotStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    level: ProbeLevel,
) -> StoreResult<ProbeReport> {
    let before = clock.now();
    let backend = store.ping().await?;
    let after = clock.now();
    let mut probe = Probe {
        store,
        base: format!("_driftline/probe/{}/", entropy.uuid()),
        touched: BTreeSet::new(),
        checks: Vec::new(),
    };
    probe.checks.push(clock_skew(&backend, before, after));
    let result = probe.run(level).await;
    let cleaned = probe.clean(level).await;
    result?;
    if let Err(error) = cleaned {
        let detail = format!(
            "objects below {} could not be removed: {}",
            probe.base,
            error.report()
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
