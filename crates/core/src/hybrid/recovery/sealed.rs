//! The entries that sealed pages name, and what can be told of them where pages are damaged.
//!
//! A page proves its entries if the page after it, or the index, goes on from its last chain. Where one is damaged the objects
//! are followed along the chain instead: backwards from what stands behind the page, and on from what stands before it. An
//! entry whose object is lost as well keeps its number, and nothing is known of it but what the page may still say; those
//! around it are entries all the same.

use super::inventory::{Candidates, Recoverable, Unknown};
use crate::hybrid::bucket::{Bucket, BucketError, BucketResult};
use driftline_model::format::{
    Damage, Index, IndexEntry, PAGE_SIZE, Page, Problem, Snapshot, index_key, page_key,
    snapshot_key,
};
use driftline_model::{
    Digest, EntryId, EntryMeta, Epoch, Seq, Stream, TenantId, Timestamp, genesis,
};

/// Damaged pages without a single object after which the others are not asked for: an index can claim any number of them.
const EMPTY_PAGES: usize = 64;

/// The sealed part of a stream, as far as it is read.
pub(super) struct Sealed<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) tenant: &'a TenantId,
    pub(super) stream: Stream,
    pub(super) candidates: &'a Candidates,
    /// Bytes of content that may still be kept.
    pub(super) memory: u64,
    pub(super) worked_around: Vec<Damage>,
}

/// What is found at the numbers of damaged pages that follow one another.
struct Run {
    /// The first number.
    first: u64,
    /// The chain before it, and the one at its end.
    before: Option<Digest>,
    end: Option<Digest>,
    /// The epoch of what follows it.
    epoch: Epoch,
    found: Vec<Option<Found>>,
}

/// An entry, and how far it is proven.
struct Found {
    entry: Recoverable,
    /// Only the entry before it proves it, and nothing behind it does.
    is_forward: bool,
}

impl Run {
    fn place(&self, number: u64) -> usize {
        usize::try_from(number - self.first).unwrap_or(usize::MAX)
    }

    fn last(&self) -> u64 {
        self.first + self.found.len() as u64 - 1
    }

    fn meta(&self, number: u64) -> Option<&EntryMeta> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let found = self.found.get(place)?.as_ref()?;
        Some(&found.entry.named.meta)
    }

    /// The epoch of the next entry that was found: epochs never go back.
    fn epoch_above(&self, number: u64) -> Epoch {
        let above = (number + 1..=self.last()).find_map(|number| self.meta(number));
        above.map_or(self.epoch, |meta| meta.epoch)
    }

    /// Takes an entry out if it does not follow this chain. The one before it is another history's if it is of an earlier epoch
    /// and nothing behind it proved it; of the same epoch there is but one.
    fn check(&mut self, number: u64, before: Option<Digest>) {
        let Some(meta) = self.meta(number) else {
            return;
        };
        if before.is_none_or(|before| meta.expected_chain(before) == meta.chain) {
            return;
        }
        let is_older = (self.meta(number - 1)).is_some_and(|it| it.epoch < meta.epoch);
        let place = self.place(number);
        self.found[place] = None;
        if let Some(before) = place.checked_sub(1)
            && is_older
            && self.found[before].as_ref().is_some_and(|it| it.is_forward)
        {
            self.found[before] = None;
        }
    }
}

