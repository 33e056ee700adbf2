//! What is written, and what must come of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;

use super::tally::{Attempt, Race, Tally};
use super::{ProbeLevel, ProbeProgress};
use driftline_model::format::most_bytes;
use driftline_ports::{
    Fault, Inspection, Precondition, PutOutcome, Side, SnapshotStore, StoreError, StoreResult,
    Verdict,
};

/// How often a writer tries again after a 409.
const CONFLICTS: usize = 20;

/// Names that whole keys and folders sort differently.
const NAMES: [&str; 4] = ["order/a-b/x", "order/a.b/x", "order/a/x", "order/a0/x"];

/// A probe under way.
pub(super) struct Probe<'a> {
    pub(super) store: &'a dyn SnapshotStore,
    pub(super) base: String,
    /// What may have been written, and what certainly was.
    pub(super) touched: BTreeSet<String>,
    pub(super) written: Mutex<BTreeSet<String>>,
    pub(super) checks: Vec<Inspection>,
    pub(super) until: Instant,
    pub(super) progress: &'a ProbeProgress,
}

/// What came of the races.
#[derive(Default)]
struct Races {
    created: Tally,
    kept: Tally,
    replaced: Tally,
    stale: Tally,
    read: Tally,
}

impl Races {
    /// The store refuses what is tried: once more says no more.
    fn is_over(&self) -> bool {
        let mut tallies = [&self.created, &self.replaced].into_iter();
        tallies.any(|tally| tally.error.is_some())
    }
}

