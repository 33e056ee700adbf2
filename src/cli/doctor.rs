//! `doctor`

mod owner;
mod promises;
mod proofs;
mod shadowing;

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::hybrid::probe::ProbeReport;
use driftline::ports::CheckUp;
use driftline::ports::{Clock as _, DatabaseIdentity, Error, Health, Hint, Ownership, SideHealth};
use driftline::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use self::owner::{Owner, describe, owner};
use self::promises::{check_document, race, show};
use self::proofs::Proofs;
use self::shadowing::Shadowing;
use super::exit::known;
use super::status::DatabaseDocument;
use super::{Context, Exit, Ui, hints, status, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline doctor
  driftline --snapshots s3://shadow/prod doctor --race
  driftline doctor --proof-max-age 7d

Exit code 10 when a side does not answer or takes no writes, the bucket is not this database's, writes are refused, a tenant is \
halted, cannot be shadowed, is at risk or was not proven restorable for too long, was found not to be restorable by its newest drill, or the bucket does not keep what driftline relies \
on. It tries what it says: one object below _driftline/probe/ in the bucket, and one change in the database, both taken back. \
--race writes there, too, and removes what it wrote; it ends within a minute.")]
pub struct Arguments {
    /// Race writers on the bucket: are its conditional writes to be trusted?
    #[arg(long)]
    race: bool,
    /// Writers at once
    #[arg(long, value_name = "N", default_value_t = 8, requires = "race")]
    #[arg(value_parser = clap::value_parser!(u16).range(2..=64))]
    writers: u16,
    /// Races of each kind
    #[arg(long, value_name = "N", default_value_t = 10, requires = "race")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Fail when a tenant was not proven restorable for so long, like 12h, 7d or 2w [default: proof-max-age-days of the
    /// configuration, or else any age is good]
    #[arg(long, value_name = "AGE", value_parser = age)]
    proof_max_age: Option<Duration>,
    /// Fail when entries are at risk for longer than this, like 30m, 1h or 2d [default: at-risk-limit of the configuration, or
    /// else 1h]
    #[arg(long, value_name = "AGE", value_parser = age)]
    at_risk_limit: Option<Duration>,
}

/// How long one question about all tenants may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn age(text: &str) -> Result<Duration, String> {
    let expected = || "a duration is expected, like 12h, 7d or 2w".to_owned();
    driftline_host::duration(text).ok_or_else(expected)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    healthy: bool,
    database: Value,
    bucket: Value,
    identity: Option<DatabaseDocument>,
    owner: Owner,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_problem: Option<String>,
    /// Why a side takes no writes.
    tried: Value,
    shadowing: Value,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unknown: &'a [String],
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<&'a str>,
    proofs: Option<Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    halted: &'a [TenantId],
    checks: Option<Vec<Value>>,
}

/// The answer to one of the doctor's questions; one that there is none to is noted.
async fn told<T>(
    unknown: &mut Vec<String>,
    what: &str,
    question: impl Future<Output = anyhow::Result<T>>,
) -> Option<T> {
    let reason = match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => match known(&*error) {
            // Its message has what is behind it already.
            Some(error) => match error.hinted() {
                Some(hint @ Hint::MakeDatabase) => format!("{error}; {}", hints::words(hint)),
                _ => error.to_string(),
            },
            None => format!("{error:#}"),
        },
        Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
    };
    unknown.push(format!("{what}: {reason}"));
    None
}

/// What the doctor found.
struct Findings {
    health: Health,
    identity: Option<DatabaseIdentity>,
    owner: Owner,
    /// A new database beside an empty bucket, as it should be: the first write claims it.
    fresh: bool,
    refusal: Option<String>,
    undecided: Option<String>,
    /// What is not known is no reason to leave out the rest, and none to be green.
    unknown: Vec<String>,
    proofs: Option<Proofs>,
    checkup: CheckUp,
    shadowing: Shadowing,
    probe: Option<ProbeReport>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let findings = Findings::gather(context, arguments).await?;
    if ui.is_text() {
        findings.show(ui)?;
    } else {
        ui.json(&findings.document())?;
    }
    Ok(if findings.are_well() {
        Exit::Done
    } else {
        Exit::Unhealthy
    })
}

