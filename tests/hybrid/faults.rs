//! A bucket that misbehaves: every kind of fault, at every kind of call. Writes keep their latency, and everything lands.

use std::time::Duration;

use driftline::domain::{Seq, Stream};
use driftline::ports::ManifestStore as _;
use driftline::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::support::world::{
    World, apply, create, create_many, drain, eventually, recover_all, tenant,
};
use driftline_conformance::faults::{Chances, Flaw, On};

const FLAWS: [Flaw; 8] = [
    Flaw::Unavailable,
    Flaw::AppliedUnknown,
    Flaw::DroppedUnknown,
    Flaw::DeferredUnknown,
    Flaw::Conflict,
    Flaw::AppliedPreconditionFailed,
    Flaw::TornBody,
    Flaw::Slow(Duration::from_secs(20)),
];

/// A history that takes a page, an apply and a decision through every kind of object.
async fn shadow_with(flaw: Flaw, on: On) {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    create_many(&repository, &acme, 128).await;
    drain(&repository).await;
    world.bucket.fail(on.clone(), flaw);
    create_many(&repository, &acme, 3).await;
    apply(&repository, &acme, 131).await;
    eventually(
        &format!("everything is shadowed in spite of {flaw:?} {on:?}"),
        async || {
            let _ = repository.drain(CancellationToken::new()).await;
            world.bucket.apply_deferred().await;
            let state = database.tenant(&acme).await.unwrap().unwrap();
            let marks = driftline::ports::ShadowLedger::watermarks(database.as_ref(), &acme)
                .await
                .unwrap();
            Stream::ALL
                .iter()
                .all(|stream| marks[*stream] == state.heads[*stream].seq)
        },
    )
    .await;
    world.bucket.heal();
    world.assert_settled(&database, &acme).await;
    // And all of it can be brought back, once.
    let fresh = world.database();
    let recovery = recover_all(&world.repository(&fresh)).await.remove(0);
    assert_eq!(
        (recovery.restored, recovery.failures.len()),
        (132, 0),
        "{flaw:?} {on:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_fault_of_each_kind_at_each_call_of_a_batch_leaves_nothing_behind() {
    for flaw in FLAWS {
        for key in [
            "_driftline/bucket.json",
            "acme/index.json",
            "acme/versions/",
            "acme/index/p000001",
            "acme/applies/a",
            "acme/applies/index",
        ] {
            for skip in 0..2 {
                shadow_with(flaw, On::put(key).skip(skip).times(1)).await;
                shadow_with(flaw, On::get(key).skip(skip).times(1)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn faults_that_keep_coming_for_a_while_delay_and_lose_nothing() {
    for flaw in FLAWS {
        shadow_with(flaw, On::any().times(40)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_read_back_and_costs_no_back_off() {
    for flaw in [Flaw::AppliedUnknown, Flaw::AppliedPreconditionFailed] {
        for key in ["versions/", "acme/index/p000001", "acme/index.json"] {
            let (world, acme) = (World::new(), tenant("acme"));
            let (database, repository) = world.claimed().await;
            create_many(&repository, &acme, 128).await;
            drain(&repository).await;
            create(&repository, &acme, "one more").await;
            world.bucket.fail(On::put(key).times(1), flaw);
            let drained = drain(&repository).await;
            assert_eq!(
                (drained.shadowed, drained.left.backing_off),
                (1, 0),
                "{flaw:?} {key}"
            );
            world.assert_settled(&database, &acme).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_meets_one_fault_of_each_kind_at_each_call_and_converges() {
    for flaw in FLAWS {
        for call in 0..24 {
            let (world, acme) = (World::new(), tenant("acme"));
            let (_, repository) = world.claimed().await;
            create_many(&repository, &acme, 3).await;
            apply(&repository, &acme, 3).await;
            drain(&repository).await;
            let fresh = world.database();
            let next = world.repository(&fresh);
            world.bucket.fail(On::any().skip(call).times(1), flaw);
            let request = driftline::ports::RecoveryRequest::default();
            let first = next
                .recover_all(&request, &driftline::hybrid::Progress::default())
                .await;
            world.bucket.heal();
            let complete = first.is_ok_and(|report| {
                report.unfinished.is_none()
                    && report.tenants.iter().all(|(_, outcome)| {
                        outcome
                            .as_ref()
                            .is_ok_and(|recovery| recovery.failures.is_empty())
                    })
            });
            if !complete {
                recover_all(&next).await;
            }
            let created = create(&next, &acme, "on").await;
            assert_eq!(
                created.manifest.version(),
                Seq::new(4),
                "{flaw:?} at call {call}"
            );
            drain(&next).await;
            world.assert_settled(&fresh, &acme).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_down_for_a_minute_catches_up_and_no_write_notices() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    repository.start();
    world.bucket.set_down(true);
    for second in 0..60 {
        let started = tokio::time::Instant::now();
        create(&repository, &acme, &format!("{second}")).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.bucket.set_down(false);
    // The longest wait of a failing tenant is a minute.
    tokio::time::sleep(Duration::from_secs(75)).await;
    world.assert_settled(&database, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn random_faults_on_many_tenants_and_two_replicators_end_settled() {
    let seeds = if std::env::var_os("DRIFTLINE_SOAK").is_some() {
        500
    } else {
        20
    };
    for seed in 0..seeds {
        let world = World::new();
        let (database, one) = world.claimed().await;
        let two = world.repository(&database);
        world.bucket.randomly(seed, Chances::all(0.06));
        one.start();
        two.start();
        let tenants: Vec<_> = (0..4).map(|number| tenant(&format!("t{number}"))).collect();
        for round in 0..12 {
            for name in &tenants {
                create(&one, name, &format!("{round}")).await;
                if round % 4 == 3 {
                    apply(&two, name, round + 1).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        eventually("every tenant is settled", async || {
            let statuses = one.status(None, None, 100).await.unwrap();
            statuses.iter().all(|status| status.at_risk.entries == 0)
        })
        .await;
        world.bucket.heal();
        for name in &tenants {
            world.assert_settled(&database, name).await;
        }
        let halted = one
            .status(None, None, 100)
            .await
            .unwrap()
            .into_iter()
            .filter(|status| status.halted.is_some())
            .count();
        assert_eq!(halted, 0, "seed {seed}");
        for status in recover_all(&world.repository(&world.database())).await {
            assert_eq!(
                (status.restored, status.failures.len()),
                (15, 0),
                "seed {seed}"
            );
        }
    }
}
