//! Whether a store keeps what driftline relies on.
//!
//! The probe writes below `_driftline/probe/<a fresh id>/` and nowhere else, several writers at once, and removes what it
//! wrote, also after a failure. Only a probe that is dropped half-way, or a request that the store carries out after it was
//! given up, leaves something behind; nothing reads it.
//!
//! It can prove that a store breaks a promise, never that it keeps it: a race that nobody lost by chance looks like order.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use crate::ports::{
    BackendInfo, Clock, ETag, Entropy, Fault, Inspection, Precondition, PutOutcome, SnapshotStore, StoreError,
    StoreResult, Verdict,
};

/// How often a writer tries again after a 409.
const CONFLICTS: usize = 20;
/// S3 refuses requests that are a quarter of an hour off.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// How thorough a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeLevel {
    /// Fifteen requests: for a start-up check.
    Brief,
    /// Everything, several times.
    Race {
        /// Writers at once; 2 to 64.
        writers: usize,
        /// Races of each kind; 1 to 1000.
        rounds: usize,
    },
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// The store, without secrets.
    pub url: String,
    /// What it says of itself.
    pub backend: BackendInfo,
    /// Each condition, in the order in which it was looked at.
    pub checks: Vec<Inspection>,
}

impl ProbeReport {
    /// Whether nothing that driftline relies on was found broken.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// What was found broken.
    pub fn failures(&self) -> impl Iterator<Item = &Inspection> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Fail)
    }
}

/// Probes a store. An error means that it was not reached or refused the probe, which is no verdict on it.
pub async fn probe(
    store: &dyn SnapshotStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    level: ProbeLevel,
) -> StoreResult<ProbeReport> {
    let before = clock.now();
    let backend = store.ping().await?;
    let after = clock.now();
    let mut probe = Probe {
        store,
        base: format!("_driftline/probe/{}/", entropy.uuid()),
        touched: BTreeSet::new(),
        checks: Vec::new(),
    };
    probe.checks.push(clock_skew(&backend, before, after));
    let result = probe.run(level).await;
    let cleaned = probe.clean().await;
    result?;
    if let Err(error) = cleaned {
        let detail = format!("objects below {} could not be removed: {}", probe.base, error.report());
        probe.check("cleaned-up", Verdict::Warn, detail);
    }
    Ok(ProbeReport { url: store.url(), backend, checks: probe.checks })
}

struct Probe<'a> {
    store: &'a dyn SnapshotStore,
    base: String,
    touched: BTreeSet<String>,
    checks: Vec<Inspection>,
}

/// What came of one writer's PUT.
enum Attempt {
    Won(ETag),
    Lost,
    Unknown,
}

/// What came of a race.
struct Race {
    winners: Vec<(Bytes, ETag)>,
    unknown: usize,
}

impl Race {
    /// What is there now, if one alone can have won.
    fn winner(&self) -> Option<&(Bytes, ETag)> {
        match self.winners.as_slice() {
            [winner] if self.unknown == 0 => Some(winner),
            _ => None,
        }
    }
}

