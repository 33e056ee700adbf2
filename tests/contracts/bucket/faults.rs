//! The test support itself: a fault that is not injected proves nothing.

use std::time::Duration;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::ports::{Fault, Precondition, PutOutcome, SnapshotStore};

use driftline_conformance::faults::{Chances, FaultyStore, Flaw, Method, Moment, On, Outcome};

fn store() -> (MemorySnapshotStore, FaultyStore) {
    let memory = MemorySnapshotStore::new();
    (memory.clone(), FaultyStore::over(memory))
}

async fn create(store: &dyn SnapshotStore, key: &str) -> Result<PutOutcome, Fault> {
    store
        .put(key, "body".into(), Precondition::Absent)
        .await
        .map_err(|error| error.fault())
}

#[tokio::test]
async fn each_flaw_does_what_it_says() {
    let (memory, store) = store();
    for (key, flaw, expected, applied) in [
        ("a", Flaw::Unavailable, Err(Fault::Unavailable), false),
        ("b", Flaw::Refused, Err(Fault::Refused), false),
        ("c", Flaw::AppliedUnknown, Err(Fault::OutcomeUnknown), true),
        ("d", Flaw::DroppedUnknown, Err(Fault::OutcomeUnknown), false),
        ("e", Flaw::Conflict, Ok(PutOutcome::Conflict), false),
        (
            "f",
            Flaw::AppliedPreconditionFailed,
            Ok(PutOutcome::PreconditionFailed),
            true,
        ),
        (
            "g",
            Flaw::DeferredUnknown,
            Err(Fault::OutcomeUnknown),
            false,
        ),
    ] {
        store.fail(On::put(key).times(1), flaw);
        assert_eq!(create(&store, key).await, expected, "{flaw:?}");
        assert_eq!(
            memory.get(key, u64::MAX).await.unwrap().is_some(),
            applied,
            "{flaw:?}"
        );
    }
    assert!(matches!(
        store.apply_deferred().await,
        Some(Ok(PutOutcome::Written(_)))
    ));
    assert!(memory.get("g", u64::MAX).await.unwrap().is_some());
    assert!(store.apply_deferred().await.is_none());

    store.fail(On::get("g"), Flaw::TornBody);
    assert_eq!(store.get("g", u64::MAX).await.unwrap().unwrap().bytes, "bo");
    store.set_down(true);
    assert_eq!(store.ping().await.unwrap_err().fault(), Fault::Unavailable);
    assert_eq!(create(&store, "h").await, Err(Fault::Unavailable));
    store.heal();
    assert_eq!(
        store.get("g", u64::MAX).await.unwrap().unwrap().bytes,
        "body"
    );
}

#[tokio::test]
async fn rules_skip_and_end() {
    let (_, store) = store();
    store.fail(On::put("x").skip(1).times(2), Flaw::Unavailable);
    let mut outcomes = Vec::new();
    for n in 0..5 {
        outcomes.push(create(&store, &format!("x{n}")).await.is_ok());
    }
    assert_eq!(outcomes, [true, false, false, true, true]);
}

#[tokio::test]
async fn a_gate_holds_a_call_before_or_after_it_is_applied() {
    for (moment, applied) in [(Moment::Before, false), (Moment::After, true)] {
        let (memory, store) = store();
        let gate = store.hold(On::put("x"), moment);
        let call = tokio::spawn({
            let store = store.clone();
            async move { create(&store, "x").await }
        });
        gate.reached().await;
        assert_eq!(memory.get("x", u64::MAX).await.unwrap().is_some(), applied);
        assert!(!call.is_finished());
        gate.release();
        assert!(matches!(call.await.unwrap(), Ok(PutOutcome::Written(_))));
    }
}

#[tokio::test]
async fn calls_are_recorded() {
    let (_, store) = store();
    create(&store, "x").await.unwrap();
    create(&store, "x").await.unwrap();
    store.get("x", u64::MAX).await.unwrap();
    store.get("y", u64::MAX).await.unwrap();
    store.list("x", None, 1).await.unwrap();
    let counts = store.counts();
    assert_eq!(
        (
            counts.puts,
            counts.gets,
            counts.lists,
            counts.bytes_out,
            counts.bytes_in
        ),
        (2, 2, 1, 8, 4)
    );
    let calls: Vec<_> = store
        .take_calls()
        .into_iter()
        .map(|call| (call.method, call.outcome))
        .collect();
    assert_eq!(
        calls,
        [
            (Method::Put, Outcome::Ok),
            (Method::Put, Outcome::PreconditionFailed),
            (Method::Get, Outcome::Ok),
            (Method::Get, Outcome::Absent),
            (Method::List, Outcome::Ok),
        ]
    );
    assert_eq!(store.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_brings_the_same_flaws() {
    async fn run(seed: u64) -> (Vec<Outcome>, Duration) {
        let (_, store) = store();
        store.randomly(seed, Chances::all(0.1));
        let begun = tokio::time::Instant::now();
        for n in 0..200 {
            create(&store, &format!("x{n}")).await.ok();
        }
        (
            store.calls().into_iter().map(|call| call.outcome).collect(),
            begun.elapsed(),
        )
    }
    let (first, second, other) = (run(7).await, run(7).await, run(8).await);
    assert_eq!(first, second);
    assert_ne!(first, other);
    for outcome in [
        Outcome::Ok,
        Outcome::Conflict,
        Outcome::PreconditionFailed,
        Outcome::Failed(Fault::OutcomeUnknown),
    ] {
        assert!(first.0.contains(&outcome), "{outcome:?}");
    }
    assert!(first.1 > Duration::ZERO);
}
