//! Events on their way: each at least once, under one identifier.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Auditor;
use driftline_ports::{Delivery, DeliveryError, DeliveryOutcome, Result};

/// Events that are under way at once.
const AT_ONCE: u32 = 8;
/// How long one attempt may take before another process tries.
const ATTEMPT: Duration = Duration::from_mins(2);
/// How long a round goes on claiming events.
const ROUND: Duration = Duration::from_mins(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// After this long nobody tries again.
const PATIENCE: Duration = Duration::from_hours(72);

impl Auditor {
    /// Delivers what is due, and tells how many events arrived. A round ends after a while, whatever is left: receivers that
    /// hang must not keep those who wait for it.
    pub async fn deliver(&self, stop: &CancellationToken) -> Result<u64> {
        let mut arrived = 0;
        let started = Instant::now();
        while !stop.is_cancelled() && started.elapsed() < ROUND {
            let due = self.log.claim_events(AT_ONCE, ATTEMPT).await?;
            if due.is_empty() {
                break;
            }
            let at_once = due.len();
            let attempts = due.into_iter().map(|delivery| async move {
                let outcome = self.attempt(&delivery).await;
                (delivery, outcome)
            });
            let mut attempts = futures::stream::iter(attempts).buffer_unordered(at_once);
            while let Some((delivery, outcome)) = attempts.next().await {
                let id = delivery.event.id;
                match &outcome {
                    DeliveryOutcome::Delivered => arrived += 1,
                    DeliveryOutcome::Failed { error, retry_after } => {
                        tracing::warn!(event = %id, receiver = %delivery.event.receiver, %error, wait = ?retry_after, "an event did not arrive");
                    }
                    DeliveryOutcome::GivenUp { error } => {
                        tracing::error!(event = %id, receiver = %delivery.event.receiver, %error, "an event is given up");
                    }
                }
                self.log.settle_event(id, &outcome).await?;
            }
        }
        Ok(arrived)
    }

    async fn attempt(&self, delivery: &Delivery) -> DeliveryOutcome {
        let event = &delivery.event;
        let answer = match self.plan.receivers.get(&event.receiver) {
            Some(receiver) => {
                let answer = tokio::time::timeout(ATTEMPT / 2, receiver.deliver(event)).await;
                answer.unwrap_or_else(|_| Err(not_now("no answer in time".to_owned())))
            }
            // Another process may know it: one that is newer, or has another configuration.
            None => Err(not_now(format!(
                "the configuration of this process names no receiver `{}`",
                event.receiver
            ))),
        };
        let Err(DeliveryError {
            message: error,
            retryable,
            retry_after: asked,
        }) = answer
        else {
            return DeliveryOutcome::Delivered;
        };
        if !retryable || self.clock.now().since(event.at) > PATIENCE {
            return DeliveryOutcome::GivenUp { error };
        }
        let doubled = 2_u32.saturating_pow(delivery.attempt.clamp(1, 16) - 1);
        let wait = Duration::from_secs(5).saturating_mul(doubled);
        // Spread, so that receivers that come back are not met by everything at once.
        let wait = wait
            .min(LONGEST_WAIT)
            .mul_f64(0.5 + self.entropy.fraction() / 2.0);
        DeliveryOutcome::Failed {
            error,
            retry_after: wait.max(asked.unwrap_or_default()),
        }
    }
}

fn not_now(message: String) -> DeliveryError {
    DeliveryError {
        message,
        retryable: true,
        retry_after: None,
    }
}
