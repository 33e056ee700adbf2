//! Waiting for an entry to be in the bucket, for as long as it may get there by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::repository::HybridManifestRepository;
use crate::domain::{Seq, Stream, TenantId, Timestamp};
use crate::ports::TenantStatus;

/// How many looks at the watermark there are to one at the tenant's state.
const LOOK: u32 = 10;

impl HybridManifestRepository {
    /// Waits until this entry is proven to be in the bucket; the answer tells. It is `false` at the end of the time, and as soon
    /// as shadowing waits for somebody who decides or changes something. The entry is committed: a database that fails
    /// meanwhile is asked again.
    pub async fn wait_until_shadowed(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
        longest: Duration,
    ) -> bool {
        let deadline = Instant::now() + longest;
        let mut pause = Duration::from_millis(5);
        let mut looks: u32 = 0;
        // When shadowing failed last before the first look.
        let mut before = None;
        loop {
            if let Ok(watermarks) = self.sides.database.watermarks(tenant).await
                && watermarks[stream] >= seq
            {
                return true;
            }
            // Most entries are there before that is worth a question.
            if looks % LOOK == 1
                && let Some(status) = self.status_of(tenant).await
            {
                let before = *before.get_or_insert(status.failed_at);
                let left = deadline.saturating_duration_since(Instant::now());
                if self.is_stuck(&status, before, left).await {
                    return false;
                }
            }
            looks = looks.saturating_add(1);
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            tokio::select! {
                biased;
                () = self.replicator.shadowed() => {}
                () = sleep_until(deadline.min(now + pause)) => {}
            }
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    }

    async fn status_of(&self, tenant: &TenantId) -> Option<TenantStatus> {
        let found = self.sides.database.status(Some(tenant), None, 1).await;
        found.ok()?.into_iter().next()
    }

    /// Whether what keeps the tenant does not pass in the time left. What no retry mended before may be mended by now.
    async fn is_stuck(
        &self,
        status: &TenantStatus,
        before: Option<Timestamp>,
        left: Duration,
    ) -> bool {
        if status.halted.is_some() || status.state.awaiting_recovery {
            return true;
        }
        let end = self.sides.now().saturating_add(left);
        let is_later = || status.retry_at.is_some_and(|at| at > end);
        if status.fault.lasting && (status.failed_at != before || is_later()) {
            return true;
        }
        status.last_error.is_some() && self.rests_on_damage(status).await
    }

    /// Whether shadowing would go on from an index that is damaged: no retry mends that.
    async fn rests_on_damage(&self, status: &TenantStatus) -> bool {
        let tenant = &status.state.tenant;
        for stream in Stream::ALL {
            if status.watermarks[stream] >= status.state.heads[stream].seq {
                continue;
            }
            let found = self.sides.bucket().index_or_damage(tenant, stream).await;
            if matches!(found, Ok((Some(Err(_)), _))) {
                return true;
            }
        }
        false
    }
}
