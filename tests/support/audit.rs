//! The whole truth about one tenant: both sides read completely, every digest recomputed, and compared field by field.

use std::collections::BTreeSet;

use driftline::domain::content::Content;
use driftline::domain::format::{
    Index, IndexEntry, PAGE_SIZE, Page, Snapshot, index_key, page_key, parse_snapshot_key,
};
use driftline::domain::{Digest, Entry, PerStream, Seq, Stream, TenantId, genesis};
use driftline::ports::{Database, SnapshotStore};

use super::pairs::keys;

/// A tenant's entries, per stream, oldest first.
pub type History = PerStream<Vec<Entry>>;

/// Reads a tenant from both sides, and fails unless the database is sound, the bucket holds exactly the same, and the
/// watermarks say so.
pub async fn settled(
    database: &dyn Database,
    bucket: &dyn SnapshotStore,
    tenant: &TenantId,
) -> History {
    let history = rows(database, tenant).await;
    let watermarks = database.watermarks(tenant).await.unwrap();
    for (stream, entries) in history.iter() {
        let last = entries.last().map_or(Seq::default(), |last| last.meta.seq);
        assert_eq!(watermarks[stream], last, "watermark of {tenant}'s {stream}");
        let named = index(bucket, tenant, stream).await;
        let wanted: Vec<_> = entries
            .iter()
            .map(|entry| as_named(bucket.prefix(), entry))
            .collect();
        assert_eq!(named.len(), wanted.len(), "index of {tenant}'s {stream}");
        for (named, wanted) in named.iter().zip(&wanted) {
            assert_eq!(named, wanted, "index of {tenant}'s {stream}");
        }
        for entry in entries {
            let key = as_named("", entry).key();
            let object = bucket.get(&key, u64::MAX).await.unwrap();
            let bytes = object.unwrap_or_else(|| panic!("{key} is missing")).bytes;
            assert_eq!(bytes, Snapshot::write(entry), "{key}");
        }
    }
    let named: BTreeSet<_> = history
        .iter()
        .flat_map(|(_, entries)| entries.iter().map(|entry| as_named("", entry).key()))
        .collect();
    let there: BTreeSet<_> = keys(bucket, &format!("{tenant}/"))
        .await
        .into_iter()
        .filter(|key| parse_snapshot_key(key).is_some())
        .collect();
    assert_eq!(there, named, "snapshots of {tenant}");
    history
}

/// Reads a tenant from the database, and fails unless its entries are dense, each there once, and whole.
pub async fn rows(database: &dyn Database, tenant: &TenantId) -> History {
    let state = database.tenant(tenant).await.unwrap();
    let state = state.unwrap_or_else(|| panic!("the database does not know {tenant}"));
    let mut history = PerStream::from_fn(|_| Vec::new());
    for stream in Stream::ALL {
        let mut entries = Vec::<Entry>::new();
        while entries.len() < usize::try_from(state.heads[stream].seq.get()).unwrap() {
            let after = entries.last().map_or(Seq::default(), |last| last.meta.seq);
            let more = database
                .pending(tenant, stream, after, 500, 64 << 20)
                .await
                .unwrap();
            assert!(!more.is_empty(), "{tenant}'s {stream} end at {after}");
            entries.extend(more);
        }
        check(tenant, stream, &entries);
        let last = entries.last().map(|last| last.meta.chain);
        assert_eq!(
            state.heads[stream].chain,
            last.unwrap_or_else(|| genesis(tenant, stream)),
            "head of {tenant}'s {stream}"
        );
        history[stream] = entries;
    }
    history
}

/// The entries are numbered from 1, each has an identifier of its own, and every digest can be recomputed.
fn check(tenant: &TenantId, stream: Stream, entries: &[Entry]) {
    let mut chain = genesis(tenant, stream);
    let mut ids = BTreeSet::new();
    let mut committed = None;
    for (place, Entry { meta, content }) in entries.iter().enumerate() {
        let name = format!("{tenant}'s {stream} {}", meta.seq);
        assert_eq!(meta.seq, Seq::new(place as u64 + 1), "{name}");
        assert_eq!((&meta.tenant, meta.stream), (tenant, stream), "{name}");
        assert!(ids.insert(meta.id), "{name}: its id comes twice");
        let found = Content::from_stored(content.bytes().clone()).checksum();
        assert_eq!(meta.checksum, found, "{name}");
        assert_eq!(meta.content_bytes, content.len() as u64, "{name}");
        assert_eq!(meta.chain, meta.expected_chain(chain), "{name}");
        assert!(committed <= Some(meta.committed_at), "{name}");
        (chain, committed) = (meta.chain, Some(meta.committed_at));
    }
}

/// The entries that a stream's pages and index name, oldest first.
pub async fn index(
    bucket: &dyn SnapshotStore,
    tenant: &TenantId,
    stream: Stream,
) -> Vec<IndexEntry> {
    let key = index_key(tenant, stream);
    let Some(object) = bucket.get(&key, u64::MAX).await.unwrap() else {
        return Vec::new();
    };
    let index = Index::parse(tenant, stream, &object.bytes).unwrap();
    let mut chain = genesis(tenant, stream);
    let mut entries = Vec::new();
    for number in 1..=index.sealed_pages {
        let key = page_key(tenant, stream, number);
        let object = bucket.get(&key, u64::MAX).await.unwrap();
        let object = object.unwrap_or_else(|| panic!("{key} is missing"));
        let page = Page::parse(tenant, stream, number, &object.bytes).unwrap();
        assert_eq!(page.entries.len() as u64, PAGE_SIZE, "{key}");
        assert_eq!(page.prev_chain, chain, "{key}");
        chain = page.latest_chain();
        entries.extend(page.entries);
    }
    assert_eq!(index.prev_chain, chain, "{key}");
    entries.extend(index.entries);
    let size: u64 = entries.iter().map(|entry| entry.object_bytes).sum();
    assert_eq!(index.total_size_bytes, size, "{key}");
    entries
}

/// The entry as its index has to name it.
fn as_named(prefix: &str, entry: &Entry) -> IndexEntry {
    let bytes = Snapshot::write(entry);
    let (meta, size) = (entry.meta.clone(), bytes.len() as u64);
    IndexEntry::new(prefix, meta, size, Digest::of(&bytes))
}
