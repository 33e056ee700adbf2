//! Objects beyond the index: what a recovery would adopt, and what is only in the way.

use std::collections::BTreeMap;

use super::{Judge, words};
use crate::hybrid::bucket::{BucketError, BucketResult};
use driftline_model::integrity::{Mend, Verdict};
use driftline_model::{Digest, EntryMeta, Epoch, Seq, genesis};

/// What was found at a number.
enum Found {
    /// Nothing that says anything.
    Nothing,
    /// Both sides have this entry, and so all before it.
    Common(Digest),
    /// Another history that a recovery would adopt, in words.
    Other(String),
    /// Something in the row's way.
    InTheWay(Verdict, String),
    /// An object at the number of a lost row that is not this row, and that nothing can continue.
    Stray(String),
}

/// Where the bucket's history is known to end, without an index that names it.
struct Tip {
    seq: Seq,
    chain: Digest,
    /// There is no index: nothing but the objects themselves can tell whether there is another history.
    is_blind: bool,
    floor: Epoch,
}

impl Judge<'_> {
    /// Looks at the objects beyond the index, at numbers that the database has. One that continues the history is a history that
    /// a recovery would adopt: there are two. Any other at the key of a row is only in the row's way, and nothing names it:
    /// shadowing would halt there again and again.
    pub(super) async fn beyond(&mut self) -> BucketResult<Option<Seq>> {
        let stock = self.stock;
        if self.is_older {
            return Ok(None);
        }
        // A watermark that was lowered does not tell that there was an index; what lies there does.
        let is_blind = !self.is_settled_index() || stock.index.is_none();
        let (seq, chain) = if is_blind {
            (Seq::default(), genesis(self.tenant, self.stream))
        } else {
            (stock.latest(), self.index_chain())
        };
        let mut tip = Tip {
            seq,
            chain,
            is_blind,
            floor: self.floor(),
        };
        let first = (seq.next(), Epoch::default());
        let end = (self.rows.head.seq.next(), Epoch::default());
        let mut numbers = BTreeMap::<Seq, Vec<(Epoch, &String)>>::new();
        if first < end {
            for ((seq, epoch), key) in stock.objects.range(first..end) {
                numbers.entry(*seq).or_default().push((*epoch, key));
            }
        }
        let mut strays = Vec::new();
        for (seq, objects) in numbers {
            // A recovery takes the newest epoch that continues the history.
            for (epoch, key) in objects.into_iter().rev() {
                match self.look_beyond(seq, epoch, key, &tip).await? {
                    Found::Nothing => {}
                    Found::Common(chain) => {
                        (tip.seq, tip.chain) = (seq, chain);
                        break;
                    }
                    Found::Other(detail) => {
                        let repair = Mend::ResolveDivergence;
                        let key = Some(key.clone());
                        self.find(Some(seq), Verdict::Divergent, key, detail, repair);
                        return Ok(Some(seq));
                    }
                    Found::InTheWay(verdict, detail) => {
                        let key = Some(key.clone());
                        self.find(Some(seq), verdict, key, detail, Mend::Quarantine);
                    }
                    Found::Stray(detail) => strays.push((seq, key.clone(), detail)),
                }
            }
        }
        // Had a split been found, it might belong to the other history.
        for (seq, key, detail) in strays {
            let (verdict, repair) = (Verdict::BucketOnly, Mend::Quarantine);
            self.find(Some(seq), verdict, Some(key), detail, repair);
        }
        Ok(None)
    }

    async fn look_beyond(
        &self,
        seq: Seq,
        epoch: Epoch,
        key: &str,
        tip: &Tip,
    ) -> BucketResult<Found> {
        let row = self.rows.metas.get(&seq);
        let is_rows_key = row.is_some_and(|row| row.epoch == epoch);
        if let Some(row) = row.filter(|_| is_rows_key && !tip.is_blind && !self.look.reads(key)) {
            return Ok(Found::Common(row.chain));
        }
        let theirs = match self.look.unnamed(self.tenant, self.stream, key).await {
            Ok(Some(there)) => there.entry.meta,
            // Up to the watermark it is judged with its row.
            Err(BucketError::Damage(damage)) if is_rows_key && seq > self.watermark => {
                let (verdict, detail) = words(&damage);
                return Ok(Found::InTheWay(verdict, detail));
            }
            Ok(None) | Err(BucketError::Damage(_)) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let continues = epoch >= tip.floor && self.continues(&theirs, tip);
        let Some(row) = row else {
            // The row is lost: what is there may be it.
            return Ok(match self.is_before_the_next(&theirs) {
                Some(true) => Found::Common(theirs.chain),
                Some(false) if continues => Found::Other(format!(
                    "no index names it, its row is lost, and the row after it does not follow its chain, {}",
                    theirs.chain
                )),
                Some(false) if tip.is_blind && self.is_stray(&theirs, tip) => {
                    Found::Stray(format!(
                        "no index names it, its row is lost, and its chain, {}, follows nothing and is followed by nothing",
                        theirs.chain
                    ))
                }
                _ => Found::Nothing,
            });
        };
        if theirs == *row {
            return Ok(Found::Common(theirs.chain));
        }
        let detail = format!(
            "no index names it, and the database has another entry there: its chain is {}, that of the object {}",
            row.chain, theirs.chain
        );
        if theirs.is_copy_of(row) {
            // Up to the watermark it is judged with its row.
            return Ok(if seq <= self.watermark {
                Found::Nothing
            } else {
                let detail = "its members are not those of its chain".to_owned();
                Found::InTheWay(Verdict::BucketOnly, detail)
            });
        }
        Ok(if continues || (is_rows_key && tip.is_blind) {
            Found::Other(detail)
        } else if is_rows_key {
            Found::InTheWay(Verdict::BucketOnly, detail)
        } else {
            Found::Nothing
        })
    }

    /// It does not follow what the bucket is known to hold right before it, and with the chain that it would have there it is
    /// not the lost row either.
    fn is_stray(&self, theirs: &EntryMeta, tip: &Tip) -> bool {
        let chain = theirs.expected_chain(tip.chain);
        let meant = EntryMeta {
            chain,
            ..theirs.clone()
        };
        tip.seq.next() == theirs.seq
            && chain != theirs.chain
            && self.is_before_the_next(&meant) == Some(false)
    }

    /// It follows what the bucket is known to hold; without an index also what the database holds: objects between may be lost.
    fn continues(&self, theirs: &EntryMeta, tip: &Tip) -> bool {
        let before = Seq::new(theirs.seq.get().saturating_sub(1));
        if tip.seq == before && theirs.expected_chain(tip.chain) == theirs.chain {
            return true;
        }
        let ours = self.rows.chain_at(self.tenant, self.stream, before);
        tip.is_blind && ours.is_some_and(|ours| theirs.expected_chain(ours) == theirs.chain)
    }
}
