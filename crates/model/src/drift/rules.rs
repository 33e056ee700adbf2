//! What the decisions of a tenant say about its drift: the fold of the stream.

use super::{Acknowledgement, Policy};
use crate::{Decision, EntryMeta, Seq};

/// A tenant's policy and its acknowledgements, the newest of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftRules {
    /// The policy.
    pub policy: Policy,
    /// What is accepted, expired or not; at most one for each field.
    pub acknowledgements: Vec<Acknowledgement>,
    /// Decisions that this build cannot read: those before them stay in force.
    pub unread: Vec<Seq>,
}

impl DriftRules {
    /// Adds the next decision. What this build cannot read (`None`) changes nothing, and is named.
    pub fn decide(&mut self, meta: &EntryMeta, decision: Option<&Decision>) {
        match decision {
            Some(Decision::Policy { policy }) => self.policy = policy.clone(),
            Some(Decision::Acknowledge { acknowledgement }) => {
                self.acknowledgements
                    .retain(|old| !old.is_about_the_same_as(acknowledgement));
                self.acknowledgements.push(Acknowledgement {
                    by: meta.created_by.clone(),
                    decision: Some(meta.seq),
                    ..acknowledgement.clone()
                });
            }
            Some(_) => {}
            None => self.unread.push(meta.seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::{Entry, Stream};

    fn decision(seq: u64, text: &str) -> Entry {
        let content = Content::parse_object(text.as_bytes(), 1000).unwrap();
        Entry::alone(Stream::Decisions, seq, content)
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_named_and_the_one_before_stays() {
        let old = r#"{"kind":"policy","policy":{"unmanaged":"ignore"}}"#;
        let newer = r#"{"kind":"policy","policy":{"unmanaged":"negotiate"}}"#;
        let other = r#"{"kind":"someday"}"#;
        let all = [decision(1, old), decision(2, newer), decision(3, other)];
        let mut rules = DriftRules::default();
        for entry in &all {
            rules.decide(&entry.meta, Decision::read(&entry.content).as_ref());
        }
        assert_eq!(rules.policy.unmanaged, super::super::Unmanaged::Ignore);
        assert_eq!(rules.unread, [Seq::new(2)]);
    }
}
