//! `drift check`

use driftline::domain::drift::{Change, DriftReport, Item, Verdict};
use driftline::domain::{Seq, TenantId};
use driftline::hybrid::inspection::Question;
use driftline::ports::Error;
use serde::Serialize;
use serde_json::{Value, json};

use super::look::{AgeArgument, Look, MaxAge, is_incomplete};
use super::text::{self, Layout};
use super::{junit, words};
use crate::cli::sources::SourceArguments;
use crate::cli::ui::{self, Format};
use crate::cli::{Context, Exit, Ui, args, hints};
use driftline_host::Sources;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline drift check --tenant acme --actual live.json
  driftline drift check --all-tenants --actual 'https://live.example/{tenant}' -o ndjson
  driftline drift check --tenant acme --actual exec:observe --exit-code drifted -o junit

Without --actual, the sources in the configuration are asked; without any, desired and \
recorded are compared alone. A changed field is shown from what it was to what it is, or is \
to be, and as recorded where that is a third value. Nothing is written anywhere. \
Exit code 2 when something differs, 3 when nothing does but something could not be seen, or \
not as it is now.")]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub struct Arguments {
    /// This tenant
    #[arg(long, value_name = "TENANT", group = "whom")]
    tenant: Option<TenantId>,
    /// Every tenant that the database knows
    #[arg(long, group = "whom")]
    all_tenants: bool,
    #[command(flatten)]
    source: SourceArguments,
    /// Take this version as the desired one instead of the active one
    #[arg(long, value_name = "N", value_parser = args::version, conflicts_with = "all_tenants")]
    at_version: Option<Seq>,
    /// Compare every live field, also those that neither the desired nor the recorded state names
    #[arg(long)]
    strict: bool,
    /// How old the live state may be to count: a duration like 90m, 12h or 7d, or `any` [default: as audits take it, three
    /// slots of the tenant's schedule]
    #[arg(long, value_name = "AGE")]
    max_age: Option<AgeArgument>,
    /// Show resources in sync too
    #[arg(long)]
    all: bool,
    /// What exit code 2 is for [default: any difference that nobody accepted]
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_default_value = true
    )]
    exit_code: ExitOn,
}

/// What makes a check end with exit code 2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ExitOn {
    /// Any difference that nobody accepted, also what is not applied yet
    #[default]
    Open,
    /// Any difference, also what is not applied yet or accepted
    Any,
    /// Drift that nobody accepted
    Drifted,
    /// Nothing
    Never,
}

impl ExitOn {
    /// Whether this resource counts.
    pub fn counts(self, item: &Item) -> bool {
        match self {
            Self::Any => item.verdict.is_difference(),
            // Of what is accepted, that which was not applied yet is still to come.
            Self::Open => {
                let is_open = |change: &Change| {
                    change.actual == change.recorded && change.actual != change.desired
                };
                item.verdict.is_difference()
                    && (item.acknowledgement.is_none() || item.changes.iter().any(is_open))
            }
            Self::Drifted => item.alarms(),
            Self::Never => false,
        }
    }

    /// What this report makes of the exit code.
    pub fn of(self, report: &DriftReport) -> Exit {
        let difference = |verdict: &Verdict| verdict.is_difference() && report.count(*verdict) > 0;
        let differs = match self {
            Self::Any => report.has_drift || Verdict::ALL.iter().any(difference),
            Self::Open => report.has_drift || report.items.iter().any(|item| self.counts(item)),
            Self::Drifted => report.has_drift,
            Self::Never => return Exit::Done,
        };
        if differs {
            Exit::Differences
        } else if is_incomplete(report) {
            Exit::Partial
        } else {
            Exit::Done
        }
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let source = arguments
        .source
        .build(arguments.all_tenants, &context.config)?;
    let sources = Sources::of_audits(&context.config.audit, source)?;
    let reading = context.reading().await?;
    let look = Look {
        inspector: &reading.inspector,
        sources,
        question: Question {
            version: arguments.at_version,
            strict: arguments.strict,
            // Programs that count tests want to see those that pass.
            all: arguments.all || ui.format == Format::Junit,
            plan: false,
        },
        max_age: MaxAge::new(arguments.max_age, &context.config.audit),
    };
    let mut output = Output::new(ui, arguments.exit_code);
    if let Some(tenant) = &arguments.tenant {
        let bar = ui.progress("{spinner} looking ({elapsed})");
        let report = look.at(tenant).await;
        bar.finish_and_clear();
        output.one(&report?)?;
    } else {
        let each = |tenant: &TenantId, report| output.next(tenant, report);
        look.at_all(each).await?;
        output.end()?;
    }
    Ok(output.exit)
}

/// What was found so far, as far as it was not printed yet.
struct Output<'a> {
    ui: &'a Ui,
    exit_on: ExitOn,
    exit: Exit,
    layout: Layout,
    reports: Vec<DriftReport>,
    failed: Vec<Value>,
    suites: Vec<quick_junit::TestSuite>,
    tally: Tally,
}

