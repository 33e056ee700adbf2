//! What an acknowledgement is about, and whether there is something to accept.

use driftline::domain::drift::{self, DriftRules, Item, Verdict, shown_value, value_digest};
use driftline::domain::{Digest, ShortText, TenantId, Timestamp};
use driftline::hybrid::inspection::Question;
use serde_json::Value;

use crate::cli::drift::look::{Look, MaxAge};
use crate::cli::drift::text::short;
use crate::cli::drift::{stored, words};
use crate::cli::{Context, Exit, Failure};

/// The columns in which an accepted value is repeated.
const SHOWN: usize = 40;

/// What is accepted, and how it is told.
pub struct Accepted {
    /// Its digest.
    pub digest: Digest,
    /// What it is, in words.
    pub told: String,
}

/// What an acknowledgement is about.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// The resource's type.
    pub resource_type: &'a str,
    /// Its manifest id.
    pub id: &'a str,
    /// The field; `None` for the whole resource.
    pub path: Option<&'a str>,
}

impl Subject<'_> {
    fn name(&self) -> String {
        words::plain(&drift::name(self.resource_type, self.id))
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
    pub fn withdrawn(
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
    pub fn value(&self, rules: &DriftRules, value: &Value) -> Accepted {
        let path = self.path.unwrap_or_default();
        let digest = value_digest(&rules.policy, self.resource_type, self.id, path, value);
        let shown = shown_value(&rules.policy, self.resource_type, self.id, path, value);
        let told = format!(
            "{}{} = {}",
            self.name(),
            field(self.path),
            short(&shown, SHOWN)
        );
        Accepted {
            digest,
            told: words::plain(&told),
        }
    }

    /// Refuses a resource that is neither desired nor recorded: a mistyped name would be accepted without effect.
    pub async fn check_known(&self, context: &Context) -> anyhow::Result<()> {
        let look = Look {
            inspector: &context.reading().await?.inspector,
            sources: driftline_host::Sources::default(),
            question: Question {
                all: true,
                ..Question::default()
            },
            max_age: MaxAge::Any,
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
    pub async fn audited(&self, context: &Context, rules: &DriftRules) -> anyhow::Result<Accepted> {
        let audits = context.existing().await?.audit_log();
        let newest = stored::list(audits.as_ref(), self.tenant, 1).await?;
        let report = match newest.first() {
            Some(summary) => stored::read(audits.as_ref(), summary.id).await?,
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

    /// Refuses a place in a list whose elements have none: it would slide onto another element.
    pub fn check_path(&self, rules: &DriftRules) -> Result<(), Failure> {
        let path = self.path.unwrap_or_default();
        let Some(reason) = rules.policy.misses(Some(self.resource_type), path) else {
            return Ok(());
        };
        let message = format!(
            "accept {} of {}: {path}: {reason}",
            self.name(),
            self.tenant
        );
        let failure = Failure::new(Exit::Refused, "refused", words::plain(&message));
        Err(failure.hint(format!(
            "`driftline drift check --tenant {}` shows the fields that differ",
            self.tenant
        )))
    }

    fn find<'i>(&self, items: &'i [Item]) -> Option<&'i Item> {
        items.iter().find(|item| {
            item.resource_type == self.resource_type && item.manifest_id.as_deref() == Some(self.id)
        })
    }

    /// What a report saw of the resource, if that can be accepted.
    pub fn seen(
        &self,
        rules: &DriftRules,
        items: &[Item],
        place: &str,
    ) -> Result<Accepted, Failure> {
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
        let accepted = self.value(rules, &change.actual);
        let digest = change.actual_digest.unwrap_or(accepted.digest);
        Ok(Accepted { digest, ..accepted })
    }
}

fn field(path: Option<&str>) -> String {
    path.map(|path| format!(" {path}")).unwrap_or_default()
}