impl Probe<'_> {
    pub(super) async fn run(&mut self, level: ProbeLevel) {
        match level {
            ProbeLevel::Brief => {
                self.races(4, 1).await;
                self.listing(&[]).await;
            }
            ProbeLevel::Race { writers, rounds } => {
                let (writers, rounds) = (writers.clamp(2, 64), rounds.clamp(1, 1000));
                self.races(writers, rounds).await;
                self.progress.begin("counter");
                self.counter(writers, rounds).await;
                self.progress.begin("listing");
                self.listing(&NAMES).await;
                self.progress.begin("what only the store knows");
                let scratch = self.key("inspect");
                match self.within(self.store.inspect(&scratch)).await {
                    Ok(seen) => self.checks.extend(seen),
                    Err(error) => self.check("inspection", Verdict::Unknown, error.report()),
                }
            }
        }
    }

    /// The answer, if it comes while there is time.
    async fn within<T>(&self, work: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let answer = tokio::time::timeout_at(self.until, work).await;
        answer.unwrap_or_else(|_| {
            let message = "there was no time left for it";
            Err(StoreError::new(Side::Bucket, Fault::Unavailable, message))
        })
    }

    /// Many create an object at once, and many replace it: one each time, and what was replaced stays replaced.
    async fn races(&mut self, writers: usize, rounds: usize) {
        let mut races = Races::default();
        let mut done = 0;
        for round in 0..rounds {
            if (round > 0 && Instant::now() >= self.until) || races.is_over() {
                break;
            }
            self.progress.round("races", round + 1);
            let key = self.key(&format!("object-{round}"));
            self.race_for(&key, writers, &mut races).await;
            done += 1;
        }
        let told = |what: &str| format!("{done} × {writers} writers {what} the same object");
        self.tell(
            "create-race",
            &races.created,
            &told("create"),
            "more or fewer than one succeeded (`If-None-Match: *`)",
        );
        self.tell(
            "create-only",
            &races.kept,
            "an object that exists is not created again",
            "it was overwritten",
        );
        self.tell(
            "replace-race",
            &races.replaced,
            &told("replace"),
            "more or fewer than one succeeded (`If-Match`)",
        );
        self.tell(
            "compare-and-set",
            &races.stale,
            "a stale ETag is refused",
            "it was accepted",
        );
        self.tell(
            "read-after-write",
            &races.read,
            "a read sees the newest write",
            "it saw something else",
        );
    }

    async fn race_for(&self, key: &str, writers: usize, races: &mut Races) {
        let race = self.race(key, &Precondition::Absent, writers, "create");
        let race = races.created.answer(race.await);
        let again = self.put(key, "again".into(), Precondition::Absent).await;
        if let Some(race) = &race {
            races.created.race(race);
        }
        if let Some(again) = races.kept.answer(again) {
            races.kept.attempt(&again);
        }
        let Some((bytes, first)) = race.as_ref().and_then(Race::winner) else {
            return;
        };
        self.read(key, bytes, races).await;
        let condition = Precondition::Matches(first.clone());
        let race = self.race(key, &condition, writers, "replace").await;
        let race = races.replaced.answer(race);
        let stale = self.put(key, "stale".into(), condition).await;
        if let Some(race) = &race {
            races.replaced.race(race);
        }
        if let Some(stale) = races.stale.answer(stale) {
            races.stale.attempt(&stale);
        }
        if let Some((bytes, _)) = race.as_ref().and_then(Race::winner) {
            self.read(key, bytes, races).await;
        }
    }

    async fn read(&self, key: &str, expected: &Bytes, races: &mut Races) {
        let found = self.within(self.store.get(key, most_bytes(key))).await;
        if let Some(found) = races.read.answer(found) {
            races
                .read
                .is(found.is_some_and(|object| object.bytes == *expected));
        }
    }

    /// Many increment a number; as many increments as were acknowledged are in it.
    async fn counter(&mut self, writers: usize, rounds: usize) {
        let key = self.key("counter");
        let mut tally = Tally::default();
        let counted = self.count_all(&key, writers, rounds).await;
        match tally.answer(counted) {
            Some(Some(exact)) => tally.is(exact),
            Some(None) => tally.unknown += 1,
            None => {}
        }
        let what = format!(
            "{writers} writers count to {} by compare-and-set",
            writers * rounds
        );
        self.tell(
            "counter",
            &tally,
            &what,
            "updates were lost, or never accepted",
        );
    }

    /// Whether all increments are in it; `None` when the number could not be begun.
    async fn count_all(
        &self,
        key: &str,
        writers: usize,
        rounds: usize,
    ) -> StoreResult<Option<bool>> {
        let begun = self.put(key, "0".into(), Precondition::Absent).await?;
        if !matches!(begun, Attempt::Won(_)) {
            return Ok(None);
        }
        let counts = (0..writers).map(|_| self.count(key, rounds, writers * rounds));
        let (mut sure, mut maybe) = (0, 0);
        for counted in join_all(counts).await {
            let (done, unknown) = counted?;
            sure += done;
            maybe += unknown;
        }
        let found = self.within(self.store.get(key, most_bytes(key))).await?;
        let found = found.and_then(|object| number(&object.bytes));
        let exact = found.is_some_and(|found| (sure..=sure + maybe).contains(&found));
        Ok(Some(exact && sure + maybe == writers * rounds))
    }

    /// One writer's increments: those that were acknowledged, and those that may have happened. Where every refusal is
    /// another's success, `patience` of all increments is enough for `times` of one's own.
    async fn count(&self, key: &str, times: usize, patience: usize) -> StoreResult<(usize, usize)> {
        let (mut done, mut unknown, mut refused) = (0, 0, 0);
        while done + unknown < times && refused <= patience {
            let Some(object) = self.within(self.store.get(key, most_bytes(key))).await? else {
                break;
            };
            let Some(count) = number(&object.bytes) else {
                break;
            };
            let condition = Precondition::Matches(object.etag);
            match self
                .put(key, (count + 1).to_string().into(), condition)
                .await?
            {
                Attempt::Won(_) => done += 1,
                Attempt::Unknown => unknown += 1,
                Attempt::Lost => refused += 1,
            }
        }
        Ok((done, unknown))
    }

    /// What was written is listed, whole, in parts. In which order is told: driftline sorts what it lists.
    async fn listing(&mut self, names: &[&str]) {
        let mut whole = Tally::default();
        for name in names {
            let key = self.key(name);
            // That a store refuses to be written to is told by others.
            drop(self.put(&key, Bytes::new(), Precondition::Absent).await);
        }
        let limit = if names.is_empty() { 1000 } else { 3 };
        let (mut found, mut more) = (Vec::new(), true);
        while more {
            let after = found.last().cloned();
            let part = self.store.list(&self.base, after.as_deref(), limit);
            let part = self.within(part).await;
            let Some(part) = whole.answer(part) else {
                break;
            };
            more = part.more && !part.objects.is_empty() && found.len() <= self.touched.len();
            found.extend(part.objects.into_iter().map(|object| object.key));
        }
        let in_order = found.is_sorted();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        if whole.error.is_none() {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            // A listing of nothing keeps no promise.
            whole.unknown += usize::from(written.is_empty());
            let once = sorted.is_sorted_by(|left, right| left < right);
            let ours = sorted.iter().all(|key| self.touched.contains(key));
            whole.is(once && ours && written.iter().all(|key| sorted.binary_search(key).is_ok()));
        }
        self.tell(
            "listing",
            &whole,
            "a listing names every object once",
            &format!("it named {} of {}", found.len(), self.touched.len()),
        );
        if whole.verdict() == Verdict::Pass && !names.is_empty() {
            let (verdict, detail) = if in_order {
                (Verdict::Pass, "a listing is in byte order")
            } else {
                (
                    Verdict::Info,
                    "a listing is whole, and in another order than that of bytes: driftline sorts what it lists",
                )
            };
            self.check("listing-order", verdict, detail.to_owned());
        }
    }

    /// All writers PUT at once, under the same condition.
    async fn race(
        &self,
        key: &str,
        condition: &Precondition,
        writers: usize,
        what: &str,
    ) -> StoreResult<Race> {
        let bodies: Vec<_> = (0..writers)
            .map(|writer| Bytes::from(format!("{what} {writer}")))
            .collect();
        let attempts = join_all(
            bodies
                .iter()
                .map(|body| self.put(key, body.clone(), condition.clone())),
        )
        .await;
        let mut race = Race {
            winners: Vec::new(),
            unknown: 0,
        };
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
            let put = self.store.put(key, bytes.clone(), condition.clone());
            match self.within(put).await {
                Ok(PutOutcome::Written(etag)) => {
                    let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                    written.insert(key.to_owned());
                    return Ok(Attempt::Won(etag));
                }
                Ok(PutOutcome::PreconditionFailed) => return Ok(Attempt::Lost),
                Ok(PutOutcome::Conflict) => {}
                Err(error) if error.fault() == Fault::OutcomeUnknown => {
                    return Ok(Attempt::Unknown);
                }
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

    /// Removes what may have been written; tries all before it fails. Then, unless it is to be brief, looks for what
    /// arrived late or came back.
    pub(super) async fn clean(&self, level: ProbeLevel) -> StoreResult<()> {
        let mut result = self.remove(self.touched.iter()).await;
        if level != ProbeLevel::Brief {
            let left = self.store.list(&self.base, None, 1000).await?;
            result = self
                .remove(left.objects.iter().map(|object| &object.key))
                .await
                .and(result);
        }
        result
    }

    async fn remove(&self, keys: impl Iterator<Item = &String>) -> StoreResult<()> {
        let mut failed: Option<StoreError> = None;
        for key in keys {
            if let Err(error) = self.store.delete(key).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn tell(&mut self, name: &'static str, tally: &Tally, expected: &str, otherwise: &str) {
        let verdict = tally.verdict();
        let detail = match (verdict, &tally.error, tally.bad) {
            (Verdict::Pass, ..) => expected.to_owned(),
            (Verdict::Fail, _, bad @ 1..) => format!("{expected}: {otherwise} ({bad} times)"),
            (Verdict::Fail, Some(error), _) => {
                format!("{expected}: the store refuses it: {}", error.report())
            }
            (_, Some(error), _) => {
                format!("could not be found out: {expected}: {}", error.report())
            }
            _ => format!("could not be found out: {expected}"),
        };
        self.check(name, verdict, detail);
    }

    pub(super) fn check(&mut self, name: &'static str, verdict: Verdict, detail: String) {
        self.checks.push(Inspection {
            name,
            verdict,
            detail,
        });
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
