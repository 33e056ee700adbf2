use driftline::domain::Seq;
use driftline::domain::drift::{Acknowledged, REPORT_SCHEMA, Summary};
use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::*;

fn item(verdict: Verdict, kind: Option<Kind>, id: &str) -> Item {
    Item {
        verdict,
        kind,
        resource_type: "roles".to_owned(),
        manifest_id: Some(id.to_owned()),
        external_id: None,
        recorded_external_id: None,
        severity: Severity::Warning,
        changes: Vec::new(),
        actual_digest: None,
        acknowledgement: None,
        accepted: Vec::new(),
        onset: None,
        reason: None,
    }
}

fn report(items: Vec<Item>) -> DriftReport {
    let mut summary = Summary::default();
    for item in &items {
        *summary.by_verdict.entry(item.verdict).or_default() += 1;
    }
    DriftReport {
        schema: REPORT_SCHEMA.to_owned(),
        tenant: "acme".parse().unwrap(),
        status: Status::Compared,
        desired_version: Seq::new(305),
        recorded_version: Some(Seq::new(300)),
        observed_at: Some("2025-01-31T10:15:00Z".parse().unwrap()),
        reason: None,
        untimely: None,
        has_drift: items.iter().any(Item::alarms),
        items,
        summary,
        unused_rules: Vec::new(),
        errors: Vec::new(),
        damaged_rows: Vec::new(),
        plan: None,
    }
}

fn full() -> DriftReport {
    let mut changed = item(
        Verdict::Conflict,
        Some(Kind::Modified),
        "moderators-of-the-night",
    );
    changed.changes = vec![
        Change {
            pointer: "/permissions".to_owned(),
            desired: json!((0..62).collect::<Vec<_>>()),
            recorded: json!((0..61).collect::<Vec<_>>()),
            actual: json!((3..62).map(|n| n * 2).collect::<Vec<_>>()),
            actual_digest: None,
        },
        Change {
            pointer: "/spec/template/spec/containers/0/image".to_owned(),
            desired: json!("registry.example/team/application:1.20.3-alpine"),
            recorded: json!("registry.example/team/application:1.20.3-alpine"),
            actual: json!("registry.example/team/application:latest"),
            actual_digest: None,
        },
    ];
    changed.onset = Some(Onset {
        after: Some("2025-01-31T10:00:00Z".parse().unwrap()),
        before: "2025-01-31T10:15:00Z".parse().unwrap(),
        occurrence: 2,
    });
    let mut accepted = item(Verdict::Drifted, Some(Kind::Missing), "guest");
    accepted.acknowledgement = Some(Acknowledged {
        until: "2025-02-07T00:00:00Z".parse().unwrap(),
        reason: "removed until the incident is over, see the channel"
            .parse()
            .unwrap(),
        by: Some("alice".parse().unwrap()),
        pointers: vec![String::new()],
    });
    let mut items = vec![changed, accepted];
    for number in 0..30 {
        let mut unseen = item(Verdict::Unknown, None, &format!("r-{number}"));
        unseen.reason = Some("the API answered 403: the bot may not list roles".to_owned());
        items.push(unseen);
    }
    items.push(item(
        Verdict::Pending,
        Some(Kind::Missing),
        &"long-".repeat(30),
    ));
    report(items)
}

/// Without the colours.
fn plain(lines: &[String]) -> Vec<String> {
    let stripped = lines.iter().map(|line| ui::safe::unstyled(line));
    stripped.collect()
}

#[test]
fn no_line_is_wider_than_the_page() {
    for width in [30, 44, 60, 80, 120] {
        let layout = Layout {
            width,
            now: Some("2025-02-02T03:20:00Z".parse().unwrap()),
        };
        for line in plain(&lines(&full(), layout)) {
            assert!(line.width() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn a_phone_shows_what_matters() {
    let layout = Layout {
        width: 44,
        now: Some("2025-02-02T03:20:00Z".parse().unwrap()),
    };
    insta::assert_snapshot!(plain(&lines(&full(), layout)).join("\n"));
}

#[test]
fn a_terminal_shows_it_in_colour() {
    let layout = Layout {
        width: 80,
        now: None,
    };
    let mut small = full();
    small.items.truncate(2);
    let text = lines(&small, layout);
    let text: Vec<_> = text.iter().map(|line| ui::safe::line(line)).collect();
    let text = text.join("\n");
    insta::assert_snapshot!(text.replace('\u{1b}', "ESC"));
}

#[test]
fn what_is_in_sync_takes_one_line() {
    let mut report = report(Vec::new());
    report.summary.by_verdict.insert(Verdict::InSync, 46);
    report.recorded_version = Some(Seq::new(305));
    let layout = Layout {
        width: 80,
        now: None,
    };
    assert_eq!(
        plain(&lines(&report, layout)),
        ["acme: 46 in sync — version 305, observed 2025-01-31T10:15:00Z"]
    );
    report.status = Status::NoManifest;
    assert_eq!(
        plain(&lines(&report, layout)),
        ["acme: it has no manifest, so there is nothing to compare with"]
    );
}
