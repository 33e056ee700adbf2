//! `doctor`

mod proofs;

use std::time::Duration;

use driftline::adapters::system::System;
use driftline::domain::TenantId;
use driftline::domain::format::{BUCKET_KEY, BucketIdentity, most_bytes};
use driftline::hybrid::probe::{ProbeLevel, ProbeProgress, ProbeReport};
use driftline::ports::{
    Clock as _, DatabaseIdentity, ErrorKind, Inspection, ManifestProvider as _, Ownership,
    SideHealth, Verdict,
};
use serde::Serialize;
use serde_json::{Value, json};

use self::proofs::Proofs;
use super::open::Opened;
use super::status::DatabaseDocument;
use super::{Context, Exit, Ui, args, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline doctor
  driftline --snapshots s3://shadow/prod doctor --race
  driftline doctor --proof-max-age 7d

Exit code 10 when a side does not answer, the bucket is not this database's, writes are refused, a tenant is halted or was not \
proven restorable for too long, or the bucket does not keep what driftline relies on. --race writes below _driftline/probe/ in the bucket and removes \
what it wrote.")]
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
}

fn age(text: &str) -> Result<Duration, String> {
    let expected = || "a duration is expected, like 12h, 7d or 2w".to_owned();
    args::duration(text).ok_or_else(expected)
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
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<String>,
    proofs: Option<Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    halted: &'a [TenantId],
    checks: Option<Vec<Value>>,
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Owner {
    /// This database's.
    This,
    /// Another's.
    Another,
    /// This database's, before it failed over.
    #[serde(rename = "another")]
    Former,
    /// Nobody's yet.
    Nobody,
    /// Nobody's, although the database shadows already: it is another bucket, or an emptied one.
    #[serde(rename = "nobody")]
    Gone,
    /// A side could not be asked.
    Unknown,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let ui = &context.ui;
    let opened = context.existing_both().await?;
    let health = opened.repository.health_check().await;
    let identity = if health.database.reachable {
        opened.sides.database.identity().await.ok()
    } else {
        None
    };
    let owner = if health.bucket.reachable {
        owner(opened, identity.as_ref()).await
    } else {
        Owner::Unknown
    };
    let fresh = owner == Owner::Nobody
        && identity.is_some_and(|identity| identity.ownership == Ownership::Unclaimed);
    // A new database beside an empty bucket is as it should be: the first write claims it.
    let refusal = health.refusal.filter(|_| !fresh);
    // A side that does not answer is told as such.
    let undecided = opened.repository.undecided().await.unwrap_or_default();
    let probe = if arguments.race {
        race(opened, ui, arguments).await?
    } else {
        None
    };
    let max_age = arguments.proof_max_age.or(context.config.proof_max_age);
    let proofs = match &identity {
        Some(_) => Some(Proofs::read(opened, max_age, System.now()).await?),
        None => None,
    };
    let halted = proofs.as_ref().map_or(&[][..], Proofs::halted);
    let healthy = health.database.reachable
        && health.bucket.reachable
        && refusal.is_none()
        && undecided.is_none()
        && !matches!(owner, Owner::Another | Owner::Former | Owner::Gone)
        && halted.is_empty()
        && proofs.as_ref().is_none_or(Proofs::are_recent)
        && probe.as_ref().is_none_or(ProbeReport::passed);
    if ui.is_text() {
        side(ui, "database", &health.database)?;
        side(ui, "bucket", &health.bucket)?;
        ui.line(format_args!("{:<10} {}", "owner", describe(owner)))?;
        let writes = match (&refusal, fresh, owner) {
            (Some(reason), _, _) => format!("refused: {reason}"),
            (None, true, _) => "none yet; the first one claims the bucket".to_owned(),
            (None, false, Owner::Former) => {
                "none before a recovery: `driftline recover --all-tenants`, or by itself with the first write"
                    .to_owned()
            }
            (None, false, _) => "taken".to_owned(),
        };
        ui.line(format_args!("{:<10} {writes}", "writes"))?;
        if let Some(reason) = &undecided {
            let red = ui::RED;
            ui.line(format_args!(
                "{:<10} {red}stopped{red:#}: {reason}",
                "shadowing"
            ))?;
        }
        if !halted.is_empty() {
            let (red, names) = (ui::RED, proofs::names(halted));
            ui.line(format_args!(
                "{:<10} {red}halted{red:#}: {names}; `driftline verify` shows where two histories disagree",
                "shadowing"
            ))?;
        }
        if let Some(proofs) = &proofs {
            proofs.show(ui)?;
        }
        if let Some(probe) = &probe {
            show(ui, probe)?;
        }
    } else {
        ui.json(&Document {
            schema: "driftline.doctor.v1",
            healthy,
            database: side_document(&health.database),
            bucket: side_document(&health.bucket),
            identity: identity.as_ref().map(DatabaseDocument::from),
            owner,
            refusal,
            undecided,
            proofs: proofs.as_ref().map(Proofs::document),
            halted,
            checks: probe
                .as_ref()
                .map(|probe| probe.checks.iter().map(check_document).collect()),
        })?;
    }
    Ok(if healthy { Exit::Done } else { Exit::Unhealthy })
}

/// Races writers on the bucket; `None` when it is not reached, which is told already.
async fn race(
    opened: &Opened,
    ui: &Ui,
    arguments: &Arguments,
) -> anyhow::Result<Option<ProbeReport>> {
    let (writers, rounds) = (arguments.writers.into(), arguments.rounds.into());
    let progress = ProbeProgress::default();
    let bar = ui.progress("{spinner} racing writers on the bucket: {msg} ({elapsed})");
    let show = async {
        loop {
            let (check, round) = progress.now();
            bar.set_message(match round {
                0 | 1 => check.to_owned(),
                _ => format!("{check}, round {round} of {rounds}"),
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let level = ProbeLevel::Race { writers, rounds };
    let report = tokio::select! {
        report = opened.repository.probe(level, &progress) => report.map(Some),
        () = show => Ok(None),
    };
    bar.finish_and_clear();
    match report {
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable(_)) => Ok(None),
        report => Ok(report?),
    }
}

async fn owner(opened: &Opened, identity: Option<&DatabaseIdentity>) -> Owner {
    match (
        opened
            .sides
            .snapshots
            .get(BUCKET_KEY, most_bytes(BUCKET_KEY))
            .await,
        identity,
    ) {
        (Ok(None), Some(identity)) if identity.ownership == Ownership::Claimed => Owner::Gone,
        (Ok(None), _) => Owner::Nobody,
        (Ok(Some(object)), Some(identity)) => match BucketIdentity::parse(&object.bytes) {
            Ok(found) if found.database_id == identity.id => Owner::This,
            Ok(found)
                if found.database_id.id == identity.id.id
                    && found.database_id.timeline < identity.id.timeline =>
            {
                Owner::Former
            }
            Ok(_) => Owner::Another,
            Err(_) => Owner::Unknown,
        },
        _ => Owner::Unknown,
    }
}

const fn describe(owner: Owner) -> &'static str {
    match owner {
        Owner::This => "the bucket belongs to this database",
        Owner::Another => "the bucket belongs to another database",
        Owner::Former => "the bucket belongs to this database, before it failed over",
        Owner::Nobody => "the bucket belongs to nobody yet",
        Owner::Gone => {
            "the bucket belongs to nobody, and this database shadowed to one: is it the right one? `driftline replicate --new-bucket` fills a new one"
        }
        Owner::Unknown => "unknown",
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

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Info => "info",
        Verdict::Unknown => "unknown",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    }
}

fn check_document(check: &Inspection) -> Value {
    json!({ "name": check.name, "verdict": word(check.verdict), "detail": check.detail })
}

fn show(ui: &Ui, probe: &ProbeReport) -> anyhow::Result<()> {
    ui.line("")?;
    let row = |check: &Inspection| {
        vec![
            word(check.verdict).to_owned(),
            check.name.to_owned(),
            check.detail.clone(),
        ]
    };
    ui.table(
        &["VERDICT", "CHECK", "SEEN"],
        &[],
        probe.checks.iter().map(row).collect(),
    )?;
    let url = &probe.url;
    let verdict = match probe.failures().count() {
        0 => format!("{url} keeps what driftline relies on"),
        1 => format!("{url} breaks a promise that driftline relies on"),
        failed => format!("{url} breaks {failed} promises that driftline relies on"),
    };
    Ok(ui.line(verdict)?)
}
