//! `replicate`

use driftline::ports::TenantStatus;
use serde::Serialize;

use super::status::TenantDocument;
use super::{Context, Exit, shadowing, status, ui};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline replicate
  driftline replicate --drain

Any number of replicators may run. The first SIGINT or SIGTERM finishes the batches under \
way (10 seconds at most), the second stops at once; neither loses anything. With --drain: \
exit code 0 when nothing is left, 3 when only tenants are left that are halted, await \
recovery, or back off after a failure.")]
pub struct Arguments {
    /// End when nothing that can move is pending
    #[arg(long)]
    drain: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    shadowed: u64,
    left: Left,
    tenants: &'a [TenantDocument<'a>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Left {
    ready: u64,
    leased: u64,
    backing_off: u64,
    stopped: u64,
}

pub async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    if arguments.drain {
        drain(context).await
    } else {
        serve(context).await
    }
}

async fn serve(context: &Context) -> anyhow::Result<Exit> {
    let opened = context.open().await?;
    if let Some(reason) = opened.look().await? {
        context.ui.warn(reason);
    }
    let bucket = opened.sides.snapshots.url();
    context.ui.note(format_args!(
        "shadowing {} to {bucket}; Ctrl-C ends it",
        opened.database_url
    ));
    // The caller drops this future when the second signal comes, or the time is up.
    opened
        .repository
        .replicate(context.signals.soft.clone())
        .await;
    context.ui.note("the batches under way are finished");
    Ok(Exit::Interrupted)
}

async fn drain(context: &Context) -> anyhow::Result<Exit> {
    let Context { ui, signals, .. } = context;
    let opened = context.open().await?;
    // Another bucket than before is claimed by this. What hinders is told by the drain, if there is anything to do.
    opened.look().await?;
    let drained = opened.repository.drain(signals.soft.clone()).await?;
    let mut left = status::all(opened).await?;
    left.retain(|status| status.at_risk.entries > 0);
    if ui.is_text() {
        ui.line(format_args!(
            "shadowed {}",
            ui::count(drained.shadowed, "entry")
        ))?;
        let reason =
            |status: &TenantStatus| shadowing::why(status).unwrap_or_else(|| "pending".to_owned());
        let rows: Vec<_> = left
            .iter()
            .map(|status| {
                vec![
                    status.state.tenant.to_string(),
                    status.at_risk.entries.to_string(),
                    reason(status),
                ]
            })
            .collect();
        if !rows.is_empty() {
            ui.table(&["LEFT", "AT RISK", "BECAUSE"], &[1], rows)?;
        }
        if drained.left.backing_off > 0 {
            ui.note("what failed is not tried again at once: drain again in a minute");
        }
    } else {
        let tenants: Vec<_> = left.iter().map(TenantDocument::from).collect();
        let backlog = drained.left;
        ui.json(&Document {
            schema: "driftline.drain.v1",
            shadowed: drained.shadowed,
            left: Left {
                ready: backlog.ready,
                leased: backlog.leased,
                backing_off: backlog.backing_off,
                stopped: backlog.stopped,
            },
            tenants: &tenants,
        })?;
    }
    let backlog = drained.left;
    Ok(if signals.soft.is_cancelled() {
        Exit::Interrupted
    } else if backlog.ready + backlog.leased + backlog.backing_off + backlog.stopped == 0 {
        Exit::Done
    } else {
        Exit::Partial
    })
}
