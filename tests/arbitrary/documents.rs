//! Valid documents of every kind, small.

use bytes::Bytes;
use driftline::domain::content::Content;
use driftline::domain::format::{BucketIdentity, Index, IndexEntry, Snapshot};
use driftline::domain::{
    BucketId, DatabaseId, Digest, Entry, EntryId, EntryMeta, Epoch, Seq, Stream, Timestamp, genesis,
};
use uuid::Uuid;

use crate::tenant;

const CONTENT: &str = r#"{"a":[1,-0.5,1e21,true,null,"ü \"q\" \u0001\ud83d\ude00"],"roles":[{"id":"r1","x":{}},{"id":"r2"}],"schemaVersion":"1"}"#;

const ACTUAL: &str = r#"{"observedAt":"2026-01-02T03:04:05.000006Z","resources":{"roles":{"x1":{"manifestId":"r1","n":[1,2,{"a":null}]},"x2":null},"hosts":{}},"errors":[{"type":"roles","id":"x2","message":"not \"seen\""}]}"#;

/// `count` entries.
pub fn entries(count: u64) -> Vec<Entry> {
    let mut chain = genesis(&tenant(), Stream::Manifests);
    (1..=count)
        .map(|number| {
            let content = Content::parse_manifest(CONTENT.as_bytes(), 1000).unwrap();
            let mut meta = EntryMeta {
                tenant: tenant(),
                stream: Stream::Manifests,
                seq: Seq::new(number),
                id: EntryId(Uuid::from_u128(u128::from(number))),
                epoch: Epoch::FIRST,
                checksum: content.checksum(),
                chain,
                created_at: Timestamp::EPOCH,
                committed_at: Timestamp::EPOCH,
                created_by: Some("ops \"night\"".parse().unwrap()),
                message: None,
                content_bytes: content.len() as u64,
            };
            meta.chain = meta.expected_chain(chain);
            chain = meta.chain;
            Entry { meta, content }
        })
        .collect()
}

/// An index of `count` entries; beyond 128 its first page is the second value.
pub fn index(count: u64) -> (Bytes, Option<Bytes>) {
    let mut index = Index::empty(&tenant(), Stream::Manifests, Epoch::FIRST, Timestamp::EPOCH);
    for entry in entries(count) {
        let bytes = Snapshot::write(&entry);
        let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
        index.push(IndexEntry::new("p/", entry.meta, size, digest));
    }
    let pages = index.seal();
    (
        index.to_bytes(),
        pages.first().map(driftline::domain::format::Page::to_bytes),
    )
}

/// One of each kind.
pub fn all() -> Vec<Vec<u8>> {
    let identity = BucketIdentity {
        bucket_id: BucketId(Uuid::from_u128(1)),
        database_id: DatabaseId {
            id: Uuid::from_u128(2),
            timeline: 1,
        },
        generation: Epoch::new(3),
    };
    vec![
        CONTENT.as_bytes().to_vec(),
        ACTUAL.as_bytes().to_vec(),
        Snapshot::write(&entries(1)[0]).to_vec(),
        index(2).0.to_vec(),
        identity.to_bytes().to_vec(),
    ]
}

/// Makes `selfSha256` that of the bytes before it, so that what is before it is read at all.
pub fn vouch(bytes: &mut Vec<u8>) {
    let label = b"\"selfSha256\"";
    let found = bytes
        .windows(label.len())
        .rposition(|window| window == label);
    bytes.truncate(found.unwrap_or(bytes.len()));
    let digest = Digest::of(bytes);
    bytes.extend_from_slice(format!("\"selfSha256\":\"{digest}\"\n}}\n").as_bytes());
}
