//! The verdict on each entry of a stream: its row, what the index says, and its object, compared.

mod beyond;
mod lost;

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::look::Look;
use super::rows::Rows;
use super::stock::Stock;
use crate::hybrid::bucket::{BucketError, BucketResult};
use driftline_model::format::{
    Damage, Index, Problem, Snapshot, index_key, page_key, snapshot_key,
};
use driftline_model::integrity::{Finding, Mend, Verdict, VerifySummary};
use driftline_model::{Digest, EntryMeta, Epoch, Seq, Stream, TenantId, genesis};

/// One stream, read and judged.
pub(super) struct Judge<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) tenant: &'a TenantId,
    pub(super) stream: Stream,
    /// The watermark before anything else was read.
    pub(super) watermark: Seq,
    pub(super) rows: &'a Rows,
    pub(super) stock: &'a Stock,
    /// The tenant is in an older system's layout: its index and objects are judged elsewhere.
    pub(super) is_older: bool,
    pub(super) findings: Vec<Finding>,
    pub(super) summary: VerifySummary,
}

impl Judge<'_> {
    pub(super) async fn run(&mut self) -> BucketResult<()> {
        self.indexes();
        let divergent = match self.divergence() {
            None => self.beyond().await?,
            found => found,
        };
        let end = divergent.unwrap_or(Seq::new(u64::MAX));
        self.damaged_rows(end).await?;
        for seq in self.rows.missing(std::iter::empty()).0.range(end..) {
            let detail = "its row is lost, and two histories disagree before it".to_owned();
            self.find(Some(*seq), Verdict::ChainBroken, None, detail, Mend::Lost);
        }
        self.named(end).await?;
        self.unnamed(end).await?;
        self.lost_rows(end).await?;
        self.without_object();
        self.orphans(divergent.is_some()).await
    }

    /// Rows that are there and not what was committed.
    async fn damaged_rows(&mut self, end: Seq) -> BucketResult<()> {
        let rows = self.rows;
        let broken = rows.broken.iter().filter(|seq| **seq != end).map(|seq| {
            let detail = "the row's chain does not follow from the one before".to_owned();
            (*seq, Verdict::ChainBroken, detail)
        });
        let damaged = rows.damaged.iter().map(|(seq, actual)| {
            let detail =
                format!("the row's content has the digest {actual}, another than on record");
            (*seq, Verdict::ChecksumMismatch, detail)
        });
        for (seq, verdict, detail) in broken.chain(damaged) {
            let mut object = None;
            let mut repair = Mend::RestoreRow;
            // Behind a difference the index names another history's entries.
            if seq >= end || !self.stock.named.contains_key(&seq) {
                object = self.snapshot_of(seq).await?;
                repair = object.as_ref().map_or(Mend::Lost, |_| Mend::RestoreRow);
            }
            self.find(Some(seq), verdict, object, detail, repair);
        }
        Ok(())
    }

    /// The object of a row that the index does not name, if it is that very entry.
    async fn snapshot_of(&self, seq: Seq) -> BucketResult<Option<String>> {
        let Some(row) = self.rows.metas.get(&seq) else {
            return Ok(None);
        };
        let key = snapshot_key(self.tenant, self.stream, seq, row.epoch);
        let before = Seq::new(seq.get().saturating_sub(1));
        let before = self.rows.chain_at(self.tenant, self.stream, before);
        // The chain alone tells nothing of the members beside it.
        let is_it = |meta: &EntryMeta| {
            let is_chained = |before| meta.expected_chain(before) == row.chain;
            meta.chain == row.chain && (meta == row || before.is_some_and(is_chained))
        };
        match self.look.unnamed(self.tenant, self.stream, &key).await {
            Ok(found) => Ok(found.filter(|found| is_it(&found.entry.meta)).map(|_| key)),
            Err(BucketError::Damage(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn find(
        &mut self,
        seq: Option<Seq>,
        verdict: Verdict,
        object: Option<String>,
        detail: String,
        repair: Mend,
    ) {
        self.summary.count(verdict);
        self.findings.push(Finding {
            tenant: self.tenant.clone(),
            stream: Some(self.stream),
            seq,
            verdict,
            object,
            detail,
            repair,
            hindrance: None,
            hint: None,
            accepted: None,
        });
    }

    fn indexes(&mut self) {
        let stock = self.stock;
        let key = index_key(self.tenant, self.stream);
        if let Some(damage) = &stock.index_damage {
            let (verdict, detail) = words(damage);
            self.find(None, verdict, Some(key), detail, Mend::RebuildIndex);
        } else if stock.index.is_none() && self.watermark > Seq::default() && !self.is_older {
            let detail = "the index is gone, though its entries were shadowed".to_owned();
            let verdict = Verdict::ShadowMissing;
            self.find(None, verdict, Some(key), detail, Mend::RebuildIndex);
        }
        for (number, damage) in &stock.page_damage {
            let (verdict, detail) = words(damage);
            let key = page_key(self.tenant, self.stream, *number);
            self.find(None, verdict, Some(key), detail, Mend::RebuildPage);
        }
        for damage in &stock.in_pages_way {
            let (verdict, detail) = words(damage);
            let key = Some(damage.object.clone());
            self.find(None, verdict, key, detail, Mend::Quarantine);
        }
        // A history that a recovery could not go on with left it, and it keeps the page of this one from being sealed.
        for (key, seq) in &stock.of_others {
            let (stream, key) = (self.stream, Some(key.clone()));
            let detail = format!("it holds another {stream}/{seq} than the index names");
            self.find(None, Verdict::BucketOnly, key, detail, Mend::Quarantine);
        }
    }

    /// The first number at which both sides hold a valid entry, and not the same one. Where the database's is lost, the row
    /// after it tells.
    fn divergence(&mut self) -> Option<Seq> {
        let (rows, named) = (self.rows, &self.stock.named);
        let unfollowed = |seq: &&Seq| rows.lacks(**seq, named[*seq].meta.chain);
        let differ = |seq: &&Seq| {
            let ours = rows.chain_at(self.tenant, self.stream, **seq);
            ours.is_some_and(|ours| ours != named[*seq].meta.chain)
        };
        let seq = *named.keys().find(|seq| differ(seq) || unfollowed(seq))?;
        let theirs = &named[&seq];
        if unfollowed(&&seq) {
            let detail = format!(
                "from here on two histories disagree: the row is lost, and the one after it does not follow the bucket's chain, {}",
                theirs.meta.chain
            );
            let (key, repair) = (Some(theirs.key()), Mend::ResolveDivergence);
            self.find(Some(seq), Verdict::Divergent, key, detail, repair);
            return Some(seq);
        }
        let ours = rows.chain_at(self.tenant, self.stream, seq)?;
        // A row that does not fit its own chain is no other history.
        if rows.broken.contains(&seq) {
            return None;
        }
        let detail = format!(
            "from here on two histories disagree: the database's chain is {ours}, the bucket's {}",
            theirs.meta.chain
        );
        let (key, repair) = (Some(theirs.key()), Mend::ResolveDivergence);
        self.find(Some(seq), Verdict::Divergent, key, detail, repair);
        Some(seq)
    }

    /// What an older epoch wrote after the index had moved on never becomes history.
    fn floor(&self) -> Epoch {
        let index = self.stock.index.as_ref();
        index.map_or(Epoch::default(), |index| index.epoch)
    }

    /// There is an index that can be read, or nothing was ever shadowed.
    fn is_settled_index(&self) -> bool {
        let stock = self.stock;
        let is_lost = stock.index.is_none() && self.watermark > Seq::default();
        stock.index_damage.is_none() && !is_lost
    }

    /// The chain at the newest entry that the index names.
    fn index_chain(&self) -> Digest {
        let index = self.stock.index.as_ref();
        index.map_or_else(|| genesis(self.tenant, self.stream), Index::latest_chain)
    }

    /// What the index names: with its row, or without one.
    async fn named(&mut self, end: Seq) -> BucketResult<()> {
        let stock = self.stock;
        let (look, rows) = (self.look, self.rows);
        let seqs: Vec<Seq> = stock.named.keys().copied().collect();
        let mut answers = stream::iter(seqs)
            .map(|seq| {
                async move {
                    let named = &stock.named[&seq];
                    let place = (seq, named.meta.epoch);
                    let listed = stock.objects.contains_key(&place);
                    let trusted = listed && rows.metas.contains_key(&seq);
                    let asked = !trusted || look.reads(&named.key());
                    let size = stock.sizes.get(&place).filter(|_| !asked);
                    let size = size.filter(|size| **size != named.object_bytes);
                    if !asked && size.is_none() {
                        return (seq, None, Ok(None));
                    }
                    // That the listing says another size than the index proves nothing yet.
                    (seq, size, look.snapshot(named).await.map(Some))
                }
                .boxed()
            })
            .buffered(look.settings.concurrent_requests);
        let (mut found, mut well, mut bytes) = (Vec::new(), 0, 0);
        while let Some((seq, size, answer)) = answers.next().await {
            let (key, row) = (stock.named[&seq].key(), rows.metas.get(&seq));
            let damage = match answer {
                Ok(read) => {
                    bytes += read.map_or(0, |read: Snapshot| read.object_size);
                    None
                }
                Err(BucketError::Damage(damage)) => Some(self.sized(seq, size, &damage)),
                Err(error) => return Err(error),
            };
            let is_row_good =
                row.is_some() && !rows.broken.contains(&seq) && !rows.damaged.contains_key(&seq);
            match (row, damage) {
                // Behind a difference: another history's entry, which no row can mend.
                (_, None) if seq >= end => {}
                (_, Some((verdict, detail))) if seq >= end => {
                    let detail = format!("of the bucket's history, {detail}");
                    found.push((seq, verdict, key, detail, Mend::Lost));
                }
                (Some(_), None) => well += u64::from(is_row_good),
                (Some(_), Some((verdict, detail))) => {
                    let repair = if is_row_good {
                        Mend::Reshadow
                    } else {
                        Mend::Lost
                    };
                    found.push((seq, verdict, key, detail, repair));
                }
                (None, None) => {
                    let (detail, repair) = if seq > rows.head.seq {
                        ("the database ends before it", Mend::Recover)
                    } else {
                        ("its row is lost", Mend::RestoreRow)
                    };
                    found.push((seq, Verdict::IndexOnly, key, detail.to_owned(), repair));
                }
                (None, Some((_, damage))) => {
                    let detail = format!("there is no row for it, and {damage}");
                    found.push((seq, Verdict::IndexOnly, key, detail, Mend::Lost));
                }
            }
        }
        drop(answers);
        if well > 0 {
            *self.summary.by_verdict.entry(Verdict::Ok).or_default() += well;
        }
        self.summary.bytes += bytes;
        for (seq, verdict, key, detail, repair) in found {
            self.find(Some(seq), verdict, Some(key), detail, repair);
        }
        Ok(())
    }

    /// What is wrong with an object, and with which size it gave itself away.
    fn sized(&self, seq: Seq, size: Option<&u64>, damage: &Damage) -> (Verdict, String) {
        let (verdict, detail) = words(damage);
        let Some(size) = size else {
            return (verdict, detail);
        };
        let named = self.stock.named[&seq].object_bytes;
        let detail = format!("the object has {size} bytes, and {named} are on record: {detail}");
        (verdict, detail)
    }

    /// Rows that the index does not name, and numbers for which there is neither.
    async fn unnamed(&mut self, end: Seq) -> BucketResult<()> {
        let (rows, stock) = (self.rows, self.stock);
        let unnamed = |seq: &Seq| *seq < end && !stock.named.contains_key(seq);
        let mut judged = Vec::new();
        for (seq, meta) in rows.metas.iter().filter(|(seq, _)| unnamed(seq)) {
            if *seq > self.watermark && *seq > stock.latest() {
                let detail = "it is not shadowed yet".to_owned();
                judged.push((*seq, Verdict::DbOnly, None, detail, Mend::Shadowing));
                continue;
            }
            let key = snapshot_key(self.tenant, self.stream, *seq, meta.epoch);
            // The index or a page is at fault, and said so: here only the object itself is of interest.
            let excused = stock.index.is_none() || stock.is_on_damaged_page(*seq);
            let there = match self.look.unnamed(self.tenant, self.stream, &key).await {
                Ok(Some(found)) if found.entry.meta == *meta => Ok(()),
                // Shadowing does not adopt it: an index that named it would be one that nobody can read.
                Ok(Some(found)) if found.entry.meta.is_copy_of(meta) => {
                    let detail = "its members are not those of its chain".to_owned();
                    Err((Verdict::Malformed, detail))
                }
                Ok(Some(_)) => {
                    let detail = "both are valid, and not the same entry".to_owned();
                    Err((Verdict::Divergent, detail))
                }
                Ok(None) => Err((Verdict::ShadowMissing, "the object is missing".to_owned())),
                Err(BucketError::Damage(damage)) => Err(words(&damage)),
                Err(error) => return Err(error),
            };
            let good = !rows.damaged.contains_key(seq) && !rows.broken.contains(seq);
            // An index of earlier, as a bucket that was replicated late holds: shadowing makes up what it lacks.
            let ends_early = !excused && good && *seq > stock.latest();
            match there {
                Ok(()) if excused => {
                    self.summary.count(Verdict::Ok);
                }
                Err((Verdict::ShadowMissing, _)) if ends_early => {
                    let detail = format!(
                        "the watermark says that it is shadowed, but it is missing, and the index ends at {}",
                        stock.latest()
                    );
                    let verdict = Verdict::ShadowMissing;
                    judged.push((*seq, verdict, Some(key), detail, Mend::RebuildIndex));
                }
                Ok(()) => {
                    let detail = format!(
                        "the watermark says that it is shadowed, and the index ends at {}",
                        stock.latest()
                    );
                    let verdict = Verdict::ShadowMissing;
                    judged.push((*seq, verdict, Some(key), detail, Mend::RebuildIndex));
                }
                Err((verdict, detail)) => {
                    let repair = match verdict {
                        Verdict::Divergent => Mend::ResolveDivergence,
                        _ if good => Mend::Reshadow,
                        _ => Mend::Lost,
                    };
                    judged.push((*seq, verdict, Some(key), detail, repair));
                }
            }
        }
        for (seq, verdict, key, detail, repair) in judged {
            self.find(Some(seq), verdict, key, detail, repair);
        }
        Ok(())
    }

    /// Objects that nothing knows.
    async fn orphans(&mut self, is_divergent: bool) -> BucketResult<()> {
        let (rows, stock) = (self.rows, self.stock);
        let mut found = Vec::new();
        // Where recovery goes on: behind the newest entry of either side, and behind what it would adopt there.
        let floor = self.floor();
        // As long as the sides do not agree on where history ends, what is valid is no orphan.
        let is_agreed = self.is_settled_index() && stock.latest() <= rows.head.seq;
        let mut tips = BTreeMap::from([(rows.head.seq, vec![rows.head.chain])]);
        if stock.latest() > rows.head.seq {
            tips.insert(stock.latest(), vec![self.index_chain()]);
        }
        let told: BTreeSet<(Seq, String)> = (self.findings.iter())
            .filter_map(|finding| finding.seq.zip(finding.object.clone()))
            .collect();
        for ((seq, epoch), key) in &stock.objects {
            let named = stock.named.get(seq).map(|named| named.meta.epoch);
            let row = rows.metas.get(seq).map(|meta| meta.epoch);
            let is_told = || told.contains(&(*seq, key.clone()));
            if named == Some(*epoch) || row == Some(*epoch) || is_told() {
                continue;
            }
            let (mut detail, mut repair) = (
                "neither the index nor a row knows it".to_owned(),
                Mend::Quarantine,
            );
            // It may be all that is left of a number whose row is lost, unless something tells that it is another entry.
            let may_be = !self.is_settled_index() || !self.is_certain(*seq);
            if row.is_none() && named.is_none() && *seq <= rows.head.seq && may_be {
                repair = Mend::Inspect;
            }
            // A write that the database lost, or that is under way elsewhere: recovery adopts what continues the history.
            if *seq > rows.head.seq || is_divergent {
                match self.look.unnamed(self.tenant, self.stream, key).await {
                    // It may have been written, and named, since the rows were read.
                    Ok(None) => continue,
                    Ok(Some(object)) => {
                        let meta = &object.entry.meta;
                        let before = tips.get(&Seq::new(seq.get().saturating_sub(1)));
                        let mut before = before.into_iter().flatten();
                        let continues = before.any(|it| meta.expected_chain(*it) == meta.chain);
                        if *epoch >= floor && continues {
                            tips.entry(*seq).or_default().push(meta.chain);
                            if self.look.is_committed(&object.entry.meta).await? {
                                continue;
                            }
                            detail = String::from(
                                "it continues the database's history, which ends before it",
                            );
                            repair = Mend::Recover;
                        } else if is_divergent {
                            repair = Mend::ResolveDivergence;
                        } else if !is_agreed {
                            repair = Mend::Inspect;
                        }
                    }
                    Err(BucketError::Damage(damage)) => detail = words(&damage).1,
                    Err(error) => return Err(error),
                }
            }
            found.push((*seq, key.clone(), detail, repair));
        }
        for (seq, key, detail, repair) in found {
            self.find(Some(seq), Verdict::BucketOnly, Some(key), detail, repair);
        }
        for key in &stock.foreign {
            let detail = "it is no object of driftline's".to_owned();
            self.find(
                None,
                Verdict::BucketOnly,
                Some(key.clone()),
                detail,
                Mend::Quarantine,
            );
        }
        Ok(())
    }
}

/// A damaged object's verdict, and what is wrong with it.
pub(super) fn words(damage: &Damage) -> (Verdict, String) {
    let verdict = match &damage.problem {
        Problem::Missing => Verdict::ShadowMissing,
        Problem::Mismatch { what, .. } if what.contains("chain") || *what == "prevChain" => {
            Verdict::ChainBroken
        }
        Problem::Mismatch { .. } | Problem::NotJson { .. } => Verdict::ChecksumMismatch,
        Problem::Diverged { .. } | Problem::Unfollowed { .. } => Verdict::Divergent,
        _ => Verdict::Malformed,
    };
    (verdict, damage.problem.to_string())
}
