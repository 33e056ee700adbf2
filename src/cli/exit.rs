//! How a command ends: its exit code, and what an error looks like.

use std::process::ExitCode;

use driftline::ports::{Error, ErrorKind, Hint};
use driftline_host::{HostError, Problem, ProblemKind};
use serde_json::Value;

use super::hints;
use super::ui::{self, Format, safe};

/// The exit codes. They are frozen: scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing differs.
    Done = 0,
    /// An error that has no code of its own.
    Error = 1,
    /// A comparison found differences.
    Differences = 2,
    /// Some tenants failed, or not everything could be restored.
    Partial = 3,
    /// A precheck refused; nothing changed.
    Refused = 4,
    /// There is no such tenant, version or object.
    NotFound = 6,
    /// Somebody else was first, or what was planned against has moved.
    Conflict = 7,
    /// A side cannot be reached; safe to try again.
    Unreachable = 8,
    /// What is stored fails its verification.
    Unverified = 9,
    /// A health check failed.
    Unhealthy = 10,
    /// The command line or the configuration is wrong.
    Misuse = 64,
    /// A signal ended it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound | ErrorKind::Absent(_) => Self::NotFound,
            ErrorKind::VersionConflict { .. }
            | ErrorKind::IdempotencyConflict
            | ErrorKind::Stale
            | ErrorKind::DivergentHistory => Self::Conflict,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::Unavailable(_) | ErrorKind::OutcomeUnknown(_) => Self::Unreachable,
            ErrorKind::Damaged => Self::Unverified,
            // Also the kinds that have no code of their own: bad input, bad credentials, a bug.
            _ => Self::Error,
        }
    }
}

/// An error of the command itself, rather than of the repository.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure with a stable word for programs.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// A command line or a configuration that makes no sense.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(Exit::Misuse, "usage", message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The error of the repository that this is, if it is one.
pub fn known<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let host = || cause.downcast_ref::<HostError>()?.side();
    cause.downcast_ref::<Error>().or_else(host)
}

/// The problem of this process that it is.
fn problem<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Problem> {
    match cause.downcast_ref::<HostError>() {
        Some(HostError::Problem(problem)) => Some(problem),
        _ => cause.downcast_ref::<Problem>(),
    }
}

/// An error, ready to be shown.
pub struct Report {
    pub exit: Exit,
    code: &'static str,
    message: String,
    hint: Option<String>,
    advised: Option<Hint>,
    retryable: bool,
}

impl Report {
    /// The messages around the first error that knows what it means. What is behind that one is in its message already.
    pub fn of(error: &anyhow::Error) -> Self {
        let mut messages = Vec::new();
        for cause in error.chain() {
            messages.push(cause.to_string());
            if let Some(error) = known(cause) {
                return Self {
                    exit: error.kind().into(),
                    code: error.code(),
                    message: messages.join(": "),
                    hint: error.hinted().map(hints::words),
                    advised: error.hinted().cloned(),
                    retryable: error.retryable(),
                };
            }
            if let Some(problem) = problem(cause) {
                let (exit, code) = match problem.kind {
                    ProblemKind::Misuse => (Exit::Misuse, "usage"),
                    ProblemKind::NotFound => (Exit::NotFound, "not_found"),
                    ProblemKind::Refused => (Exit::Refused, "refused"),
                    ProblemKind::Failed => (Exit::Error, "error"),
                };
                return Self {
                    exit,
                    code,
                    message: messages.join(": "),
                    hint: problem.advice.map(hints::advice),
                    advised: None,
                    retryable: false,
                };
            }
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return Self {
                    exit: failure.exit,
                    code: failure.code,
                    message: messages.join(": "),
                    hint: failure.hint.clone(),
                    advised: None,
                    retryable: false,
                };
            }
        }
        let message = messages.join(": ");
        Self {
            exit: Exit::Error,
            code: "error",
            message,
            hint: None,
            advised: None,
            retryable: false,
        }
    }

    /// Prints it to stderr: two lines for people, one JSON object for programs.
    pub fn print(&self, format: Format) {
        if !format.is_json() {
            let (red, bold) = (ui::RED, ui::BOLD);
            ui::say(&safe::lines(&format!(
                "{red}error:{red:#} {}",
                self.message
            )));
            if let Some(hint) = &self.hint {
                ui::say(&safe::lines(&format!("{bold}hint:{bold:#} {hint}")));
            }
            return;
        }
        // The members in the order in which they are documented.
        let (code, message) = (Value::from(self.code), Value::from(&*self.message));
        let (hint, retryable) = (Value::from(self.hint.as_deref()), self.retryable);
        let advised = self.advised.as_ref().map(Hint::parts);
        let advised = advised.map_or_else(String::new, |(code, data)| {
            let data = data.map_or_else(String::new, |data| format!(r#","hintData":{data}"#));
            format!(r#","hintCode":{code}{data}"#)
        });
        ui::say(&safe::json(&format!(
            r#"{{"error":{{"code":{code},"message":{message},"hint":{hint},"retryable":{retryable}{advised}}}}}"#
        )));
    }
}