/// Tenants by how they are.
#[derive(Default)]
struct Tally {
    tenants: u64,
    drifted: u64,
    failed: u64,
    incomplete: u64,
    differing: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tenants: &'a [DriftReport],
    failed: &'a [Value],
}

impl<'a> Output<'a> {
    fn new(ui: &'a Ui, exit_on: ExitOn) -> Self {
        Self {
            ui,
            exit_on,
            exit: Exit::Done,
            layout: Layout {
                width: Ui::width(),
                now: None,
            },
            reports: Vec::new(),
            failed: Vec::new(),
            suites: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The only tenant.
    fn one(&mut self, report: &DriftReport) -> anyhow::Result<()> {
        self.exit = self.exit_on.of(report);
        match self.ui.format {
            Format::Text => text::show(self.ui, report, self.layout),
            Format::Json | Format::Ndjson => self.ui.json(report),
            Format::Junit => {
                self.suites.push(junit::suite(report, self.exit_on));
                self.end_junit()
            }
        }
    }

    /// One of several tenants.
    fn next(
        &mut self,
        tenant: &TenantId,
        report: Result<DriftReport, Error>,
    ) -> anyhow::Result<bool> {
        self.tally.tenants += 1;
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                self.fail(tenant, &error)?;
                return Ok(!self.ui.is_closed());
            }
        };
        let exit = self.exit_on.of(&report);
        self.add(exit);
        if report.has_drift {
            self.tally.drifted += 1;
        } else if ExitOn::Any.of(&report) == Exit::Differences {
            self.tally.differing += 1;
        } else if is_incomplete(&report) {
            self.tally.incomplete += 1;
        }
        match self.ui.format {
            Format::Text => {
                text::show(self.ui, &report, self.layout)?;
                // What belongs to a tenant stands together.
                if !report.items.is_empty() {
                    self.ui.line("")?;
                }
            }
            Format::Json => self.reports.push(report),
            Format::Ndjson => self.ui.json(&report)?,
            Format::Junit => self.suites.push(junit::suite(&report, self.exit_on)),
        }
        Ok(!self.ui.is_closed())
    }

    fn fail(&mut self, tenant: &TenantId, error: &Error) -> anyhow::Result<()> {
        self.tally.failed += 1;
        self.add(Exit::Partial);
        let document = json!({ "tenant": tenant, "error": hints::document(error) });
        match self.ui.format {
            Format::Text => {
                let mut page = text::page::Page::new(self.layout.width);
                let message = words::plain(&error.to_string());
                page.paragraph(0, ui::RED, &format!("{tenant}: failed: {message}"));
                if let Some(hint) = error.hinted().map(hints::words) {
                    page.paragraph(2, ui::Style::new(), &hint);
                }
                for line in page.lines {
                    self.ui.line(line)?;
                }
                self.ui.line("")?;
            }
            Format::Json => self.failed.push(document),
            Format::Ndjson => self.ui.json(&document)?,
            Format::Junit => self.suites.push(junit::failed(tenant, error)),
        }
        Ok(())
    }

    /// A difference is worse than something unknown.
    fn add(&mut self, exit: Exit) {
        self.exit = match (self.exit, exit) {
            (Exit::Differences, _) | (_, Exit::Differences) => Exit::Differences,
            (Exit::Partial, _) | (_, Exit::Partial) => Exit::Partial,
            _ => Exit::Done,
        };
    }

    /// After the last of several tenants.
    fn end(&mut self) -> anyhow::Result<()> {
        match self.ui.format {
            Format::Text => {
                let tally = &self.tally;
                let mut words = vec![ui::count(tally.tenants, "tenant")];
                for (count, what) in [
                    (tally.drifted, "with drift"),
                    (tally.differing, "with other differences"),
                    (tally.incomplete, "not seen in full"),
                    (tally.failed, "failed"),
                ] {
                    if count > 0 {
                        words.push(format!("{count} {what}"));
                    }
                }
                Ok(self.ui.line(words.join(", "))?)
            }
            Format::Json => self.ui.json(&Document {
                schema: driftline::domain::drift::REPORT_SCHEMA,
                tenants: &self.reports,
                failed: &self.failed,
            }),
            Format::Ndjson => Ok(()),
            Format::Junit => self.end_junit(),
        }
    }

    fn end_junit(&mut self) -> anyhow::Result<()> {
        let text = junit::document(std::mem::take(&mut self.suites))?;
        Ok(self.ui.xml(text.trim_end())?)
    }
}
