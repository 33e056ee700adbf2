//! What makes no sense in a policy, or would have no effect.

use super::globs::{matches, overlap};
use super::{ListKind, ListRule, Policy};
use crate::drift::fields::token;

/// Where, as a JSON pointer into the policy, and why.
type Wrong = (String, &'static str);

const BY_KEY: &str = "the elements of a keyed list are addressed by all of its key, as reports show it, like /ports/[port=80,protocol=TCP]/name: a position would slide onto another element";
const IN_A_SET: &str =
    "the elements of a set have no position: a rule for one of them would slide onto another";

impl Policy {
    /// The first thing that makes no sense in the policy, as a JSON pointer and the reason.
    pub fn check(&self) -> Result<(), (String, &'static str)> {
        let bad = |pointer: &str| !(pointer.is_empty() || pointer.starts_with('/'));
        for (at, rule) in self.ignore.iter().enumerate() {
            if rule.pointer.as_deref().is_some_and(bad) {
                let reason = "a JSON pointer is expected: empty, or starting with `/`";
                return Err((format!("/ignore/{at}/pointer"), reason));
            }
            if rule.resource_type.is_none() && rule.id.is_none() && rule.pointer.is_none() {
                return Err((
                    format!("/ignore/{at}"),
                    "a type, an id or a pointer is expected: this rule would ignore everything",
                ));
            }
        }
        let fields = [
            (
                "lists",
                self.lists
                    .iter()
                    .map(|rule| &rule.pointer)
                    .collect::<Vec<_>>(),
                "a JSON pointer to a list is expected, starting with `/`",
            ),
            (
                "equality",
                self.equality.iter().map(|rule| &rule.pointer).collect(),
                "a JSON pointer to a field is expected, starting with `/`",
            ),
            (
                "redact",
                self.redact.iter().map(|rule| &rule.pointer).collect(),
                "a JSON pointer to a field is expected, starting with `/`",
            ),
        ];
        for (member, pointers, reason) in fields {
            if let Some(at) = pointers
                .iter()
                .position(|pointer| !pointer.starts_with('/'))
            {
                return Err((format!("/{member}/{at}/pointer"), reason));
            }
        }
        match self.misplaced().into_iter().next() {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    /// Rules that address an element of a list as the list has none.
    pub(in crate::drift) fn misplaced(&self) -> Vec<Wrong> {
        let ignored = self.ignore.iter().map(|rule| {
            (
                rule.resource_type.as_deref(),
                rule.pointer.as_deref().unwrap_or_default(),
            )
        });
        let lists = self
            .lists
            .iter()
            .map(|rule| (rule.resource_type.as_deref(), rule.pointer.as_str()));
        let equality = self
            .equality
            .iter()
            .map(|rule| (rule.resource_type.as_deref(), rule.pointer.as_str()));
        let redacted = self
            .redact
            .iter()
            .map(|rule| (rule.resource_type.as_deref(), rule.pointer.as_str()));
        let mut wrong = Vec::new();
        for (member, rules) in [
            ("ignore", ignored.collect::<Vec<_>>()),
            ("lists", lists.collect()),
            ("equality", equality.collect()),
            ("redact", redacted.collect()),
        ] {
            for (at, (of_type, pointer)) in rules.into_iter().enumerate() {
                if let Some(reason) = self.misses(of_type, pointer) {
                    wrong.push((format!("/{member}/{at}/pointer"), reason));
                }
            }
        }
        wrong
    }

    /// Why a pointer into resources of this type addresses no element of a list that it goes through; `None` when it may.
    pub fn misses(&self, resource_type: Option<&str>, pointer: &str) -> Option<&'static str> {
        let rules = self
            .lists
            .iter()
            .filter(|rule| overlap(rule.resource_type.as_deref(), resource_type));
        let ends: Vec<usize> = pointer.match_indices('/').map(|(end, _)| end).collect();
        for rule in rules {
            for (place, end) in ends.iter().enumerate() {
                let list = &pointer[..*end];
                if list.is_empty() || list.ends_with("/**") {
                    continue;
                }
                let next = ends.get(place + 1).copied().unwrap_or(pointer.len());
                let member = &pointer[end + 1..next];
                if let Some(reason) = misses_element(rule, list, member) {
                    return Some(reason);
                }
            }
        }
        None
    }
}

fn misses_element(rule: &ListRule, list: &str, member: &str) -> Option<&'static str> {
    let is_place = !member.is_empty() && member.bytes().all(|byte| byte.is_ascii_digit());
    let is_this_list = matches(&rule.pointer, list);
    let is_element_of_it = is_place && matches(list, &rule.pointer);
    if !(is_this_list || is_element_of_it) {
        return None;
    }
    match &rule.kind {
        ListKind::Set => is_place.then_some(IN_A_SET),
        ListKind::KeyedBy(keys) => {
            let is_glob = member.contains(['*', '?']);
            let is_element = if is_glob {
                member.starts_with(['[', '*', '?'])
            } else {
                token::is_of(member, keys)
            };
            (!is_element).then_some(BY_KEY)
        }
    }
}
