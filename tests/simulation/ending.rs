//! The end of a seed: nothing goes wrong any more, and everything has to settle, or be stopped for a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::domain::integrity::{Finding, Mend, Verdict};
use driftline::domain::{EntryId, EntryMeta, Seq, Stream, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::hybrid::integrity::{ReadData, VerifyReport};
use driftline::ports::{CreateManifest, Hint, RecordApply, RecoveryRequest, TenantStatus};
use driftline::prelude::*;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use crate::actors::{act, content, mend, recover_all, verify};
use crate::model::{Checked, Model, all_rows, broken, rows, state};
use crate::process::{LAST, Process};
use crate::world::{Node, World};

/// How the tenants of a seed ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub settled: u32,
    pub stopped: u32,
    pub unknown: u32,
    /// Of two histories, and then settled.
    pub resolved: u32,
    /// Settled but for what both sides lost.
    pub lost: u32,
    /// What repairs did.
    pub mended: u64,
}

pub async fn settle(world: &Arc<World>) -> Ends {
    let process = Process::new(world, LAST.to_owned());
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
    let mut ends = Ends::default();
    let lost = look_after(world, &process, &repository, &mut ends).await;
    if world.has_failed() {
        return ends;
    }
    ends.mended = world.mended_so_far();
    let node = world.current();
    for tenant in &world.tenants {
        let judged = world.watch(|model| judge(model, world, &node, tenant, &lost));
        match judged {
            Some(End::Settled) => ends.settled += 1,
            Some(End::Stopped) => ends.stopped += 1,
            Some(End::Lost) => ends.lost += 1,
            Some(End::Unknown) => ends.unknown += 1,
            None => return ends,
        }
    }
    bring_back(world, &lost).await;
    ends
}

/// What both sides lost, by tenant.
type Losses = BTreeMap<TenantId, BTreeSet<(Stream, Seq)>>;

/// Verifies, mends, and makes one of two histories, until nothing is left but what both sides lost.
async fn look_after(
    world: &Arc<World>,
    process: &Process,
    repository: &HybridManifestRepository,
    ends: &mut Ends,
) -> Losses {
    let mut has_acted = false;
    for round in 0.. {
        let Some(report) = verify(process, repository, ReadData::All).await else {
            world.watch(|_| broken::<()>("nothing goes wrong, and it cannot be verified"));
            break;
        };
        let node = world.current();
        world.watch(|model| told(model, world, &node, &report));
        let damage = || report.findings.iter().filter(|it| it.is_damage());
        let losses = || damage().filter(|it| it.repair == Mend::Lost);
        let is_both = |tenant: &TenantId| {
            let of = |it: &&Finding| it.tenant == *tenant;
            losses().any(|it| of(&it))
                && damage()
                    .filter(of)
                    .any(|it| it.verdict == Verdict::Divergent)
        };
        let is_lost = |of: &Finding, seq: Option<Seq>| {
            losses().any(|it| it.tenant == of.tenant && (it.stream, it.seq) == (of.stream, seq))
        };
        // Where the row after a lost one is lost as well, nobody can tell whether what lies there is it.
        let is_untold = |it: &Finding| {
            let next = it.seq.map(Seq::next);
            it.repair == Mend::Inspect && is_lost(it, it.seq) && is_lost(it, next)
        };
        // An index or a page is not made up anew while one of its entries is lost, and two histories of which one lost something stay two.
        let is_left = |finding: &Finding| {
            let place = |it: &Finding| (it.tenant.clone(), it.stream);
            let mut losses = losses();
            finding.repair == Mend::Lost
                || is_untold(finding)
                || (round > 3 && is_both(&finding.tenant))
                || (matches!(finding.repair, Mend::RebuildIndex | Mend::RebuildPage)
                    && losses.any(|it| place(it) == place(finding)))
        };
        let is_mended = damage().all(is_left) && report.unseen.is_empty();
        if is_mended && (has_acted || !act(process, repository).await) {
            world.watch(|model| {
                let mut losses = losses();
                losses.try_for_each(|it| {
                    let of_two = is_both(&it.tenant);
                    model.justifies_loss(&world.bucket, &node, it, of_two)
                })
            });
            let mut lost = Losses::new();
            for finding in damage() {
                // Of one that stays two histories nothing is mended.
                if finding.repair != Mend::Lost && !is_both(&finding.tenant) {
                    continue;
                }
                let place = finding.stream.zip(finding.seq);
                lost.entry(finding.tenant.clone())
                    .or_default()
                    .extend(place);
            }
            return lost;
        }
        // What was mended may have kept a recovery from being asked for.
        has_acted |= is_mended;
        if round >= 6 && !is_mended {
            let what = format!(
                "what was found is not mended: {:#?}, {:?}",
                damage().collect::<Vec<_>>(),
                report.unseen
            );
            world.watch(|_| broken::<()>(what));
            break;
        }
        mend(process, repository).await;
        act(process, repository).await;
        for tenant in &world.tenants {
            let is_told = |it: &Finding| it.tenant == *tenant && it.verdict == Verdict::Divergent;
            let is_halted = state(&node, tenant).is_some_and(|it| it.halted.is_some());
            if (is_halted || report.findings.iter().any(is_told))
                && resolve(world, process, repository, tenant, round > 2).await
            {
                ends.resolved += 1;
            }
        }
        let _ = repository.drain(CancellationToken::new()).await;
        // Whoever backs off comes back.
        sleep(Duration::from_secs(30)).await;
        let _ = repository.drain(CancellationToken::new()).await;
    }
    Losses::new()
}

