//! Does what messages ask for: runs recoveries when something says so.

use std::sync::Arc;

use driftline::hybrid::{HybridManifestRepository, Progress, Standing};
use driftline::ports::{RecoveryRequest, TenantStatus};
use driftline::prelude::*;
use tokio::time::sleep;

use crate::process::Process;

pub async fn operate(process: Arc<Process>) {
    let repository = process.repository();
    loop {
        sleep(process.world.draws.millis(300, 2500)).await;
        if process.is_left_behind() {
            // Somebody who recovers looks at the database that is there.
            process.killed.cancel();
        }
        act(&process, &repository).await;
        if process.world.draws.chance(0.1) {
            recover_all(&process, &repository).await;
        }
    }
}

/// Reads what is asked for, and does it. `false` when nothing was.
pub async fn act(process: &Process, repository: &HybridManifestRepository) -> bool {
    match repository.check_ownership().await {
        Ok(Standing::Owner(_)) => {}
        Ok(_) => {
            recover_all(process, repository).await;
            return true;
        }
        Err(error) => {
            process.say(&format!("finds {error}"));
            recover_all(process, repository).await;
            return true;
        }
    }
    let Ok(statuses) = repository.status(None, None, 100).await else {
        return true;
    };
    let mut acted = false;
    for status in statuses.iter().filter(|status| asks_for_recovery(status)) {
        acted = true;
        let tenant = &status.state.tenant;
        let outcome = repository
            .recover_from_s3(tenant, &RecoveryRequest::default())
            .await;
        process.say(&match outcome {
            Ok(recovery) => format!(
                "recovered {tenant}: {}, epoch {}",
                recovery.state, recovery.epoch
            ),
            Err(error) => format!("did not recover {tenant}: {error}"),
        });
    }
    acted
}

fn asks_for_recovery(status: &TenantStatus) -> bool {
    use driftline::ports::Hint::{Recover, ResolveDivergence};
    status.halted.is_some()
        || status.state.awaiting_recovery
        || matches!(
            status.fault.hint,
            Some(Recover { .. } | ResolveDivergence { .. })
        )
}

pub async fn recover_all(process: &Process, repository: &HybridManifestRepository) {
    let request = RecoveryRequest::default();
    match repository.recover_all(&request, &Progress::default()).await {
        Ok(report) => {
            for (tenant, outcome) in &report.tenants {
                process.say(&match outcome {
                    Ok(recovery) => format!(
                        "recovered {tenant}: {}, epoch {}",
                        recovery.state, recovery.epoch
                    ),
                    Err(error) => format!("did not recover {tenant}: {error}"),
                });
            }
            process.say(&format!(
                "recovered all; unfinished: {:?}",
                report.unfinished
            ));
        }
        Err(error) => process.say(&format!("did not recover: {error}")),
    }
}
