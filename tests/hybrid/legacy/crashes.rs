//! A recovery from the older layout dies after any of its writes, and so does what follows it.

use super::*;
use driftline_conformance::faults::{Moment, On};

/// Runs `work` until its `count`th PUT is done and unanswered; whether it got that far.
async fn dies(
    world: &World,
    count: usize,
    work: impl Future<Output = ()> + Send + 'static,
) -> bool {
    let gate = world
        .bucket
        .hold(On::put("").skip(count).times(1), Moment::After);
    let run = tokio::spawn(work);
    let finished = run.abort_handle();
    let died = tokio::select! {
        () = gate.reached() => true,
        outcome = run => {
            outcome.unwrap();
            false
        }
    };
    finished.abort();
    tokio::task::yield_now().await;
    world.bucket.heal();
    died
}

fn history() -> Vec<Version> {
    vec![
        Version::new(1),
        Version::new(2),
        Version::reordered(3),
        Version::new(4),
        Version::new(6),
    ]
}

fn recovering(
    repository: &Repository,
    request: RecoveryRequest,
) -> impl Future<Output = ()> + Send + 'static {
    let repository = repository.clone();
    async move {
        let progress = driftline::hybrid::Progress::default();
        repository.recover_all(&request, &progress).await.unwrap();
    }
}

/// The copy is there before today's index is, wherever a recovery is cut off.
async fn keeps_the_old_index(world: &World, old: &[u8]) {
    let objects = objects(world).await;
    let index = &objects[&index_key()];
    assert!(index == old || objects.get(&copy_key()).is_some_and(|copy| copy == old));
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_is_cut_off_after_any_write_is_completed_by_the_next() {
    for same_database in [true, false] {
        for count in 0.. {
            let world = World::new();
            fill(&world, &history());
            let old = objects(&world).await.remove(&index_key()).unwrap();
            let mut database = world.database();
            let first = world.repository(&database);
            let died = dies(&world, count, recovering(&first, leaving_out())).await;
            keeps_the_old_index(&world, &old).await;
            if !same_database {
                database = world.database();
            }
            let repository = world.repository(&database);
            let recovery = recover_leaving_out(&repository).await.remove(0);
            // The seventh write is the report, and everything is done before it.
            if died && count < 6 || !same_database {
                assert_eq!(
                    numbers(&recovery),
                    [(1, 1), (2, 2), (4, 3), (6, 4)],
                    "{count}"
                );
                assert_eq!(failed(&recovery), [key(3)], "{count}");
            }
            assert_eq!(
                tags(&entries(&database).await),
                ["1", "2", "4", "6"],
                "{count}"
            );
            is_whole(&world, &database, &repository).await;
            if !died {
                // bucket.json, the copy, three indexes, and what was decided.
                assert!(count >= 5, "{count}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_lost_at_any_moment_of_the_shadowing_loses_nothing() {
    for accept in [false, true] {
        for count in 0.. {
            let world = World::new();
            fill(&world, &history());
            let request = RecoveryRequest {
                accept_unverified: accept,
                leave_out: !accept,
                ..RecoveryRequest::default()
            };
            let first = world.repository(&world.database());
            recovering(&first, request).await;
            let died = dies(&world, count, {
                let first = first.clone();
                async move {
                    drain(&first).await;
                }
            })
            .await;
            // The next recovery is asked the other way round: what is there already has its place.
            let database = world.database();
            let repository = world.repository(&database);
            let report = repository
                .recover_all(
                    &RecoveryRequest {
                        accept_unverified: !accept,
                        leave_out: accept,
                        ..RecoveryRequest::default()
                    },
                    &driftline::hybrid::Progress::default(),
                )
                .await
                .unwrap();
            assert_eq!(report.unfinished, None);
            let tags = tags(&entries(&database).await);
            let proven: Vec<_> = tags.iter().filter(|tag| *tag != "3").collect();
            assert_eq!(proven, ["1", "2", "4", "6"], "{count}: {tags:?}");
            is_whole(&world, &database, &repository).await;
            if !died {
                assert_eq!(tags.contains(&"3".to_owned()), accept);
                break;
            }
        }
    }
}
