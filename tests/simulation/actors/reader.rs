//! Reads everything, and believes nothing.

use std::sync::Arc;

use driftline::domain::Seq;
use driftline::ports::RecoveryRequest;
use driftline::prelude::*;
use tokio::time::sleep;

use crate::process::Process;

pub async fn read(process: Arc<Process>) {
    let repository = process.repository();
    let (world, draws) = (&process.world, &process.world.draws);
    loop {
        sleep(draws.millis(20, 900)).await;
        let tenant = draws.pick(&world.tenants).clone();
        let kind = draws.below(6);
        process.say(&format!("reads {kind} of {tenant}"));
        match kind {
            0 | 1 => {
                let version = Seq::new(draws.between(1, 20));
                if let Ok(Some(found)) = repository.manifest_by_version(&tenant, version).await {
                    world.watch(|model| model.served(&found));
                }
            }
            2 => {
                if let Ok(Some(found)) = repository.current_manifest(&tenant).await {
                    world.watch(|model| model.served(&found));
                }
            }
            3 => {
                if let Ok(page) = repository.version_history(&tenant, None, 50).await {
                    world.watch(|model| model.listed(&page.items));
                }
            }
            4 => {
                if let Ok(page) = repository.recoverable_versions(&tenant, None, 50).await {
                    world.watch(|model| model.recoverable(&world.bucket, &page.items));
                }
            }
            _ => {
                let request = RecoveryRequest {
                    dry_run: true,
                    ..RecoveryRequest::default()
                };
                let _ = repository.recover_from_s3(&tenant, &request).await;
                if let Ok(Some(state)) = repository.current_shadow_state(&tenant).await {
                    world.watch(|model| model.known(&state.meta));
                }
            }
        }
    }
}
