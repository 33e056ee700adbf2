//! Histories made in memory, and how they come into a database.

use driftline::adapters::system::System;
use driftline::domain::content::Content;
use driftline::domain::{
    BucketId, Digest, Entry, EntryId, EntryMeta, Epoch, Head, PerStream, Seq, Stream, TenantId,
    TenantState, Timestamp, genesis,
};
use driftline::ports::{Database, Entropy};

/// The versions of one tenant, oldest first, in the first epoch. Each has the size of `content` and says something else.
pub fn history(tenant: &TenantId, versions: u64, content: &Content) -> Vec<Entry> {
    let mut chain = genesis(tenant, Stream::Manifests);
    let mut entries = Vec::new();
    for version in 1..=versions {
        let text = String::from_utf8(content.as_bytes().to_vec()).expect("content is text");
        let note = format!("\"note\":\"{version:08}");
        let text = text.replacen("\"note\":\"nnnnnnnn", &note, 1);
        let content = Content::from_stored(text.into_bytes().into());
        let time = 1_767_225_600_000_000 + i64::try_from(version).expect("a small number");
        let time = Timestamp::from_micros(time).expect("a good time");
        let mut meta = EntryMeta {
            tenant: tenant.clone(),
            stream: Stream::Manifests,
            seq: Seq::new(version),
            id: EntryId(System.uuid()),
            epoch: Epoch::FIRST,
            checksum: content.checksum(),
            chain: Digest::of(b""),
            created_at: time,
            committed_at: time,
            created_by: Some("bench".parse().expect("a short text")),
            message: None,
            content_bytes: content.len() as u64,
        };
        meta.chain = meta.expected_chain(chain);
        chain = meta.chain;
        entries.push(Entry { meta, content });
    }
    entries
}

/// Puts one tenant's history into a database that owns `bucket`, as if nothing of it were shadowed.
pub async fn store(database: &dyn Database, bucket: BucketId, entries: &[Entry]) {
    let newest = entries.last().expect("there is a version");
    let tenant = &newest.meta.tenant;
    let mut restore = database
        .begin_restore(tenant)
        .await
        .expect("the restore begins");
    restore.insert(entries).await.expect("the entries fit");
    let mut state = TenantState::new(tenant.clone(), Epoch::FIRST);
    state.heads[Stream::Manifests] = Head {
        seq: newest.meta.seq,
        chain: newest.meta.chain,
    };
    state.last_committed_at = Some(newest.meta.committed_at);
    restore
        .commit(&state, bucket, &PerStream::default())
        .await
        .expect("the restore commits");
}
