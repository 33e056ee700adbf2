//! The sweep over all calls and all flaws.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use driftline::ports::SnapshotStore as _;
use tokio::time::Instant;

use crate::calls::{Calls, Class, Flaw};
use crate::site::Site;
use crate::support::world::Repository;

/// Something that a process does and that can be done again.
#[async_trait]
pub trait Operation: Sync {
    /// What is there before, by processes that met no fault.
    async fn site(&self) -> Site;

    /// Does it. `Ok` says that all of it is done, `Err` that it is not known to be.
    async fn run(&self, process: &Repository) -> Result<(), String>;

    /// Does it once more, after whatever happened; and what an operator is told to do beside that.
    async fn again(&self, process: &Repository) -> Result<(), String> {
        self.run(process).await
    }

    /// Whether it is done; or what is missing, wrong or there twice.
    async fn done(&self, site: &Site) -> Result<(), String>;

    /// Whether nothing of what was there before is lost or changed, however it ended.
    async fn kept(&self, site: &Site) -> Result<(), String>;
}

/// How a case ended before it was run once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Done,
    Failed,
    Crashed,
}

/// Runs the operation with each flaw at each call, and says how many cases there were.
pub async fn sweep(name: &str, operation: &dyn Operation) {
    sweep_where(name, operation, |_, _| true).await;
}

/// The same at some of the calls.
pub async fn sweep_where(
    name: &str,
    operation: &dyn Operation,
    is_swept: impl Fn(Class, &str) -> bool,
) {
    let clean = Calls::default();
    let site = operation.site().await;
    operation.run(&site.process(&clean)).await.unwrap();
    operation.done(&site).await.unwrap();
    site.assert_final(name).await;
    let seen = clean.seen();
    let mut ends = BTreeMap::<(Flaw, End), u32>::new();
    for (place, (class, what)) in seen.iter().enumerate() {
        if !is_swept(*class, what) {
            continue;
        }
        for flaw in class.flaws() {
            let case = format!("{name}, call {place} ({what}), {flaw:?}");
            let end = one(operation, place, (*class, what), *flaw, &case).await;
            *ends.entry((*flaw, end)).or_default() += 1;
        }
    }
    let cases: u32 = ends.values().sum();
    println!("{name}: {} calls, {cases} cases", seen.len());
    for ((flaw, end), count) in ends {
        println!("  {flaw:?}: {count} {end:?}");
    }
}

async fn one(
    operation: &dyn Operation,
    place: usize,
    (class, what): (Class, &str),
    flaw: Flaw,
    case: &str,
) -> End {
    let site = operation.site().await;
    let calls = Calls::spoiling(place, flaw);
    let process = site.process(&calls);
    let began = Instant::now();
    let end = tokio::select! {
        biased;
        ended = operation.run(&process) => match ended {
            Ok(()) => End::Done,
            Err(_) => End::Failed,
        },
        () = calls.crashed() => End::Crashed,
    };
    drop(process);
    let met = calls.seen();
    let spoilt = met.get(place).map(|(class, what)| (*class, what.as_str()));
    assert_eq!(
        spoilt,
        Some((class, what)),
        "{case}: the calls before are the same"
    );
    assert!(began.elapsed() < Duration::from_mins(10), "{case}: it hung");
    if end == End::Done {
        // No silent success.
        if let Err(missing) = operation.done(&site).await {
            panic!("{case}: it said that it was done, but {missing}");
        }
    }
    if let Err(lost) = operation.kept(&site).await {
        panic!("{case}: {lost}");
    }
    if flaw == Flaw::Late {
        arrive(&site, &calls).await;
    }
    // Leases end, and whoever backs off comes back.
    tokio::time::sleep(Duration::from_mins(3)).await;
    if let Err(error) = operation.again(&site.process(&Calls::default())).await {
        panic!("{case}: once more without a fault: {error}");
    }
    arrive(&site, &calls).await;
    if let Err(missing) = operation.done(&site).await {
        panic!("{case}: done once more, but {missing}");
    }
    if let Err(lost) = operation.kept(&site).await {
        panic!("{case}: done once more: {lost}");
    }
    site.assert_final(case).await;
    end
}

/// What was under way all the time arrives.
async fn arrive(site: &Site, calls: &Calls) {
    for (key, bytes, condition) in calls.late() {
        site.world.memory.put(&key, bytes, condition).await.unwrap();
    }
}
