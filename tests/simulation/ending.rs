//! The end of a seed: nothing goes wrong any more, and everything has to settle, or be stopped for a reason.

use std::sync::Arc;

use driftline::domain::{EntryMeta, Stream, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::ports::{CreateManifest, ManifestProvider as _, RecordApply, TenantStatus};
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use crate::actors::{act, content, recover_all};
use crate::model::{Checked, Model, broken, rows, state};
use crate::process::Process;
use crate::world::{Node, World};

/// How the tenants of a seed ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub settled: u32,
    pub stopped: u32,
    pub unknown: u32,
}

pub async fn settle(world: &Arc<World>) -> Ends {
    let process = Process::new(world, "last".to_owned());
    let repository = process.repository();
    // Leases run out, and so do back-offs.
    sleep(Duration::from_secs(30)).await;
    let mut idle: Vec<&TenantId> = world.tenants.iter().collect();
    for _ in 0..5 {
        let acted = act(&process, &repository).await;
        // An idle tenant does not look at its bucket: each stream gets something to shadow.
        for tenant in std::mem::take(&mut idle) {
            if !write_on(world, &repository, tenant).await {
                idle.push(tenant);
            }
        }
        // A recovery lifts a halt, and the next batch looks again: what is judged is what that one found.
        let drained = repository.drain(CancellationToken::new()).await;
        process.say(&format!("drains: {drained:?}"));
        let done = drained.is_ok_and(|drained| drained.left.backing_off == 0);
        if done && !acted {
            break;
        }
        sleep(Duration::from_secs(30)).await;
    }
    let node = world.current();
    let mut ends = Ends::default();
    for tenant in &world.tenants {
        let judged = world.watch(|model| judge(model, world, &node, tenant));
        match judged {
            Some(End::Settled) => ends.settled += 1,
            Some(End::Stopped) => ends.stopped += 1,
            Some(End::Unknown) => ends.unknown += 1,
            None => return ends,
        }
    }
    bring_back(world).await;
    ends
}

/// Appends to every stream. `false` when the tenant takes no writes.
async fn write_on(
    world: &Arc<World>,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
) -> bool {
    let request = CreateManifest {
        content: content(format!("last {}", world.next_tag())),
        ..CreateManifest::default()
    };
    let Ok(created) = repository.create_manifest(tenant, request).await else {
        return false;
    };
    let request = RecordApply {
        version: created.manifest.version(),
        resources: std::collections::BTreeMap::new(),
        created_by: None,
        message: None,
        durability: driftline::ports::Durability::Committed,
    };
    if repository.record_apply(tenant, request).await.is_err() {
        return false;
    }
    let request = driftline::ports::DecideDrift {
        decision: driftline::ports::DriftDecision::Policy(
            driftline::domain::drift::Policy::default(),
        ),
        created_by: None,
        message: None,
        durability: driftline::ports::Durability::Committed,
    };
    repository.decide_drift(tenant, request).await.is_ok()
}

enum End {
    Settled,
    Stopped,
    /// Nobody ever wrote to it, or both sides lost it.
    Unknown,
}

fn judge(
    model: &Model,
    world: &World,
    node: &Node,
    tenant: &TenantId,
) -> Result<End, crate::model::Broken> {
    dense(model, node, tenant)?;
    survived(model, node, tenant)?;
    let Some(status) = state(node, tenant) else {
        let named = Stream::ALL
            .iter()
            .any(|stream| !model.named(tenant, *stream).entries.is_empty());
        if named {
            return broken(format!(
                "{tenant} is in the bucket, and the database does not know it"
            ));
        }
        return Ok(End::Unknown);
    };
    let stopped = status.halted.as_ref().map(|halt| halt.reason.clone());
    let stopped = stopped.or_else(|| {
        status
            .state
            .awaiting_recovery
            .then(|| "it awaits recovery".to_owned())
    });
    if let Some(reason) = stopped {
        return match model.divergence(&world.bucket, node, tenant) {
            Some(_) if !reason.is_empty() => Ok(End::Stopped),
            _ => broken(format!(
                "{tenant} ended stopped ({reason}), but the two sides do not disagree"
            )),
        };
    }
    settled(model, node, tenant, &status)?;
    Ok(End::Settled)
}

