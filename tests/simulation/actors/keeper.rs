//! Looks after both sides: verifies them, and mends what it finds.

use std::sync::Arc;

use driftline::hybrid::HybridManifestRepository;
use driftline::hybrid::integrity::{ReadData, VerifyProgress, VerifyReport};
use tokio::time::sleep;

use crate::process::Process;

pub async fn keep(process: Arc<Process>) {
    let repository = process.repository();
    let draws = &process.world.draws;
    loop {
        sleep(draws.millis(400, 4000)).await;
        if process.is_left_behind() {
            // Whoever mends looks at the database that is there.
            process.killed.cancel();
        }
        let of = draws.between(1, 5);
        let read = *draws.pick(&[
            ReadData::Nothing,
            ReadData::All,
            ReadData::Subset {
                part: draws.between(1, of),
                of,
            },
        ]);
        let _ = verify(&process, &repository, read).await;
        if draws.chance(0.5) {
            mend(&process, &repository).await;
        }
    }
}

/// Verifies everything; whatever is written meanwhile by this process breaks the rules.
pub async fn verify(
    process: &Process,
    repository: &HybridManifestRepository,
    read: ReadData,
) -> Option<VerifyReport> {
    process.only_reads(true);
    let report = repository
        .verify_all(read, &VerifyProgress::default())
        .await;
    process.only_reads(false);
    match report {
        Ok(report) => {
            for finding in report.findings.iter().filter(|it| it.is_damage()) {
                process.say(&format!("finds {finding:?}"));
            }
            Some(report)
        }
        Err(error) => {
            process.say(&format!("cannot verify: {error}"));
            None
        }
    }
}

/// Plans a repair of everything and carries it out. How many things were done.
pub async fn mend(process: &Process, repository: &HybridManifestRepository) -> usize {
    let plan = match repository.plan_repair(None).await {
        Ok(plan) => plan,
        Err(error) => {
            process.say(&format!("cannot plan a repair: {error}"));
            return 0;
        }
    };
    if plan.actions() == 0 {
        return 0;
    }
    for action in plan.tenants.iter().flat_map(|it| &it.actions) {
        process.say(&format!("plans {action:?}"));
    }
    match repository.apply_repair(&plan).await {
        Ok(report) => {
            process.say(&format!("repairs: {report:?}"));
            let done = report.tenants.iter().flat_map(|(_, done)| done).sum();
            process.world.mended(done);
            done
        }
        Err(error) => {
            process.say(&format!("does not repair: {error}"));
            0
        }
    }
}