impl Probe<'_> {
    async fn run(&mut self, level: ProbeLevel) -> StoreResult<()> {
        match level {
            ProbeLevel::Brief => {
                self.races(4, 1).await?;
                self.listing(&[]).await?;
            }
            ProbeLevel::Race { writers, rounds } => {
                let (writers, rounds) = (writers.clamp(2, 64), rounds.clamp(1, 1000));
                self.races(writers, rounds).await?;
                self.counter(writers, rounds).await?;
                self.listing(&["order/a-b/x", "order/a.b/x", "order/a/x", "order/a0/x"]).await?;
                let scratch = self.key("inspect");
                self.checks.extend(self.store.inspect(&scratch).await?);
            }
        }
        Ok(())
    }

    /// Many create an object at once, and many replace it: one each time, and what was replaced stays replaced.
    async fn races(&mut self, writers: usize, rounds: usize) -> StoreResult<()> {
        let mut created = Tally::default();
        let mut replaced = Tally::default();
        let (mut kept, mut read, mut stale) = (Tally::default(), Tally::default(), Tally::default());
        for round in 0..rounds {
            let key = self.key(&format!("object-{round}"));
            let race = self.race(&key, &Precondition::Absent, writers, "create").await?;
            created.race(&race);
            kept.attempt(&self.put(&key, "again".into(), Precondition::Absent).await?);
            let Some((bytes, first)) = race.winner() else { continue };
            read.is(self.store.get(&key).await?.is_some_and(|object| object.bytes == *bytes));

            let condition = Precondition::Matches(first.clone());
            let race = self.race(&key, &condition, writers, "replace").await?;
            replaced.race(&race);
            stale.attempt(&self.put(&key, "stale".into(), condition).await?);
            let Some((bytes, _)) = race.winner() else { continue };
            read.is(self.store.get(&key).await?.is_some_and(|object| object.bytes == *bytes));
        }
        let races = |what: &str| format!("{rounds} × {writers} writers {what} the same object");
        self.tell("create-race", &created, &races("create"), "more or fewer than one succeeded (`If-None-Match: *`)");
        self.tell("create-only", &kept, "an object that exists is not created again", "it was overwritten");
        self.tell("replace-race", &replaced, &races("replace"), "more or fewer than one succeeded (`If-Match`)");
        self.tell("compare-and-set", &stale, "a stale ETag is refused", "it was accepted");
        self.tell("read-after-write", &read, "a read sees the newest write", "it saw something else");
        Ok(())
    }

    /// Many increment a number; as many increments as were acknowledged are in it.
    async fn counter(&mut self, writers: usize, rounds: usize) -> StoreResult<()> {
        let key = self.key("counter");
        let mut tally = Tally::default();
        if let Attempt::Won(_) = self.put(&key, "0".into(), Precondition::Absent).await? {
            let (this, name) = (&*self, key.as_str());
            let counts = join_all((0..writers).map(|_| this.count(name, rounds))).await;
            let (mut sure, mut maybe) = (0, 0);
            for counted in counts {
                let (done, unknown) = counted?;
                sure += done;
                maybe += unknown;
            }
            let found = self.store.get(&key).await?.and_then(|object| number(&object.bytes));
            tally.is(found.is_some_and(|found| (sure..=sure + maybe).contains(&found)));
        } else {
            tally.unknown += 1;
        }
        let what = format!("{writers} writers count to {} by compare-and-set", writers * rounds);
        self.tell("counter", &tally, &what, "updates were lost");
        Ok(())
    }

    /// One writer's increments: those that were acknowledged, and those that may have happened.
    async fn count(&self, key: &str, times: usize) -> StoreResult<(usize, usize)> {
        let (mut done, mut unknown) = (0, 0);
        while done + unknown < times {
            let Some(object) = self.store.get(key).await? else { break };
            let Some(count) = number(&object.bytes) else { break };
            match self.put(key, (count + 1).to_string().into(), Precondition::Matches(object.etag)).await? {
                Attempt::Won(_) => done += 1,
                Attempt::Unknown => unknown += 1,
                Attempt::Lost => {}
            }
        }
        Ok((done, unknown))
    }

    /// What was written is listed, in byte order, in parts.
    async fn listing(&mut self, names: &[&str]) -> StoreResult<()> {
        let mut whole = Tally::default();
        for name in names {
            let key = self.key(name);
            self.put(&key, Bytes::new(), Precondition::Absent).await?;
        }
        let limit = if names.is_empty() { 1000 } else { 3 };
        let (mut found, mut more) = (Vec::new(), true);
        while more {
            let after = found.last().cloned();
            let part = self.store.list(&self.base, after.as_deref(), limit).await?;
            more = part.more && !part.objects.is_empty() && found.len() <= self.touched.len();
            found.extend(part.objects.into_iter().map(|object| object.key));
        }
        whole.is(found.iter().eq(&self.touched));
        let expected = "a listing names every object once, in byte order";
        self.tell("listing", &whole, expected, &format!("it named {} of {}", found.len(), self.touched.len()));
        Ok(())
    }

    /// All writers PUT at once, under the same condition.
    async fn race(&self, key: &str, condition: &Precondition, writers: usize, what: &str) -> StoreResult<Race> {
        let bodies: Vec<_> = (0..writers).map(|writer| Bytes::from(format!("{what} {writer}"))).collect();
        let attempts = join_all(bodies.iter().map(|body| self.put(key, body.clone(), condition.clone()))).await;
        let mut race = Race { winners: Vec::new(), unknown: 0 };
        for (body, attempt) in bodies.into_iter().zip(attempts) {
            match attempt? {
                Attempt::Won(etag) => race.winners.push((body, etag)),
                Attempt::Lost => {}
                Attempt::Unknown => race.unknown += 1,
            }
        }
        Ok(race)
    }

    async fn put(&self, key: &str, bytes: Bytes, condition: Precondition) -> StoreResult<Attempt> {
        for _ in 0..CONFLICTS {
            match self.store.put(key, bytes.clone(), condition.clone()).await {
                Ok(PutOutcome::Written(etag)) => return Ok(Attempt::Won(etag)),
                Ok(PutOutcome::PreconditionFailed) => return Ok(Attempt::Lost),
                Ok(PutOutcome::Conflict) => {}
                Err(error) if error.fault() == Fault::OutcomeUnknown => return Ok(Attempt::Unknown),
                Err(error) => return Err(error),
            }
        }
        Ok(Attempt::Unknown)
    }

    /// A key to write to, which will be removed.
    fn key(&mut self, name: &str) -> String {
        let key = format!("{}{name}", self.base);
        self.touched.insert(key.clone());
        key
    }

    /// Removes what may have been written; tries all before it fails.
    async fn clean(&self) -> StoreResult<()> {
        let mut failed: Option<StoreError> = None;
        for key in &self.touched {
            if let Err(error) = self.store.delete(key).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn tell(&mut self, name: &'static str, tally: &Tally, expected: &str, otherwise: &str) {
        match *tally {
            Tally { bad: 0, unknown: 0, good: 1.. } => self.check(name, Verdict::Pass, expected.to_owned()),
            Tally { bad: 0, .. } => {
                self.check(name, Verdict::Unknown, format!("could not be found out: {expected}"));
            }
            Tally { bad, .. } => self.check(name, Verdict::Fail, format!("{expected}: {otherwise} ({bad} times)")),
        }
    }

    fn check(&mut self, name: &'static str, verdict: Verdict, detail: String) {
        self.checks.push(Inspection { name, verdict, detail });
    }
}

/// How often something was as it should be.
#[derive(Debug, Default)]
struct Tally {
    good: usize,
    bad: usize,
    unknown: usize,
}

impl Tally {
    fn is(&mut self, good: bool) {
        *(if good { &mut self.good } else { &mut self.bad }) += 1;
    }

    /// Of a race one wins, no more; none only if somebody's outcome is unknown.
    fn race(&mut self, race: &Race) {
        match (race.winners.len(), race.unknown) {
            (1, 0) => self.good += 1,
            (0 | 1, 1..) => self.unknown += 1,
            _ => self.bad += 1,
        }
    }

    /// The attempt should have been refused.
    fn attempt(&mut self, attempt: &Attempt) {
        match attempt {
            Attempt::Lost => self.good += 1,
            Attempt::Won(_) => self.bad += 1,
            Attempt::Unknown => self.unknown += 1,
        }
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn clock_skew(
    backend: &BackendInfo,
    before: crate::domain::Timestamp,
    after: crate::domain::Timestamp,
) -> Inspection {
    let (verdict, detail) = match backend.now {
        None => (Verdict::Info, "the store has no clock of its own".to_owned()),
        Some(now) => {
            // A `Date` header has whole seconds.
            let skew = before.since(now).max(now.since(after)).saturating_sub(Duration::from_secs(1));
            let verdict = if skew > SKEW { Verdict::Warn } else { Verdict::Pass };
            (verdict, format!("the store's clock and this machine's are {} s apart", skew.as_secs()))
        }
    };
    Inspection { name: "clock-skew", verdict, detail }
}
