//! Arbitrary bytes into every parser: an error or a value, never a panic, and memory in proportion to the input.
//!
//! The tests of this binary count what it allocates. They take turns, so that each counts only its own.

mod comparing;
mod documents;
mod hostile;
mod mutations;
mod planning;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use driftline::domain::content::{Content, canonicalize};
use driftline::domain::drift::ActualState;
use driftline::domain::format::{BucketIdentity, Index, Page, Snapshot};
use driftline::domain::{Seq, Stream, TenantId};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static TURN: Mutex<()> = Mutex::new(());

/// What a parser may have allocated at once, for each byte of the input. The densest input of all, small objects whose members
/// are out of order, takes 14.
const PER_BYTE: usize = 20;

/// And beside that: error messages, and the first of everything.
const BESIDE: usize = 16 * 1024;

/// A parser, and what is done with what it returns.
type Parser = (&'static str, fn(&[u8]));

/// Every parser of what comes from outside. The limit of content is far beyond all inputs: it is no part of what is tested.
const PARSERS: [Parser; 8] = [
    ("an object", |bytes| {
        if let Ok(content) = Content::parse_object(bytes, usize::MAX) {
            again(&content);
        }
    }),
    ("a manifest", |bytes| {
        if let Ok(content) = Content::parse_manifest(bytes, usize::MAX) {
            again(&content);
        }
    }),
    ("a value", |bytes| {
        let _ = canonicalize(bytes);
    }),
    ("an index", |bytes| {
        if let Ok(index) = Index::parse(&tenant(), Stream::Manifests, bytes) {
            use_index(index);
        }
    }),
    ("a page", |bytes| {
        if let Ok(page) = Page::parse(&tenant(), Stream::Manifests, 1, bytes) {
            for seq in [0, 1, 128, 129, u64::MAX].map(Seq::new) {
                let _ = page.entry(seq);
            }
            let _ = (page.latest_chain(), page.to_bytes());
        }
    }),
    ("a snapshot", |bytes| {
        let (bytes, key) = (Bytes::copy_from_slice(bytes), "acme/versions/v000001.json");
        if let Ok(snapshot) = Snapshot::parse(&tenant(), Stream::Manifests, key, &bytes) {
            let _ = Snapshot::write(&snapshot.entry);
        }
    }),
    ("a bucket's identity", |bytes| {
        if let Ok(identity) = BucketIdentity::parse(bytes) {
            assert_eq!(BucketIdentity::parse(&identity.to_bytes()), Ok(identity));
        }
    }),
    ("an actual state", |bytes| {
        if let Ok(state) = ActualState::parse(bytes) {
            let _ = (state.len(), state.is_empty());
        }
    }),
];

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// What was canonical once is its own canonical form.
fn again(content: &Content) {
    let again = Content::parse_object(content.as_bytes(), usize::MAX).unwrap();
    assert_eq!(again.checksum(), content.checksum());
}

/// Everything that a reader of an index does with its numbers.
fn use_index(mut index: Index) {
    for seq in [0, 1, 128, 129, u64::MAX].map(Seq::new) {
        let _ = (index.entry(seq), index.page_of(seq), index.chain_at(seq));
    }
    let _ = (index.latest(), index.latest_chain());
    if let Some(last) = index.entries.last().cloned() {
        index.push(last);
    }
    let _ = index.seal();
    let _ = index.to_bytes();
}

/// Gives the bytes to every parser, one after the other; the most that one of them allocated at once.
fn parse(bytes: &[u8]) -> (usize, &'static str) {
    let most = PARSERS.map(|(name, parse)| {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        parse(bytes);
        (ALLOCATOR.peak_usage().saturating_sub(before), name)
    });
    most.into_iter().max().unwrap_or_default()
}

/// The same, within bounds; what was allocated for each byte.
fn bounded(bytes: &[u8], what: &str) -> usize {
    let (most, parser) = parse(bytes);
    let allowed = PER_BYTE * bytes.len() + BESIDE;
    assert!(
        most <= allowed,
        "{what}: {parser} took {most} bytes of memory for {} bytes of input",
        bytes.len()
    );
    most / bytes.len().max(1)
}

/// Runs a test while no other one allocates.
fn alone<T>(test: impl FnOnce() -> T) -> T {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    test()
}
