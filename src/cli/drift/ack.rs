//! `drift ack`

use driftline::adapters::system::System;
use driftline::domain::drift::{Acknowledgement, DriftRules, Item, Verdict, value_digest};
use driftline::domain::{Digest, ShortText, TenantId, Timestamp};
use driftline::hybrid::inspection::Question;
use driftline::ports::{Clock as _, DriftDecision};
use serde_json::Value;

use super::decision::{Decision, decide};
use super::look::Look;
use super::text::short;
use super::until::Until;
use super::{stored, words};
use crate::cli::args::{self, By, Tenant, WaitShadowed};
use crate::cli::sources::SourceArguments;
use crate::cli::{Context, Exit, Failure};

/// The columns in which an accepted value is repeated.
const SHOWN: usize = 40;

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
    #[arg(long, value_name = "JSON", requires = "path", value_parser = json)]
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

/// What is accepted, and how it is told.
struct Accepted {
    digest: Digest,
    told: String,
}

fn pointer(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err("a JSON pointer is expected, like /spec/replicas".to_owned())
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("JSON is expected: {error}"))
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
    let source = arguments.source.build(false)?;
    let reading = context.reading().await?;
    let inspected = reading.inspector.read_one(subject.tenant).await?;
    let rules = inspected
        .ok_or_else(|| args::unknown(subject.tenant))?
        .rules;
    let (accepted, reason) = if arguments.withdraw {
        let (accepted, reason) = subject.withdrawn(&rules, now)?;
        (accepted, arguments.reason.unwrap_or(reason))
    } else {
        let accepted = match &arguments.value {
            Some(value) => {
                subject.check_known(context).await?;
                subject.value(&rules, value)
            }
            None if source.is_some() => {
                let look = Look {
                    inspector: &reading.inspector,
                    source,
                    question: Question {
                        all: true,
                        ..Question::default()
                    },
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

/// What an acknowledgement is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    tenant: &'a TenantId,
    resource_type: &'a str,
    id: &'a str,
    path: Option<&'a str>,
}

impl Subject<'_> {
    fn name(&self) -> String {
        words::plain(&format!("{}/{}", self.resource_type, self.id))
    }

    /// Nothing can be accepted there.
    fn refuse(&self, why: &str) -> Failure {
        let message = format!("accept {} of {}: {why}", self.name(), self.tenant);
        Failure::new(Exit::Refused, "refused", message)
    }

    fn not_found(&self, what: &str) -> Failure {
        let message = format!("accept {} of {}: {what}", self.name(), self.tenant);
        Failure::new(Exit::NotFound, "not_found", message)
    }

    /// The acknowledgement that ends.
    fn withdrawn(
        &self,
        rules: &DriftRules,
        now: Timestamp,
    ) -> Result<(Accepted, ShortText), Failure> {
        let path = self.path.unwrap_or_default();
        let found = rules.acknowledgements.iter().find(|accepted| {
            (&*accepted.resource_type, &*accepted.id, &*accepted.pointer)
                == (self.resource_type, self.id, path)
        });
        let hint = format!("`driftline drift acks --tenant {}` shows them", self.tenant);
        let Some(found) = found else {
            let what = "there is no acknowledgement of it to withdraw";
            return Err(self.not_found(what).hint(hint));
        };
        if found.until <= now {
            let why = format!("its acknowledgement ended at {}", words::time(found.until));
            return Err(self.refuse(&why));
        }
        let accepted = Accepted {
            digest: found.value,
            told: format!("{}{}", self.name(), words::plain(&field(self.path))),
        };
        Ok((accepted, found.reason.clone()))
    }

    /// A value that was given. That the resource is there at all is checked apart.
    fn value(&self, rules: &DriftRules, value: &Value) -> Accepted {
        let path = self.path.unwrap_or_default();
        let digest = value_digest(&rules.policy, self.resource_type, self.id, path, value);
        let told = format!(
            "{}{} = {}",
            self.name(),
            field(self.path),
            short(value, SHOWN)
        );
        Accepted {
            digest,
            told: words::plain(&told),
        }
    }

    /// Refuses a resource that is neither desired nor recorded: a mistyped name would be accepted without effect.
    async fn check_known(&self, context: &Context) -> anyhow::Result<()> {
        let look = Look {
            inspector: &context.reading().await?.inspector,
            source: None,
            question: Question {
                all: true,
                ..Question::default()
            },
        };
        let report = look.at(self.tenant).await?;
        if self.find(&report.items).is_none() {
            return Err(self
                .not_found("it is neither desired nor recorded as applied")
                .into());
        }
        Ok(())
    }

    /// What the newest stored audit saw.
    async fn audited(&self, context: &Context, rules: &DriftRules) -> anyhow::Result<Accepted> {
        let audits = context.open().await?.audits.as_ref();
        let newest = stored::list(audits, self.tenant, 1).await?;
        let report = match newest.first() {
            Some(summary) => stored::read(audits, summary).await?,
            None => None,
        };
        let Some(report) = report else {
            return Err(self
                .not_found("no audit of the tenant is stored")
                .hint("--actual SOURCE looks at the live state now; `driftline audit run` stores an audit")
                .into());
        };
        let place = format!("the audit of {}", words::time(report.finished_at));
        Ok(self.seen(rules, &report.drift.items, &place)?)
    }

    fn find<'i>(&self, items: &'i [Item]) -> Option<&'i Item> {
        items.iter().find(|item| {
            item.resource_type == self.resource_type && item.manifest_id.as_deref() == Some(self.id)
        })
    }

    /// What a report saw of the resource, if that can be accepted.
    fn seen(&self, rules: &DriftRules, items: &[Item], place: &str) -> Result<Accepted, Failure> {
        let Some(item) = self.find(items) else {
            let unmanaged = items.iter().any(|item| {
                item.verdict == Verdict::Unmanaged
                    && item.resource_type == self.resource_type
                    && item.external_id.as_deref() == Some(self.id)
            });
            return Err(if unmanaged {
                self.refuse("it is in no manifest, so there is no drift to accept")
                    .hint("`driftline drift policy set` says what becomes of unmanaged resources")
            } else {
                self.not_found(&format!("{place} has no difference there"))
                    .hint(format!(
                        "`driftline drift check --tenant {}` shows the names",
                        self.tenant
                    ))
            });
        };
        let why = match item.verdict {
            Verdict::InSync => Some("it is in sync"),
            Verdict::Pending => Some("it did not drift, it is not applied yet"),
            Verdict::Unknown => Some("it could not be seen"),
            Verdict::LedgerSuspect => Some("the record of it cannot be relied on"),
            Verdict::Drifted | Verdict::Adopted | Verdict::Conflict | Verdict::Unmanaged => None,
        };
        if let Some(why) = why {
            return Err(match &item.reason {
                Some(reason) => self.refuse(&format!("{why}: {}", words::plain(reason))),
                None => self.refuse(&format!("{why}, says {place}")),
            });
        }
        let Some(path) = self.path else {
            let digest = item
                .actual_digest
                .ok_or_else(|| self.refuse("its live value is not known"))?;
            let told = format!("{}, {},", self.name(), words::happened(item));
            return Ok(Accepted { digest, told });
        };
        let Some(change) = item.changes.iter().find(|change| change.pointer == path) else {
            let fields: Vec<&str> = item.changes.iter().map(|change| &*change.pointer).collect();
            let hint = if fields.is_empty() {
                "leave out --path to accept it as a whole".to_owned()
            } else {
                words::plain(&format!("what differs is {}", fields.join(", ")))
            };
            let why = format!("nothing differs at {path}, says {place}");
            return Err(self.refuse(&words::plain(&why)).hint(hint));
        };
        if change.recorded == change.actual {
            let why = format!("{path} did not drift, it is not applied yet, says {place}");
            return Err(self.refuse(&words::plain(&why)));
        }
        Ok(self.value(rules, &change.actual))
    }
}

fn field(path: Option<&str>) -> String {
    path.map(|path| format!(" {path}")).unwrap_or_default()
}
