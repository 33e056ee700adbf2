//! What only Postgres has: row-level security, concurrent sessions, roles, lost sessions.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod concurrency;
mod faults;
mod isolation;
mod limits;
mod pooler;
mod reading;
mod schema;
mod scratch;
mod surroundings;
mod whereabouts;

use driftline::adapters::system::System;
use driftline::domain::content::Content;
use driftline::domain::{EntryId, EntryMeta, Stream, TenantId, Timestamp};
use driftline::ports::{Appended, Entropy, Error, Fault, Hint, NewEntry, StoreError};

/// A tenant.
fn tenant(name: &str) -> TenantId {
    name.parse().expect("a good name")
}

/// A manifest to append; its content says `text`.
fn manifest(text: &str) -> NewEntry {
    let content = format!("{{\"schemaVersion\":\"1\",\"text\":\"{text}\"}}");
    NewEntry {
        stream: Stream::Manifests,
        id: EntryId(System.uuid()),
        content: Content::from_stored(content.into_bytes().into()),
        created_at: Timestamp::from_micros(1_700_000_000_123_456).expect("a good time"),
        created_by: Some("tester".parse().expect("a good text")),
        message: None,
        expect: None,
        idempotency_key: None,
        skip_unchanged: false,
        refers_to: None,
        activation: None,
    }
}

/// The entry that was committed.
fn committed(appended: Appended) -> EntryMeta {
    match appended {
        Appended::Committed { meta, .. } => meta,
        other => panic!("committed is expected, not {other:?}"),
    }
}

/// The schema is not there, and what makes it is advised.
fn assert_schema_is_missing(error: StoreError) {
    assert_eq!(error.fault(), Fault::Absent);
    let error = Error::from(error);
    assert!(
        error.to_string().contains("the schema is not there"),
        "{error}"
    );
    assert_eq!(error.hinted(), Some(&Hint::MakeDatabase));
}
