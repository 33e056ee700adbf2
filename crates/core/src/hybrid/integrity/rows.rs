//! What the database holds of a stream: its rows, and whether their chain and their bytes are what was committed.

use std::collections::{BTreeMap, BTreeSet};

use crate::hybrid::blocking::digest_of;
use driftline_model::{Digest, Entry, EntryMeta, Head, Seq, Stream, TenantId, genesis};
use driftline_ports::{Database, StoreResult};

/// Rows that are asked for at once, and their content in bytes.
const PAGE: u32 = 1000;
const PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// Lost rows that are told one by one: a damaged head claims any number of them.
const TOLD: usize = 10_000;

/// A stream's rows.
#[derive(Debug)]
pub(super) struct Rows {
    /// The head on the tenant's lock row.
    pub(super) head: Head,
    /// The rows that are there.
    pub(super) metas: BTreeMap<Seq, EntryMeta>,
    /// Rows whose content does not have their checksum, and the digest that it has.
    pub(super) damaged: BTreeMap<Seq, Digest>,
    /// Numbers whose chain does not follow from the one before.
    pub(super) broken: BTreeSet<Seq>,
}

impl Rows {
    /// Reads the rows up to `head`; with `contents` also their bytes.
    pub(super) async fn read(
        database: &dyn Database,
        tenant: &TenantId,
        stream: Stream,
        head: Head,
        contents: bool,
    ) -> StoreResult<Self> {
        let mut rows = Self {
            head,
            metas: BTreeMap::new(),
            damaged: BTreeMap::new(),
            broken: BTreeSet::new(),
        };
        let mut before = Some(head.seq.next());
        while head.seq > Seq::default() {
            let page = database.history(tenant, stream, before, PAGE).await?;
            before = page.last().map(|meta| meta.seq);
            let full = page.len() == PAGE as usize;
            rows.metas
                .extend(page.into_iter().map(|meta| (meta.seq, meta)));
            if !full {
                break;
            }
        }
        rows.broken = rows.find_broken(tenant, stream);
        if contents {
            rows.check_contents(database, tenant, stream).await?;
        }
        Ok(rows)
    }

    /// Where a row is missing nothing can be said of the one after it.
    fn find_broken(&self, tenant: &TenantId, stream: Stream) -> BTreeSet<Seq> {
        let mut broken = BTreeSet::new();
        let mut before = Some((Seq::default(), genesis(tenant, stream)));
        for (seq, meta) in &self.metas {
            if let Some((_, chain)) = before.filter(|(last, _)| last.next() == *seq)
                && meta.expected_chain(chain) != meta.chain
            {
                broken.insert(*seq);
            }
            before = Some((*seq, meta.chain));
        }
        if let Some((last, chain)) = before
            && last == self.head.seq
            && chain != self.head.chain
        {
            broken.insert(last);
        }
        broken
    }

    async fn check_contents(
        &mut self,
        database: &dyn Database,
        tenant: &TenantId,
        stream: Stream,
    ) -> StoreResult<()> {
        // A run of rows ends before one that is missing: the next begins behind it.
        let starts: Vec<Seq> = (self.metas.keys())
            .filter(|seq| {
                let before = Seq::new(seq.get() - 1);
                !self.metas.contains_key(&before)
            })
            .map(|seq| Seq::new(seq.get() - 1))
            .collect();
        for start in starts {
            let mut after = start;
            while self.metas.contains_key(&after.next()) {
                let run = database
                    .pending(tenant, stream, after, PAGE, PAGE_BYTES)
                    .await?;
                let Some(last) = run.last() else { break };
                after = last.meta.seq;
                for row in run {
                    let actual = digest_of(&row.content).await;
                    if actual != row.meta.checksum {
                        self.damaged.insert(row.meta.seq, actual);
                    }
                }
            }
        }
        Ok(())
    }

    /// Numbers up to the head without a row that are not `known` either: the first of them, and how many more there are. It
    /// takes as long as there are rows, whatever the head claims.
    pub(super) fn missing<'a>(
        &'a self,
        known: impl Iterator<Item = &'a Seq>,
    ) -> (BTreeSet<Seq>, u64) {
        let head = self.head.seq.get();
        let mut there: BTreeSet<u64> = self
            .metas
            .keys()
            .chain(known)
            .map(|seq| seq.get())
            .collect();
        there.retain(|seq| *seq <= head);
        let (mut missing, mut more, mut next) = (BTreeSet::new(), 0, 1);
        for seq in there.into_iter().chain([head.saturating_add(1)]) {
            let gap = seq.saturating_sub(next);
            let room = (TOLD - missing.len()) as u64;
            missing.extend((next..next + gap.min(room)).map(Seq::new));
            more += gap.saturating_sub(room);
            next = seq.saturating_add(1);
        }
        (missing, more)
    }

    /// The row is lost, and it was not the entry with this chain: the row after it does not follow that.
    pub(super) fn lacks(&self, seq: Seq, chain: Digest) -> bool {
        let after = self.metas.get(&seq.next());
        !self.metas.contains_key(&seq)
            && after.is_some_and(|after| after.expected_chain(chain) != after.chain)
    }

    /// The chain at a number, if it can be told.
    pub(super) fn chain_at(&self, tenant: &TenantId, stream: Stream, seq: Seq) -> Option<Digest> {
        if seq == Seq::default() {
            return Some(genesis(tenant, stream));
        }
        if seq == self.head.seq {
            return Some(self.head.chain);
        }
        self.metas.get(&seq).map(|meta| meta.chain)
    }
}

/// One row with its content.
pub(super) async fn row(
    database: &dyn Database,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
) -> StoreResult<Option<Entry>> {
    let stored = database.entry(tenant, stream, seq).await?;
    Ok(stored.map(|stored| stored.entry))
}
