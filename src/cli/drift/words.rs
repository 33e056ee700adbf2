//! Verdicts, times and ages in words.

use std::time::Duration;

use driftline::domain::Timestamp;
use driftline::domain::drift::{self, Acknowledged, Item, Kind, Onset, Verdict};

pub use crate::cli::ui::safe::plain;

/// A verdict as a person reads it.
pub fn verdict(verdict: Verdict) -> String {
    verdict.name().replace('_', " ")
}

/// What the resource is called: its type, and its id in the manifest or, when it is in none, its external id.
pub fn name(item: &Item) -> String {
    let id = item.manifest_id.as_deref().or(item.external_id.as_deref());
    plain(&drift::name(&item.resource_type, id.unwrap_or("?")))
}

/// What happened to a resource.
pub fn happened(item: &Item) -> String {
    let words = match (item.verdict, item.kind) {
        (Verdict::InSync, _) => "",
        (Verdict::Pending, Some(Kind::Missing)) => "not created yet",
        (Verdict::Pending, Some(Kind::Extra)) => "not deleted yet",
        (Verdict::Pending, _) => "not updated yet",
        (Verdict::Drifted, Some(Kind::Missing)) => "deleted outside",
        (Verdict::Drifted, Some(Kind::Extra)) => "created outside",
        (Verdict::Drifted, Some(Kind::Mismatch)) => "replaced outside",
        (Verdict::Drifted, _) => "changed outside",
        (Verdict::Adopted, Some(Kind::Missing)) => "created by hand, as desired",
        (Verdict::Adopted, Some(Kind::Extra)) => "deleted by hand, as desired",
        (Verdict::Adopted, Some(Kind::Mismatch)) => "replaced by hand, as desired",
        (Verdict::Adopted, _) => "changed by hand, as desired",
        (Verdict::Conflict, Some(Kind::Missing)) => "deleted outside, and to be updated",
        (Verdict::Conflict, Some(Kind::Extra)) => "changed outside, and to be deleted",
        (Verdict::Conflict, Some(Kind::Mismatch)) => "replaced outside, and to be updated",
        (Verdict::Conflict, _) => "live neither as desired nor as recorded",
        (Verdict::LedgerSuspect, _) => "the record of it cannot be relied on",
        (Verdict::Unknown, _) => "could not be seen",
        (Verdict::Unmanaged, _) => "live, but in no manifest",
    };
    match (&item.recorded_external_id, &item.external_id) {
        (Some(recorded), Some(live)) => plain(&format!("{words}: {recorded} → {live}")),
        _ => words.to_owned(),
    }
}

/// Who accepted it, until when, and why.
pub fn accepted(by: &Acknowledged) -> String {
    let fields: Vec<&str> = by
        .pointers
        .iter()
        .map(String::as_str)
        .filter(|pointer| !pointer.is_empty())
        .collect();
    let fields = if fields.is_empty() {
        String::new()
    } else {
        format!(" ({})", fields.join(", "))
    };
    let who = by.by.as_ref().map(|name| format!(" by {name}"));
    plain(&format!(
        "accepted{fields} until {}{}: {}",
        time(by.until),
        who.unwrap_or_default(),
        by.reason
    ))
}

/// Since when a drift is there. Its age is told when the time is known.
pub fn since(onset: &Onset, now: Option<Timestamp>) -> String {
    let mut words = match onset.after {
        Some(after) => format!("since between {} and {}", time(after), time(onset.before)),
        None => format!("since before {}, the first audit", time(onset.before)),
    };
    if let Some(now) = now {
        words.push_str(", ");
        words.push_str(&age(now.since(onset.before)));
    }
    if onset.occurrence > 1 {
        return format!("{words}, {} time", ordinal(onset.occurrence));
    }
    words
}

/// An instant to the second, in RFC 3339.
pub fn time(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.')
        .map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// How long something lasts, roughly.
pub fn age(age: Duration) -> String {
    match age.as_secs() {
        0..60 => "less than a minute".to_owned(),
        seconds @ 60..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_endings() {
        let words: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal).into();
        assert_eq!(
            words,
            [
                "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"
            ]
        );
    }

    #[test]
    fn an_onset_is_an_interval_and_an_age() {
        let onset = Onset {
            after: Some("2025-01-31T10:00:00Z".parse().unwrap()),
            before: "2025-01-31T10:15:00Z".parse().unwrap(),
            occurrence: 3,
        };
        let now = "2025-02-02T03:20:00Z".parse().unwrap();
        assert_eq!(
            since(&onset, Some(now)),
            "since between 2025-01-31T10:00:00Z and 2025-01-31T10:15:00Z, 41 h, 3rd time"
        );
        let first = Onset {
            after: None,
            occurrence: 1,
            ..onset
        };
        assert_eq!(
            since(&first, None),
            "since before 2025-01-31T10:15:00Z, the first audit"
        );
    }

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[31mb\u{202e}c\nü🦀"),
            "a\\u{1b}[31mb\\u{202e}c\\u{a}ü🦀"
        );
    }
}
