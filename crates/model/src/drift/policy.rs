//! What a tenant's operators decided about its drift: what does not matter, what matters how much, and how lists and values compare.

mod check;
mod globs;
mod keys;
mod redact;
mod scope;

use serde::{Deserialize, Serialize};

use self::globs::fits;
pub use self::keys::Keys;
pub use self::redact::RedactRule;
pub(super) use self::scope::Scope;
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
    /// Fields whose values are the same though they are spelt otherwise; the first rule that fits wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equality: Vec<EqualityRule>,
    /// Fields of which nothing but a digest is ever shown or stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<RedactRule>,
    /// Compare every live field in audits too, also those that neither the desired nor the recorded state names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
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
    /// By the values of these members. Elements with equal keys are compared among themselves, and so are those without one.
    KeyedBy(Keys),
}

/// In what sense two values are the same. A value that is none of the kind is compared as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Equality {
    /// `80` and `"80"`: whole numbers and their decimal texts, of any size.
    IntegerString,
    /// `1000M` and `1G`, `1000m` and `1`, `1024Ki` and `1Mi`: Kubernetes quantities.
    Quantity,
    /// `2026-01-31T08:00:00Z` and `2026-01-31T09:00:00.0+01:00`: RFC 3339 times.
    Instant,
    /// `1h30m`, `90m` and `PT1H30M`: durations as Go writes them, or ISO 8601.
    Duration,
    /// `Web` and `web`.
    CaseInsensitive,
    /// `2001:DB8:0::1` and `2001:db8::1`, also before a prefix length: addresses and CIDR blocks.
    Ip,
}

/// A field whose values are the same though they are spelt otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EqualityRule {
    /// The resource type, as a glob; absent for every type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The manifest id, as a glob; absent for every id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The field, as a JSON pointer whose members are globs.
    pub pointer: String,
    /// How it compares.
    #[serde(rename = "as")]
    pub kind: Equality,
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

impl Policy {
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
