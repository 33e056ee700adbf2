//! What is proven to be restorable, and whether that is recent enough.

use std::time::Duration;

use driftline::domain::{Seq, Stream, TenantId, Timestamp};
use driftline::ports::{Error, FailedDrill, TenantStatus};
use serde_json::{Value, json};

use crate::cli::status::{self, Total};
use crate::cli::{Ui, ui};
use driftline_host::Opened;

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
    /// The tenants that nothing proves.
    unproven: Vec<TenantId>,
    /// The newest drills that proved nothing, those first that found a tenant not to be restorable.
    failed: Vec<(TenantId, FailedDrill)>,
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
        let unproven = found.iter().filter(|status| status::is_unproven(status));
        let mut failed: Vec<_> = (found.iter())
            .filter_map(|it| Some((it.state.tenant.clone(), it.failed_drill.clone()?)))
            .collect();
        failed.sort_by_key(|(_, drill)| !drill.refutes);
        Ok(Self {
            total: status::total(found),
            max_age,
            stale,
            halted: halted.map(|status| status.state.tenant.clone()).collect(),
            unproven: unproven.map(|status| status.state.tenant.clone()).collect(),
            failed,
        })
    }

    /// Whether every tenant was proven recently enough, and none was found not to be restorable since.
    pub fn are_recent(&self) -> bool {
        self.stale.is_empty() && self.total.refuted == 0
    }

    /// The tenants whose shadowing is halted.
    pub fn halted(&self) -> &[TenantId] {
        &self.halted
    }

    pub fn document(&self) -> Value {
        let failed = self.failed.iter().take(TOLD);
        let failed = failed.map(|(tenant, drill)| {
            json!({ "tenant": tenant, "drill": status::FailedDrillDocument::from(drill) })
        });
        json!({
            "oldestProof": self.total.oldest_proof,
            "neverProven": self.total.never_proven,
            "neverProvenTenants": &self.unproven[..self.unproven.len().min(TOLD)],
            "failedDrills": failed.collect::<Vec<_>>(),
            "refuted": self.total.refuted,
            "maxAgeSeconds": self.max_age.map(|age| age.as_secs()),
            "unproven": self.stale.len(),
            "unprovenTenants": &self.stale[..self.stale.len().min(TOLD)],
        })
    }

    /// What the newest drills found that proved nothing.
    fn show_failed(&self, ui: &Ui) -> anyhow::Result<()> {
        for (tenant, drill) in self.failed.iter().take(TOLD) {
            ui.line(format_args!(
                "{:<10} {}",
                "drill",
                status::failed_drill(tenant, drill)
            ))?;
        }
        if self.failed.len() > TOLD {
            let more = self.failed.len() - TOLD;
            ui.line(format_args!(
                "{:<10} and {more} more that a drill did not prove; `driftline status -o json` names all",
                "drill"
            ))?;
        }
        Ok(())
    }

    pub fn show(&self, ui: &Ui) -> anyhow::Result<()> {
        let told = status::proofs(&self.total);
        let told = told.trim_start_matches("proven restorable: ");
        if self.stale.is_empty() {
            let unproven = match self.unproven.len() {
                0 => String::new(),
                _ => format!(" ({})", ui::names(&self.unproven)),
            };
            ui.line(format_args!("{:<10} {told}{unproven}", "proofs"))?;
            return self.show_failed(ui);
        }
        let (red, names) = (ui::RED, ui::names(&self.stale));
        let age = self.max_age.map(age).unwrap_or_default();
        ui.line(format_args!(
            "{:<10} {red}too old{red:#}: not proven restorable within {age}: {names}; run `driftline drill --all-tenants`",
            "proofs"
        ))?;
        self.show_failed(ui)
    }
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
    // A drill that found it not to be restorable counts at once, however young the tenant is.
    if status::is_refuted(status) {
        return Ok(true);
    }
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
