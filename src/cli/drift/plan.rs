//! `drift plan`

use driftline::domain::drift::{self, Action, DriftReport, Step, Untimely};
use driftline::domain::{Seq, TenantId, Timestamp};
use driftline::hybrid::inspection::Question;
use serde::Serialize;
use serde_json::Value;

use super::look::{AgeArgument, Look, MaxAge, is_incomplete};
use super::text::page::Page;
use super::text::short;
use super::{text, words};
use crate::cli::args::{self, Tenant};
use crate::cli::sources::RequiredSource;
use crate::cli::{Context, Exit, Ui, ui};
use driftline_host::Sources;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline drift plan --tenant acme --actual live.json
  driftline drift plan --tenant acme --actual live.json -o json | jq '.steps[]'

The steps are in an order that is safe to run; nothing is run here. A patch is RFC 6902, to \
be applied to the live attributes: elements of lists by their place, beside which \
`pointer` names those of keyed lists by their key. Values that the policy redacts are left \
out, and named in `withheld`; an operation without its value cannot be run. `record` changes nothing live: `driftline apply record` \
tells driftline what is there. Exit code 2 when there are steps, 3 when there are none but \
something could not be seen.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    source: RequiredSource,
    /// Take this version as the desired one instead of the active one
    #[arg(long, value_name = "N", value_parser = args::version)]
    at_version: Option<Seq>,
    /// Compare every live field, also those that neither the desired nor the recorded state names
    #[arg(long)]
    strict: bool,
    /// How old the live state may be to count: a duration like 90m, 12h or 7d, or `any` [default: as audits take it, three
    /// slots of the tenant's schedule]
    #[arg(long, value_name = "AGE")]
    max_age: Option<AgeArgument>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    tenant: &'a TenantId,
    desired_version: Seq,
    recorded_version: Option<Seq>,
    observed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    untimely: Option<Untimely>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    settings_not_observed: bool,
    steps: &'a [Step],
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let source = arguments.source.build(&context.config)?;
    let reading = context.reading().await?;
    let look = Look {
        inspector: &reading.inspector,
        sources: Sources::only(Some(source)),
        question: Question {
            version: arguments.at_version,
            strict: arguments.strict,
            all: false,
            plan: true,
        },
        max_age: MaxAge::new(arguments.max_age, &context.config.audit),
    };
    let bar = ui.progress("{spinner} looking ({elapsed})");
    let report = look.at(&arguments.tenant.tenant).await;
    bar.finish_and_clear();
    let report = report?;
    let steps = report.plan.as_deref().unwrap_or_default();
    if ui.is_text() {
        show(ui, &report, steps)?;
    } else {
        let document = Document {
            schema: "driftline.plan.v1",
            tenant: &report.tenant,
            desired_version: report.desired_version,
            recorded_version: report.recorded_version,
            observed_at: report.observed_at,
            untimely: report.untimely,
            settings_not_observed: report.summary.settings_not_observed,
            steps,
        };
        ui.items(&document, steps)?;
    }
    Ok(if !steps.is_empty() {
        Exit::Differences
    } else if is_incomplete(&report) {
        Exit::Partial
    } else {
        Exit::Done
    })
}

fn show(ui: &Ui, report: &DriftReport, steps: &[Step]) -> anyhow::Result<()> {
    let mut page = Page::new(Ui::width());
    let column = steps.len().to_string().len();
    for (number, step) in steps.iter().enumerate() {
        let number = number + 1;
        let (style, action) = match &step.action {
            Action::Create { .. } => (ui::GREEN, "create"),
            Action::Update { .. } => (ui::YELLOW, "update"),
            Action::Delete => (ui::RED, "delete"),
            Action::Record => (ui::BOLD, "record"),
        };
        let (name, words) = subject(step);
        page.item(
            style,
            &format!("{number:>column$}. {action}"),
            column + 8,
            &name,
            &words,
        );
        match &step.action {
            Action::Create { attributes } => {
                let line = short(attributes, page.columns(4));
                page.paragraph(4, ui::Style::new(), &line);
            }
            Action::Update { patch } => operations(&mut page, patch),
            Action::Delete | Action::Record => {}
        }
        for withheld in &step.withheld {
            let text = format!(
                "{} is not shown (sha256 {})",
                withheld.pointer, withheld.sha256
            );
            page.paragraph(4, ui::Style::new(), &words::plain(&text));
        }
        if let Some(reason) = &step.reason {
            page.paragraph(4, ui::Style::new(), &words::plain(reason));
        }
    }
    text::unused(&mut page, report);
    text::errors(&mut page, report, |_| false);
    if let Some(words) = report.untimely_words() {
        page.paragraph(0, ui::YELLOW, &words);
    }
    let seen = if is_incomplete(report) {
        " for what could be seen"
    } else {
        ""
    };
    let steps = match steps.len() {
        0 => "nothing to do".to_owned(),
        count => ui::count(count.try_into()?, "step"),
    };
    page.paragraph(0, ui::Style::new(), &format!("{steps}{seen}"));
    if report
        .plan
        .iter()
        .flatten()
        .any(|step| step.renamed_from.is_some())
    {
        let offer = format!(
            "what was renamed stays live as it is: `driftline apply record --tenant {} --version {} --file …` records it under its new name",
            report.tenant, report.desired_version
        );
        page.paragraph(0, ui::Style::new(), &offer);
    }
    text::conclude(&mut page, report, ui::BOLD);
    page.lines.iter().try_for_each(|line| ui.line(line))?;
    Ok(())
}

/// What a step is about, and what is to be known about it.
fn subject(step: &Step) -> (String, String) {
    let external = step.external_id.as_deref();
    let id = step.manifest_id.as_deref().or(external).unwrap_or("?");
    let name = words::plain(&drift::name(&step.resource_type, id));
    let renamed = step
        .renamed_from
        .as_ref()
        .map(|old| {
            format!(
                "renamed from {}, ",
                drift::name(&old.resource_type, &old.manifest_id)
            )
        })
        .unwrap_or_default();
    let words = match (&step.action, external) {
        (Action::Create { .. }, _) => String::new(),
        (Action::Record, Some(external)) => format!("it is live as {external}"),
        (Action::Record, None) if name == drift::SETTINGS => "it is live as desired".to_owned(),
        (Action::Record, None) => "it is not live".to_owned(),
        (_, Some(external)) if step.manifest_id.is_some() => format!("live as {external}"),
        (_, None) => String::new(),
        _ => "in no manifest".to_owned(),
    };
    (name, words::plain(&format!("{renamed}{words}")))
}

/// One line an operation, each as RFC 6902 names it.
fn operations(page: &mut Page, patch: &Value) {
    for operation in patch.as_array().into_iter().flatten() {
        let member = |name: &str| operation.get(name).and_then(Value::as_str);
        let (verb, pointer) = (member("op").unwrap_or("?"), member("path").unwrap_or("?"));
        let from = member("from").map(|from| format!(" from {from}"));
        // An element of a keyed list is told by its key; where it is now stands behind.
        let place = match member("pointer") {
            Some(by_key) => format!("{by_key} (at {pointer})"),
            None => pointer.to_owned(),
        };
        let head = words::plain(&format!("{verb} {place}{}", from.unwrap_or_default()));
        match operation.get("value") {
            Some(value) => {
                let value = short(value, page.columns(6));
                page.pair(4, &head, &value);
            }
            None => page.paragraph(4, ui::Style::new(), &head),
        }
    }
}
