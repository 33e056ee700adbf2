//! `status`

mod document;

use driftline::domain::{Stream, TenantId};
use driftline::ports::{
    DatabaseIdentity, Error, FailedDrill, Ownership, TenantStatus, Whereabouts,
};
use driftline::prelude::*;

use self::document::Document;
pub use self::document::{
    DatabaseDocument, FailedDrillDocument, TenantDocument, Total, is_hindered, is_refuted,
    is_unproven, total,
};
use super::{Context, Exit, Ui, args, shadowing, ui};
use driftline_host::Opened;

const PAGE: u32 = 1000;

/// Failed drills that are told; the others are counted.
const TOLD: usize = 10;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline status
  driftline status --at-risk -o json

At risk is what would be lost with the database: committed, and not in the bucket yet, over \
all streams. Proven is up to which version, and when, a drill restored the tenant from the \
bucket and found it the same; a drill that found otherwise takes that away until one finds \
it the same again, and is told with its reason.")]
pub struct Arguments {
    /// Only this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Only tenants with something at risk
    #[arg(long)]
    at_risk: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let opened = context.existing().await?;
    let identity = opened
        .sides
        .database
        .identity()
        .await
        .map_err(Error::from)?;
    let mut found = match &arguments.tenant {
        Some(tenant) => {
            let found = opened.repository.status(Some(tenant), None, 1).await?;
            if found.is_empty() {
                return Err(args::unknown(tenant).into());
            }
            found
        }
        None => all(opened).await?,
    };
    if arguments.at_risk {
        found.retain(|status| status.at_risk.entries > 0);
    }
    let ui = &context.ui;
    if ui.is_text() {
        show(ui, &identity, &found, arguments)?;
    } else {
        let tenants: Vec<_> = found.iter().map(TenantDocument::from).collect();
        let schema = "driftline.status.v1";
        let document = Document {
            schema,
            database: (&identity).into(),
            tenants: &tenants,
            total: total(&found),
        };
        ui.items(&document, &tenants)?;
    }
    Ok(Exit::Done)
}

/// The status of every tenant.
pub async fn all(opened: &Opened) -> anyhow::Result<Vec<TenantStatus>> {
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = opened.repository.status(None, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = Some(last.state.tenant.clone());
        found.extend(page);
    }
}

fn show(
    ui: &Ui,
    identity: &DatabaseIdentity,
    found: &[TenantStatus],
    arguments: &Arguments,
) -> anyhow::Result<()> {
    let at_risk = arguments.at_risk;
    let ownership = match identity.ownership {
        Ownership::Unclaimed => {
            "unclaimed: it has not seen its bucket yet, and takes no writes before".to_owned()
        }
        Ownership::Claimed => {
            let bucket = identity
                .bucket_id
                .map(|bucket| bucket.to_string())
                .unwrap_or_default();
            format!("claimed, shadowing to the bucket {bucket}")
        }
        Ownership::AwaitingRecovery => {
            let recovered = found
                .iter()
                .filter(|it| !it.state.awaiting_recovery)
                .count();
            let whose = match recovered {
                0 if arguments.tenant.is_none() && !at_risk => "it takes no writes",
                _ => "tenants that await it, and new ones, take no writes",
            };
            format!("awaits recovery: {whose} until `driftline recover --all-tenants`")
        }
    };
    let ownership = match identity.whereabouts {
        Whereabouts::Here => ownership,
        _ if identity.ownership == Ownership::Unclaimed => ownership,
        Whereabouts::Promoted => format!(
            "{ownership}; it failed over, and takes no writes before it is compared with the bucket, which the first one does"
        ),
        Whereabouts::Elsewhere => format!(
            "{ownership}; it sits on another server than before: nothing is shadowed, and tenants of which the bucket knows more take no writes, until `driftline adopt`"
        ),
    };
    ui.line(format_args!(
        "database {}, generation {}: {ownership}",
        identity.id, identity.generation
    ))?;
    let failing: Vec<_> = found.iter().filter(|it| is_hindered(it)).collect();
    if !failing.is_empty() {
        let (red, count) = (ui::RED, ui::count(failing.len() as u64, "tenant"));
        ui.line(format_args!(
            "{red}not shadowed{red:#}: {count} cannot be now; `driftline doctor` says what keeps each"
        ))?;
    }
    if found.is_empty() {
        return Ok(ui.line(if at_risk {
            "nothing is at risk"
        } else {
            "no tenants"
        })?);
    }
    let header = [
        "TENANT",
        "HEAD",
        "WATERMARK",
        "AT RISK",
        "BYTES",
        "OLDEST",
        "PROVEN",
        "PROVEN AT",
        "STATE",
    ];
    ui.table(&header, &[1, 2, 3, 4, 6], found.iter().map(row).collect())?;
    let total = total(found);
    let at_risk = ui::count(total.at_risk.entries, "entry");
    let size = ui::bytes(total.at_risk.bytes);
    let tenants = ui::count(u64::try_from(total.tenants)?, "tenant");
    ui.line(format_args!(
        "{tenants}; at risk {at_risk}, {size}; halted {}",
        total.halted
    ))?;
    ui.line(proofs(&total))?;
    failed_drills(ui, found)
}

