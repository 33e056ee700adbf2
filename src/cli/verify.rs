//! `verify`

mod ack_lost;

use std::collections::BTreeMap;
use std::time::Duration;

use driftline::domain::TenantId;
use driftline::domain::integrity::{BucketFinding, Finding, Mend, VERIFY_SCHEMA, VerifyDocument};
use driftline::hybrid::integrity::{ReadData, VerifyProgress, VerifyReport};

use super::{Context, Exit, Ui, hints, ui};
use driftline_host::Opened;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  driftline verify
  driftline verify --tenant acme --read-data
  driftline verify --read-data-subset 3/7 -o json
  driftline verify ack-lost --tenant acme --version 12 --reason 'lost with both disks, INC-17'

Compares the database, the index and the objects of the bucket, and writes nothing. Without \
--read-data only what is in doubt is read. Exit code 0 when all is well, 9 when something is \
damaged, 3 when not everything could be seen.")]
#[command(group = clap::ArgGroup::new("whom"))]
#[command(group = clap::ArgGroup::new("read"))]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// This tenant
    #[arg(long, value_name = "TENANT", group = "whom")]
    tenant: Option<TenantId>,
    /// Every tenant that either side knows; so it is without --tenant too
    #[arg(long, group = "whom")]
    all_tenants: bool,
    /// Read and verify every object and every row
    #[arg(long, group = "read")]
    read_data: bool,
    /// Read and verify one part of the objects, and every row: 1/7 today, 2/7 tomorrow
    #[arg(long, value_name = "N/M", value_parser = subset, group = "read")]
    read_data_subset: Option<(u64, u64)>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Accept that an entry is lost on both sides: verify lists it from then on, and is green
    AckLost(ack_lost::Arguments),
}

fn subset(text: &str) -> Result<(u64, u64), String> {
    let parts = text
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    parts
        .filter(|(part, of)| (1..=*of).contains(part))
        .ok_or_else(|| "a part like 1/7 is expected, from 1/7 to 7/7".to_owned())
}

/// A line of what was found.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Bucket(&'a BucketFinding),
    Tenant(&'a Finding),
}

