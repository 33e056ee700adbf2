//! Giving shadowing a moment before a command returns.

use std::time::Duration;

use driftline::domain::{Seq, Stream, TenantId};
use driftline::ports::TenantStatus;
use driftline::prelude::*;
use driftline_host::{Begun, Opened};

use super::signals::Signals;
use super::{Ui, hints, ui};

/// Looks at the bucket before a write and warns if it is not usable, or had more of the tenant than the database. Tells whether
/// shadowing begins.
pub async fn begin(opened: &Opened, ui: &Ui, tenant: &TenantId) -> anyhow::Result<bool> {
    Ok(match opened.begin_write_of(tenant).await? {
        Begun::Hindered(reason) => {
            ui.warn(hints::reason(&reason));
            false
        }
        Begun::Shadowing { restored: 0 } => true,
        Begun::Shadowing { restored } => {
            ui.warn(format_args!(
                "the bucket had more of {tenant} than the database: {} brought back",
                ui::count(restored, "entry")
            ));
            true
        }
    })
}

/// Waits until the bucket has this entry, at most for so long or until the first signal, and no longer than it may get there by
/// itself. The entry is committed: whatever goes wrong here is no failure.
pub async fn wait(
    opened: &Opened,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
    longest: Duration,
    signals: &Signals,
) -> bool {
    let is_undecided = opened.is_undecided();
    // One look is free: the entry may be there for long.
    let longest = if is_undecided {
        Duration::ZERO
    } else {
        longest
    };
    let waiting = opened
        .repository
        .wait_until_shadowed(tenant, stream, seq, longest);
    if is_undecided {
        return waiting.await;
    }
    tokio::select! {
        biased;
        shadowed = waiting => shadowed,
        () = signals.soft.cancelled() => false,
        () = undecided(opened) => false,
    }
}

/// Until a look finds that nothing is shadowed before somebody decides.
async fn undecided(opened: &Opened) {
    while !opened.is_undecided() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The command that lets a tenant be shadowed again which is not shadowed by itself.
fn decision(status: &TenantStatus) -> Option<String> {
    let tenant = &status.state.tenant;
    if status.state.awaiting_recovery {
        return Some("`driftline recover --all-tenants`".to_owned());
    }
    let halted = status.halted.is_some();
    halted.then(|| {
        format!(
            "`driftline recover --tenant {tenant} --resolve-divergence` (add --dry-run to look first)"
        )
    })
}

/// Says that a committed entry is not in the bucket yet, and why if that is known.
pub async fn warn_pending(opened: &Opened, ui: &Ui, tenant: &TenantId, what: &str) {
    if opened.is_undecided() {
        return ui.warn(format_args!(
            "{what} is committed, but not in the bucket, and does not get there before that is decided"
        ));
    }
    let status = match opened.repository.status(Some(tenant), None, 1).await {
        Ok(found) => found,
        Err(error) => {
            return ui.warn(format_args!(
                "{what} is committed, but it is not known whether it is in the bucket, or what keeps it: {error}"
            ));
        }
    };
    let found = status.into_iter().next();
    let reason = found.as_ref().and_then(why);
    if let Some(decision) = found.as_ref().and_then(decision) {
        let reason = reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        return ui.warn(format_args!(
            "{what} is committed, but not shadowed{reason}; it gets into the bucket after {decision}"
        ));
    }
    match reason {
        // What may not come by itself is not said to.
        Some(reason) => ui.warn(format_args!(
            "{what} is committed, but not in the bucket yet: {reason}; `driftline doctor` shows what keeps it"
        )),
        None => ui.warn(format_args!(
            "{what} is committed, but not in the bucket yet; any driftline process brings it there, `driftline replicate --drain` at once"
        )),
    }
}

/// What keeps a tenant from being shadowed.
pub fn why(status: &TenantStatus) -> Option<String> {
    status.hindrance().map(|reason| hints::reason(&reason))
}