/// The newest drills of tenants that they did not prove, the worst first.
fn failed_drills(ui: &Ui, found: &[TenantStatus]) -> anyhow::Result<()> {
    let mut failed: Vec<_> = (found.iter())
        .filter_map(|it| Some((&it.state.tenant, it.failed_drill.as_ref()?)))
        .collect();
    failed.sort_by_key(|(_, drill)| !drill.refutes);
    for (tenant, drill) in failed.iter().take(TOLD) {
        ui.line(failed_drill(tenant, drill))?;
    }
    let more = failed.len().saturating_sub(TOLD);
    if more > 0 {
        ui.line(format_args!(
            "and {more} more that a drill did not prove; `-o json` names all"
        ))?;
    }
    Ok(())
}

/// What became of the newest drill of a tenant that it did not prove.
pub fn failed_drill(tenant: &TenantId, drill: &FailedDrill) -> String {
    let (at, reason) = (drill.at, &drill.reason);
    if drill.refutes {
        format!("not restorable: the drill of {tenant} at {at} found: {reason}")
    } else {
        format!("not known: {tenant} could not be drilled at {at}: {reason}")
    }
}

/// What is proven to be restorable, in a line.
pub fn proofs(total: &Total) -> String {
    let never = total.never_proven as u64;
    let told = match (&total.oldest_proof, never) {
        (Some(oldest), 0) => format!("the oldest proof is of {}, {}", oldest.tenant, oldest.at),
        (Some(oldest), _) => format!(
            "the oldest proof is of {}, {}; {} without any",
            oldest.tenant,
            oldest.at,
            ui::count(never, "tenant")
        ),
        (None, 0) => "there is nothing to prove yet".to_owned(),
        (None, _) => format!(
            "nothing of {} yet; `driftline drill` proves it",
            ui::count(never, "tenant")
        ),
    };
    format!("proven restorable: {told}")
}

fn row(status: &TenantStatus) -> Vec<String> {
    let at_risk = status.at_risk;
    vec![
        status.state.tenant.to_string(),
        status.state.heads[Stream::Manifests].seq.to_string(),
        status.watermarks[Stream::Manifests].to_string(),
        at_risk.entries.to_string(),
        at_risk.bytes.to_string(),
        at_risk
            .oldest_at
            .map_or_else(|| "-".to_owned(), |at| at.to_string()),
        status
            .proof
            .map_or_else(|| "-".to_owned(), |proof| proof.version.to_string()),
        status
            .proof
            .map_or_else(|| "-".to_owned(), |proof| proof.at.to_string()),
        state(status),
    ]
}

fn state(status: &TenantStatus) -> String {
    let shadowed = shadowing::why(status).unwrap_or_else(|| {
        if status.at_risk.entries > 0 {
            "pending"
        } else {
            "shadowed"
        }
        .to_owned()
    });
    if status.state.retired.is_some() {
        return format!("retired, {shadowed}");
    }
    shadowed
}
