//! What the decisions of a tenant say about its drift: the fold of the stream.

use super::{Acknowledgement, Policy};
use crate::{Decision, Entry, Seq};

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
    /// The rules that these decisions, oldest first, amount to. What this build cannot read
    /// changes nothing, and is named.
    pub fn fold<'a>(decisions: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut rules = Self::default();
        for entry in decisions {
            match serde_json::from_slice(entry.content.as_bytes()) {
                Ok(Decision::Policy { policy }) => rules.policy = policy,
                Ok(Decision::Acknowledge { acknowledgement }) => {
                    rules
                        .acknowledgements
                        .retain(|old| !old.is_about_the_same_as(&acknowledgement));
                    rules.acknowledgements.push(Acknowledgement {
                        by: entry.meta.created_by.clone(),
                        decision: Some(entry.meta.seq),
                        ..acknowledgement
                    });
                }
                Ok(_) => {}
                Err(_) => rules.unread.push(entry.meta.seq),
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;
    use crate::content::Content;

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
        let rules = DriftRules::fold(&all);
        assert_eq!(rules.policy.unmanaged, super::super::Unmanaged::Ignore);
        assert_eq!(rules.unread, [Seq::new(2)]);
    }
}
