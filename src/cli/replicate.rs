//! `replicate`

use driftline::domain::format::{BUCKET_KEY, most_bytes};
use driftline::ports::{Error, Fault, TenantStatus};
use driftline::prelude::*;
use serde::Serialize;

use super::status::TenantDocument;
use super::{Context, Exit, hints, shadowing, status, ui, waiting};
use driftline_host::Opened;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  driftline replicate
  driftline replicate --drain
  driftline --snapshots s3://new/prod replicate --new-bucket --drain

Any number of replicators may run. Without --drain a database that cannot be reached is waited \
for. The first SIGINT or SIGTERM finishes the batches under \
way (10 seconds at most), the second stops at once; neither loses anything. With --drain: \
exit code 0 when nothing is left, 3 when only tenants are left that are halted, await \
recovery, or back off after a failure. Exit code 4 when the bucket is not the one that the \
database shadows to: --new-bucket says, once, that it shall be from now on.")]
pub struct Arguments {
    /// End when nothing that can move is pending
    #[arg(long)]
    drain: bool,
    /// The database shadowed to another bucket: shadow everything to this one from now on, which is
    /// empty or names this database
    #[arg(long)]
    new_bucket: bool,
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
    let begin = async || {
        let opened = context.open().await?;
        if arguments.new_bucket {
            opened.repository.start_new_bucket().await?;
        }
        Ok((opened, opened.look().await?))
    };
    let (opened, hindrance) = if arguments.drain {
        begin().await?
    } else {
        match waiting::patiently(context, begin).await? {
            Some(both) => both,
            None => return Ok(Exit::Interrupted),
        }
    };
    if let Some(reason) = hindrance.clone().filter(|_| opened.is_undecided()) {
        return Err(Error::refused(reason).into());
    }
    if hindrance.is_some() {
        refused(opened).await?;
    }
    if arguments.drain {
        // What else hinders is told by the drain, if there is anything to do.
        drain(context, opened).await
    } else {
        if let Some(reason) = hindrance {
            context.ui.warn(hints::reason(&reason));
        }
        serve(context, opened).await
    }
}

/// A bucket that refuses us is a fault that no retry mends: it ends the command, with what to set.
async fn refused(opened: &Opened) -> anyhow::Result<()> {
    let store = &opened.sides.snapshots;
    match store.get(BUCKET_KEY, most_bytes(BUCKET_KEY)).await {
        Err(error) if error.fault() == Fault::Refused => Err(Error::from(error).into()),
        _ => Ok(()),
    }
}

async fn serve(context: &Context, opened: &Opened) -> anyhow::Result<Exit> {
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

async fn drain(context: &Context, opened: &Opened) -> anyhow::Result<Exit> {
    let Context { ui, signals, .. } = context;
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