/// Two histories are told, or halted.
fn told(model: &Model, world: &World, node: &Node, report: &VerifyReport) -> Checked {
    for tenant in &world.tenants {
        let is_halted = state(node, tenant).is_some_and(|it| it.halted.is_some());
        let mut findings = report.findings.iter().filter(|it| it.tenant == *tenant);
        if let Some(what) = model.two_histories(&world.bucket, node, tenant)
            && !is_halted
            && !findings.any(|it| it.verdict == Verdict::Divergent)
            && !report.unseen.iter().any(|(of, _)| of == tenant)
        {
            return broken(format!("{what} of {tenant}, and nobody is told"));
        }
    }
    Ok(())
}

/// Makes one history of two: nothing that either side holds is lost, and each entry is there once. What nothing ties to either
/// history is moved away in the end, as the refusal says.
async fn resolve(
    world: &Arc<World>,
    process: &Process,
    repository: &HybridManifestRepository,
    tenant: &TenantId,
    gives_up: bool,
) -> bool {
    let node = world.current();
    let mut held = BTreeMap::new();
    world.watch(|model| {
        for stream in Stream::ALL {
            let rows = all_rows(&node, tenant, stream).into_iter();
            // What neither side holds any more cannot come back.
            let named = model.named(tenant, stream).entries.into_iter();
            let named = named.filter(|(id, _)| model.has_object(&world.bucket, *id));
            let ids = rows.map(|row| row.meta.id).chain(named.map(|(id, _)| id));
            held.extend(ids.map(|id| (id, stream)));
        }
        Ok(())
    });
    let request = RecoveryRequest {
        resolve_divergence: true,
        ..RecoveryRequest::default()
    };
    let recovery = loop {
        let outcome = repository.recover_from_s3(tenant, &request).await;
        process.say(&format!("resolves {tenant}: {outcome:?}"));
        let error = match outcome {
            Ok(recovery) => break recovery,
            Err(error) => error,
        };
        let Some(key) = unreachable(&error).filter(|_| gives_up) else {
            return false;
        };
        world.bucket.remove(&key);
        process.say(&format!("moves {key} away"));
        world.watch(|model| {
            model.object_rotten(&world.bucket, &node, &key);
            held.retain(|id, _| model.is_held(&world.bucket, &node, *id));
            Ok(())
        });
    };
    if recovery.state != driftline::ports::RecoveryState::Diverged {
        held.retain(|id, stream| {
            let mut rows = all_rows(&node, tenant, *stream).into_iter();
            rows.any(|row| row.meta.id == *id)
        });
    }
    world.watch(|_| {
        let mut after = BTreeMap::<EntryId, u32>::new();
        for stream in Stream::ALL {
            for row in all_rows(&node, tenant, stream) {
                *after.entry(row.meta.id).or_default() += 1;
            }
        }
        let is_lost = |(id, _): &(&EntryId, &Stream)| after.get(*id) != Some(&1);
        match held.iter().find(is_lost) {
            Some((id, stream)) if recovery.failures.is_empty() => broken(format!(
                "{tenant} became one history, in which {id} of {stream} is there {:?} times",
                after.get(id)
            )),
            _ => Ok(()),
        }
    });
    recovery.state == driftline::ports::RecoveryState::Diverged
}

