//! A drift report for somebody who reads it on a phone at night: the worst first, one line a resource, what changed below it,
//! and all of it in one line at the end.

mod alike;
pub mod page;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use driftline::domain::drift::{Change, DriftReport, Item, Kind, Onset, Severity, Status, Verdict};
use driftline::domain::{Seq, Timestamp};
use unicode_width::UnicodeWidthStr as _;

use self::page::Page;
use super::words;
use crate::cli::Ui;
use crate::cli::ui::{self, Style};

pub use self::values::{cut, short};

/// From how many resources on with the same verdict for the same reason they become one line.
const CROWD: usize = 4;

/// For whom a report is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The columns that a line may have.
    pub width: usize,
    /// The time from which ages are told; `None` tells none.
    pub now: Option<Timestamp>,
}

/// Prints a report.
pub fn show(ui: &Ui, report: &DriftReport, layout: Layout) -> anyhow::Result<()> {
    for line in lines(report, layout) {
        ui.line(line)?;
    }
    Ok(())
}

/// The lines of a report, with colours.
pub fn lines(report: &DriftReport, layout: Layout) -> Vec<String> {
    let mut page = Page::new(layout.width);
    let crowds = crowds(&report.items);
    let names = report.items.iter().map(|item| item.verdict.name().len());
    let column = names.max().unwrap_or_default();
    let is_observed = report.observed_at.is_some();
    let mut told = BTreeSet::new();
    for item in &report.items {
        match key(item).filter(|key| crowds.get(key).is_some_and(|crowd| crowd.len() >= CROWD)) {
            Some(key) => {
                if told.insert(key.clone()) {
                    crowd(&mut page, column, &crowds[&key]);
                }
            }
            None => one(&mut page, column, item, is_observed, layout.now),
        }
    }
    let reasons = report
        .items
        .iter()
        .filter_map(|item| item.reason.as_deref());
    let reasons: BTreeSet<&str> = reasons.collect();
    if let Some(reason) = report
        .reason
        .as_deref()
        .filter(|reason| !reasons.contains(reason))
    {
        page.paragraph(0, ui::RED, &words::plain(reason));
    }
    unused(&mut page, report);
    errors(&mut page, report, |message| reasons.contains(message));
    if let Some(words) = report.untimely_words() {
        page.paragraph(0, ui::YELLOW, &words);
    }
    let is_seen = report.count(Verdict::Unknown) == 0 && report.untimely.is_none();
    let style = if report.has_drift {
        ui::BOLD
    } else if is_seen && report.status == Status::Compared {
        ui::GREEN
    } else {
        Style::new()
    };
    conclude(&mut page, report, style);
    page.lines
}

/// The lines of one resource, with colours.
pub fn item(item: &Item, is_observed: bool, layout: Layout) -> Vec<String> {
    let mut page = Page::new(layout.width);
    one(&mut page, 0, item, is_observed, layout.now);
    page.lines
}

/// The report in one line.
pub fn summary(report: &DriftReport) -> String {
    match report.status {
        Status::NoManifest => found(report),
        _ => format!("{} — {}", found(report), compared(report)),
    }
}

/// The summary as the last line. What does not fit on it stands before it.
pub fn conclude(page: &mut Page, report: &DriftReport, style: Style) {
    let summary = summary(report);
    if report.status == Status::NoManifest || summary.width() <= page.columns(0) {
        return page.paragraph(0, style, &summary);
    }
    page.paragraph(0, Style::new(), &compared(report));
    page.paragraph(0, style, &found(report));
}

/// Rules that could not be used as they are meant.
pub fn unused(page: &mut Page, report: &DriftReport) {
    for rule in &report.unused_rules {
        let what = match &rule.rule {
            Some(place) => format!("policy {place}"),
            None => "accepted".to_owned(),
        };
        let at = rule.pointer.as_deref().unwrap_or_default();
        let of = match (rule.resource.as_deref(), rule.resources) {
            (Some(resource), 0 | 1) => {
                format!(" of {resource}{}{at}", if at.is_empty() { "" } else { " " })
            }
            (Some(resource), count) => {
                let more = ui::count(count - 1, "other");
                format!(" of {resource} {at} and {more}")
            }
            (None, _) => String::new(),
        };
        let text = format!("{what}{of}: {}", rule.reason);
        page.paragraph(0, ui::YELLOW, &words::plain(&text));
    }
}

/// What the observer said that it could not see, as far as that is no resource's reason.
pub fn errors(page: &mut Page, report: &DriftReport, told: impl Fn(&str) -> bool) {
    for error in report.errors.iter().filter(|error| !told(&error.message)) {
        let what = match (&error.resource_type, &error.id) {
            (Some(of_type), Some(id)) => format!("{of_type}/{id}"),
            (Some(of_type), None) => of_type.clone(),
            (None, Some(id)) => id.clone(),
            (None, None) => "anything".to_owned(),
        };
        let text = format!("could not see {what}: {}", error.message);
        page.paragraph(0, ui::YELLOW, &words::plain(&text));
    }
}

