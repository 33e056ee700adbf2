//! One tenant, compared: what each look at it reads, in which order, and what its findings wait for.

use super::judge::Judge;
use super::look::{Look, Own};
use super::rows::Rows;
use super::stock::Stock;
use super::{ReadData, older};
use crate::hybrid::history;
use crate::hybrid::recovery::{Lister, keys_of};
use driftline_model::format::stream_of;
use driftline_model::integrity::{AcceptedLoss, Finding, Mend, Verdict, VerifySummary};
use driftline_model::{AcceptedLosses, PerStream, Seq, Stream, TenantId, TenantState};
use driftline_ports::{Listed, Reason, Result};

/// One tenant, compared.
pub(super) struct Examined {
    pub(super) findings: Vec<Finding>,
    pub(super) summary: VerifySummary,
    pub(super) streams: PerStream<Option<(Rows, Stock)>>,
    pub(super) state: Option<TenantState>,
    /// What keeps it from being shadowed, if something waits for that.
    pub(super) hindrance: Option<Reason>,
    /// The bucket has nothing of it.
    pub(super) is_empty: bool,
}

/// A tenant of a listing. What looks damaged is looked at once more, with a listing and a state of its own: the first look may
/// have met it while it was written to.
pub(super) async fn listed_tenant(
    look: &Look<'_>,
    tenant: &TenantId,
    objects: Vec<Listed>,
) -> Result<Examined> {
    let (known, before) = Before::of(look, tenant).await?;
    let known = StateIs::Known(Box::new(known));
    let examined = examine(look, tenant, before, known, &objects).await?;
    if !examined.findings.iter().any(Finding::is_damage) {
        return Ok(examined);
    }
    alone(look, tenant).await
}

/// A tenant by itself, in the order that keeps what is being written from looking damaged.
pub(super) async fn alone(look: &Look<'_>, tenant: &TenantId) -> Result<Examined> {
    let (_, before) = Before::of(look, tenant).await?;
    let objects = Lister::objects_of(look.sides.snapshots.as_ref(), tenant).await?;
    examine(look, tenant, before, StateIs::ReadLast, &objects).await
}

/// What the database says of a tenant's shadowing before anything of the bucket is read.
#[derive(Default)]
struct Before {
    watermarks: PerStream<Seq>,
    /// What keeps it from being shadowed.
    hindrance: Option<Reason>,
}

impl Before {
    /// All in one question, with the tenant's state then.
    async fn of(look: &Look<'_>, tenant: &TenantId) -> Result<(Option<TenantState>, Self)> {
        let status = look.sides.database.status(Some(tenant), None, 1).await?;
        let Some(status) = status.into_iter().next() else {
            return Ok((None, Self::default()));
        };
        let before = Self {
            watermarks: status.watermarks,
            hindrance: status.hindrance(),
        };
        Ok((Some(status.state), before))
    }
}

/// Where the tenant's state on its lock row comes from.
enum StateIs {
    /// It was read before the bucket.
    Known(Box<Option<TenantState>>),
    /// It is read after the bucket.
    ReadLast,
}

