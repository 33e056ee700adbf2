//! The texts for people that lie in every bucket.

use driftline::ports::SnapshotStore as _;

use crate::support::world::{World, create, drain, tenant};
use driftline_conformance::faults::{Flaw, Method, On};

const TEXTS: [&str; 2] = ["_driftline/README.txt", "_driftline/recover.sh"];

#[tokio::test(start_paused = true)]
async fn a_bucket_gets_the_texts_once_in_its_life_and_keeps_what_is_there() {
    let (world, acme) = (World::new(), tenant("acme"));
    let (database, repository) = world.claimed().await;
    world.memory.insert(TEXTS[0], "ours");
    create(&repository, &acme, "a").await;
    drain(&repository).await;
    let text = async |key| {
        world
            .memory
            .get(key, u64::MAX)
            .await
            .unwrap()
            .map(|found| found.bytes)
    };
    assert_eq!(text(TEXTS[0]).await.unwrap(), "ours");
    assert!(text(TEXTS[1]).await.unwrap().starts_with(b"#!/bin/sh\n"));

    // Neither a later batch nor a later process asks for them again.
    world.memory.remove(TEXTS[1]);
    world.bucket.take_calls();
    create(&repository, &acme, "b").await;
    drain(&repository).await;
    let next = world.repository(&database);
    create(&next, &acme, "c").await;
    drain(&next).await;
    let calls = world.bucket.take_calls();
    assert!(!calls.iter().any(|call| TEXTS.contains(&call.key.as_str())));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_takes_no_texts_is_shadowed_to_all_the_same() {
    for flaw in [Flaw::Refused, Flaw::Unavailable, Flaw::DroppedUnknown] {
        let (world, acme) = (World::new(), tenant("acme"));
        let (database, repository) = world.claimed().await;
        for text in TEXTS {
            world.bucket.fail(On::method(Method::Put, text), flaw);
        }
        create(&repository, &acme, "a").await;
        let drained = drain(&repository).await;
        assert_eq!((drained.shadowed, drained.left.backing_off), (1, 0));
        world.assert_settled(&database, &acme).await;
        for text in TEXTS {
            assert_eq!(
                world.memory.get(text, u64::MAX).await.unwrap(),
                None,
                "{flaw:?}"
            );
        }
    }
}