/// How many resources are how.
fn found(report: &DriftReport) -> String {
    let tenant = &report.tenant;
    if report.status == Status::NoManifest {
        return format!("{tenant}: it has no manifest, so there is nothing to compare with");
    }
    let mut found: Vec<String> = Verdict::ALL
        .into_iter()
        .map(|verdict| (report.count(verdict), words::verdict(verdict)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, verdict)| format!("{count} {verdict}"))
        .collect();
    let others = [
        (report.summary.acknowledged, "accepted"),
        (report.summary.ignored, "ignored"),
    ];
    let others = others.into_iter().filter(|(count, _)| *count > 0);
    found.extend(others.map(|(count, word)| format!("{count} {word}")));
    if found.is_empty() {
        found.push("no resources".to_owned());
    }
    if report.summary.settings_not_observed {
        found.push("settings not observed".to_owned());
    }
    format!("{tenant}: {}", found.join(", "))
}

/// What was compared, and when it was seen.
fn compared(report: &DriftReport) -> String {
    let desired = report.desired_version;
    let versions = match report.recorded_version {
        Some(recorded) if recorded == desired => format!("version {desired}"),
        // The record cannot be read.
        Some(recorded) if recorded == Seq::default() => {
            format!("version {desired} desired, what was applied is not known")
        }
        Some(recorded) => format!("version {desired} desired, {recorded} applied"),
        None => format!("version {desired} desired, nothing applied yet"),
    };
    match report.observed_at {
        Some(at) => format!("{versions}, observed {}", words::time(at)),
        None if report.errors.is_empty() => format!("{versions}, nothing observed"),
        None => format!("{versions}, the live state could not be seen"),
    }
}

type Key<'a> = (Verdict, Severity, Option<Kind>, &'a str, Option<String>);

/// What a resource shares with others that need no lines of their own.
fn key(item: &Item) -> Option<Key<'_>> {
    let reason = item.reason.as_deref()?;
    let is_plain = item.changes.is_empty() && item.acknowledgement.is_none();
    let onset = |onset: &Onset| words::since(onset, None);
    is_plain.then(|| {
        (
            item.verdict,
            item.severity,
            item.kind,
            reason,
            item.onset.as_ref().map(onset),
        )
    })
}

fn crowds(items: &[Item]) -> BTreeMap<Key<'_>, Vec<&Item>> {
    let mut crowds: BTreeMap<Key<'_>, Vec<&Item>> = BTreeMap::new();
    for item in items {
        if let Some(key) = key(item) {
            crowds.entry(key).or_default().push(item);
        }
    }
    crowds
}

/// Many resources with the same verdict for the same reason.
fn crowd(page: &mut Page, column: usize, items: &[&Item]) {
    let Some(first) = items.first() else { return };
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *types.entry(&item.resource_type).or_default() += 1;
    }
    let types: Vec<String> = types
        .into_iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let name = format!("{} resources", items.len());
    let words = format!("{} ({})", words::happened(first), types.join(", "));
    page.item(
        style(first),
        first.verdict.name(),
        column,
        &name,
        &words::plain(&words),
    );
    below(page, first, None);
}

fn one(page: &mut Page, column: usize, item: &Item, is_observed: bool, now: Option<Timestamp>) {
    let (name, words) = (words::name(item), words::happened(item));
    page.item(style(item), item.verdict.name(), column, &name, &words);
    for change in &item.changes {
        field(page, change, item.verdict, is_observed);
    }
    below(page, item, now);
}

/// A field that is not the same everywhere, from what it was to what it is, or is to be.
fn field(page: &mut Page, change: &Change, verdict: Verdict, is_observed: bool) {
    let (desired, recorded, actual) = (&change.desired, &change.recorded, &change.actual);
    let (from, to, happened) = if !is_observed {
        (recorded, desired, "")
    } else if actual == desired {
        (recorded, actual, "as desired")
    } else if actual == recorded {
        (actual, desired, "not applied yet")
    } else {
        (desired, actual, "changed outside")
    };
    let mut pointer = match words::plain(&change.pointer) {
        root if root.is_empty() => "all of it".to_owned(),
        pointer => pointer,
    };
    let is_third = is_observed && recorded != desired && recorded != actual && actual != desired;
    // Where the resource's own line does not tell.
    if verdict == Verdict::Conflict && !is_third {
        pointer = format!("{pointer} {happened}");
    }
    let columns = page.columns(4);
    let mut values = values::pair(from, to, columns);
    if is_third {
        let room = columns.saturating_sub("recorded ".len());
        let recorded = format!("recorded {}", values::short(recorded, room));
        if let [value] = &values[..] {
            let all = format!("{value} ({recorded})");
            if page.fits(2, &format!("{pointer}:"), &all) {
                return page.values(&pointer, &[all]);
            }
        }
        values.push(recorded);
    }
    page.values(&pointer, &values);
}

/// What else is known about a resource.
fn below(page: &mut Page, item: &Item, now: Option<Timestamp>) {
    let dim = Style::new().dimmed();
    if let Some(reason) = &item.reason {
        page.paragraph(2, Style::new(), &words::plain(reason));
    }
    if let Some(acknowledged) = &item.acknowledgement {
        page.paragraph(2, dim, &words::accepted(acknowledged));
    }
    for accepted in &item.accepted {
        page.paragraph(2, dim, &words::accepted(accepted));
    }
    if let Some(onset) = &item.onset {
        page.paragraph(2, dim, &words::since(onset, now));
    }
}

fn style(item: &Item) -> Style {
    if item.acknowledgement.is_some() {
        return Style::new().dimmed();
    }
    match (item.verdict, item.severity) {
        (Verdict::InSync, _) => ui::GREEN,
        (_, Severity::Error) => ui::RED,
        (_, Severity::Warning) => ui::YELLOW,
        (_, Severity::Info) => Style::new(),
    }
}

#[cfg(test)]
mod tests;
