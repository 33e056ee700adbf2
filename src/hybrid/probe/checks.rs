//! What is written, and what must come of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;

use super::ProbeLevel;
use super::tally::{Attempt, Race, Tally};
use crate::domain::format::most_bytes;
use crate::ports::{
    Fault, Inspection, Precondition, PutOutcome, SnapshotStore, StoreError, StoreResult, Verdict,
};

/// How often a writer tries again after a 409.
const CONFLICTS: usize = 20;

/// A probe under way.
pub(super) struct Probe<'a> {
    pub(super) store: &'a dyn SnapshotStore,
    pub(super) base: String,
    pub(super) touched: BTreeSet<String>,
    pub(super) checks: Vec<Inspection>,
}

impl Probe<'_> {
    pub(super) async fn run(&mut self, level: ProbeLevel) -> StoreResult<()> {
        match level {
            ProbeLevel::Brief => {
                self.races(4, 1).await?;
                self.listing(&[]).await?;
            }
            ProbeLevel::Race { writers, rounds } => {
                let (writers, rounds) = (writers.clamp(2, 64), rounds.clamp(1, 1000));
                self.races(writers, rounds).await?;
                self.counter(writers, rounds).await?;
                self.listing(&["order/a-b/x", "order/a.b/x", "order/a/x", "order/a0/x"])
                    .await?;
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
        let (mut kept, mut read, mut stale) =
            (Tally::default(), Tally::default(), Tally::default());
        for round in 0..rounds {
            let key = self.key(&format!("object-{round}"));
            let race = self
                .race(&key, &Precondition::Absent, writers, "create")
                .await?;
            created.race(&race);
            kept.attempt(&self.put(&key, "again".into(), Precondition::Absent).await?);
            let Some((bytes, first)) = race.winner() else {
                continue;
            };
            read.is(self
                .store
                .get(&key, most_bytes(&key))
                .await?
                .is_some_and(|object| object.bytes == *bytes));

            let condition = Precondition::Matches(first.clone());
            let race = self.race(&key, &condition, writers, "replace").await?;
            replaced.race(&race);
            stale.attempt(&self.put(&key, "stale".into(), condition).await?);
            let Some((bytes, _)) = race.winner() else {
                continue;
            };
            read.is(self
                .store
                .get(&key, most_bytes(&key))
                .await?
                .is_some_and(|object| object.bytes == *bytes));
        }
        let races = |what: &str| format!("{rounds} × {writers} writers {what} the same object");
        self.tell(
            "create-race",
            &created,
            &races("create"),
            "more or fewer than one succeeded (`If-None-Match: *`)",
        );
        self.tell(
            "create-only",
            &kept,
            "an object that exists is not created again",
            "it was overwritten",
        );
        self.tell(
            "replace-race",
            &replaced,
            &races("replace"),
            "more or fewer than one succeeded (`If-Match`)",
        );
        self.tell(
            "compare-and-set",
            &stale,
            "a stale ETag is refused",
            "it was accepted",
        );
        self.tell(
            "read-after-write",
            &read,
            "a read sees the newest write",
            "it saw something else",
        );
        Ok(())
    }

    /// Many increment a number; as many increments as were acknowledged are in it.
    async fn counter(&mut self, writers: usize, rounds: usize) -> StoreResult<()> {
        let key = self.key("counter");
        let mut tally = Tally::default();
        if let Attempt::Won(_) = self.put(&key, "0".into(), Precondition::Absent).await? {
            let (this, name) = (&*self, key.as_str());
            let counts =
                join_all((0..writers).map(|_| this.count(name, rounds, writers * rounds))).await;
            let (mut sure, mut maybe) = (0, 0);
            for counted in counts {
                let (done, unknown) = counted?;
                sure += done;
                maybe += unknown;
            }
            let found = self
                .store
                .get(&key, most_bytes(&key))
                .await?
                .and_then(|object| number(&object.bytes));
            let exact = found.is_some_and(|found| (sure..=sure + maybe).contains(&found));
            tally.is(exact && sure + maybe == writers * rounds);
        } else {
            tally.unknown += 1;
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
        Ok(())
    }

    /// One writer's increments: those that were acknowledged, and those that may have happened. Where every refusal is
    /// another's success, `patience` of all increments is enough for `times` of one's own.
    async fn count(&self, key: &str, times: usize, patience: usize) -> StoreResult<(usize, usize)> {
        let (mut done, mut unknown, mut refused) = (0, 0, 0);
        while done + unknown < times && refused <= patience {
            let Some(object) = self.store.get(key, most_bytes(key)).await? else {
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
        self.tell(
            "listing",
            &whole,
            expected,
            &format!("it named {} of {}", found.len(), self.touched.len()),
        );
        Ok(())
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
            match self.store.put(key, bytes.clone(), condition.clone()).await {
                Ok(PutOutcome::Written(etag)) => return Ok(Attempt::Won(etag)),
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
        match *tally {
            Tally {
                bad: 0,
                unknown: 0,
                good: 1..,
            } => self.check(name, Verdict::Pass, expected.to_owned()),
            Tally { bad: 0, .. } => {
                self.check(
                    name,
                    Verdict::Unknown,
                    format!("could not be found out: {expected}"),
                );
            }
            Tally { bad, .. } => self.check(
                name,
                Verdict::Fail,
                format!("{expected}: {otherwise} ({bad} times)"),
            ),
        }
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