/// The object that a resolution asks to move away.
fn unreachable(error: &driftline::ports::Error) -> Option<String> {
    match error.hinted()? {
        Hint::RepairOrGiveUp { object, .. } | Hint::PutBackOrGiveUp { object } => {
            Some(object.clone())
        }
        _ => None,
    }
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
        allow_unknown: false,
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
    /// Settled but for what both sides lost.
    Lost,
    /// Nobody ever wrote to it, or both sides lost it.
    Unknown,
}

fn judge(
    model: &Model,
    world: &World,
    node: &Node,
    tenant: &TenantId,
    lost: &Losses,
) -> Result<End, crate::model::Broken> {
    let losses = lost.get(tenant);
    dense(model, node, tenant, losses)?;
    let is_halted = |status: &TenantStatus| status.halted.is_some();
    // Of two histories of which one lost something nothing moves before somebody decides: what lies there is not lost.
    let reaches = losses.is_some() && state(node, tenant).as_ref().is_some_and(is_halted);
    survived(model, node, tenant, reaches.then_some(&world.bucket))?;
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
    if losses.is_some() {
        return Ok(End::Lost);
    }
    settled(model, node, tenant, &status)?;
    Ok(End::Settled)
}

/// Numbers are dense from 1, the chain links every row, and each entry is there once.
fn dense(
    model: &Model,
    node: &Node,
    tenant: &TenantId,
    lost: Option<&BTreeSet<(Stream, Seq)>>,
) -> Checked {
    for stream in Stream::ALL {
        let is_lost = |seq: Seq| lost.is_some_and(|lost| lost.contains(&(stream, seq)));
        let rows: Vec<_> = all_rows(node, tenant, stream)
            .into_iter()
            .filter(|row| !is_lost(row.meta.seq))
            .collect();
        let head = state(node, tenant).map_or(0, |status| status.state.heads[stream].seq.get());
        let lost = (1..=head).filter(|seq| is_lost(Seq::new(*seq))).count();
        if head != (rows.len() + lost) as u64 {
            return broken(format!(
                "{stream} of {tenant} end at {head}, but {} rows are there",
                rows.len()
            ));
        }
        let mut chain = driftline::domain::genesis(tenant, stream);
        for row in &rows {
            let before = Seq::new(row.meta.seq.get() - 1);
            if !is_lost(before) && row.meta.expected_chain(chain) != row.meta.chain {
                return broken(format!(
                    "{stream} {} of {tenant} does not fit the chain",
                    row.meta.seq
                ));
            }
            chain = row.meta.chain;
            if !model.is_entry(row) {
                return broken(format!(
                    "{stream} {} of {tenant} is not what was committed",
                    row.meta.seq
                ));
            }
        }
        let newest_first: Vec<EntryMeta> = rows.into_iter().rev().map(|row| row.meta).collect();
        if lost == 0 {
            model.listed(&newest_first)?;
        }
    }
    Ok(())
}

/// What a surviving side took is there; with a bucket also where only its objects lead there, behind an index that was lost.
fn survived(
    model: &Model,
    node: &Node,
    tenant: &TenantId,
    bucket: Option<&MemorySnapshotStore>,
) -> Checked {
    for owed in model.owed(tenant) {
        let in_bucket = model.named(tenant, owed.stream).chain_at(owed.seq) == Some(owed.chain)
            || bucket.is_some_and(|bucket| model.leads_to(bucket, &owed));
        let mut rows = all_rows(node, tenant, owed.stream).into_iter();
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
async fn bring_back(world: &Arc<World>, lost: &Losses) {
    world.replace_database(
        "an empty one, for the last recovery",
        world.fresh_database(),
    );
    let process = Process::new(world, "restorer".to_owned());
    recover_all(&process, &process.repository()).await;
    let node = world.current();
    let whole = |tenant: &&TenantId| !lost.contains_key(*tenant);
    for tenant in world.tenants.iter().filter(whole) {
        world.watch(|model| {
            dense(model, &node, tenant, None)?;
            survived(model, &node, tenant, None)?;
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
