//! Entries to write and shorthands to write them with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use driftline_model::content::Content;
use driftline_model::{
    Activation, Apply, BucketId, Decision, Digest, Entry, EntryId, EntryMeta, Epoch, Head,
    PerStream, Resources, Seq, ShortText, Stream, TenantId, TenantState, Timestamp, VersionRef,
    genesis, retires,
};
use driftline_ports::{Appended, Database, Expectation, Fault, NewEntry, StoreResult, WorkerId};
use uuid::Uuid;

/// What a test shares with the tasks it starts.
pub type Db = Arc<dyn Database>;

/// An identifier that no other call in this process gets.
pub fn fresh() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(
        0x0d1f_7000_0000_4000_8000_0000_0000_0000
            | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)),
    )
}

pub fn bucket() -> BucketId {
    BucketId(fresh())
}

pub fn worker() -> WorkerId {
    WorkerId(fresh())
}

pub fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant's name")
}

pub fn text(text: &str) -> ShortText {
    text.parse().expect("a short text")
}

/// A manifest whose content is a function of `name`.
pub fn manifest(name: &str) -> NewEntry {
    let text = serde_json::to_string(name).expect("a string is JSON");
    with_content(
        Stream::Manifests,
        format!("{{\"name\":{text},\"schemaVersion\":\"1\"}}").into(),
    )
}

pub fn with_content(stream: Stream, content: Bytes) -> NewEntry {
    NewEntry {
        stream,
        id: EntryId(fresh()),
        content: Content::from_stored(content),
        created_at: Timestamp::from_micros(1_767_225_600_123_456).expect("a time"),
        created_by: None,
        message: None,
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    }
}

pub fn reference(meta: &EntryMeta) -> VersionRef {
    VersionRef {
        version: meta.seq,
        chain: meta.chain,
    }
}

/// An apply of this version.
pub fn apply_of(version: &EntryMeta) -> NewEntry {
    let apply = Apply {
        manifest_version: version.seq,
        manifest_chain: version.chain,
        resources: Resources::default(),
    };
    let content = apply.to_content().expect("an apply has content");
    NewEntry {
        content,
        refers_to: Some(reference(version)),
        ..with_content(Stream::Applies, Bytes::new())
    }
}

/// A decision to activate `target` for as long as `head` is the head.
pub fn activate(target: &EntryMeta, head: &EntryMeta) -> NewEntry {
    let decision = Decision::Activate {
        version: target.seq,
        chain: target.chain,
        head_version: head.seq,
        head_chain: head.chain,
    };
    NewEntry {
        content: decision.to_content().expect("a decision has content"),
        refers_to: Some(reference(target)),
        activation: Some(Activation {
            decision: Seq::default(),
            target: reference(target),
            head_chain: head.chain,
        }),
        ..with_content(Stream::Decisions, Bytes::new())
    }
}

pub fn keyed(entry: NewEntry, key: &str) -> NewEntry {
    NewEntry {
        idempotency_key: Some(text(key)),
        ..entry
    }
}

pub fn expecting(entry: NewEntry, expectation: Expectation) -> NewEntry {
    NewEntry {
        expect: Some(expectation),
        ..entry
    }
}

/// Claims the database for a new bucket.
pub async fn claimed(db: &Db) -> BucketId {
    let bucket = bucket();
    db.claim(None, bucket, Epoch::FIRST).await.expect("claim");
    bucket
}

/// Appends, and fails unless it is committed.
pub async fn commit(db: &Db, tenant: &TenantId, entry: NewEntry) -> EntryMeta {
    commit_active(db, tenant, entry).await.0
}

/// Appends, fails unless it is committed, and tells the active version.
pub async fn commit_active(db: &Db, tenant: &TenantId, entry: NewEntry) -> (EntryMeta, Seq) {
    match append(db, tenant, entry).await {
        Appended::Committed { meta, active } => (meta, active),
        other => panic!("a commit was expected: {other:?}"),
    }
}

