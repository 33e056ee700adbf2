//! Waiting for an entry to be in the bucket, for as long as it may get there by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::repository::HybridManifestRepository;
use driftline_model::{Seq, Stream, TenantId, Timestamp};

/// The longest pause between two looks at the watermark.
const POLL: Duration = Duration::from_millis(250);

/// The longest pause between two looks at what keeps the tenant: each reads all that it has pending.
const LOOK: Duration = Duration::from_secs(5);

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// When shadowing failed last before the first look, if it did.
#[derive(PartialEq, Eq)]
enum Earlier {
    Unknown,
    Failed(Option<Timestamp>),
}

impl HybridManifestRepository {
    /// See [`driftline_ports::Tenants::wait_until_shadowed`].
    pub(super) async fn until_shadowed(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
        longest: Duration,
    ) -> bool {
        let deadline = Instant::now() + longest;
        let (mut pause, mut look) = (Duration::from_millis(5), Duration::from_millis(250));
        let mut next_look = Instant::now() + pause;
        let mut earlier = Earlier::Unknown;
        loop {
            if let Ok(watermarks) = self.sides.database.watermarks(tenant).await
                && watermarks[stream] >= seq
            {
                return true;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            if now >= next_look {
                let answer = self.prospect(tenant, stream, seq, deadline, &mut earlier);
                // A side that does not answer says nothing of what keeps the tenant.
                if let Ok(Some(shadowed)) = timeout_at(deadline.min(now + PATIENCE), answer).await {
                    return shadowed;
                }
                next_look = Instant::now() + look;
                look = (look * 2).min(LOOK);
            }
            tokio::select! {
                biased;
                () = self.replicator.shadowed() => {}
                () = sleep_until(deadline.min(Instant::now() + pause)) => {}
            }
            pause = (pause * 2).min(POLL);
        }
    }

    /// Whether the entry is in the bucket, or does not get there by itself in the time left; `None` while it may. What no retry
    /// mended before may be mended by now.
    async fn prospect(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
        deadline: Instant,
        earlier: &mut Earlier,
    ) -> Option<bool> {
        let found = self.sides.database.status(Some(tenant), None, 1).await;
        let status = found.ok()?.into_iter().next()?;
        if status.watermarks[stream] >= seq {
            return Some(true);
        }
        if status.halted.is_some() || status.state.awaiting_recovery {
            return Some(false);
        }
        if *earlier == Earlier::Unknown {
            *earlier = Earlier::Failed(status.failed_at);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let end = self.sides.now().saturating_add(left);
        let is_later = status.retry_at.is_some_and(|at| at > end);
        if status.fault.lasting && (*earlier != Earlier::Failed(status.failed_at) || is_later) {
            return Some(false);
        }
        // From an index that is damaged shadowing does not go on, however often it is tried. Streams come one after the other.
        let is_pending = |it: &Stream| status.watermarks[*it] < status.state.heads[*it].seq;
        let mut due = Stream::ALL.into_iter().take_while(|it| *it <= stream);
        while status.last_error.is_some()
            && let Some(due) = due.by_ref().find(is_pending)
        {
            let index = self.sides.bucket().index_or_damage(tenant, due).await;
            if matches!(index, Ok((Some(Err(_)), _))) {
                return Some(false);
            }
        }
        None
    }
}
