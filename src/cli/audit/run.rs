//! `audit run`

use std::sync::{Mutex, PoisonError};

use driftline::domain::TenantId;
use driftline::domain::drift::{AuditReport, Verdict};
use driftline::hybrid::audit::{AuditResult, Audited};
use driftline::ports::Error;
use serde::Serialize;
use serde_json::{Value, json};

use super::auditor::auditor;
use crate::cli::drift::{ExitOn, plain, summary};
use crate::cli::sources::SourceArguments;
use crate::cli::{Context, Exit, Ui, hints, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline audit run
  driftline audit run --tenant acme --actual https://observer.internal/{tenant}.json
  driftline audit run --exit-code drifted -o ndjson

What is audited is only read, and with `read-database` in the configuration through a role \
that can do no more. Reports, and who was told, go to the database itself.")]
pub struct Arguments {
    /// Only this tenant; may be repeated
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<TenantId>,
    #[command(flatten)]
    source: SourceArguments,
    /// Tenants that are observed at once [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallelism: Option<u16>,
    /// What makes the exit code 2
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    exit_code: ExitOn,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    audits: &'a [AuditReport],
    failed: &'a [Value],
    delivered: u64,
}

/// What came of the audits so far.
struct Outcome<'a> {
    ui: &'a Ui,
    exit_on: ExitOn,
    /// A single tenant was asked for: its failure is the command's.
    is_one: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    audits: Vec<AuditReport>,
    failed: Vec<Value>,
    /// Why the only tenant has no report.
    only: Option<Error>,
    differs: bool,
    partial: bool,
    reports: u64,
    written: Option<anyhow::Error>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let Context { ui, signals, .. } = context;
    let mut tenants = arguments.tenant.clone();
    tenants.sort();
    tenants.dedup();
    let source = arguments
        .source
        .build(tenants.len() != 1, &context.config)?;
    let parallelism = arguments.parallelism.map(usize::from);
    let auditor = auditor(context, source, parallelism).await?;
    let outcome = Outcome {
        ui,
        exit_on: arguments.exit_code,
        is_one: tenants.len() == 1,
        state: Mutex::default(),
    };
    let bar = ui.progress("{spinner} auditing ({elapsed})");
    let listener = |result| bar.suspend(|| outcome.add(result));
    let wanted = (!tenants.is_empty()).then_some(tenants);
    let run = auditor.run(wanted, &listener, &signals.soft).await;
    bar.finish_and_clear();
    // Reports that were made are printed, and told of, whatever became of the others.
    let delivery = auditor.deliver(&signals.soft).await;
    let delivered = delivery.as_ref().copied().unwrap_or_default();
    let pruned = auditor.prune().await;
    let failed = run.err().or(delivery.err()).or(pruned.err());
    let state = outcome
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.written {
        return Err(error);
    }
    if let Some(error) = state.only {
        return Err(error.into());
    }
    if ui.is_text() {
        if state.reports == 0 && state.failed.is_empty() && failed.is_none() {
            ui.note("there is no tenant to audit");
        }
        if delivered > 0 {
            ui.note(format_args!("delivered {}", ui::count(delivered, "event")));
        }
    } else if !ui.is_ndjson() && (failed.is_none() || state.reports > 0 || !state.failed.is_empty())
    {
        ui.json(&Document {
            schema: "driftline.audit-run.v1",
            audits: &state.audits,
            failed: &state.failed,
            delivered,
        })?;
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(if signals.soft.is_cancelled() {
        Exit::Interrupted
    } else if state.differs {
        Exit::Differences
    } else if state.partial {
        Exit::Partial
    } else {
        Exit::Done
    })
}

impl Outcome<'_> {
    fn add(&self, AuditResult { tenant, audited }: AuditResult) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match audited {
            Audited::Stored(report) => self.stored(&mut state, *report),
            Audited::Retired => {
                self.ui
                    .note(format_args!("{tenant} is retired, and is not audited"));
                Ok(())
            }
            Audited::Busy => {
                self.failed(&mut state, &tenant, &busy("another process audits it now"))
            }
            Audited::TakenOver => {
                self.failed(&mut state, &tenant, &busy("another process took it over"))
            }
            // A single tenant fails with a code of its own.
            Audited::Failed(error) if self.is_one => {
                state.only = Some(error);
                Ok(())
            }
            Audited::Failed(error) => self.failed(&mut state, &tenant, &hints::document(&error)),
        };
        if let Err(error) = told {
            state.written.get_or_insert(error);
        }
    }

    fn failed(&self, state: &mut State, tenant: &TenantId, error: &Value) -> anyhow::Result<()> {
        state.partial |= self.exit_on != ExitOn::Never;
        let document = json!({ "tenant": tenant, "error": error });
        if self.ui.is_text() {
            let message = error["message"].as_str().unwrap_or_default();
            self.ui
                .warn(format_args!("audit {tenant}: {}", plain(message)));
        } else if self.ui.is_ndjson() {
            self.ui.json(&document)?;
        }
        state.failed.push(document);
        Ok(())
    }

    fn stored(&self, state: &mut State, report: AuditReport) -> anyhow::Result<()> {
        state.reports += 1;
        match self.exit_on.of(&report.drift) {
            Exit::Differences => state.differs = true,
            Exit::Partial => state.partial = true,
            _ => {}
        }
        if self.ui.is_text() {
            self.ui.line(line(&report))?;
        } else if self.ui.is_ndjson() {
            self.ui.json(&report)?;
        } else {
            state.audits.push(report);
        }
        Ok(())
    }
}

/// Why there is no report when another process is at it.
fn busy(message: &str) -> Value {
    json!({ "code": "busy", "message": message, "hint": null, "retryable": true })
}

/// One report in one line.
pub fn line(report: &AuditReport) -> String {
    let mut changes = Vec::new();
    for (drifts, word) in [(&report.new, "new"), (&report.resolved, "resolved")] {
        if !drifts.is_empty() {
            changes.push(format!("{} {word}", drifts.len()));
        }
    }
    let unseen =
        report.drift.errors.first().filter(|_| {
            report.drift.count(Verdict::Unknown) > 0 || report.drift.observed_at.is_none()
        });
    if let Some(error) = unseen {
        changes.push(plain(&error.message));
    }
    changes.extend(report.drift.untimely_words());
    let changes = if changes.is_empty() {
        String::new()
    } else {
        format!(" ({})", changes.join(", "))
    };
    format!("{}{changes}  {}", summary(&report.drift), report.id)
}
