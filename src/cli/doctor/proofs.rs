//! What is proven to be restorable, and whether that is recent enough.

use std::time::Duration;

use driftline::domain::{Seq, Stream, TenantId, Timestamp};
use driftline::ports::{Error, TenantStatus};
use serde_json::{Value, json};

use crate::cli::open::Opened;
use crate::cli::status::{self, Total};
use crate::cli::{Ui, ui};

/// Names that are told; the others are counted.
const TOLD: usize = 5;

/// The proofs of all tenants.
pub struct Proofs {
    total: Total,
    max_age: Option<Duration>,
    /// The tenants that were not proven for too long.
    stale: Vec<TenantId>,
    /// The tenants whose shadowing is halted, which an operator has to end.
    halted: Vec<TenantId>,
}

impl Proofs {
    /// Reads them. With `max_age`, a tenant that was never proven counts from its first entry, be it in the bucket or not.
    pub async fn read(
        opened: &Opened,
        found: &[TenantStatus],
        max_age: Option<Duration>,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut stale = Vec::new();
        if let Some(latest) = max_age.map(|age| now.saturating_sub(age)) {
            for status in found {
                if is_stale(opened, status, latest).await? {
                    stale.push(status.state.tenant.clone());
                }
            }
        }
        let halted = found.iter().filter(|status| status.halted.is_some());
        Ok(Self {
            total: status::total(found),
            max_age,
            stale,
            halted: halted.map(|status| status.state.tenant.clone()).collect(),
        })
    }

    /// Whether every tenant was proven recently enough.
    pub fn are_recent(&self) -> bool {
        self.stale.is_empty()
    }

    /// The tenants whose shadowing is halted.
    pub fn halted(&self) -> &[TenantId] {
        &self.halted
    }

    pub fn document(&self) -> Value {
        json!({
            "oldestProof": self.total.oldest_proof,
            "neverProven": self.total.never_proven,
            "maxAgeSeconds": self.max_age.map(|age| age.as_secs()),
            "unproven": self.stale.len(),
            "unprovenTenants": &self.stale[..self.stale.len().min(TOLD)],
        })
    }

    pub fn show(&self, ui: &Ui) -> anyhow::Result<()> {
        let told = status::proofs(&self.total);
        let told = told.trim_start_matches("proven restorable: ");
        if self.stale.is_empty() {
            return Ok(ui.line(format_args!("{:<10} {told}", "proofs"))?);
        }
        let (red, names) = (ui::RED, names(&self.stale));
        let age = self.max_age.map(age).unwrap_or_default();
        Ok(ui.line(format_args!(
            "{:<10} {red}too old{red:#}: not proven restorable within {age}: {names}; run `driftline drill --all-tenants`",
            "proofs"
        ))?)
    }
}

/// Some names, and how many more there are.
pub fn names(tenants: &[TenantId]) -> String {
    let told: Vec<_> = tenants.iter().take(TOLD).map(TenantId::as_str).collect();
    let others = match tenants.len() - told.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!("{}{others}", told.join(", "))
}

/// A duration as it is given: `7d`.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(604_800, 'w'), (86_400, 'd'), (3600, 'h'), (60, 'm')];
    let fits = |(unit, _): &(u64, char)| seconds.is_multiple_of(*unit) && seconds > *unit;
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1, 's'));
    format!("{}{name}", seconds / unit)
}

/// Whether nothing proved the tenant since `latest`, although there was something to prove by then.
async fn is_stale(
    opened: &Opened,
    status: &TenantStatus,
    latest: Timestamp,
) -> anyhow::Result<bool> {
    if let Some(proof) = status.proof {
        return Ok(proof.at < latest);
    }
    // Its newest entry tells most of the time.
    if status.state.last_committed_at.is_some_and(|at| at < latest) {
        return Ok(true);
    }
    for stream in Stream::ALL {
        if status.state.heads[stream].seq > Seq::default() {
            let first = opened
                .sides
                .database
                .history(&status.state.tenant, stream, Some(Seq::new(2)), 1)
                .await
                .map_err(Error::from)?;
            // One that is lost was there before.
            if first
                .first()
                .is_none_or(|first| first.committed_at < latest)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