impl Findings {
    async fn gather(context: &Context, arguments: &Arguments) -> anyhow::Result<Self> {
        let opened = context.existing_both().await?;
        let health = opened.repository.health_check().await;
        let mut unknown = Vec::new();
        // A side that does not answer is told as such.
        let identity = if health.database.reachable {
            let asked = async {
                Ok(opened
                    .sides
                    .database
                    .identity()
                    .await
                    .map_err(Error::from)?)
            };
            told(&mut unknown, "whose the database is", asked).await
        } else {
            None
        };
        let owner = if health.bucket.reachable {
            let asked = owner(opened, identity.as_ref());
            let owner = told(&mut unknown, "whose the bucket is", asked).await;
            owner.unwrap_or(Owner::Unknown)
        } else {
            Owner::Unknown
        };
        let fresh = owner == Owner::Nobody
            && identity.is_some_and(|identity| identity.ownership == Ownership::Unclaimed);
        let refusal = health.refusal.as_ref().filter(|_| !fresh);
        let refusal = refusal.map(hints::reason);
        let mut undecided = None;
        if identity.is_some() && health.bucket.reachable {
            let asked = async {
                match opened.repository.undecided().await {
                    // A damaged bucket.json is told as such.
                    Err(_) if matches!(owner, Owner::Damaged(_)) => Ok(None),
                    asked => Ok(asked?),
                }
            };
            let what = "whether shadowing waits for a decision";
            let asked = told(&mut unknown, what, asked).await.flatten();
            undecided = asked.as_ref().map(hints::reason);
        }
        let mut probe = None;
        if arguments.race && health.bucket.reachable {
            match race(opened, &context.ui, arguments).await {
                Ok(report) => probe = Some(report),
                Err(error) => unknown.push(format!("the bucket's promises: {error:#}")),
            }
        }
        let mut found = None;
        let mut proofs = None;
        if identity.is_some() {
            found = told(&mut unknown, "tenants", status::all(opened)).await;
            let max_age = arguments.proof_max_age.or(context.config.proof_max_age);
            let tenants = found.as_deref().unwrap_or_default();
            let read = Proofs::read(opened, tenants, max_age, System.now());
            proofs = told(&mut unknown, "proofs", read).await;
        }
        let found = found.unwrap_or_default();
        let ours = matches!(owner, Owner::This | Owner::Nobody) && health.bucket.reachable;
        let checkup = if health.database.reachable {
            opened.repository.check_up(&found, ours).await
        } else {
            CheckUp::default()
        };
        if let Some(reason) = &checkup.unlisted {
            unknown.push(format!("which tenants the bucket has: {reason}"));
        }
        let limit = arguments.at_risk_limit.or(context.config.at_risk_limit);
        let shadowing = Shadowing::of(&found, &checkup, limit, System.now());
        Ok(Self {
            health,
            identity,
            owner,
            fresh,
            refusal,
            undecided,
            unknown,
            proofs,
            checkup,
            shadowing,
            probe,
        })
    }

    fn halted(&self) -> &[TenantId] {
        self.proofs.as_ref().map_or(&[], Proofs::halted)
    }

    fn are_well(&self) -> bool {
        self.health.database.reachable
            && self.health.bucket.reachable
            && self.refusal.is_none()
            && self.undecided.is_none()
            && matches!(self.owner, Owner::This | Owner::Nobody)
            && self.unknown.is_empty()
            && self.checkup.is_well()
            && self.shadowing.is_well()
            && self.halted().is_empty()
            && self.proofs.as_ref().is_none_or(Proofs::are_recent)
            && (self.probe.as_ref())
                .is_none_or(|probe| probe.passed() && probe.open().next().is_none())
    }

