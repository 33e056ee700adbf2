//! Which accepted losses still count.

use std::collections::BTreeMap;

use super::{Decision, Entry, Seq, Stream};

/// The losses that a tenant's decisions accept, oldest decision first.
///
/// An acceptance names a number, and no chain. A later [`Decision::Renumber`] may have given that number to another entry, also
/// where it moved nothing of that stream: what was lost of it moved nowhere. So none outlives one, nor a decision that nobody
/// can read any more, which may have been one. Whoever accepted the loss is asked again.
#[derive(Debug, Default)]
pub struct AcceptedLosses {
    accepted: BTreeMap<(Stream, Seq), Entry>,
    last: Seq,
}

impl AcceptedLosses {
    /// Adds the next decision that is there. One that is missing before it is taken for what it may have been.
    pub fn decide(&mut self, decision: Entry) {
        let seq = decision.meta.seq;
        if self.last.next() != seq {
            self.accepted.clear();
        }
        self.last = seq;
        // A row that is not what was committed decides nothing; it is found for itself.
        let known = decision
            .content
            .is_intact()
            .then(|| serde_json::from_slice(decision.content.as_bytes()));
        match known {
            Some(Ok(Decision::AcceptLoss {
                lost_stream,
                lost_seq,
            })) => {
                self.accepted.insert((lost_stream, lost_seq), decision);
            }
            Some(Ok(Decision::Renumber { .. }) | Err(_)) | None => self.accepted.clear(),
            Some(Ok(_)) => {}
        }
    }

    /// The decisions that still count, by what they accept; `head` is the newest number that there was.
    pub fn up_to(mut self, head: Seq) -> BTreeMap<(Stream, Seq), Entry> {
        if self.last < head {
            self.accepted.clear();
        }
        self.accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::{Digest, Moved};

    fn left(decisions: &[(u64, Content)], head: u64) -> Vec<u64> {
        let mut losses = AcceptedLosses::default();
        for (seq, content) in decisions {
            losses.decide(Entry::alone(Stream::Decisions, *seq, content.clone()));
        }
        let left = losses.up_to(Seq::new(head));
        left.keys().map(|(_, seq)| seq.get()).collect()
    }

    #[test]
    fn an_acceptance_ends_where_its_number_may_be_another_entrys() {
        let accept = |seq: u64| {
            let decision = Decision::AcceptLoss {
                lost_stream: Stream::Manifests,
                lost_seq: Seq::new(seq),
            };
            decision.to_content().unwrap()
        };
        let moved = |stream, from: u64| {
            let moved = Moved {
                stream,
                from: Seq::new(from),
                from_chain: Digest::of(b"from"),
                to: Seq::new(from + 3),
                to_chain: Digest::of(b"to"),
            };
            let moved = vec![moved];
            Decision::Renumber { moved }.to_content().unwrap()
        };
        let other = || Decision::Retire.to_content().unwrap();
        let is = |decisions: &[(u64, Content)], head, expected: &[u64]| {
            assert_eq!(left(decisions, head), expected, "{decisions:?}");
        };
        is(&[(1, accept(5)), (2, other()), (3, accept(2))], 3, &[2, 5]);
        let applies = || moved(Stream::Applies, 9);
        is(&[(1, accept(5)), (2, applies())], 2, &[]);
        let own = moved(Stream::Manifests, 6);
        is(&[(1, accept(5)), (2, own), (3, accept(4))], 3, &[4]);
        // A decision that is lost, in between or at the end, may have been one.
        is(&[(1, accept(5)), (3, accept(2))], 3, &[2]);
        is(&[(1, accept(5)), (2, accept(2))], 3, &[]);
        // So may one that this build reads wrongly, or that is damaged.
        let text = br#"{"kind":"renumber","moved":"all"}"#;
        let misread = Content::parse_object(text, Content::DEFAULT_LIMIT).unwrap();
        is(&[(1, accept(5)), (2, misread)], 2, &[]);
        let damaged = Content::trusted(r#"{"kind":"unheard"}"#.into(), Digest::of(b"other"));
        is(&[(1, accept(5)), (2, damaged)], 2, &[]);
    }
}