impl Sealed<'_> {
    /// The entries of all sealed pages, dense from 1.
    pub(super) async fn entries(&mut self, index: &Index) -> BucketResult<Vec<Recoverable>> {
        let pages = self.pages(index).await?;
        let mut entries = Vec::<Recoverable>::new();
        let mut left = pages.into_iter().zip(1_u64..).peekable();
        while let Some((page, number)) = left.next() {
            let before = entries.last().map_or_else(
                || Some(genesis(self.tenant, self.stream)),
                Recoverable::chain,
            );
            if let Some(page) = page {
                if before.is_none_or(|before| before == page.prev_chain) {
                    entries.extend(page.entries.into_iter().map(Recoverable::of));
                    continue;
                }
                // Only one of a history that goes on behind it in no way that can be told.
                let key = page_key(self.tenant, self.stream, number);
                let before = before.unwrap_or(page.prev_chain);
                let damage = Damage::check(&key, "prevChain", before, page.prev_chain);
                self.worked_around.extend(damage.err());
            }
            let mut last = number;
            while left.next_if(|(page, _)| page.is_none()).is_some() {
                last += 1;
            }
            let next = left.peek().and_then(|(page, _)| page.as_ref());
            let behind = next.map_or(&index.entries, |page| &page.entries).first();
            let count = usize::try_from((last + 1 - number) * PAGE_SIZE).unwrap_or_default();
            let run = Run {
                first: (number - 1) * PAGE_SIZE + 1,
                before,
                end: Some(next.map_or(index.prev_chain, |page| page.prev_chain)),
                epoch: behind.map_or(index.epoch, |entry| entry.meta.epoch),
                found: (0..count).map(|_| None).collect(),
            };
            entries.extend(self.through(run).await?);
        }
        Ok(entries)
    }

    /// The pages that can be read and fit what follows them.
    async fn pages(&mut self, index: &Index) -> BucketResult<Vec<Option<Page>>> {
        let (mut pages, mut empty) = (Vec::new(), 0);
        for number in 1..=index.sealed_pages {
            match self.bucket.page(self.tenant, self.stream, number).await {
                Ok(page) => pages.push(Some(page)),
                Err(BucketError::Damage(damage)) => {
                    let numbers = Seq::new((number - 1) * PAGE_SIZE + 1)..;
                    let there = self.candidates.range(numbers).next();
                    empty += usize::from(there.is_none());
                    if empty > EMPTY_PAGES {
                        let reason = format!(
                            "it names {} sealed pages, and more than {EMPTY_PAGES} of them and all of their objects are lost",
                            index.sealed_pages
                        );
                        let key = index_key(self.tenant, self.stream);
                        return Err(Damage::malformed(&key, reason).into());
                    }
                    self.worked_around.push(damage);
                    pages.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        // What proves a page proves with it where the one before ends.
        let mut end = Some(index.prev_chain);
        for (page, number) in (pages.iter_mut().rev()).zip((1..=index.sealed_pages).rev()) {
            let Some(there) = page else {
                end = None;
                continue;
            };
            let chain = there.latest_chain();
            let key = page_key(self.tenant, self.stream, number);
            let fits = Damage::check(&key, "the chain at its end", end.unwrap_or(chain), chain);
            end = end.map(|_| there.prev_chain);
            if let Err(damage) = fits {
                self.worked_around.push(damage);
                (*page, end) = (None, None);
            }
        }
        Ok(pages)
    }

    async fn through(&mut self, mut run: Run) -> BucketResult<Vec<Recoverable>> {
        self.back(&mut run).await?;
        self.forth(&mut run).await?;
        let mut entries = Vec::with_capacity(run.found.len());
        for number in run.first..=run.last() {
            let place = run.place(number);
            match run.found[place].take() {
                Some(found) => entries.push(found.entry),
                None => entries.push(self.unknown(&run, number, entries.last()).await?),
            }
        }
        Ok(entries)
    }

    /// From the end backwards: each entry is the one that the next one follows. Behind a gap it is the object of the epoch in
    /// which the history went on there: of an epoch there is one object a number.
    async fn back(&mut self, run: &mut Run) -> BucketResult<()> {
        let mut epoch = run.epoch;
        for number in (run.first..=run.last()).rev() {
            let objects = self.objects(number).await?;
            let next = run.meta(number + 1);
            let end = run.end.filter(|_| number == run.last());
            let found = objects.iter().find(|it| {
                let meta = &it.entry.meta;
                match (next, end) {
                    (Some(next), _) => next.expected_chain(meta.chain) == next.chain,
                    (None, Some(end)) => meta.chain == end,
                    (None, None) => meta.epoch == epoch,
                }
            });
            if let Some(found) = found {
                epoch = found.entry.meta.epoch;
                let (entry, is_forward) = (self.keep(found), false);
                let place = run.place(number);
                run.found[place] = Some(Found { entry, is_forward });
            }
        }
        Ok(())
    }

    /// From the beginning on: what does not follow the entry before it is not what was committed, and what is still missing is
    /// what follows that, as an object or as the page says.
    async fn forth(&mut self, run: &mut Run) -> BucketResult<()> {
        let (mut chain, mut doubted, mut remains) = (run.before, None, None);
        for number in run.first..=run.last() {
            let place = run.place(number);
            if let Some(at) = doubted.take() {
                run.found[place] = None;
                chain = Some(at);
            } else if let Some(at) = run.meta(number).map(|meta| meta.chain) {
                run.check(number, chain);
                chain = Some(at);
            } else if let Some(before) = chain {
                let found = self.following(run, number, before, &mut remains).await?;
                chain = found.as_ref().and_then(Recoverable::chain);
                run.found[place] = found.map(|entry| Found {
                    entry,
                    is_forward: true,
                });
            } else if let Some(next) = run.meta(number + 1) {
                // Neither follows from anything, and one of the two was changed: nobody can tell which.
                let objects = self.objects(number).await?;
                let mut objects = objects.iter();
                let is_rival = objects.any(|it| it.entry.meta.epoch == next.epoch);
                doubted = is_rival.then_some(next.chain);
            }
        }
        Ok(())
    }

    /// What follows this chain at a number where nothing was found from behind.
    async fn following(
        &mut self,
        run: &Run,
        number: u64,
        before: Digest,
        remains: &mut Option<(u64, Vec<IndexEntry>)>,
    ) -> BucketResult<Option<Recoverable>> {
        let newest = run.epoch_above(number);
        let end = run.end.filter(|_| number == run.last());
        let is_it = |meta: &EntryMeta| {
            meta.expected_chain(before) == meta.chain
                && meta.epoch <= newest
                && end.is_none_or(|end| end == meta.chain)
        };
        let objects = self.objects(number).await?;
        if let Some(object) = objects.iter().find(|it| is_it(&it.entry.meta)) {
            return Ok(Some(self.keep(object)));
        }
        let page = (number - 1) / PAGE_SIZE + 1;
        let lines = match remains.take() {
            Some((of, lines)) if of == page => lines,
            _ => self.remains(page).await?,
        };
        let named = lines.iter().find(|line| {
            let meta = &line.meta;
            meta.tenant == *self.tenant && meta.seq.get() == number && is_it(meta)
        });
        let named = named.cloned().map(Recoverable::of);
        *remains = Some((page, lines));
        Ok(named)
    }

    /// What can still be read of a damaged page.
    async fn remains(&self, page: u64) -> BucketResult<Vec<IndexEntry>> {
        let key = page_key(self.tenant, self.stream, page);
        let found = self.bucket.get(&key).await?;
        Ok(found.map_or_else(Vec::new, |found| Page::remains(self.stream, &found.bytes)))
    }

    /// The objects at a number that can be read, newest epoch first.
    async fn objects(&self, number: u64) -> BucketResult<Vec<Snapshot>> {
        let mut found = Vec::new();
        let keys = self.candidates.get(&Seq::new(number));
        for (_, key) in keys.into_iter().flatten().rev() {
            let read = self.bucket.unnamed_snapshot(self.tenant, self.stream, key);
            match read.await {
                Ok(there) => found.extend(there),
                Err(BucketError::Damage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn keep(&mut self, snapshot: &Snapshot) -> Recoverable {
        let named = IndexEntry::of(self.bucket.store().prefix(), snapshot);
        let kept = self.memory.checked_sub(snapshot.entry.meta.content_bytes);
        self.memory = kept.unwrap_or_default();
        Recoverable {
            content: kept.map(|_| snapshot.entry.content.clone()),
            ..Recoverable::of(named)
        }
    }

    /// The place of an entry of which nothing is known.
    async fn unknown(
        &self,
        run: &Run,
        number: u64,
        before: Option<&Recoverable>,
    ) -> BucketResult<Recoverable> {
        let (tenant, stream, seq) = (self.tenant, self.stream, Seq::new(number));
        let newest = run.epoch_above(number);
        let keys = self.candidates.get(&seq).into_iter().flatten();
        let listed = keys.rev().find(|(epoch, _)| *epoch <= newest);
        let epoch = listed.map_or(newest, |(epoch, _)| *epoch);
        let key = snapshot_key(tenant, stream, seq, epoch);
        let damage = match self.bucket.unnamed_snapshot(tenant, stream, &key).await {
            Ok(None) => Damage::new(&key, Problem::Missing),
            Ok(Some(_)) => {
                let reason = "it does not fit the chain of the entries around it, and the page that named it is lost";
                Damage::malformed(&key, reason)
            }
            Err(BucketError::Damage(damage)) => damage,
            Err(error) => return Err(error),
        };
        let chain = run.end.filter(|_| number == run.last());
        let (prefix, nothing) = (self.bucket.store().prefix(), Digest::of(b""));
        let before = before.map(|before| &before.named.meta);
        // In the order of time it stands with the one before it.
        let at = before.map_or(Timestamp::EPOCH, |before| before.committed_at);
        let meta = EntryMeta {
            tenant: tenant.clone(),
            stream,
            seq,
            id: EntryId(uuid::Uuid::nil()),
            epoch,
            checksum: nothing,
            chain: nothing,
            created_at: at,
            committed_at: at,
            created_by: None,
            message: None,
            content_bytes: 0,
        };
        Ok(Recoverable {
            unknown: Some(Unknown { damage, chain }),
            ..Recoverable::of(IndexEntry::new(prefix, meta, 0, nothing))
        })
    }
}
