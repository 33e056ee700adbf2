//! What the index, the pages and the listing say of a stream. Nothing is concluded here, and no snapshot is read.

use std::collections::BTreeMap;

use crate::hybrid::bucket::{Bucket, BucketError, BucketResult};
use driftline_model::format::{
    Damage, Index, IndexEntry, PAGE_SIZE, Problem, index_key, page_key, parse_snapshot_key,
    stream_of,
};
use driftline_model::{Epoch, Seq, Stream, TenantId};
use driftline_ports::{ETag, Listed};

/// Damaged pages after which the others are not asked for: an index can claim any number of them.
const PAGES: usize = 64;

/// A stream as its bucket shows it.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// The index; `None` when there is none or it is damaged.
    pub(super) index: Option<Index>,
    /// The version of the index object, damaged or not.
    pub(super) etag: Option<ETag>,
    /// What is wrong with the index.
    pub(super) index_damage: Option<Damage>,
    /// What is wrong with pages.
    pub(super) page_damage: Vec<(u64, Damage)>,
    /// What lies damaged where pages belong that the index does not count yet.
    pub(super) in_pages_way: Vec<Damage>,
    /// Pages there that are whole, and whose entry of this number is not the one that the index names.
    pub(super) of_others: Vec<(String, Seq)>,
    /// What the index and the readable pages name.
    pub(super) named: BTreeMap<Seq, IndexEntry>,
    /// Snapshots in the listing.
    pub(super) objects: BTreeMap<(Seq, Epoch), String>,
    /// Their sizes there.
    pub(super) sizes: BTreeMap<(Seq, Epoch), u64>,
    /// Keys in the stream's places that are none of its objects.
    pub(super) foreign: Vec<String>,
}

impl Stock {
    /// Reads the index and the pages. `listed` is a listing of the tenant; what it lacks is not believed to be missing.
    pub(super) async fn take(
        bucket: &Bucket,
        tenant: &TenantId,
        stream: Stream,
        listed: &[Listed],
    ) -> BucketResult<Self> {
        let mut stock = Self::default();
        let mut pages = Vec::new();
        for object in listed {
            let key = &object.key;
            if stream_of(key) != Some(stream) {
                continue;
            }
            match parse_snapshot_key(key) {
                Some((_, seq, epoch)) => {
                    stock.objects.insert((seq, epoch), key.clone());
                    stock.sizes.insert((seq, epoch), object.size);
                }
                None if *key == index_key(tenant, stream) => {}
                None => pages.push(key.clone()),
            }
        }
        let (index, etag) = bucket.index_or_damage(tenant, stream).await?;
        stock.etag = etag;
        match index {
            Some(Ok(index)) => {
                stock.pages(bucket, &index).await?;
                for entry in &index.entries {
                    stock.named.insert(entry.meta.seq, entry.clone());
                }
                stock.beyond(bucket, &index, &pages).await?;
                stock.index = Some(index);
            }
            Some(Err(damage)) => stock.index_damage = Some(damage),
            None => {}
        }
        stock.foreign = pages
            .into_iter()
            .filter(|key| page_number(tenant, stream, key).is_none())
            .collect();
        Ok(stock)
    }

    async fn pages(&mut self, bucket: &Bucket, index: &Index) -> BucketResult<()> {
        let (tenant, stream) = (&index.tenant, index.stream);
        let mut chain = Some(driftline_model::genesis(tenant, stream));
        for number in 1..=index.sealed_pages {
            let key = page_key(tenant, stream, number);
            match bucket.page(tenant, stream, number).await {
                Ok(page) => {
                    if let Some(before) = chain
                        && let Err(damage) =
                            Damage::check(&key, "prevChain", before, page.prev_chain)
                    {
                        self.page_damage.push((number, damage));
                        chain = None;
                        continue;
                    }
                    chain = Some(page.latest_chain());
                    for entry in page.entries {
                        self.named.insert(entry.meta.seq, entry);
                    }
                }
                Err(BucketError::Damage(damage)) => {
                    self.page_damage.push((number, damage));
                    chain = None;
                    if self.page_damage.len() > PAGES {
                        let reason = format!(
                            "it names {} sealed pages, and more than {PAGES} of them are damaged",
                            index.sealed_pages
                        );
                        let key = index_key(tenant, stream);
                        self.index_damage = Some(Damage::malformed(&key, reason));
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(before) = chain
            && let Err(damage) = Damage::check(
                &index_key(tenant, stream),
                "prevChain",
                index.prev_chain,
                before,
            )
        {
            self.index_damage = Some(damage);
        }
        Ok(())
    }

    /// Pages that are there and not counted. A good one is used when its entries are sealed; of a damaged one no sealing gets
    /// past.
    async fn beyond(
        &mut self,
        bucket: &Bucket,
        index: &Index,
        keys: &[String],
    ) -> BucketResult<()> {
        let (tenant, stream) = (&index.tenant, index.stream);
        let numbers = keys
            .iter()
            .filter_map(|key| page_number(tenant, stream, key));
        for number in numbers.filter(|number| *number > index.sealed_pages) {
            match bucket.page(tenant, stream, number).await {
                Ok(page) => {
                    let differs = |it: &&IndexEntry| {
                        let named = self.named.get(&it.meta.seq);
                        named.is_some_and(|named| named.meta.chain != it.meta.chain)
                    };
                    let other = page.entries.iter().find(differs).map(|it| it.meta.seq);
                    let key = page_key(tenant, stream, number);
                    self.of_others.extend(other.map(|seq| (key, seq)));
                }
                Err(BucketError::Damage(damage)) if damage.problem == Problem::Missing => {}
                Err(BucketError::Damage(damage)) => self.in_pages_way.push(damage),
                Err(error) => return Err(error),
            }
            if self.in_pages_way.len() + self.of_others.len() > PAGES {
                break;
            }
        }
        Ok(())
    }

    /// The newest number that the index names; 0 without a readable one.
    pub(super) fn latest(&self) -> Seq {
        self.index.as_ref().map_or(Seq::default(), Index::latest)
    }

    /// The entry should be named by a page that cannot be read.
    pub(super) fn is_on_damaged_page(&self, seq: Seq) -> bool {
        let page = seq.get().saturating_sub(1) / PAGE_SIZE + 1;
        self.page_damage.iter().any(|(number, _)| *number == page)
    }
}

/// The number of a page of this stream. One that no index names yet may have been sealed by whoever did not get to write the
/// index, or wait for an index that is being made up again.
fn page_number(tenant: &TenantId, stream: Stream, key: &str) -> Option<u64> {
    let (_, name) = key.rsplit_once("/p")?;
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && page_key(tenant, stream, number) == key).then_some(number)
}
