//! What the bucket proves of one stream.
//!
//! The index and its pages name the entries. Beyond the last one, or everywhere when the index is lost, the objects
//! themselves are followed along the chain. An object that fits nowhere is an orphan: reported, left as it is.

use std::collections::BTreeMap;

use super::sealed::Sealed;
use crate::hybrid::bucket::{Bucket, BucketError, BucketResult};
use driftline_model::content::Content;
use driftline_model::format::{
    Damage, Index, IndexEntry, Snapshot, index_key, parse_snapshot_key, stream_of,
};
use driftline_model::{Digest, EntryMeta, Epoch, Head, Seq, Stream, TenantId, genesis};
use driftline_ports::{Database, ETag};

/// An entry that the bucket can bring back.
#[derive(Debug, Clone)]
pub(super) struct Recoverable {
    /// What names it; where nothing does, only its place.
    pub(super) named: IndexEntry,
    /// Its verified content, if it was read already.
    pub(super) content: Option<Content>,
    /// The key of the object of the older layout that it comes from, if today's has none yet.
    pub(super) legacy: Option<String>,
    /// It is lost, and with it what named it: `named` tells its number and nothing else.
    pub(super) unknown: Option<Unknown>,
}

/// An entry of which nothing is known.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    /// What is wrong with its object.
    pub(super) damage: Damage,
    /// The chain at its number, if what follows it tells.
    pub(super) chain: Option<Digest>,
}

impl Recoverable {
    /// What is named, and has not been read.
    pub(super) fn of(named: IndexEntry) -> Self {
        Self {
            named,
            content: None,
            legacy: None,
            unknown: None,
        }
    }

    /// The chain at its number, if it is known.
    pub(super) fn chain(&self) -> Option<Digest> {
        match &self.unknown {
            None => Some(self.named.meta.chain),
            Some(unknown) => unknown.chain,
        }
    }

    /// What is known of it.
    pub(super) fn known(&self) -> Option<&EntryMeta> {
        self.unknown.is_none().then_some(&self.named.meta)
    }
}

/// A stream in the bucket.
#[derive(Debug)]
pub(super) struct Inventory {
    /// The index that was read; `None` when there is none or it is damaged.
    pub(super) index: Option<Index>,
    /// The version of the index object, damaged or not.
    pub(super) etag: Option<ETag>,
    /// Every entry, dense from 1.
    pub(super) entries: Vec<Recoverable>,
    /// Objects that fit nowhere.
    pub(super) orphans: Vec<String>,
    /// Damaged indexes and pages, whose entries were found all the same.
    pub(super) worked_around: Vec<Damage>,
    /// Damaged snapshots that ended the walk along the chain.
    pub(super) failures: Vec<Damage>,
}

impl Inventory {
    /// The newest entry.
    pub(super) fn head(&self, tenant: &TenantId, stream: Stream) -> Head {
        match self.entries.last() {
            Some(last) => Head {
                seq: last.named.meta.seq,
                // Of the last one the index tells the chain, whatever is known of it.
                chain: last.chain().unwrap_or(last.named.meta.chain),
            },
            None => Head {
                seq: Seq::default(),
                chain: genesis(tenant, stream),
            },
        }
    }

    /// Whether no index tells what there is, but something is or was there.
    pub(super) fn rests_on_listing(&self) -> bool {
        self.index.is_none() && (self.etag.is_some() || !self.entries.is_empty())
    }

    /// How many of the entries lie there in today's format: the older layout's come after them.
    pub(super) fn shadowed(&self) -> usize {
        let todays = |entry: &&Recoverable| entry.legacy.is_none();
        self.entries.iter().take_while(todays).count()
    }

    /// The chain at a number, if the bucket knows it.
    pub(super) fn chain_at(&self, seq: Seq) -> Option<Digest> {
        let place = usize::try_from(seq.get().checked_sub(1)?).ok()?;
        self.entries.get(place)?.chain()
    }

    /// The entry at this row's number is not known, and the one after it does not follow the row.
    pub(super) fn unfollowed(&self, row: &EntryMeta) -> Option<Damage> {
        let next = self.entries.get(usize::try_from(row.seq.get()).ok()?)?;
        let meta = next.known()?;
        (meta.expected_chain(row.chain) != meta.chain)
            .then(|| Damage::diverged(&next.named.key(), row.chain, meta.chain))
    }

    /// The newest epoch in it.
    pub(super) fn epoch(&self) -> Epoch {
        let named = self
            .entries
            .iter()
            .map(|entry| entry.named.meta.epoch)
            .max();
        named
            .max(self.index.as_ref().map(|index| index.epoch))
            .unwrap_or_default()
    }
}

/// The snapshots of one stream in a listing: number → epochs, newest last.
pub(super) type Candidates = BTreeMap<Seq, Vec<(Epoch, String)>>;

