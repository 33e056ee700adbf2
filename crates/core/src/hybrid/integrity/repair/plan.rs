//! From findings to actions.

mod early;

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::{Action, BucketRepair, REPAIR_PLAN_SCHEMA, RepairPlan, TenantRepair};
use crate::hybrid::blocking::{bytes_digest, digest_of, snapshot_of};
use crate::hybrid::bucket::BucketError;
use crate::hybrid::integrity::examine::{Examined, alone, place};
use crate::hybrid::integrity::look::Look;
use crate::hybrid::integrity::{ReadData, common, rows};
use crate::hybrid::marker::{self, Marker};
use crate::hybrid::recovery::Lister;
use crate::hybrid::settings::{Settings, Sides};
use driftline_model::format::{BUCKET_KEY, Damage, IndexEntry, PAGE_SIZE, page_key};
use driftline_model::integrity::{BucketFinding, Finding, Mend, Verdict};
use driftline_model::{Digest, Entry, Epoch, Seq, Stream, TenantId};
use driftline_ports::{Error, ErrorKind, Hint, Result};

/// Plans the repair of one tenant, or of every tenant that either side knows.
pub(crate) async fn make(
    sides: &Sides,
    settings: &Settings,
    tenant: Option<&TenantId>,
) -> Result<RepairPlan> {
    let look = &Look::new(sides, settings, ReadData::All).await?;
    let identity = sides.database.identity().await?;
    let mut names = BTreeSet::new();
    if let Some(tenant) = tenant {
        names.insert(tenant.clone());
    } else {
        let mut lister = Lister::all(sides.snapshots.as_ref());
        while let Some((name, _)) = lister.next().await? {
            names.insert(name);
        }
        let mut after = None;
        loop {
            let page = sides.database.tenants(after.as_ref(), 1000).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.tenant.clone());
            names.extend(page.into_iter().map(|state| state.tenant));
        }
    }
    let (bucket, bucket_left) = of_bucket(look).await?;
    let mut plan = RepairPlan {
        schema: REPAIR_PLAN_SCHEMA.to_owned(),
        bucket_id: identity.bucket_id,
        database_id: identity.id,
        bucket,
        bucket_left,
        tenants: Vec::new(),
        unseen: Vec::new(),
    };
    let mut made = stream::iter(names)
        .map(|name| async move { (of_tenant(look, &name).await, name) }.boxed())
        .buffered(settings.concurrent_tenants);
    while let Some((outcome, name)) = made.next().await {
        match outcome {
            Err(error) if tenant.is_some() => return Err(error),
            Ok(repair) if repair.actions.is_empty() && repair.left.is_empty() => {}
            Ok(repair) => plan.tenants.push(repair),
            Err(error) => plan.unseen.push((name, error.to_string())),
        }
    }
    Ok(plan)
}

/// Plans the repair of the bucket's own object, and says what of it no repair mends.
pub(super) async fn of_bucket(
    look: &Look<'_>,
) -> Result<(Option<BucketRepair>, Vec<BucketFinding>)> {
    if let Ok(Marker::Damaged(damaged)) = marker::read(&look.bucket).await
        && let Ok(identity) = damaged.proven(look.sides).await
    {
        let repair = BucketRepair {
            object: BUCKET_KEY.to_owned(),
            sha256: damaged.sha256(),
            bucket_id: identity.bucket_id,
            database_id: identity.database_id,
            generation: identity.generation,
        };
        return Ok((Some(repair), Vec::new()));
    }
    Ok((None, common::findings(look).await?))
}

