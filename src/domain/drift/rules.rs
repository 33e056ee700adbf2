//! What the decisions of a tenant say about its drift: the fold of the stream.

use super::{Acknowledgement, Policy};
use crate::domain::{Decision, Entry};

/// A tenant's policy and its acknowledgements, the newest of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftRules {
    /// The policy.
    pub policy: Policy,
    /// What is accepted, expired or not; at most one for each field.
    pub acknowledgements: Vec<Acknowledgement>,
}

impl DriftRules {
    /// The rules that these decisions, oldest first, amount to. What this build cannot read changes nothing.
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
                Ok(Decision::Activate { .. } | Decision::Unknown) | Err(_) => {}
            }
        }
        rules
    }
}
