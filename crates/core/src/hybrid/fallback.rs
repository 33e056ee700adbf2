//! Reads from the bucket: any entry in at most three GETs (index, page, snapshot), all verified.

use super::bucket::{Bucket, BucketResult};
use super::recovery;
use super::settings::Sides;
use crate::hybrid::bucket::BucketError;
use driftline_model::format::{Damage, Index, IndexEntry, Problem, index_key};
use driftline_model::{Digest, Entry, EntryMeta, Seq, Stream, TenantId};
use driftline_ports::Result;

/// An entry from the bucket, and how far its index reaches.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    /// The newest number that the index names, and the chain there.
    pub(crate) end: (Seq, Digest),
}

/// An entry from the bucket; `None` when its index does not reach there, or does not exist.
pub(crate) async fn entry(
    bucket: &Bucket,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
) -> BucketResult<Option<Found>> {
    let Some((index, _)) = bucket.index(tenant, stream).await? else {
        return Ok(None);
    };
    let named = match index.page_of(seq) {
        Some(number) => {
            let page = bucket.page(tenant, stream, number).await?;
            let entry = page.entry(seq).cloned();
            Some(entry.ok_or_else(|| Damage::new(&index_key(tenant, stream), Problem::Missing))?)
        }
        None => index.entry(seq).cloned(),
    };
    let Some(named) = named else { return Ok(None) };
    let snapshot = bucket.snapshot(&named).await?;
    Ok(Some(Found {
        entry: snapshot.entry,
        end: (index.latest(), index.latest_chain()),
    }))
}

/// Versions that the bucket can bring back, newest first, below `before`.
pub(crate) async fn recoverable(
    sides: &Sides,
    tenant: &TenantId,
    before: Option<Seq>,
    limit: usize,
) -> Result<(Vec<EntryMeta>, Seq)> {
    let bucket = sides.bucket();
    let index = match bucket.index(tenant, Stream::Manifests).await {
        Ok(Some((index, _))) => index,
        // Without a readable index the objects tell.
        Ok(None) | Err(BucketError::Damage(_)) => {
            let entries = recovery::recoverable(sides, tenant).await?;
            let latest = entries
                .last()
                .map_or(Seq::default(), |entry| entry.meta.seq);
            let below = entries.into_iter().rev().map(|entry| entry.meta);
            let items = below
                .filter(|meta| before.is_none_or(|before| meta.seq < before))
                .take(limit)
                .collect();
            return Ok((items, latest));
        }
        Err(error) => return Err(error.into()),
    };
    let latest = index.latest();
    let mut next = before.map_or(latest.get(), |before| {
        before.get().saturating_sub(1).min(latest.get())
    });
    let mut items = Vec::with_capacity(limit);
    let mut page: Option<driftline_model::format::Page> = None;
    while next > 0 && items.len() < limit {
        let seq = Seq::new(next);
        let named: Option<IndexEntry> = match Index::page_of(&index, seq) {
            Some(number) => {
                if page.as_ref().is_none_or(|page| page.number != number) {
                    page = Some(bucket.page(tenant, Stream::Manifests, number).await?);
                }
                page.as_ref().and_then(|page| page.entry(seq).cloned())
            }
            None => index.entry(seq).cloned(),
        };
        items.extend(named.map(|named| named.meta));
        next -= 1;
    }
    Ok((items, latest))
}
