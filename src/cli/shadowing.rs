//! Giving shadowing a moment before a command returns.

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::domain::format::{Index, index_key, most_bytes};
use driftline::domain::{Seq, Stream, TenantId, Timestamp};
use driftline::ports::{Clock as _, TenantStatus};
use tokio::time::Instant;

use super::open::Opened;
use super::signals::Signals;
use super::{Ui, hints};

/// How many looks at the watermark there are to one at the tenant's state.
const LOOK: u32 = 10;

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
    let mut looks: u32 = 0;
    // When shadowing failed last before the first look.
    let mut before = None;
    loop {
        if let Ok(watermarks) = opened.sides.database.watermarks(tenant).await
            && watermarks[stream] >= seq
        {
            return true;
        }
        if looks.is_multiple_of(LOOK) {
            if opened.is_undecided() {
                return false;
            }
            if let Some(status) = status_of(opened, tenant).await {
                let before = *before.get_or_insert(status.failed_at);
                let left = deadline.saturating_duration_since(Instant::now());
                if is_stuck(opened, &status, before, left).await {
                    return false;
                }
            }
        }
        looks += 1;
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

/// Whether shadowing waits for somebody who decides, or changes something: then so would this, in vain.
async fn is_stuck(
    opened: &Opened,
    status: &TenantStatus,
    before: Option<Timestamp>,
    left: Duration,
) -> bool {
    let is_in_vain =
        || status.fault.lasting && (status.failed_at != before || is_later(status, left));
    decision(status).is_some()
        || is_in_vain()
        || (status.last_error.is_some() && rests_on_damage(opened, status).await)
}

/// Whether the tenant is not tried again while there is time left. What no retry mended before may be mended by now.
fn is_later(status: &TenantStatus, left: Duration) -> bool {
    let end = System.now().saturating_add(left);
    status.retry_at.is_some_and(|at| at > end)
}

async fn status_of(opened: &Opened, tenant: &TenantId) -> Option<TenantStatus> {
    let found = opened.repository.status(Some(tenant), None, 1).await;
    found.ok()?.into_iter().next()
}

/// Whether shadowing would go on from an index that is damaged: no retry mends that.
async fn rests_on_damage(opened: &Opened, status: &TenantStatus) -> bool {
    let tenant = &status.state.tenant;
    for stream in Stream::ALL {
        if status.watermarks[stream] >= status.state.heads[stream].seq {
            continue;
        }
        let key = index_key(tenant, stream);
        let found = opened.sides.snapshots.get(&key, most_bytes(&key)).await;
        if let Ok(Some(object)) = found
            && Index::parse(tenant, stream, &object.bytes).is_err()
        {
            return true;
        }
    }
    false
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