/// Takes stock of a stream, given the keys of the tenant's objects.
///
/// Content that has to be read on the way is kept up to `memory` bytes. An index that is made up anew may end before what it
/// named: what an older epoch wrote there is history all the same if `database` has it.
pub(super) async fn take(
    bucket: &Bucket,
    database: Option<&dyn Database>,
    tenant: &TenantId,
    stream: Stream,
    keys: &[String],
    memory: u64,
) -> BucketResult<Inventory> {
    let mut candidates = Candidates::new();
    for key in keys {
        if let Some((found, seq, epoch)) = parse_snapshot_key(key)
            && found == stream
        {
            candidates
                .entry(seq)
                .or_default()
                .push((epoch, key.clone()));
        }
    }
    for epochs in candidates.values_mut() {
        epochs.sort();
    }
    let mut worked_around = Vec::new();
    // A stream of which the listing shows nothing at all has nothing to be read; were it to begin just now, whoever creates
    // its index next loses. Where anything is listed, an index that is not may be lost: a GET says so again.
    let (index, etag) = if keys.iter().any(|key| stream_of(key) == Some(stream)) {
        match bucket.index_or_damage(tenant, stream).await? {
            (Some(Ok(index)), etag) => (Some(index), etag),
            (Some(Err(damage)), etag) => {
                worked_around.push(damage);
                (None, etag)
            }
            (None, etag) => (None, etag),
        }
    } else {
        (None, None)
    };
    let mut walk = Walk {
        bucket,
        database,
        tenant,
        stream,
        candidates,
        entries: Vec::new(),
        memory,
        worked_around,
        failures: Vec::new(),
    };
    if let Some(index) = &index {
        walk.named(index).await?;
    }
    // What an older epoch wrote after the index had moved on never became history.
    let floor = index.as_ref().map_or(Epoch::default(), |index| index.epoch);
    walk.follow(floor).await?;
    let orphans = walk.orphans();
    let Walk {
        entries,
        mut worked_around,
        failures,
        ..
    } = walk;
    if index.is_none() && etag.is_none() && !entries.is_empty() {
        worked_around.push(Damage::new(
            &index_key(tenant, stream),
            driftline_model::format::Problem::Missing,
        ));
    }
    Ok(Inventory {
        index,
        etag,
        entries,
        orphans,
        worked_around,
        failures,
    })
}

struct Walk<'a> {
    bucket: &'a Bucket,
    database: Option<&'a dyn Database>,
    tenant: &'a TenantId,
    stream: Stream,
    candidates: Candidates,
    entries: Vec<Recoverable>,
    memory: u64,
    worked_around: Vec<Damage>,
    failures: Vec<Damage>,
}

impl Walk<'_> {
    fn chain(&self) -> Digest {
        self.entries.last().map_or_else(
            || genesis(self.tenant, self.stream),
            |last| last.chain().unwrap_or(last.named.meta.chain),
        )
    }

    /// The entries that the index and its pages name.
    async fn named(&mut self, index: &Index) -> BucketResult<()> {
        let mut sealed = Sealed {
            bucket: self.bucket,
            tenant: self.tenant,
            stream: self.stream,
            candidates: &self.candidates,
            memory: self.memory,
            worked_around: Vec::new(),
        };
        self.entries = sealed.entries(index).await?;
        let Sealed {
            memory,
            worked_around,
            ..
        } = sealed;
        self.memory = memory;
        self.worked_around.extend(worked_around);
        let rest = index.entries.iter().cloned();
        self.entries.extend(rest.map(Recoverable::of));
        Ok(())
    }

    /// Follows the chain through the objects: at each number the newest epoch (at least `floor`) that continues it.
    async fn follow(&mut self, floor: Epoch) -> BucketResult<()> {
        loop {
            let next = Seq::new(self.entries.len() as u64 + 1);
            let Some(keys) = self.candidates.get(&next).cloned() else {
                return Ok(());
            };
            let mut found = None;
            for (epoch, key) in keys.iter().rev() {
                if *epoch < floor && self.database.is_none() {
                    continue;
                }
                match self
                    .bucket
                    .unnamed_snapshot(self.tenant, self.stream, key)
                    .await
                {
                    Ok(Some(snapshot))
                        if snapshot.entry.meta.expected_chain(self.chain())
                            == snapshot.entry.meta.chain
                            && (*epoch >= floor || self.is_row(&snapshot).await?) =>
                    {
                        found = Some(snapshot);
                        break;
                    }
                    Ok(_) => {}
                    Err(BucketError::Damage(_)) if *epoch < floor => {}
                    Err(BucketError::Damage(damage)) => self.failures.push(damage),
                    Err(error) => return Err(error),
                }
            }
            let Some(snapshot) = found else { return Ok(()) };
            let named = IndexEntry::of(self.bucket.store().prefix(), &snapshot);
            let kept = self.memory.checked_sub(snapshot.entry.meta.content_bytes);
            self.memory = kept.unwrap_or_default();
            self.entries.push(Recoverable {
                content: kept.map(|_| snapshot.entry.content),
                ..Recoverable::of(named)
            });
        }
    }

    /// The database has this very entry.
    async fn is_row(&self, snapshot: &Snapshot) -> BucketResult<bool> {
        let (Some(database), meta) = (self.database, &snapshot.entry.meta) else {
            return Ok(false);
        };
        let before = Some(meta.seq.next());
        let rows = database
            .history(self.tenant, self.stream, before, 1)
            .await?;
        Ok(rows.first().is_some_and(|row| row.is_same_as(meta)))
    }

    fn orphans(&self) -> Vec<String> {
        let named = |seq: Seq| {
            let place = usize::try_from(seq.get().checked_sub(1)?).ok()?;
            self.entries.get(place).map(|entry| entry.named.meta.epoch)
        };
        self.candidates
            .iter()
            .flat_map(|(seq, keys)| {
                keys.iter()
                    .filter(move |(epoch, _)| named(*seq) != Some(*epoch))
            })
            .map(|(_, key)| key.clone())
            .collect()
    }
}