pub async fn append(db: &Db, tenant: &TenantId, entry: NewEntry) -> Appended {
    db.append(tenant, &entry).await.expect("append")
}

/// A stream's entries, oldest first.
pub async fn all(db: &Db, tenant: &TenantId, stream: Stream) -> Vec<EntryMeta> {
    let mut entries = db
        .history(tenant, stream, None, 10_000)
        .await
        .expect("history");
    entries.reverse();
    entries
}

/// Numbers from 1 without a gap, each linked to the one before, times in order, and the head where the last one is.
pub async fn assert_whole(db: &Db, tenant: &TenantId, stream: Stream) {
    let (mut head, mut time) = (
        Head {
            seq: Seq::default(),
            chain: genesis(tenant, stream),
        },
        None,
    );
    for meta in all(db, tenant, stream).await {
        assert_eq!(meta.seq, head.seq.next(), "{stream} is dense");
        assert_eq!(
            meta.chain,
            meta.expected_chain(head.chain),
            "{stream} {} is linked",
            meta.seq
        );
        assert!(
            Some(meta.committed_at) >= time,
            "{stream} {} went back in time",
            meta.seq
        );
        (head, time) = (
            Head {
                seq: meta.seq,
                chain: meta.chain,
            },
            Some(meta.committed_at),
        );
    }
    assert_eq!(
        db.tenant(tenant)
            .await
            .expect("tenant")
            .expect("it is known")
            .heads[stream],
        head
    );
}

/// Entries of a tenant that no database holds yet, each linked to the one before.
pub fn history_of(
    tenant: &TenantId,
    stream: Stream,
    epoch: Epoch,
    entries: &[NewEntry],
) -> Vec<Entry> {
    let mut chain = genesis(tenant, stream);
    let mut made = Vec::new();
    for (entry, seq) in entries.iter().zip(1..) {
        let mut meta = EntryMeta {
            tenant: tenant.clone(),
            stream,
            seq: Seq::new(seq),
            id: entry.id,
            epoch,
            checksum: entry.content.checksum(),
            chain,
            created_at: entry.created_at,
            committed_at: Timestamp::from_micros(
                1_767_225_700_000_000 + i64::try_from(seq).expect("small"),
            )
            .expect("a time"),
            created_by: entry.created_by.clone(),
            message: entry.message.clone(),
            content_bytes: entry.content.len() as u64,
        };
        meta.chain = meta.expected_chain(chain);
        chain = meta.chain;
        made.push(Entry {
            meta,
            content: entry.content.clone(),
        });
    }
    made
}

/// The state of a tenant that has just these entries.
pub fn state_of(tenant: &TenantId, epoch: Epoch, entries: &[Entry]) -> TenantState {
    let mut state = TenantState::new(tenant.clone(), epoch);
    for entry in entries {
        state.push(
            &entry.meta,
            Activation::of(entry).filter(|_| entry.meta.stream == Stream::Decisions),
            retires(entry.meta.stream, &entry.content),
        );
    }
    state
}

/// Restores a tenant that the database does not know, with watermarks at 0.
pub async fn restore(db: &Db, bucket: BucketId, state: &TenantState, entries: &[Entry]) {
    let mut restore = db.begin_restore(&state.tenant).await.expect("begin");
    restore.insert(entries).await.expect("insert");
    restore
        .commit(state, bucket, &PerStream::default())
        .await
        .expect("commit");
}

/// Watermarks in the order of the streams.
pub fn marks(manifests: u64, applies: u64, decisions: u64) -> PerStream<Seq> {
    PerStream::from_fn(|stream| match stream {
        Stream::Manifests => Seq::new(manifests),
        Stream::Applies => Seq::new(applies),
        Stream::Decisions => Seq::new(decisions),
    })
}

pub fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// The fault of a call that must fail.
pub fn fault<T>(result: StoreResult<T>) -> Fault {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.fault(),
    }
}
