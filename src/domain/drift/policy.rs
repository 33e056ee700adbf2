//! What a tenant's operators decided about its drift: what does not matter, what matters how much, and how lists compare.

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::report::{Kind, Severity, Verdict};

/// A tenant's drift policy. The default compares everything, lists by position, and only reports what is unmanaged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// What does not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<IgnoreRule>,
    /// Lists that do not compare by position.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListRule>,
    /// How much it matters; the first rule that fits wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub severities: Vec<SeverityRule>,
    /// What becomes of live resources that are neither desired nor recorded.
    pub unmanaged: Unmanaged,
    /// Resource types in the order in which a plan creates them; the others follow by name. Deletions go the other way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
}

/// What does not matter: a field, or a whole resource. Globs know `*` (any characters) and `?` (one).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreRule {
    /// The resource type, as a glob; absent for every type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The manifest id (of an unmanaged resource the external id), as a glob; absent for every id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The field and all below it, as a JSON pointer whose members are globs, `**` for any number of members; absent for
    /// the whole resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// How the elements of a list find their counterparts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListKind {
    /// The order does not matter.
    Set,
    /// By the value of this member, which is unique in the list.
    KeyedBy(String),
}

/// A list that does not compare by position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListRule {
    /// The resource type, as a glob; absent for every type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The list, as a JSON pointer whose members are globs.
    pub pointer: String,
    /// How it compares.
    #[serde(rename = "as")]
    pub kind: ListKind,
}

/// How much something matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeverityRule {
    /// The resource type, as a glob; absent for every type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The manifest id (of an unmanaged resource the external id), as a glob; absent for every id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Only this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Only this kind of difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// How much it matters.
    pub severity: Severity,
}

/// What becomes of live resources that are neither desired nor recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unmanaged {
    /// They are shown, and left alone.
    #[default]
    Report,
    /// They are not shown.
    Ignore,
    /// They are shown, and a plan deletes them.
    Delete,
}

/// One resource's view of a policy: only the rules that can concern it, so that most resources ask none.
pub(super) struct Scope<'a> {
    ignored: Vec<&'a str>,
    lists: Vec<&'a ListRule>,
    pub(super) ignores_all: bool,
}

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
        for (at, rule) in self.lists.iter().enumerate() {
            if !rule.pointer.starts_with('/') {
                let reason = "a JSON pointer to a list is expected, starting with `/`";
                return Err((format!("/lists/{at}/pointer"), reason));
            }
        }
        Ok(())
    }

    pub(super) fn scope(&self, resource_type: &str, id: &str) -> Scope<'_> {
        let mut scope = Scope {
            ignored: Vec::new(),
            lists: Vec::new(),
            ignores_all: false,
        };
        for rule in &self.ignore {
            if fits(rule.resource_type.as_deref(), resource_type) && fits(rule.id.as_deref(), id) {
                match rule.pointer.as_deref() {
                    None | Some("") => scope.ignores_all = true,
                    Some(pointer) => scope.ignored.push(pointer),
                }
            }
        }
        let lists = self.lists.iter();
        scope
            .lists
            .extend(lists.filter(|rule| fits(rule.resource_type.as_deref(), resource_type)));
        scope
    }

    pub(super) fn severity(
        &self,
        resource_type: &str,
        id: &str,
        verdict: Verdict,
        kind: Option<Kind>,
    ) -> Severity {
        let rule = self.severities.iter().find(|rule| {
            fits(rule.resource_type.as_deref(), resource_type)
                && fits(rule.id.as_deref(), id)
                && rule.verdict.is_none_or(|expected| expected == verdict)
                && rule.kind.is_none_or(|expected| Some(expected) == kind)
        });
        if let Some(rule) = rule {
            return rule.severity;
        }
        match (verdict, kind) {
            (Verdict::LedgerSuspect, _)
            | (_, Some(Kind::Mismatch))
            | (Verdict::Drifted | Verdict::Conflict, Some(Kind::Missing)) => Severity::Error,
            (Verdict::InSync | Verdict::Unknown | Verdict::Unmanaged, _)
            | (_, Some(Kind::Extra) | None) => Severity::Info,
            (_, Some(Kind::Missing | Kind::Modified)) => Severity::Warning,
        }
    }

    /// Where a type comes when a plan creates.
    pub(super) fn rank(&self, resource_type: &str) -> usize {
        let place = self.order.iter().position(|name| name == resource_type);
        place.unwrap_or(self.order.len())
    }
}

impl Scope<'_> {
    /// Whether the field does not matter.
    pub(super) fn ignores(&self, pointer: &str) -> bool {
        self.ignored.iter().any(|glob| matches(glob, pointer))
    }

    /// Whether the pointer goes through no list that does not compare by position.
    pub(super) fn is_by_position(&self, pointer: &str) -> bool {
        let ends = pointer.match_indices('/').map(|(end, _)| &pointer[..end]);
        self.lists.is_empty()
            || ends
                .filter(|path| !path.is_empty())
                .all(|path| self.list(path).is_none())
    }

    /// Whether every field matters.
    pub(super) fn ignores_nothing(&self) -> bool {
        self.ignored.is_empty()
    }

    /// How the list compares; `None` for by position.
    pub(super) fn list(&self, pointer: &str) -> Option<&ListKind> {
        let rule = self
            .lists
            .iter()
            .find(|rule| matches(&rule.pointer, pointer));
        rule.map(|rule| &rule.kind)
    }
}

fn fits(glob: Option<&str>, text: &str) -> bool {
    glob.is_none_or(|glob| glob == text || WildMatch::new(glob).matches(text))
}

/// Whether a pointer glob matches a whole pointer. Escapes (`~0`, `~1`) are matched as they stand.
fn matches(glob: &str, pointer: &str) -> bool {
    let glob: Vec<&str> = glob.split('/').skip(1).collect();
    let pointer: Vec<&str> = pointer.split('/').skip(1).collect();
    members_match(&glob, &pointer)
}

fn members_match(glob: &[&str], pointer: &[&str]) -> bool {
    match (glob.split_first(), pointer.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            (0..=pointer.len()).any(|skipped| members_match(rest, &pointer[skipped..]))
        }
        (Some((first, glob)), Some((member, pointer))) => {
            fits(Some(first), member) && members_match(glob, pointer)
        }
        _ => false,
    }
}
