//! One resource's view of a policy.

use super::globs::{fits, matches};
use super::{Equality, EqualityRule, ListKind, ListRule, Policy};

/// One resource's view of a policy: only the rules that can concern it, so that most resources ask none.
pub(in crate::drift) struct Scope<'a> {
    ignored: Vec<&'a str>,
    redacted: Vec<&'a str>,
    /// With their places in the policy.
    lists: Vec<(usize, &'a ListRule)>,
    equality: Vec<&'a EqualityRule>,
    pub(in crate::drift) ignores_all: bool,
}

impl Policy {
    pub(in crate::drift) fn scope(&self, resource_type: &str, id: &str) -> Scope<'_> {
        let concerns = |of_type: Option<&str>, of_id: Option<&str>| {
            fits(of_type, resource_type) && fits(of_id, id)
        };
        let mut scope = Scope {
            ignored: Vec::new(),
            redacted: Vec::new(),
            lists: Vec::new(),
            equality: Vec::new(),
            ignores_all: false,
        };
        for rule in &self.ignore {
            if concerns(rule.resource_type.as_deref(), rule.id.as_deref()) {
                match rule.pointer.as_deref() {
                    None | Some("") => scope.ignores_all = true,
                    Some(pointer) => scope.ignored.push(pointer),
                }
            }
        }
        let redacted = self
            .redact
            .iter()
            .filter(|rule| concerns(rule.resource_type.as_deref(), rule.id.as_deref()));
        scope
            .redacted
            .extend(redacted.map(|rule| rule.pointer.as_str()));
        let lists = self.lists.iter().enumerate();
        scope
            .lists
            .extend(lists.filter(|(_, rule)| concerns(rule.resource_type.as_deref(), None)));
        let equality = self.equality.iter();
        scope.equality.extend(
            equality.filter(|rule| concerns(rule.resource_type.as_deref(), rule.id.as_deref())),
        );
        scope
    }
}

impl Scope<'_> {
    /// Whether the field does not matter.
    pub(in crate::drift) fn ignores(&self, pointer: &str) -> bool {
        self.ignored.iter().any(|glob| matches(glob, pointer))
    }

    /// Whether every field matters.
    pub(in crate::drift) fn ignores_nothing(&self) -> bool {
        self.ignored.is_empty()
    }

    /// How the list compares, and the rule's place in the policy; `None` for by position.
    pub(in crate::drift) fn list(&self, pointer: &str) -> Option<(usize, &ListKind)> {
        let rule = self
            .lists
            .iter()
            .find(|(_, rule)| matches(&rule.pointer, pointer));
        rule.map(|(place, rule)| (*place, &rule.kind))
    }

    /// In what sense the field's values are the same.
    pub(in crate::drift) fn equality(&self, pointer: &str) -> Option<Equality> {
        let rule = self
            .equality
            .iter()
            .find(|rule| matches(&rule.pointer, pointer));
        rule.map(|rule| rule.kind)
    }

    /// Whether every value is compared as it is.
    pub(in crate::drift) fn equates_nothing(&self) -> bool {
        self.equality.is_empty()
    }

    /// Whether every value may be shown.
    pub(in crate::drift) fn redacts_nothing(&self) -> bool {
        self.redacted.is_empty()
    }

    /// Whether this very field is not to be shown.
    pub(in crate::drift) fn redacts(&self, pointer: &str) -> bool {
        self.redacted.iter().any(|glob| matches(glob, pointer))
    }

    /// Whether the field, or one that it is part of, is not to be shown.
    pub(in crate::drift) fn redacts_around(&self, pointer: &str) -> bool {
        let ends = pointer.match_indices('/').map(|(end, _)| &pointer[..end]);
        !self.redacted.is_empty()
            && (self.redacts(pointer) || ends.into_iter().any(|above| self.redacts(above)))
    }
}