/// Plans the repair of one tenant.
pub(super) async fn of_tenant(look: &Look<'_>, tenant: &TenantId) -> Result<TenantRepair> {
    let examined = alone(look, tenant).await?;
    if examined.state.is_none() && examined.is_empty {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("repair {tenant}: neither the database nor the bucket knows it"),
        )
        .hint(Hint::ListTenantsOfDatabase));
    }
    let epoch = examined
        .state
        .as_ref()
        .map_or(Epoch::default(), |it| it.epoch);
    let mut planner = Planner {
        look,
        examined: &examined,
        first: Vec::new(),
        then: Vec::new(),
        left: Vec::new(),
        manifests: None,
    };
    let findings = examined.findings.iter().filter(|it| it.is_damage());
    // Of two histories neither is the one to mend the other with; what a recovery would bring back is no orphan; and a tenant
    // that the database does not know may be somebody else's. What both histories have is mended all the same: a resolution
    // needs it.
    let waits = findings.clone().any(|it| {
        it.verdict == Verdict::Divergent
            || matches!(it.repair, Mend::Recover | Mend::ResolveDivergence)
    });
    let is_shared = |finding: &Finding| {
        let split = (examined.findings.iter())
            .filter(|it| it.verdict == Verdict::Divergent && it.stream == finding.stream)
            .filter_map(|it| it.seq)
            .min();
        let last = match finding.repair {
            Mend::Reshadow | Mend::RestoreRow => finding.seq,
            Mend::RebuildPage => page_end(&examined, finding),
            // Damage where a row's object belongs; what is no damage is an orphan, or may be the other history's.
            Mend::Quarantine if finding.verdict != Verdict::BucketOnly => finding.seq,
            _ => None,
        };
        last.is_some_and(|last| split.is_none_or(|split| last < split))
    };
    // Whether one that no index names comes too early is known once it is known which indexes are made up anew.
    let (unnamed, others): (Vec<_>, Vec<_>) =
        findings.partition(|finding| planner.is_unnamed(finding));
    for finding in others.into_iter().chain(unnamed) {
        if examined.state.is_none() || (waits && !is_shared(finding)) {
            planner.left.push(finding.clone());
        } else {
            planner.plan(finding).await?;
        }
    }
    let Planner {
        mut first,
        mut then,
        mut left,
        ..
    } = planner;
    then.sort_by_key(order);
    left.sort_by_key(place);
    first.extend(then);
    Ok(TenantRepair {
        tenant: tenant.clone(),
        epoch,
        actions: first,
        left,
    })
}

/// The newest number on a damaged page.
fn page_end(examined: &Examined, finding: &Finding) -> Option<Seq> {
    let (_, stock) = examined.streams[finding.stream?].as_ref()?;
    let is_it = |damage: &Damage| Some(&damage.object) == finding.object.as_ref();
    let (number, _) = stock.page_damage.iter().find(|(_, damage)| is_it(damage))?;
    Some(Seq::new(number * PAGE_SIZE))
}

/// Rows before the snapshots that are written from them, and both before what names them; versions, down to their index, before
/// what refers to them.
fn order(action: &Action) -> (bool, u8, Option<Stream>, u64) {
    let refers = |stream: Stream| stream.refers_to().is_some();
    match action {
        Action::Quarantine { .. } => (false, 0, None, 0),
        Action::RestoreRow { stream, seq, .. } => (false, 1, Some(*stream), seq.get()),
        Action::Reshadow { stream, seq, .. } => (refers(*stream), 2, Some(*stream), seq.get()),
        Action::RebuildPage { stream, page, .. } => (refers(*stream), 3, Some(*stream), *page),
        Action::RebuildIndex { stream, .. } => (refers(*stream), 4, Some(*stream), 0),
    }
}

struct Planner<'a> {
    look: &'a Look<'a>,
    examined: &'a Examined,
    first: Vec<Action>,
    then: Vec<Action>,
    left: Vec<Finding>,
    /// How far the index of manifests will go, once that is settled.
    manifests: Option<Seq>,
}

