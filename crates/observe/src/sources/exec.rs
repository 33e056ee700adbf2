//! A program that observes.

mod process;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use super::{DEFAULT_LIMIT, document, lasting, passing, template};
use crate::text::{EXCERPT, harmless};
use driftline_model::drift::ActualState;
use driftline_model::{Resources, TenantId};
use driftline_ports::{ActualStateSource, ObserveRequest, SourceError};
use process::{Failed, run};

/// How a program is run.
#[derive(Debug, Clone, Copy)]
pub struct ExecOptions {
    /// The most bytes that a document may have.
    pub limit: u64,
    /// How long the program may run. Then it is killed, with all that it started and that stayed in its process group.
    pub timeout: Duration,
}

impl Default for ExecOptions {
    /// [`DEFAULT_LIMIT`] and one minute.
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            timeout: Duration::from_mins(1),
        }
    }
}

/// A program that the operator trusts. It runs once for every observation, with this process's environment, in a process
/// group of its own.
///
/// It is told what to look for on its standard input, as `{"tenant": …, "expected": {type: {manifestId: externalId}}}`, which
/// it need not read; it writes the document to its standard output and exits with 0. What it writes to standard error is
/// reported when it fails, and logged otherwise.
#[derive(Clone)]
pub struct ExecSource {
    program: String,
    arguments: Vec<String>,
    options: ExecOptions,
}

#[derive(Serialize)]
struct Task<'a> {
    tenant: &'a TenantId,
    expected: &'a Resources,
}

impl fmt::Debug for ExecSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecSource({})", self.name())
    }
}

impl ExecSource {
    /// The program in `url`, `exec:PROGRAM ARGUMENT…`: the text is split at white space, and that is all. There is no shell
    /// and no quoting; a program whose name has no slash is looked for in `PATH`. `{tenant}` in an argument stands for the
    /// tenant. Nothing is run yet.
    pub fn new(url: &str, options: ExecOptions) -> Result<Self, SourceError> {
        let command = url.strip_prefix("exec:").unwrap_or(url);
        let mut words = command.split_ascii_whitespace().map(str::to_owned);
        match words.next() {
            // A tenant does not choose what runs.
            Some(program) if !program.contains(template::TENANT) && !command.contains('\0') => {
                Ok(Self {
                    program,
                    arguments: words.collect(),
                    options,
                })
            }
            _ => Err(lasting(
                "the URL of the actual state names no program; `exec:PROGRAM ARGUMENT…` is expected"
                    .to_owned(),
            )),
        }
    }
}

#[async_trait]
impl ActualStateSource for ExecSource {
    /// Arguments may hold a secret.
    fn name(&self) -> String {
        let program = harmless(&self.program, EXCERPT);
        let more = if self.arguments.is_empty() {
            ""
        } else {
            " …"
        };
        format!("exec:{program}{more}")
    }

    async fn observe(&self, request: ObserveRequest<'_>) -> Result<ActualState, SourceError> {
        let name = format!("`{}`", harmless(&self.program, EXCERPT));
        let task = serde_json::to_vec(&Task {
            tenant: request.tenant,
            expected: request.expected,
        });
        let task = task.map_err(|error| lasting(format!("cannot run {name}: {error}")))?;
        let arguments = self
            .arguments
            .iter()
            .map(|argument| template::fill(argument, request.tenant));
        let outcome = run(&self.program, arguments, Bytes::from(task), self.options).await;
        let (stdout, stderr) = outcome.map_err(|failed| {
            let message = format!("cannot observe with {name}: {failed}");
            match failed {
                Failed::Start(_) | Failed::TooBig(_) => lasting(message),
                Failed::Late(..) | Failed::Exit(..) | Failed::Pipe(_) => passing(message),
            }
        })?;
        if !stderr.is_empty() {
            tracing::warn!(
                program = name,
                stderr,
                "the program succeeded and wrote to its standard error"
            );
        }
        document::parse(&name, stdout).await
    }
}
