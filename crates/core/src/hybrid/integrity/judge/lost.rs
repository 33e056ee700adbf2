//! Rows that are lost, and what is left of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Judge, words};
use crate::hybrid::bucket::{BucketError, BucketResult};
use driftline_model::format::Snapshot;
use driftline_model::integrity::{Mend, Verdict};
use driftline_model::{Digest, EntryMeta, Epoch, Seq};

impl Judge<'_> {
    /// Numbers for which there is neither a row nor an entry in the index. The chain tells which object was the row's.
    pub(super) async fn lost_rows(&mut self, end: Seq) -> BucketResult<()> {
        let stock = self.stock;
        let (missing, more) = self.rows.missing(stock.named.keys());
        if more > 0 {
            let detail = format!(
                "{more} more rows are lost up to {}, where the stream is said to end: that number may be what is damaged",
                self.rows.head.seq
            );
            self.find(None, Verdict::ChainBroken, None, detail, Mend::Lost);
        }
        let lost: Vec<Seq> = missing.into_iter().filter(|seq| *seq < end).collect();
        let mut found = BTreeMap::<Seq, Digest>::new();
        for seq in lost {
            let before = Seq::new(seq.get() - 1);
            let chain = found.get(&before).copied();
            let chain = chain.or_else(|| self.rows.chain_at(self.tenant, self.stream, before));
            let object = match chain {
                Some(chain) => self.between(seq, chain).await?,
                None => self.proven_by_stated(seq).await?,
            };
            let (key, detail, repair) = if let Some((key, chain)) = object {
                found.insert(seq, chain);
                let detail = "the index does not name it".to_owned();
                (Some(key), detail, Mend::RestoreRow)
            } else {
                // One that is damaged may be all that is left of it: it is told once, here.
                let (key, detail) = self.left_of(seq, chain).await?.unzip();
                let detail = detail.unwrap_or_else(|| "no object continues the chain".to_owned());
                (key, detail, Mend::Lost)
            };
            let detail = format!("its row is lost, and {detail}");
            self.find(Some(seq), Verdict::ChainBroken, key, detail, repair);
        }
        Ok(())
    }

    /// The object that stands between the rows before and after a lost one.
    async fn between(&self, seq: Seq, before: Digest) -> BucketResult<Option<(String, Digest)>> {
        for key in self.keys_at(seq) {
            match self.look.unnamed(self.tenant, self.stream, key).await {
                Ok(Some(found)) if self.is_between(&found.entry.meta, before) => {
                    return Ok(Some((key.clone(), found.entry.meta.chain)));
                }
                Ok(_) | Err(BucketError::Damage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The object of a lost row before which all is lost that proves a chain. Its own chain is the one that what follows it tells:
    /// then whatever makes its members up to it is the chain before, also one that only a damaged object states.
    async fn proven_by_stated(&self, seq: Seq) -> BucketResult<Option<(String, Digest)>> {
        let mut stated = Vec::new();
        for key in self.keys_at(Seq::new(seq.get() - 1)) {
            match self.look.bucket.get(key).await {
                Ok(found) => stated.extend(found.and_then(|it| Snapshot::stated_chain(&it.bytes))),
                Err(BucketError::Damage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if stated.is_empty() {
            return Ok(None);
        }
        for key in self.keys_at(seq) {
            match self.look.unnamed(self.tenant, self.stream, key).await {
                Ok(Some(found)) => {
                    let meta = found.entry.meta;
                    let is_it = |before: &Digest| meta.expected_chain(*before) == meta.chain;
                    if self.is_before_the_next(&meta) == Some(true) && stated.iter().any(is_it) {
                        return Ok(Some((key.clone(), meta.chain)));
                    }
                }
                Ok(None) | Err(BucketError::Damage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The newest object at a number if it may be all that is left of it, and why it does not bring it back.
    async fn left_of(
        &self,
        seq: Seq,
        before: Option<Digest>,
    ) -> BucketResult<Option<(String, String)>> {
        let Some(key) = self.keys_at(seq).last() else {
            return Ok(None);
        };
        match self.look.unnamed(self.tenant, self.stream, key).await {
            Ok(Some(found)) => {
                let mut meta = found.entry.meta;
                let is_its_chain = self.is_before_the_next(&meta) == Some(true);
                let Some(before) = before else {
                    let detail = "what proves the members of its object, the entry before it, is lost as well";
                    return Ok(is_its_chain.then(|| (key.clone(), detail.to_owned())));
                };
                meta.chain = meta.expected_chain(before);
                let are_its_members = self.is_before_the_next(&meta) == Some(true);
                let detail = "the members of its object are not those of the chain".to_owned();
                Ok((is_its_chain || are_its_members).then(|| (key.clone(), detail)))
            }
            Ok(None) => Ok(None),
            Err(BucketError::Damage(damage)) => Ok(Some((key.clone(), words(&damage).1))),
            Err(error) => Err(error),
        }
    }

    fn keys_at(&self, seq: Seq) -> impl Iterator<Item = &String> {
        let range = (seq, Epoch::default())..(seq.next(), Epoch::default());
        self.stock.objects.range(range).map(|(_, key)| key)
    }

    /// Whether the row after it follows it, or the head is it; `None` when that one is lost as well.
    pub(super) fn is_before_the_next(&self, meta: &EntryMeta) -> Option<bool> {
        let (after, head) = (self.rows.metas.get(&meta.seq.next()), self.rows.head);
        match after {
            Some(after) => Some(after.expected_chain(meta.chain) == after.chain),
            None if meta.seq == head.seq => Some(meta.chain == head.chain),
            None => None,
        }
    }

    fn is_between(&self, meta: &EntryMeta, before: Digest) -> bool {
        meta.expected_chain(before) == meta.chain && self.is_before_the_next(meta) != Some(false)
    }

    /// The neighbours of a lost row are there: an object that is not told to be the row is not it.
    pub(super) fn is_certain(&self, seq: Seq) -> bool {
        let (rows, before) = (self.rows, Seq::new(seq.get().saturating_sub(1)));
        seq == rows.head.seq
            || rows.metas.contains_key(&seq.next())
            || rows.chain_at(self.tenant, self.stream, before).is_some()
    }

    /// A damaged row comes back from its object only if that one is there.
    pub(super) fn without_object(&mut self) {
        let lost: BTreeSet<Seq> = (self.findings.iter())
            .filter(|it| it.repair == Mend::Lost && it.object.is_some())
            .filter_map(|it| it.seq)
            .collect();
        for finding in &mut self.findings {
            let is_row = finding.object.is_none() && finding.repair == Mend::RestoreRow;
            if is_row && finding.seq.is_some_and(|seq| lost.contains(&seq)) {
                finding.repair = Mend::Lost;
                finding.detail.push_str(", and its object is lost as well");
            }
        }
    }
}
