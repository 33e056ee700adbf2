//! Giving shadowing a moment before a command returns.

use std::time::Duration;

use driftline::domain::{Seq, Stream, TenantId};
use driftline::ports::TenantStatus;
use tokio::time::Instant;

use super::Ui;
use super::open::Opened;
use super::signals::Signals;

/// Waits until the bucket has this entry, at most until the deadline or the first signal. The entry is committed: whatever
/// goes wrong here is no failure.
pub async fn wait(
    opened: &Opened,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
    longest: Duration,
    signals: &Signals,
) -> bool {
    let deadline = Instant::now() + longest;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Ok(watermarks) = opened.sides.database.watermarks(tenant).await
            && watermarks[stream] >= seq
        {
            return true;
        }
        let now = Instant::now();
        if now >= deadline || signals.soft.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = signals.soft.cancelled() => {}
            () = tokio::time::sleep_until(deadline.min(now + pause)) => {}
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Says that a committed entry is not in the bucket yet, and why if that is known.
pub async fn warn_pending(opened: &Opened, ui: &Ui, tenant: &TenantId, what: &str) {
    let status = opened.repository.status(Some(tenant), None, 1).await;
    let reason = status.ok().and_then(|found| found.first().and_then(why));
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    if opened.is_undecided() {
        return ui.warn(format_args!(
            "{what} is committed, but not in the bucket, and does not get there before that is decided"
        ));
    }
    ui.warn(format_args!(
        "{what} is committed, but not in the bucket yet{reason}; any driftline process brings it there, `driftline replicate --drain` at once"
    ));
}

/// What keeps a tenant from being shadowed.
pub fn why(status: &TenantStatus) -> Option<String> {
    if let Some(halt) = &status.halted {
        return Some(format!("shadowing is halted: {}", halt.reason));
    }
    if status.state.awaiting_recovery {
        return Some("it awaits recovery".to_owned());
    }
    status.last_error.clone()
}