impl Planner<'_> {
    async fn plan(&mut self, finding: &Finding) -> Result<()> {
        let planned = match (finding.repair, finding.stream, finding.seq) {
            (Mend::Quarantine, _, _) => self.quarantine(finding).await?,
            (Mend::Reshadow, Some(stream), Some(seq)) => {
                self.reshadow(finding, stream, seq).await?
            }
            (Mend::RestoreRow, Some(stream), Some(seq)) => {
                self.restore_row(finding, stream, seq).await?
            }
            (Mend::RebuildPage, Some(stream), _) => self.rebuild_page(finding, stream).await?,
            (Mend::RebuildIndex, Some(stream), _) => self.rebuild_index(finding, stream).await?,
            _ => Err(finding.detail.clone()),
        };
        if let Err(detail) = planned {
            self.left.push(Finding {
                detail,
                ..finding.clone()
            });
        }
        Ok(())
    }

    /// Moves away what is there now, if anything is.
    async fn quarantine(&mut self, finding: &Finding) -> Result<std::result::Result<(), String>> {
        let Some(object) = finding.object.clone() else {
            return Ok(Err(finding.detail.clone()));
        };
        match self.there(&object).await? {
            Ok(Some(sha256)) => self.first.push(Action::Quarantine { object, sha256 }),
            Ok(None) => {}
            Err(detail) => return Ok(Err(detail)),
        }
        Ok(Ok(()))
    }

    /// The digest of what is there now, or why it cannot be moved away: no copy is made of what is that large.
    async fn there(&self, key: &str) -> Result<std::result::Result<Option<Digest>, String>> {
        match self.look.bucket.get_to_move(key).await {
            Ok(Some(found)) => Ok(Ok(Some(bytes_digest(&found.bytes).await))),
            Ok(None) => Ok(Ok(None)),
            Err(BucketError::Damage(damage)) => Ok(Err(common::to_move_by_hand(&damage))),
            Err(error) => Err(error.into()),
        }
    }

    async fn reshadow(
        &mut self,
        finding: &Finding,
        stream: Stream,
        seq: Seq,
    ) -> Result<std::result::Result<(), String>> {
        let database = self.look.sides.database.as_ref();
        let row = rows::row(database, &finding.tenant, stream, seq).await?;
        let (Some(row), Some(object)) = (row, finding.object.clone()) else {
            return Ok(Err("its row is gone".to_owned()));
        };
        if digest_of(&row.content).await != row.meta.checksum {
            return Ok(Err("its row is not what was committed either".to_owned()));
        }
        if let Err(detail) = self.there(&object).await? {
            return Ok(Err(detail));
        }
        if self.comes_too_early(&row).await? {
            if !self.makes_anew(stream) {
                let detail = "it refers to a version that the index of manifests does not name yet, and comes after that one";
                return Ok(Err(detail.to_owned()));
            }
            // Shadowing begins behind the new index, and brings it in its turn.
            return self.quarantine(finding).await;
        }
        let (_, sha256) = snapshot_of(&row).await;
        let streams = &self.examined.streams[stream];
        let named = streams
            .as_ref()
            .and_then(|(_, stock)| stock.named.get(&seq));
        if let Some(named) = named.filter(|named| named.object_sha256 != sha256) {
            // An older build took other bytes for the same entry, and put them into the index.
            if let Err(detail) = self.renamed(finding, (stream, seq), named, &row).await? {
                return Ok(Err(detail));
            }
        }
        self.quarantine(finding).await?.ok();
        self.then.push(Action::Reshadow {
            stream,
            seq,
            object,
            sha256,
        });
        Ok(Ok(()))
    }

    /// Has the index name what the row makes, where it names the same entry in other bytes.
    async fn renamed(
        &mut self,
        finding: &Finding,
        (stream, seq): (Stream, Seq),
        named: &IndexEntry,
        row: &Entry,
    ) -> Result<std::result::Result<(), String>> {
        if named.meta.chain != row.meta.chain {
            let detail = "the row does not make up the object that the index names";
            return Ok(Err(detail.to_owned()));
        }
        let stock = self.examined.streams[stream].as_ref();
        let index = stock.and_then(|(_, stock)| stock.index.as_ref());
        if let Some(page) = index.and_then(|index| index.page_of(seq)) {
            let page = page_key(&finding.tenant, stream, page);
            return Ok(Err(format!(
                "{page} names it in other bytes than the row makes: copy both objects elsewhere and remove them, and a repair writes them anew from the rows"
            )));
        }
        self.rebuild_index(finding, stream).await
    }

    async fn restore_row(
        &mut self,
        finding: &Finding,
        stream: Stream,
        seq: Seq,
    ) -> Result<std::result::Result<(), String>> {
        let Some((rows, stock)) = &self.examined.streams[stream] else {
            return Ok(Err(finding.detail.clone()));
        };
        let read = match (stock.named.get(&seq), &finding.object) {
            (Some(named), _) => self.look.snapshot(named).await.map(Some),
            (None, Some(key)) => self.look.unnamed(&finding.tenant, stream, key).await,
            (None, None) => Ok(None),
        };
        let meta = match read {
            Ok(Some(snapshot)) => snapshot.entry.meta,
            Ok(None) => return Ok(Err("no object holds it".to_owned())),
            Err(BucketError::Damage(damage)) => return Ok(Err(damage.to_string())),
            Err(error) => return Err(error.into()),
        };
        self.then.push(Action::RestoreRow {
            stream,
            seq,
            object: driftline_model::format::snapshot_key(&meta.tenant, stream, seq, meta.epoch),
            checksum: meta.checksum,
            chain: meta.chain,
            replaces: rows.metas.contains_key(&seq),
        });
        Ok(Ok(()))
    }

    async fn rebuild_page(
        &mut self,
        finding: &Finding,
        stream: Stream,
    ) -> Result<std::result::Result<(), String>> {
        let (Some((rows, stock)), Some(object)) =
            (&self.examined.streams[stream], finding.object.clone())
        else {
            return Ok(Err(finding.detail.clone()));
        };
        let number = stock.page_damage.iter().find(|(_, it)| it.object == object);
        let Some((number, _)) = number else {
            return Ok(Err(finding.detail.clone()));
        };
        let range = (number - 1) * PAGE_SIZE + 1..=number * PAGE_SIZE;
        let gone = self.examined.findings.iter().find(|it| {
            let seq = it.seq.map_or(0, Seq::get);
            (it.stream, it.repair) == (Some(stream), Mend::Lost) && range.contains(&seq)
        });
        if let Some(seq) = gone.and_then(|it| it.seq) {
            return Ok(Err(format!(
                "it cannot be made up from the rows: {stream}/{seq} is lost"
            )));
        }
        let last = Seq::new(number * PAGE_SIZE);
        let chain = rows.chain_at(&finding.tenant, stream, last);
        let following = match stock.index.as_ref() {
            Some(index) if index.sealed_pages == *number => Some(index.prev_chain),
            _ => (stock.named.get(&last.next()))
                .and(rows.metas.get(&last.next()))
                .and(chain),
        };
        let Some(chain) = chain.filter(|_| following.is_none() || following == chain) else {
            return Ok(Err(
                "its rows do not make up the page that the index follows".to_owned(),
            ));
        };
        if let Err(detail) = self.quarantine(finding).await? {
            return Ok(Err(detail));
        }
        self.then.push(Action::RebuildPage {
            stream,
            page: *number,
            object,
            chain,
        });
        Ok(Ok(()))
    }

    async fn rebuild_index(
        &mut self,
        finding: &Finding,
        stream: Stream,
    ) -> Result<std::result::Result<(), String>> {
        let Some((rows, stock)) = &self.examined.streams[stream] else {
            return Ok(Err(finding.detail.clone()));
        };
        // Whoever wrote it fenced this database off, or it is the recovery's that this one did not finish.
        let epoch = self.examined.state.as_ref().map(|state| state.epoch);
        if let Some(later) = stock.index.as_ref().map(|index| index.epoch)
            && epoch.is_some_and(|epoch| epoch < later)
        {
            return Ok(Err(format!(
                "it is in epoch {later}, which the database does not know: it has to be recovered first"
            )));
        }
        let gone = self.examined.findings.iter().find(|it| {
            let of_it = (it.stream, it.repair) == (Some(stream), Mend::Lost);
            of_it && it.seq.is_some_and(|seq| seq <= rows.head.seq)
        });
        if let Some(seq) = gone.and_then(|it| it.seq) {
            return Ok(Err(format!(
                "it cannot be made up from the rows: {stream}/{seq} is lost"
            )));
        }
        let object = driftline_model::format::index_key(&finding.tenant, stream);
        if !self.makes_anew(stream) {
            let sha256 = match self.there(&object).await? {
                Ok(sha256) => sha256,
                Err(detail) => return Ok(Err(detail)),
            };
            self.then.push(Action::RebuildIndex {
                stream,
                object,
                sha256,
            });
        }
        Ok(Ok(()))
    }
}