/// Compares the three sides of one tenant.
async fn examine(
    look: &Look<'_>,
    tenant: &TenantId,
    Before {
        watermarks,
        hindrance,
    }: Before,
    when: StateIs,
    objects: &[Listed],
) -> Result<Examined> {
    let keys = &keys_of(objects);
    let mut examined = Examined {
        findings: Vec::new(),
        summary: VerifySummary {
            tenants: 1,
            ..VerifySummary::default()
        },
        streams: PerStream::from_fn(|_| None),
        state: None,
        hindrance: None,
        is_empty: keys.is_empty(),
    };
    let mut stocks = PerStream::from_fn(|_| None);
    for stream in Stream::ALL {
        let any = keys.iter().any(|key| stream_of(key) == Some(stream));
        // Nothing is listed and nothing was ever shadowed: there is nothing to be read.
        if any || watermarks[stream] > Seq::default() {
            stocks[stream] = Some(Stock::take(&look.bucket, tenant, stream, objects).await?);
        }
    }
    let taken_over = look.taken_over.contains(tenant);
    let mut older = None;
    if let Some(stock) = &mut stocks[Stream::Manifests] {
        if taken_over {
            older::forget(tenant, stock);
        } else {
            older = older::is_in_older_layout(look, tenant, stock, keys).await?;
        }
    }
    let state = match when {
        StateIs::Known(state) => *state,
        StateIs::ReadLast => look.sides.database.tenant(tenant).await?,
    };
    for stream in Stream::ALL {
        let head = state.as_ref().map_or_else(
            || TenantState::new(tenant.clone(), driftline_model::Epoch::FIRST).heads[stream],
            |state| state.heads[stream],
        );
        if head.seq == Seq::default() && stocks[stream].is_none() {
            continue;
        }
        let database = look.sides.database.as_ref();
        let contents = look.read != ReadData::Nothing;
        let rows = Rows::read(database, tenant, stream, head, contents).await?;
        let stock = stocks[stream].take().unwrap_or_default();
        let mut judge = Judge {
            look,
            tenant,
            stream,
            watermark: watermarks[stream],
            rows: &rows,
            stock: &stock,
            is_older: older.is_some(),
            findings: Vec::new(),
            summary: VerifySummary::default(),
        };
        judge.run().await?;
        let versions = rows.head.seq.max(stock.latest()).get();
        let (findings, summary) = (judge.findings, judge.summary);
        examined.findings.extend(findings);
        examined.summary.add(&summary);
        examined.summary.versions += versions;
        examined.streams[stream] = Some((rows, stock));
    }
    for key in keys.iter().filter(|key| stream_of(key).is_none()) {
        examined.summary.count(Verdict::BucketOnly);
        examined.findings.push(Finding {
            tenant: tenant.clone(),
            stream: None,
            seq: None,
            verdict: Verdict::BucketOnly,
            object: Some(key.clone()),
            detail: "it is no object of driftline's".to_owned(),
            repair: Mend::Quarantine,
            hindrance: None,
            hint: None,
            accepted: None,
        });
    }
    if taken_over && look.read != ReadData::Nothing {
        let rows = examined.streams[Stream::Manifests].as_ref();
        let rows = rows.map(|(rows, _)| rows);
        older = Some(older::left_behind(look, tenant, keys, rows).await?);
    }
    for object in older.into_iter().flatten() {
        let finding = older::finding(tenant, &object);
        examined.summary.count(finding.verdict);
        examined.findings.push(finding);
    }
    accept(look, tenant, &mut examined).await?;
    hinder(look, hindrance, &mut examined).await?;
    examined.findings.sort_by_key(place);
    examined.state = state;
    Ok(examined)
}

/// Where a finding stands among the others of its tenant.
pub(super) fn place(finding: &Finding) -> (bool, Option<Stream>, Option<Seq>, Option<String>) {
    let (stream, object) = (finding.stream, finding.object.clone());
    (stream.is_none(), stream, finding.seq, object)
}

/// Says what keeps entries from being shadowed. What comes by itself is not asked for.
/// A bucket that is not the database's is not filled by a repair either.
async fn hinder(look: &Look<'_>, hindrance: Option<Reason>, examined: &mut Examined) -> Result<()> {
    let comes = |finding: &Finding| finding.repair == Mend::Shadowing;
    let fills = |finding: &Finding| {
        matches!(
            finding.repair,
            Mend::Reshadow | Mend::RebuildIndex | Mend::RebuildPage
        )
    };
    if !examined.findings.iter().any(|it| comes(it) || fills(it)) {
        return Ok(());
    }
    let undecided = look.undecided().await?;
    let is_ours = undecided.is_none_or(|it| match it.own {
        Own::Yes => true,
        Own::Perhaps => !examined.is_empty,
        Own::No => false,
    });
    let waits = |finding: &&mut Finding| comes(finding) || (fills(finding) && !is_ours);
    if !examined.findings.iter_mut().any(|it| waits(&it)) {
        return Ok(());
    }
    let reason = undecided.map(|it| it.reason.clone()).or(hindrance);
    let Some(reason) = reason else {
        return Ok(());
    };
    for finding in examined.findings.iter_mut().filter(waits) {
        finding.hindrance = Some(reason.message.clone());
        finding.repair = Mend::Unhinder;
    }
    examined.hindrance = Some(reason);
    Ok(())
}

/// Marks the losses that somebody accepted. Decisions are read only where there is a loss.
async fn accept(look: &Look<'_>, tenant: &TenantId, examined: &mut Examined) -> Result<()> {
    let is_loss = |finding: &Finding| finding.repair == Mend::Lost;
    if !examined.findings.iter().any(is_loss) {
        return Ok(());
    }
    let mut losses = AcceptedLosses::default();
    let database = look.sides.database.as_ref();
    let known = examined.streams[Stream::Decisions].as_ref();
    if let Some((rows, _)) = known {
        let there = rows.metas.keys().copied();
        let take = |decision| losses.decide(decision);
        history::each_row(database, tenant, Stream::Decisions, there, take).await?;
    }
    let accepted = losses.up_to(known.map_or(Seq::default(), |(rows, _)| rows.head.seq));
    for finding in examined.findings.iter_mut().filter(|it| is_loss(it)) {
        if let (Some(stream), Some(seq)) = (finding.stream, finding.seq) {
            let decision = accepted.get(&(stream, seq));
            finding.accepted = decision.map(|decision| AcceptedLoss {
                decision: decision.meta.seq,
                by: decision.meta.created_by.clone(),
                reason: decision.meta.message.clone(),
            });
        }
    }
    Ok(())
}