pub async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    if let Some(Command::AckLost(arguments)) = arguments.command {
        return ack_lost::run(context, arguments).await;
    }
    let read = match (arguments.read_data, arguments.read_data_subset) {
        (_, Some((part, of))) => ReadData::Subset { part, of },
        (true, None) => ReadData::All,
        (false, None) => ReadData::Nothing,
    };
    let (opened, ui) = (context.existing_both().await?, &context.ui);
    let mut report = match &arguments.tenant {
        Some(tenant) => opened.repository.verify(tenant, read).await?,
        None => all(opened, ui, read).await?,
    };
    advise(&mut report);
    if ui.is_text() {
        show(ui, &report)?;
    } else {
        let document = VerifyDocument {
            schema: VERIFY_SCHEMA,
            items: &report.findings,
            bucket: &report.bucket,
            summary: &report.summary,
        };
        let bucket = report.bucket.iter().map(Item::Bucket);
        let items: Vec<_> = bucket
            .chain(report.findings.iter().map(Item::Tenant))
            .collect();
        ui.items(&document, &items)?;
    }
    for (tenant, error) in &report.unseen {
        ui.warn(format_args!("{tenant} could not be verified: {error}"));
    }
    Ok(if report.has_damage() {
        Exit::Unverified
    } else if report.unseen.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

async fn all(opened: &Opened, ui: &Ui, read: ReadData) -> anyhow::Result<VerifyReport> {
    let progress = VerifyProgress::default();
    let bar = ui.progress("{spinner} {msg} ({elapsed})");
    let show = async {
        loop {
            let (tenants, entries) = (progress.tenants(), progress.entries());
            bar.set_message(format!("{tenants} tenants, {entries} entries verified"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let report = tokio::select! {
        report = opened.repository.verify_all(read, &progress) => report,
        () = show => Ok(VerifyReport::default()),
    };
    bar.finish_and_clear();
    Ok(report?)
}

/// Adds what may be done about what keeps entries from being shadowed.
fn advise(report: &mut VerifyReport) {
    for finding in &mut report.findings {
        if finding.hindrance.is_some() {
            let reason = report.hindrances.get(&finding.tenant);
            let hint = reason.and_then(|reason| reason.hint.as_ref());
            finding.hint = hint.map(hints::words);
        }
    }
}

fn show(ui: &Ui, report: &VerifyReport) -> anyhow::Result<()> {
    if report.has_findings() {
        let bucket = report.bucket.iter().map(bucket_row);
        let rows = bucket.chain(report.findings.iter().map(row)).collect();
        ui.table(&["TENANT", "ENTRY", "VERDICT", "REPAIR"], &[], rows)?;
    }
    for finding in &report.bucket {
        let (object, detail) = (&finding.object, &finding.detail);
        ui.line(format_args!("bucket: {object}: {detail}"))?;
    }
    for finding in &report.findings {
        let (tenant, entry) = (&finding.tenant, entry(finding));
        let object = finding.object.as_ref();
        let object = object.map_or_else(String::new, |object| format!("{object}: "));
        ui.line(format_args!("{tenant} {entry}: {object}{}", finding.detail))?;
    }
    let mut kept: BTreeMap<String, Vec<TenantId>> = BTreeMap::new();
    for (tenant, reason) in &report.hindrances {
        let tenants = kept.entry(hints::reason(reason)).or_default();
        tenants.push(tenant.clone());
    }
    for (hindrance, tenants) in kept {
        ui.line(format_args!(
            "not shadowed: {}: {hindrance}",
            ui::names(&tenants)
        ))?;
    }
    let summary = &report.summary;
    let verdicts: Vec<_> = (summary.by_verdict.iter())
        .map(|(verdict, count)| format!("{count} {}", verdict.name()))
        .collect();
    let verdicts = if verdicts.is_empty() {
        "nothing is there".to_owned()
    } else {
        verdicts.join(", ")
    };
    let read = match summary.bytes {
        0 => String::new(),
        bytes => format!("; {} read", ui::bytes(bytes)),
    };
    let tenants = ui::count(summary.tenants, "tenant");
    ui.line(format_args!("{tenants}: {verdicts}{read}"))?;
    Ok(())
}

fn bucket_row(finding: &BucketFinding) -> Vec<String> {
    let (verdict, repair) = (finding.verdict.name(), mends(finding.repair));
    ["-", "bucket", verdict, repair].map(str::to_owned).to_vec()
}

fn entry(finding: &Finding) -> String {
    match (finding.stream, finding.seq) {
        (Some(stream), Some(seq)) => format!("{stream}/{seq}"),
        (Some(stream), None) => stream.to_string(),
        (None, _) => "-".to_owned(),
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let repair = match &finding.accepted {
        Some(accepted) => format!("accepted by decisions/{}", accepted.decision),
        None => mends(finding.repair).to_owned(),
    };
    vec![
        finding.tenant.to_string(),
        entry(finding),
        finding.verdict.name().to_owned(),
        repair,
    ]
}

/// What mends a finding, as a person would do it.
pub fn mends(mend: Mend) -> &'static str {
    match mend {
        Mend::Shadowing => "comes by itself",
        Mend::Reshadow
        | Mend::RestoreRow
        | Mend::RebuildIndex
        | Mend::RebuildPage
        | Mend::Quarantine
        | Mend::WriteBucket => "driftline repair",
        Mend::Unhinder => "what keeps it: driftline doctor",
        Mend::Recover => "driftline recover",
        Mend::RecoverUnverified => "driftline recover --accept-unverified",
        Mend::ResolveDivergence => "driftline recover --resolve-divergence",
        Mend::Inspect => "look at the object",
        Mend::Lost => "lost: driftline verify ack-lost",
    }
}
