//! Counting what came of attempts that are made many times.

use bytes::Bytes;

use driftline_ports::{ETag, Fault, StoreError, StoreResult, Verdict};

/// What came of one writer's PUT.
pub(super) enum Attempt {
    Won(ETag),
    Lost,
    Unknown,
}

/// What came of a race.
pub(super) struct Race {
    pub(super) winners: Vec<(Bytes, ETag)>,
    pub(super) unknown: usize,
}

impl Race {
    /// What is there now, if one alone can have won.
    pub(super) fn winner(&self) -> Option<&(Bytes, ETag)> {
        match self.winners.as_slice() {
            [winner] if self.unknown == 0 => Some(winner),
            _ => None,
        }
    }
}

/// How often something was as it should be.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) good: usize,
    pub(super) bad: usize,
    pub(super) unknown: usize,
    /// The store did not even try, and what it said.
    pub(super) error: Option<StoreError>,
}

impl Tally {
    pub(super) fn is(&mut self, good: bool) {
        *(if good { &mut self.good } else { &mut self.bad }) += 1;
    }

    /// Of a race one wins, no more; none only if somebody's outcome is unknown.
    pub(super) fn race(&mut self, race: &Race) {
        match (race.winners.len(), race.unknown) {
            (1, 0) => self.good += 1,
            (0 | 1, 1..) => self.unknown += 1,
            _ => self.bad += 1,
        }
    }

    /// The attempt should have been refused.
    pub(super) fn attempt(&mut self, attempt: &Attempt) {
        match attempt {
            Attempt::Lost => self.good += 1,
            Attempt::Won(_) => self.bad += 1,
            Attempt::Unknown => self.unknown += 1,
        }
    }

    /// What was answered; an error is kept, and ends what it was asked for.
    pub(super) fn answer<T>(&mut self, answer: StoreResult<T>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// The verdict on a promise. A store that refuses to be asked keeps it as little as one that breaks it; one that could
    /// not answer may answer another time.
    pub(super) fn verdict(&self) -> Verdict {
        match (self.bad, &self.error) {
            (1.., _) => Verdict::Fail,
            (0, Some(error)) if error.fault() == Fault::Refused => Verdict::Fail,
            (0, None) if self.unknown == 0 && self.good > 0 => Verdict::Pass,
            (0, _) => Verdict::Unknown,
        }
    }
}
