//! `status`

use driftline::domain::{BucketId, Epoch, Halt, Seq, Stream, TenantId, Timestamp};
use driftline::ports::{AtRisk, DatabaseIdentity, Error, Ownership, TenantStatus};
use serde::Serialize;

use super::open::Opened;
use super::{Context, Exit, Ui, args, shadowing, ui};

const PAGE: u32 = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline status
  driftline status --at-risk -o json

At risk is what would be lost with the database: committed, and not in the bucket yet, over all streams.")]
pub struct Arguments {
    /// Only this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Only tenants with something at risk
    #[arg(long)]
    at_risk: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    database: DatabaseDocument,
    tenants: &'a [TenantDocument<'a>],
    total: Total,
}

/// Who the database is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseDocument {
    id: String,
    ownership: &'static str,
    generation: Epoch,
    bucket_id: Option<BucketId>,
}

/// What is shadowed of a tenant, and what is not.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantDocument<'a> {
    tenant: &'a TenantId,
    head: Seq,
    watermark: Seq,
    at_risk: AtRiskDocument,
    halted: bool,
    last_error: Option<&'a str>,
    retry_at: Option<Timestamp>,
    awaiting_recovery: bool,
    halt: Option<&'a Halt>,
    streams: Streams,
}

#[derive(Serialize)]
struct Streams {
    manifests: Progress,
    applies: Progress,
    decisions: Progress,
}

#[derive(Serialize)]
struct Progress {
    head: Seq,
    watermark: Seq,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct AtRiskDocument {
    entries: u64,
    bytes: u64,
    oldest_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    tenants: usize,
    halted: usize,
    at_risk: AtRiskDocument,
}

impl From<&DatabaseIdentity> for DatabaseDocument {
    fn from(identity: &DatabaseIdentity) -> Self {
        Self {
            id: identity.id.to_string(),
            ownership: ownership(identity.ownership),
            generation: identity.generation,
            bucket_id: identity.bucket_id,
        }
    }
}

impl From<AtRisk> for AtRiskDocument {
    fn from(at_risk: AtRisk) -> Self {
        Self {
            entries: at_risk.entries,
            bytes: at_risk.bytes,
            oldest_at: at_risk.oldest_at,
        }
    }
}

impl<'a> From<&'a TenantStatus> for TenantDocument<'a> {
    fn from(status: &'a TenantStatus) -> Self {
        let progress = |stream| Progress {
            head: status.state.heads[stream].seq,
            watermark: status.watermarks[stream],
        };
        Self {
            tenant: &status.state.tenant,
            head: status.state.heads[Stream::Manifests].seq,
            watermark: status.watermarks[Stream::Manifests],
            at_risk: status.at_risk.into(),
            halted: status.halted.is_some(),
            last_error: status.last_error.as_deref(),
            retry_at: status.retry_at,
            awaiting_recovery: status.state.awaiting_recovery,
            halt: status.halted.as_ref(),
            streams: Streams {
                manifests: progress(Stream::Manifests),
                applies: progress(Stream::Applies),
                decisions: progress(Stream::Decisions),
            },
        }
    }
}

/// The word for an ownership.
pub const fn ownership(ownership: Ownership) -> &'static str {
    match ownership {
        Ownership::Unclaimed => "unclaimed",
        Ownership::Claimed => "claimed",
        Ownership::AwaitingRecovery => "awaitingRecovery",
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let opened = context.open().await?;
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
        show(ui, &identity, &found)?;
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

fn total(found: &[TenantStatus]) -> Total {
    Total {
        tenants: found.len(),
        halted: found
            .iter()
            .filter(|status| status.halted.is_some())
            .count(),
        at_risk: AtRiskDocument {
            entries: found.iter().map(|status| status.at_risk.entries).sum(),
            bytes: found.iter().map(|status| status.at_risk.bytes).sum(),
            oldest_at: found
                .iter()
                .filter_map(|status| status.at_risk.oldest_at)
                .min(),
        },
    }
}

fn show(ui: &Ui, identity: &DatabaseIdentity, found: &[TenantStatus]) -> anyhow::Result<()> {
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
            "awaits recovery: it takes no writes until `driftline recover --all-tenants`".to_owned()
        }
    };
    ui.line(format_args!(
        "database {}, generation {}: {ownership}",
        identity.id, identity.generation
    ))?;
    if found.is_empty() {
        return Ok(ui.line("no tenants")?);
    }
    let header = [
        "TENANT",
        "HEAD",
        "WATERMARK",
        "AT RISK",
        "BYTES",
        "OLDEST",
        "STATE",
    ];
    ui.table(&header, &[1, 2, 3, 4], found.iter().map(row).collect())?;
    let total = total(found);
    let at_risk = ui::count(total.at_risk.entries, "entry");
    let size = ui::bytes(total.at_risk.bytes);
    let tenants = ui::count(u64::try_from(total.tenants)?, "tenant");
    Ok(ui.line(format_args!(
        "{tenants}; at risk {at_risk}, {size}; halted {}",
        total.halted
    ))?)
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
        shadowing::why(status).unwrap_or_else(|| {
            if at_risk.entries > 0 {
                "pending"
            } else {
                "shadowed"
            }
            .to_owned()
        }),
    ]
}
