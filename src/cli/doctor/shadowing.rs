//! What keeps tenants from being shadowed, and what was at risk for too long.

use std::time::Duration;

use driftline::domain::{TenantId, Timestamp};
use driftline::ports::CheckUp;
use driftline::ports::TenantStatus;
use serde_json::{Value, json};

use super::proofs::age;
use crate::cli::shadowing::why;
use crate::cli::status::is_hindered;
use crate::cli::{Ui, hints, ui};

/// Tenants that are told with their reasons; the others are counted.
const TOLD: usize = 5;

/// How shadowing stands.
pub struct Shadowing {
    /// Tenants that cannot be shadowed now, and why.
    failing: Vec<(TenantId, String)>,
    /// Tenants with entries at risk for longer than the limit.
    overdue: Vec<TenantId>,
    limit: Option<Duration>,
}

impl Shadowing {
    pub fn of(
        found: &[TenantStatus],
        checkup: &CheckUp,
        limit: Option<Duration>,
        now: Timestamp,
    ) -> Self {
        let mut failing: Vec<_> = (checkup.tenants.iter())
            .map(|(tenant, wrong)| (tenant.clone(), hints::reason(wrong)))
            .collect();
        for status in found {
            let tenant = &status.state.tenant;
            let is_known = failing.iter().any(|(known, _)| known == tenant);
            // A halt has a line of its own.
            if is_known || status.halted.is_some() || !is_hindered(status) {
                continue;
            }
            failing.extend(why(status).map(|reason| (tenant.clone(), reason)));
        }
        failing.sort();
        let oldest = limit.map(|limit| now.saturating_sub(limit));
        let is_overdue = |status: &&TenantStatus| {
            let since = status.at_risk.oldest_at;
            since.is_some_and(|since| oldest.is_some_and(|oldest| since < oldest))
        };
        let overdue = found.iter().filter(is_overdue);
        Self {
            failing,
            overdue: overdue.map(|status| status.state.tenant.clone()).collect(),
            limit,
        }
    }

    pub fn is_well(&self) -> bool {
        self.failing.is_empty() && self.overdue.is_empty()
    }

    pub fn show(&self, ui: &Ui) -> anyhow::Result<()> {
        let red = ui::RED;
        for (tenant, reason) in self.failing.iter().take(TOLD) {
            ui.line(format_args!(
                "{:<10} {red}failing{red:#}: {tenant}: {reason}",
                "shadowing"
            ))?;
        }
        let others = self.failing.len().saturating_sub(TOLD);
        if others > 0 {
            ui.line(format_args!(
                "{:<10} {red}failing{red:#}: {others} more; `driftline status --at-risk` shows all",
                "shadowing"
            ))?;
        }
        if !self.overdue.is_empty() {
            let limit = self.limit.map(age).unwrap_or_default();
            ui.line(format_args!(
                "{:<10} {red}overdue{red:#}: at risk for longer than {limit}: {}",
                "shadowing",
                ui::names(&self.overdue)
            ))?;
        }
        Ok(())
    }

    pub fn document(&self) -> Value {
        let failing = self.failing.iter();
        let failing: Vec<_> = failing
            .map(|(tenant, reason)| json!({ "tenant": tenant, "reason": reason }))
            .collect();
        json!({
            "failing": failing,
            "overdue": self.overdue,
            "limitSeconds": self.limit.map(|limit| limit.as_secs()),
        })
    }
}
