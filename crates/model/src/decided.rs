//! What the decisions of a tenant amount to: the fold of the stream.

use super::drift::DriftRules;
use super::{Activation, Decision, Entry, Fold, Renumbering, Seq, Stream, Timestamp};

/// What a tenant's decisions amount to, given in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// About its drift.
    pub rules: DriftRules,
    /// Which versions got other numbers.
    pub renumbering: Renumbering,
    /// The activations as they were made, and when they were committed.
    activations: Vec<(Timestamp, Activation)>,
    policy_bytes: usize,
}

impl Decided {
    /// The last activation that was committed until then.
    pub fn activation_at(&self, at: Timestamp) -> Option<Activation> {
        let until = self.activations.iter().rev();
        let mut until = until.filter(|(committed_at, _)| *committed_at <= at);
        until.next().map(|(_, activation)| *activation)
    }
}

impl Fold for Decided {
    const STREAM: Stream = Stream::Decisions;

    fn add(&mut self, entry: &Entry) {
        let (seq, decision) = (entry.meta.seq, Decision::read(&entry.content));
        self.rules.decide(&entry.meta, decision.as_ref());
        match &decision {
            Some(Decision::Renumber { moved }) => self.renumbering.add(moved),
            Some(Decision::Policy { .. }) => self.policy_bytes = entry.content.len(),
            Some(decision) => {
                let activation = Activation::in_decision(seq, decision);
                let at = entry.meta.committed_at;
                (self.activations).extend(activation.map(|activation| (at, activation)));
            }
            None => {}
        }
    }

    fn bytes(&self) -> usize {
        /// An acknowledgement with its texts; the others are smaller.
        const EACH: usize = 512;
        let rules = self.rules.acknowledgements.len();
        let others = self.renumbering.len() + self.activations.len();
        let unread = self.rules.unread.len() * size_of::<Seq>();
        EACH * (1 + rules + others) + unread + self.policy_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::{Digest, VersionRef};

    #[test]
    fn an_activation_counts_from_its_commit_on() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let mut decided = Decided::default();
        for (seq, version) in [(1, 7), (2, 8)] {
            let (version, chain) = (Seq::new(version), Digest::of(b"chain"));
            let decision = Decision::Activate {
                version,
                chain,
                head_version: Seq::new(9),
                head_chain: chain,
            };
            let mut entry = Entry::alone(Stream::Decisions, seq, decision.to_content().unwrap());
            entry.meta.committed_at = at(10 * i64::try_from(seq).unwrap());
            decided.add(&entry);
        }
        let active = |micros| {
            let activation = decided.activation_at(at(micros));
            activation.map(|it| VersionRef::clone(&it.target).version.get())
        };
        assert_eq!(
            [9, 10, 19, 20].map(active),
            [None, Some(7), Some(7), Some(8)]
        );
    }

    #[test]
    fn what_a_fold_holds_is_weighed() {
        let mut decided = Decided::default();
        let empty = decided.bytes();
        let other = Content::parse_object(br#"{"kind":"someday"}"#, 1000).unwrap();
        decided.add(&Entry::alone(Stream::Decisions, 1, other));
        assert_eq!(decided.bytes(), empty, "nothing of it is kept");
        let policy = br#"{"kind":"policy","policy":{"unmanaged":"ignore"}}"#;
        let policy = Content::parse_object(policy, 1000).unwrap();
        let len = policy.len();
        decided.add(&Entry::alone(Stream::Decisions, 2, policy));
        assert_eq!(decided.bytes(), empty + len);
    }
}
