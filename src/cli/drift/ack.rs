//! `drift ack`

mod subject;

use driftline::adapters::system::System;
use driftline::domain::drift::Acknowledgement;
use driftline::domain::{ShortText, json};
use driftline::hybrid::inspection::Question;
use driftline::ports::{Clock as _, DriftDecision};
use serde_json::Value;

use self::subject::Subject;
use super::decision::{Decision, decide};
use super::look::{Look, MaxAge};
use super::until::Until;
use super::words;
use crate::cli::args::{self, By, Tenant, WaitShadowed};
use crate::cli::sources::SourceArguments;
use crate::cli::{Context, Exit, Failure};
use driftline_host::Sources;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline drift ack --tenant acme --type roles --id mod --until 7d --reason 'incident 4711'
  driftline drift ack --tenant acme --type roles --id mod --path /limit --actual live.json \\
      --until 2026-01-31T08:00:00Z --reason 'raised for the event'
  driftline drift ack --tenant acme --type roles --id mod --withdraw

What is accepted is the live value: from the newest stored audit, or as --actual shows it \
now. Any other value alarms again, and so does this one when the time is over.")]
pub struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// The resource's type
    #[arg(long = "type", value_name = "TYPE")]
    resource_type: String,
    /// Its manifest id
    #[arg(long, value_name = "ID")]
    id: String,
    /// Accept only this field, a JSON pointer as the report shows it [default: the whole resource]
    #[arg(long, value_name = "POINTER", value_parser = pointer)]
    path: Option<String>,
    /// Until when: an RFC 3339 time, or a duration like 90m, 12h, 7d or 2w
    #[arg(long, value_name = "TIME", required_unless_present = "withdraw")]
    until: Option<Until>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "withdraw")]
    reason: Option<ShortText>,
    /// The value to accept, as JSON, instead of the one that was seen
    #[arg(long, value_name = "JSON", requires = "path", conflicts_with = "actual", value_parser = value)]
    value: Option<Value>,
    #[command(flatten)]
    source: SourceArguments,
    /// End an acknowledgement now
    #[arg(long, conflicts_with_all = ["until", "value", "actual"])]
    withdraw: bool,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    wait: WaitShadowed,
}

fn pointer(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err("a JSON pointer is expected, like /spec/replicas".to_owned())
}

fn value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        format!(
            "JSON is expected: {}",
            json::advise(text.as_bytes(), &error)
        )
    })
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let now = System.now();
    let until = match arguments.until.map(|until| until.from(now)) {
        Some(until) if until <= now => {
            let message = format!("accept a drift until {}: that is over", words::time(until));
            return Err(Failure::misuse(message)
                .hint("--withdraw ends an acknowledgement")
                .into());
        }
        until => until.unwrap_or(now),
    };
    let by = arguments.by.clone().name()?;
    let subject = Subject {
        tenant: &arguments.tenant.tenant,
        resource_type: &arguments.resource_type,
        id: &arguments.id,
        path: arguments.path.as_deref(),
    };
    let source = arguments.source.build(false, &context.config)?;
    let reading = context.reading().await?;
    let inspected = reading.inspector.read_one(subject.tenant).await?;
    let rules = inspected
        .ok_or_else(|| args::unknown(subject.tenant))?
        .rules;
    let (accepted, reason) = if arguments.withdraw {
        let (accepted, reason) = subject.withdrawn(&rules, now)?;
        (accepted, arguments.reason.unwrap_or(reason))
    } else {
        subject.check_path(&rules)?;
        let accepted = match &arguments.value {
            Some(value) => {
                subject.check_known(context).await?;
                subject.value(&rules, value)
            }
            None if source.is_some() => {
                let look = Look {
                    inspector: &reading.inspector,
                    sources: Sources::only(source),
                    question: Question {
                        all: true,
                        ..Question::default()
                    },
                    max_age: MaxAge::Any,
                };
                let report = look.at(subject.tenant).await?;
                subject.seen(&rules, &report.items, "the live state")?
            }
            None => subject.audited(context, &rules).await?,
        };
        let missing = || Failure::misuse("accept a drift: --reason is missing");
        (accepted, arguments.reason.ok_or_else(missing)?)
    };
    let acknowledgement = Acknowledgement {
        resource_type: arguments.resource_type.clone(),
        id: arguments.id.clone(),
        pointer: arguments.path.clone().unwrap_or_default(),
        value: accepted.digest,
        until,
        reason,
        by: None,
        decision: None,
    };
    let told = if arguments.withdraw {
        format!("{} is no longer accepted", accepted.told)
    } else {
        format!("{} is accepted until {}", accepted.told, words::time(until))
    };
    let decision = Decision {
        tenant: subject.tenant.clone(),
        what: DriftDecision::Acknowledge(acknowledgement),
        by,
        message: None,
        wait: arguments.wait,
    };
    decide(context, decision, &told).await
}
