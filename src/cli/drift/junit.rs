//! A check as JUnit's XML: a suite a tenant, a test a resource.

use driftline::domain::TenantId;
use driftline::domain::drift::{self, DriftReport, Item, Status, Verdict};
use driftline::ports::Error;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::check::ExitOn;
use super::text::{self, Layout};
use super::words;
use crate::cli::{hints, ui};

/// The columns of what is said about a failure.
const WIDTH: usize = 120;

/// The whole document.
pub fn document(suites: Vec<TestSuite>) -> anyhow::Result<String> {
    let mut report = Report::new("driftline drift check");
    report.add_test_suites(suites);
    Ok(report.to_string()?)
}

/// A tenant. What counts fails, what could not be seen is skipped, everything else passes.
pub fn suite(report: &DriftReport, counts: ExitOn) -> TestSuite {
    let mut suite = TestSuite::new(report.tenant.as_str());
    suite.set_system_out(text::summary(report));
    suite.add_test_cases(report.items.iter().map(|item| {
        let status = status(report, item, counts);
        let mut case = TestCase::new(words::name(item), status);
        case.set_classname(item.resource_type.as_str());
        case
    }));
    let not_seen = [
        ("live state", report.untimely_words()),
        (
            drift::SETTINGS,
            report
                .summary
                .settings_not_observed
                .then(|| "settings were not observed".to_owned()),
        ),
    ];
    for (name, message) in not_seen {
        let is_listed = suite
            .test_cases
            .iter()
            .any(|case| case.name.as_str() == name);
        if let Some(message) = message.filter(|_| !is_listed) {
            let mut status = TestCaseStatus::skipped();
            status.set_message(message);
            suite.add_test_case(TestCase::new(name, status));
        }
    }
    if report.status == Status::NoManifest {
        let mut status = TestCaseStatus::skipped();
        status.set_message("the tenant has no manifest");
        suite.add_test_case(TestCase::new("manifest", status));
    }
    suite
}

/// A tenant that could not be compared.
pub fn failed(tenant: &TenantId, error: &Error) -> TestSuite {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status
        .set_type(error.code())
        .set_message(error.to_string())
        .set_description(error.hinted().map(hints::words).unwrap_or_default());
    let mut suite = TestSuite::new(tenant.as_str());
    suite.add_test_case(TestCase::new("comparison", status));
    suite
}

fn status(report: &DriftReport, item: &Item, counts: ExitOn) -> TestCaseStatus {
    let mut message = words::happened(item);
    if let Some(reason) = &item.reason {
        message = format!("{message}: {}", words::plain(reason));
    }
    if item.verdict == Verdict::Unknown {
        let mut status = TestCaseStatus::skipped();
        status.set_message(message);
        return status;
    }
    if !counts.counts(item) {
        return TestCaseStatus::success();
    }
    let layout = Layout {
        width: WIDTH,
        now: None,
    };
    let is_observed = report.observed_at.is_some();
    let lines = text::item(item, is_observed, layout);
    let lines: Vec<String> = lines.iter().map(|line| ui::safe::unstyled(line)).collect();
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type(item.verdict.name())
        .set_message(message)
        .set_description(lines.join("\n"));
    status
}