/// Numbers are dense from 1, the chain links every row, and each entry is there once.
fn dense(model: &Model, node: &Node, tenant: &TenantId) -> Checked {
    for stream in Stream::ALL {
        let rows = rows(node, tenant, stream);
        let head = state(node, tenant).map_or(0, |status| status.state.heads[stream].seq.get());
        if head != rows.len() as u64 {
            return broken(format!(
                "{stream} of {tenant} end at {head}, but {} rows are there",
                rows.len()
            ));
        }
        let mut chain = driftline::domain::genesis(tenant, stream);
        for row in &rows {
            if row.meta.expected_chain(chain) != row.meta.chain {
                return broken(format!(
                    "{stream} {} of {tenant} does not fit the chain",
                    row.meta.seq
                ));
            }
            chain = row.meta.chain;
            if model.entry(row.meta.id).is_none_or(|made| made != row) {
                return broken(format!(
                    "{stream} {} of {tenant} is not what was committed",
                    row.meta.seq
                ));
            }
        }
        let newest_first: Vec<EntryMeta> = rows.into_iter().rev().map(|row| row.meta).collect();
        model.listed(&newest_first)?;
    }
    Ok(())
}

/// What a surviving side took is there.
fn survived(model: &Model, node: &Node, tenant: &TenantId) -> Checked {
    for owed in model.owed(tenant) {
        let in_bucket = model.named(tenant, owed.stream).chain_at(owed.seq) == Some(owed.chain);
        let mut rows = rows(node, tenant, owed.stream).into_iter();
        if !in_bucket && !rows.any(|row| row.meta.id == owed.id) {
            return broken(format!(
                "{} {} of {tenant} was acknowledged and is lost",
                owed.stream, owed.seq
            ));
        }
    }
    Ok(())
}

/// Both sides hold the same, and the database knows it.
fn settled(model: &Model, node: &Node, tenant: &TenantId, status: &TenantStatus) -> Checked {
    for stream in Stream::ALL {
        let (named, head) = (model.named(tenant, stream), status.state.heads[stream]);
        let rows = rows(node, tenant, stream).into_iter();
        let rows: Vec<_> = rows.map(|row| (row.meta.id, row.meta.chain)).collect();
        if status.watermarks[stream] != head.seq || named.entries != rows {
            return broken(format!(
                "{tenant} neither settled nor stopped: {stream} end at {}, the watermark is {}, the index names {}; its last error: {:?}",
                head.seq,
                status.watermarks[stream],
                named.entries.len(),
                status.last_error
            ));
        }
    }
    Ok(())
}

/// An empty database gets back from the bucket all that the bucket names.
async fn bring_back(world: &Arc<World>) {
    world.replace_database(
        "an empty one, for the last recovery",
        world.fresh_database(),
    );
    let process = Process::new(world, "restorer".to_owned());
    recover_all(&process, &process.repository()).await;
    let node = world.current();
    for tenant in &world.tenants {
        world.watch(|model| {
            dense(model, &node, tenant)?;
            survived(model, &node, tenant)?;
            for stream in Stream::ALL {
                let named = model.named(tenant, stream);
                let rows = rows(&node, tenant, stream).into_iter();
                let rows: Vec<_> = rows.map(|row| (row.meta.id, row.meta.chain)).collect();
                if rows != named.entries {
                    return broken(format!(
                        "recovery brought back {} {stream} of {tenant}, and the index names {}",
                        rows.len(),
                        named.entries.len()
                    ));
                }
            }
            Ok(())
        });
    }
}