    fn writes(&self) -> String {
        match (&self.refusal, self.fresh, &self.owner) {
            (Some(reason), _, _) => format!("refused: {reason}"),
            (None, true, _) if self.checkup.bucket.is_some() => {
                "none: the first one has to claim the bucket, which takes none".to_owned()
            }
            (None, true, _) => "none yet; the first one claims the bucket".to_owned(),
            (None, false, Owner::Former) => {
                "none before a recovery: `driftline recover --all-tenants`, or by itself with the first write"
                    .to_owned()
            }
            (None, false, _) if self.checkup.database.is_some() => {
                "refused by the database".to_owned()
            }
            (None, false, _) => "taken".to_owned(),
        }
    }

    fn show(&self, ui: &Ui) -> anyhow::Result<()> {
        let red = ui::RED;
        side(ui, "database", &self.health.database)?;
        side(ui, "bucket", &self.health.bucket)?;
        ui.line(format_args!("{:<10} {}", "owner", describe(&self.owner)))?;
        let tried = [
            ("database", &self.checkup.database),
            ("bucket", &self.checkup.bucket),
        ];
        for (side, reason) in tried {
            if let Some(reason) = reason {
                ui.line(format_args!(
                    "{side:<10} {red}takes no writes{red:#}: {reason}"
                ))?;
            }
        }
        ui.line(format_args!("{:<10} {}", "writes", self.writes()))?;
        if let Some(reason) = &self.undecided {
            ui.line(format_args!(
                "{:<10} {red}stopped{red:#}: {reason}",
                "shadowing"
            ))?;
        }
        if !self.halted().is_empty() {
            let names = ui::names(self.halted());
            ui.line(format_args!(
                "{:<10} {red}halted{red:#}: {names}; `driftline verify` shows where two histories disagree",
                "shadowing"
            ))?;
        }
        self.shadowing.show(ui)?;
        if self.checkup.unseen > 0 {
            let others = self.checkup.unseen;
            ui.line(format_args!(
                "{:<10} the indexes of {others} more tenants were not looked at; `driftline verify` looks at all",
                "shadowing"
            ))?;
        }
        if let Some(proofs) = &self.proofs {
            proofs.show(ui)?;
        }
        for what in &self.unknown {
            ui.line(format_args!(
                "{:<10} {red}not known{red:#}: {what}",
                "unknown"
            ))?;
        }
        if let Some(probe) = &self.probe {
            show(ui, probe)?;
        }
        Ok(())
    }

    fn document(&self) -> Document<'_> {
        Document {
            schema: "driftline.doctor.v1",
            healthy: self.are_well(),
            database: side_document(&self.health.database),
            bucket: side_document(&self.health.bucket),
            identity: self.identity.as_ref().map(DatabaseDocument::from),
            owner: self.owner.clone(),
            owner_problem: match &self.owner {
                Owner::Damaged(problem) => Some(problem.clone()),
                _ => None,
            },
            tried: json!({ "database": self.checkup.database, "bucket": self.checkup.bucket }),
            shadowing: self.shadowing.document(),
            unknown: &self.unknown,
            refusal: self.refusal.as_deref(),
            undecided: self.undecided.as_deref(),
            proofs: self.proofs.as_ref().map(Proofs::document),
            halted: self.halted(),
            checks: self
                .probe
                .as_ref()
                .map(|probe| probe.checks.iter().map(check_document).collect()),
        }
    }
}

fn side(ui: &Ui, name: &str, health: &SideHealth) -> anyhow::Result<()> {
    let latency = milliseconds(health.latency);
    let (green, red) = (ui::GREEN, ui::RED);
    match &health.error {
        None => {
            let version = health.version.as_deref().unwrap_or("-");
            ui.line(format_args!(
                "{name:<10} {green}reachable{green:#} in {latency} ms: {version}"
            ))?;
        }
        Some(error) => ui.line(format_args!(
            "{name:<10} {red}not reachable{red:#} after {latency} ms: {error}"
        ))?,
    }
    Ok(())
}

fn side_document(health: &SideHealth) -> Value {
    json!({
        "reachable": health.reachable,
        "latencyMs": milliseconds(health.latency),
        "version": health.version,
        "error": health.error,
    })
}

fn milliseconds(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 10_000.0).round() / 10.0
}
