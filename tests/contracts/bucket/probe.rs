//! The probe of a store finds out the ones that cannot be relied on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::adapters::system::System;
use driftline::hybrid::probe::{PROMISES, ProbeLevel, ProbeProgress, ProbeReport, probe};
use driftline::ports::{
    BackendInfo, Clock, Inspection, Listing, Object, Precondition, PutOutcome, SnapshotStore,
    StoreResult, Verdict,
};

use driftline_conformance::faults::{FaultyStore, Flaw, Method, On};

const RACE: ProbeLevel = ProbeLevel::Race {
    writers: 8,
    rounds: 3,
};

pub async fn run(store: &dyn SnapshotStore, level: ProbeLevel) -> StoreResult<ProbeReport> {
    probe(store, &System, &System, level, &ProbeProgress::default()).await
}

/// How a store falls short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    IgnoresIfNoneMatch,
    IgnoresIfMatch,
    ChecksThenWrites,
    NeverMatches,
    ListsBackwards,
    ListsByFolder,
    AnotherTime,
}

#[derive(Debug)]
struct Liar {
    memory: MemorySnapshotStore,
    lie: Lie,
}

#[async_trait]
impl SnapshotStore for Liar {
    fn prefix(&self) -> &str {
        self.memory.prefix()
    }

    fn url(&self) -> String {
        self.memory.url()
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        self.memory.get(key, most).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let ignored = match condition {
            Precondition::Absent => self.lie == Lie::IgnoresIfNoneMatch,
            Precondition::Matches(_) => self.lie == Lie::IgnoresIfMatch,
        };
        if self.lie == Lie::NeverMatches && condition != Precondition::Absent {
            return Ok(PutOutcome::PreconditionFailed);
        }
        if self.lie == Lie::ChecksThenWrites {
            let there = self
                .memory
                .get(key, u64::MAX)
                .await?
                .map(|object| object.etag);
            let holds = match &condition {
                Precondition::Absent => there.is_none(),
                Precondition::Matches(etag) => there.as_ref() == Some(etag),
            };
            if !holds {
                return Ok(PutOutcome::PreconditionFailed);
            }
            tokio::task::yield_now().await;
        }
        if ignored || self.lie == Lie::ChecksThenWrites {
            return Ok(PutOutcome::Written(self.memory.insert(key, bytes)));
        }
        self.memory.put(key, bytes, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        if self.lie == Lie::ListsByFolder {
            return list_by_folder(&self.memory, prefix, after, limit).await;
        }
        let mut listing = self.memory.list(prefix, after, limit).await?;
        if self.lie == Lie::ListsBackwards {
            listing.objects.reverse();
        }
        Ok(listing)
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.memory.delete(key).await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        let now = (self.lie == Lie::AnotherTime)
            .then(|| System.now().saturating_add(Duration::from_hours(1)));
        Ok(BackendInfo {
            version: "liar".to_owned(),
            now,
        })
    }

    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>> {
        self.memory.inspect(scratch).await
    }
}

/// A part of a listing in the order of a tree, which goes on after a key in that order.
async fn list_by_folder(
    memory: &MemorySnapshotStore,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> StoreResult<Listing> {
    let parts = |key: &str| key.split('/').map(str::to_owned).collect::<Vec<_>>();
    let mut objects = memory.list(prefix, None, 1000).await?.objects;
    objects.sort_by_key(|object| parts(&object.key));
    if let Some(after) = after.map(parts) {
        objects.retain(|object| parts(&object.key) > after);
    }
    let more = objects.len() > limit;
    objects.truncate(limit);
    Ok(Listing {
        objects,
        more,
        ..Listing::default()
    })
}

#[tokio::test]
async fn a_store_that_breaks_a_promise_fails() {
    for (lie, expected, brief) in [
        (
            Lie::IgnoresIfNoneMatch,
            ["create-race", "create-only"].as_slice(),
            true,
        ),
        (
            Lie::IgnoresIfMatch,
            &["replace-race", "compare-and-set"],
            true,
        ),
        (Lie::ChecksThenWrites, &["create-race"], true),
        (Lie::NeverMatches, &["replace-race"], true),
        (Lie::ListsBackwards, &["listing"], false),
    ] {
        for level in [RACE, ProbeLevel::Brief]
            .into_iter()
            .take(1 + usize::from(brief))
        {
            let memory = MemorySnapshotStore::new();
            let empty = memory.snapshot();
            let report = run(
                &Liar {
                    memory: memory.clone(),
                    lie,
                },
                level,
            )
            .await
            .unwrap();
            let failures: Vec<_> = report.failures().map(|check| check.name).collect();
            assert!(!report.passed());
            assert!(
                expected.iter().all(|name| failures.contains(name)),
                "{lie:?}: {failures:?}"
            );
            assert_eq!(memory.snapshot(), empty, "{lie:?} leaves nothing behind");
        }
    }
}

#[tokio::test]
async fn writes_that_are_not_atomic_lose_updates() {
    let report = run(
        &Liar {
            memory: MemorySnapshotStore::new(),
            lie: Lie::ChecksThenWrites,
        },
        RACE,
    )
    .await
    .unwrap();
    assert!(
        report.failures().any(|check| check.name == "counter"),
        "{:?}",
        report.checks
    );
}

/// Folder by folder, as stores do that keep their objects in a tree.
#[tokio::test]
async fn another_order_is_told_and_is_no_failure() {
    for level in [RACE, ProbeLevel::Brief] {
        let liar = Liar {
            memory: MemorySnapshotStore::new(),
            lie: Lie::ListsByFolder,
        };
        let report = run(&liar, level).await.unwrap();
        assert!(report.passed(), "{:?}", report.checks);
        let verdict = |name| {
            let check = report.checks.iter().find(|check| check.name == name);
            check.map(|check| check.verdict)
        };
        assert_eq!(verdict("listing"), Some(Verdict::Pass));
        let order = (level == RACE).then_some(Verdict::Info);
        assert_eq!(verdict("listing-order"), order);
    }
}

/// One question that a store refuses, or cannot answer now, leaves the others their answers.
#[tokio::test]
async fn an_error_ends_one_check_and_not_the_table() {
    for (method, key, flaw, failed) in [
        (Method::Put, "/object-", Flaw::Refused, Some("create-race")),
        (Method::Put, "/counter", Flaw::Refused, Some("counter")),
        (
            Method::Get,
            "/object-",
            Flaw::Refused,
            Some("read-after-write"),
        ),
        (Method::Get, "/object-", Flaw::Unavailable, None),
        (
            Method::List,
            "_driftline/probe/",
            Flaw::Refused,
            Some("listing"),
        ),
        (Method::List, "_driftline/probe/", Flaw::Unavailable, None),
    ] {
        let store = FaultyStore::over(MemorySnapshotStore::new());
        store.fail(On::method(method, key), flaw);
        let report = run(&store, RACE).await.unwrap();
        for name in PROMISES {
            let told = report.checks.iter().any(|check| check.name == name);
            assert!(told, "{name} after {key}: {report:?}");
        }
        let failures: Vec<_> = report.failures().map(|check| check.name).collect();
        if let Some(failed) = failed {
            assert!(failures.contains(&failed), "{key}: {failures:?}");
        } else {
            assert_eq!(failures, [""; 0], "{key}");
            assert!(report.open().next().is_some(), "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_race_ends_within_a_minute() {
    let store = FaultyStore::over(MemorySnapshotStore::new());
    store.fail(
        On::put("_driftline/probe/").skip(20),
        Flaw::Slow(Duration::from_hours(1)),
    );
    let began = tokio::time::Instant::now();
    let report = run(&store, RACE).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_mins(1),
        "{:?}",
        began.elapsed()
    );
    assert!(report.open().next().is_some(), "{report:?}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_a_warning() {
    let report = run(
        &Liar {
            memory: MemorySnapshotStore::new(),
            lie: Lie::AnotherTime,
        },
        RACE,
    )
    .await
    .unwrap();
    let check = report
        .checks
        .iter()
        .find(|check| check.name == "clock-skew")
        .unwrap();
    assert_eq!(
        (check.verdict, report.passed()),
        (Verdict::Warn, true),
        "{check:?}"
    );
    assert!(
        check.detail.contains("3598 s") || check.detail.contains("3599 s"),
        "{check:?}"
    );
}

#[tokio::test]
async fn a_brief_probe_takes_fifteen_requests() {
    let store = FaultyStore::over(MemorySnapshotStore::new());
    assert!(run(&store, ProbeLevel::Brief).await.unwrap().passed());
    assert_eq!(store.calls().len(), 15, "{:#?}", store.calls());
}

#[tokio::test]
async fn what_was_written_is_removed_after_a_failure_too() {
    for calls in 0..40 {
        let memory = MemorySnapshotStore::new();
        let empty = memory.snapshot();
        let store = FaultyStore::over(memory.clone());
        store.fail(
            On::put("_driftline/probe/").skip(calls).times(1),
            Flaw::Refused,
        );
        let report = run(&store, RACE).await.unwrap();
        let refused = |check: &&Inspection| check.detail.contains("refuses it");
        // The objects by which a listing is tried are written by nobody else; what refuses them refuses the others, too.
        if calls < 35 {
            assert!(
                report.failures().any(|check| refused(&check)),
                "{calls}: {report:?}"
            );
        }
        assert_eq!(memory.snapshot(), empty, "after {calls} writes");
    }
}

#[tokio::test]
async fn an_outcome_that_is_unknown_is_no_verdict() {
    let store = FaultyStore::over(MemorySnapshotStore::new());
    store.fail(On::put("_driftline/probe/").times(4), Flaw::AppliedUnknown);
    let report = run(&store, ProbeLevel::Brief).await.unwrap();
    let race = report
        .checks
        .iter()
        .find(|check| check.name == "create-race")
        .unwrap();
    assert_eq!(race.verdict, Verdict::Unknown, "{:?}", report.checks);
    assert!(report.passed());
}

/// Nothing that is there is not the same as nothing that is named twice.
#[tokio::test]
async fn a_listing_of_nothing_is_no_verdict() {
    for flaw in [Flaw::Refused, Flaw::Unavailable] {
        let store = FaultyStore::over(MemorySnapshotStore::new());
        store.fail(On::put("_driftline/probe/"), flaw);
        let report = run(&store, RACE).await.unwrap();
        let listing = report.open().find(|check| check.name == "listing");
        assert!(listing.is_some(), "{:?}", report.checks);
        let order = report
            .checks
            .iter()
            .any(|check| check.name == "listing-order");
        assert!(!order, "{:?}", report.checks);
    }
}

#[tokio::test]
async fn what_cannot_be_removed_is_told() {
    let store = FaultyStore::over(MemorySnapshotStore::new());
    store.fail(On::method(Method::Delete, ""), Flaw::Refused);
    let report = run(&store, ProbeLevel::Brief).await.unwrap();
    assert!(
        report
            .checks
            .iter()
            .any(|check| check.name == "cleaned-up" && check.verdict == Verdict::Warn)
    );
}

/// A case of the contract.
pub async fn passes(store: &Arc<dyn SnapshotStore>) {
    for level in [
        ProbeLevel::Brief,
        ProbeLevel::Race {
            writers: 16,
            rounds: 4,
        },
    ] {
        let report = run(&**store, level).await.unwrap();
        assert!(report.passed(), "{report:#?}");
        let relied_on = [
            "create-race",
            "create-only",
            "replace-race",
            "compare-and-set",
            "read-after-write",
            "listing",
        ];
        for name in relied_on {
            let check = report
                .checks
                .iter()
                .find(|check| check.name == name)
                .unwrap();
            assert_eq!(check.verdict, Verdict::Pass, "{check:?}");
        }
        assert_eq!(store.list("", None, 10).await.unwrap().objects, []);
    }
}
