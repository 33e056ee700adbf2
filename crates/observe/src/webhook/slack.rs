//! Events as a text for people.

use std::fmt::Write as _;

use serde_json::json;

use crate::text::harmless;
use driftline_model::drift::{Event, Subject};
use driftline_ports::NewEvent;

/// How many drifts are named.
const NAMED: usize = 10;

/// Characters of one part of the text: a name may be long, and somebody else's.
const PART: usize = 200;

/// The body. Of an event that this build cannot read, only what is known without reading it is told.
pub(super) fn body(event: &NewEvent) -> String {
    let mut text = format!("*{}* in `{}`", event.kind.name(), event.tenant);
    if let Ok(read) = serde_json::from_str::<Event>(&event.body) {
        let _ = write!(text, "\n{}", part(&read.message));
        for subject in read.drifts.iter().take(NAMED) {
            let _ = write!(text, "\n• {}", line(subject));
        }
        match read.drifts.len().saturating_sub(NAMED) {
            0 => {}
            more => _ = write!(text, "\n… and {more} more"),
        }
    }
    json!({ "text": text }).to_string()
}

fn line(subject: &Subject) -> String {
    let verdict = subject.verdict.name();
    let severity = subject
        .severity
        .map(|severity| format!(", {}", severity.name()));
    format!(
        "{} `{}`: {verdict}{}",
        part(&subject.resource_type),
        part(&subject.manifest_id),
        severity.unwrap_or_default()
    )
}

/// Text in which Slack sees no markup: no mention of everybody, no link.
fn part(text: &str) -> String {
    harmless(text, PART)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "'")
}
