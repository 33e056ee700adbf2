//! One wrong byte, anywhere in an object: nothing else than what was written is ever served, restored or shadowed on.
//!
//! Each byte of each object is changed in two ways, one after the other: one bit that depends on the place, and the bit that
//! turns upper case into lower case and digits into control characters.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline::adapters::memory::MemoryDatabase;
use driftline::domain::content::Content;
use driftline::domain::format::{Index, IndexEntry, Page, Snapshot, snapshot_key};
use driftline::domain::{
    Digest, Entry, EntryId, EntryMeta, Epoch, Seq, Stream, TenantId, Timestamp, genesis,
};
use driftline::hybrid::Progress;
use driftline::ports::{ManifestStore as _, RecoveryRequest, SnapshotStore};
use driftline::prelude::*;

use crate::support::world::{Repository, World, create, create_many, drain, tenant};

/// Every way in which `bytes` can have one byte wrong, as far as this test goes: the place and the bytes.
fn flipped(bytes: &[u8], step: usize) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let places = (0..bytes.len()).step_by(step);
    places.flat_map(move |place| {
        [1_u8 << (place * 3 % 8), 0x20].map(|bits| {
            let mut flipped = bytes.to_vec();
            flipped[place] ^= bits;
            (place, flipped)
        })
    })
}

fn acme() -> TenantId {
    tenant("a")
}

/// `count` small entries, as they are written to a bucket.
fn entries(count: u64) -> Vec<Entry> {
    let mut chain = genesis(&acme(), Stream::Manifests);
    (1..=count)
        .map(|number| {
            let raw = format!(r#"{{"n":{number},"schemaVersion":"1"}}"#);
            let content = Content::parse_manifest(raw.as_bytes(), 100).unwrap();
            let mut meta = EntryMeta {
                tenant: acme(),
                stream: Stream::Manifests,
                seq: Seq::new(number),
                id: EntryId(uuid::Uuid::from_u128(u128::from(number))),
                epoch: Epoch::FIRST,
                checksum: content.checksum(),
                chain,
                created_at: Timestamp::from_micros(1).unwrap(),
                committed_at: Timestamp::from_micros(2).unwrap(),
                created_by: (number == 2).then(|| "o\"p".parse().unwrap()),
                message: None,
                content_bytes: content.len() as u64,
            };
            meta.chain = meta.expected_chain(chain);
            chain = meta.chain;
            Entry { meta, content }
        })
        .collect()
}

fn index_of(entries: &[Entry]) -> (Index, Vec<Page>) {
    let at = Timestamp::from_micros(3).unwrap();
    let mut index = Index::empty(&acme(), Stream::Manifests, Epoch::FIRST, at);
    for entry in entries {
        let bytes = Snapshot::write(entry);
        let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
        index.push(IndexEntry::new("", entry.meta.clone(), size, digest));
    }
    let pages = index.seal();
    (index, pages)
}

#[test]
fn no_index_with_a_wrong_byte_can_be_read() {
    let bytes = index_of(&entries(3)).0.to_bytes();
    assert!(Index::parse(&acme(), Stream::Manifests, &bytes).is_ok());
    let mut cases = 0;
    for (place, flipped) in flipped(&bytes, 1) {
        let read = Index::parse(&acme(), Stream::Manifests, &flipped);
        assert!(read.is_err(), "byte {place} of an index");
        cases += 1;
    }
    println!("{cases} indexes");
}

#[test]
fn no_page_with_a_wrong_byte_can_be_read() {
    let bytes = index_of(&entries(128)).1[0].to_bytes();
    assert!(Page::parse(&acme(), Stream::Manifests, 1, &bytes).is_ok());
    let mut cases = 0;
    for (place, flipped) in flipped(&bytes, 1) {
        let read = Page::parse(&acme(), Stream::Manifests, 1, &flipped);
        assert!(read.is_err(), "byte {place} of a page");
        cases += 1;
    }
    println!("{cases} pages");
}

#[test]
fn a_snapshot_with_a_wrong_byte_is_refused_by_its_digest_and_by_itself_if_the_entry_is_another() {
    let entries = entries(2);
    let (before, entry) = (entries[0].meta.chain, &entries[1]);
    let bytes = Snapshot::write(entry);
    let key = snapshot_key(&acme(), Stream::Manifests, Seq::new(2), Epoch::FIRST);
    let (mut cases, mut harmless) = (0, 0);
    for (place, flipped) in flipped(&bytes, 1) {
        cases += 1;
        assert_ne!(Digest::of(&flipped), Digest::of(&bytes));
        let read = Snapshot::parse(&acme(), Stream::Manifests, &key, &flipped.into());
        // Without an index there is the chain.
        let Some(read) = read.ok().map(|read| read.entry) else {
            continue;
        };
        if read.meta.expected_chain(before) == read.meta.chain {
            assert_eq!(read, *entry, "byte {place} of a snapshot");
            harmless += 1;
        }
    }
    println!("{cases} snapshots, of which {harmless} hold the same entry");
}

/// A bucket with three versions of which the index names `named`, and what was written.
struct Site {
    world: World,
    database: Arc<MemoryDatabase>,
    repository: Repository,
    written: BTreeMap<u64, Entry>,
}

impl Site {
    async fn new(versions: usize) -> Self {
        let world = World::new();
        let (database, repository) = world.claimed().await;
        create_many(&repository, &acme(), versions).await;
        drain(&repository).await;
        let mut site = Self {
            world,
            database,
            repository,
            written: BTreeMap::new(),
        };
        site.written = site.rows(&site.database.clone()).await;
        site
    }

    async fn rows(&self, database: &MemoryDatabase) -> BTreeMap<u64, Entry> {
        let mut rows = BTreeMap::new();
        let acme = acme();
        let history = database.history(&acme, Stream::Manifests, None, 1000);
        for meta in history.await.unwrap() {
            let stored = database.entry(&acme, Stream::Manifests, meta.seq).await;
            rows.insert(meta.seq.get(), stored.unwrap().unwrap().entry);
        }
        rows
    }

    async fn object(&self, key: &str) -> Vec<u8> {
        let object = self.world.memory.get(key, u64::MAX).await.unwrap().unwrap();
        object.bytes.to_vec()
    }

    /// Reads the versions whose rows are lost, with an object wrong in one byte after the other: how many cases, and how many
    /// reads were answered.
    async fn read_back(&self, key: &str, step: usize, versions: &[u64]) -> (u32, u32) {
        let (acme, whole) = (acme(), self.object(key).await);
        let (mut cases, mut answered) = (0, 0);
        for (place, flipped) in flipped(&whole, step) {
            self.world.memory.insert(key, flipped);
            cases += 1;
            for version in versions {
                let read = self
                    .repository
                    .manifest_by_version(&acme, Seq::new(*version));
                // That there is no such version would be as wrong as another one.
                if let Ok(served) = read.await {
                    let served = served.map(|served| served.entry);
                    let expected = self.written.get(version);
                    assert_eq!(served.as_ref(), expected, "byte {place} of {key}");
                    answered += 1;
                }
            }
        }
        self.world.memory.insert(key, whole);
        (cases, answered)
    }

    /// Recovers into an empty database, with an object wrong in one byte after the other: how many cases, and how many of them
    /// brought everything back.
    async fn recover(&self, key: &str, step: usize) -> (u32, u32) {
        let copy = self.world.memory.snapshot();
        let (mut cases, mut complete) = (0, 0);
        for (place, flipped) in flipped(&self.object(key).await, step) {
            self.world.memory.insert(key, flipped);
            cases += 1;
            complete += u32::from(self.recovers(&format!("byte {place} of {key}")).await);
            self.world.memory.restore(&copy);
        }
        (cases, complete)
    }

    /// Whether everything comes back. What comes back is what was written, and what does not is told.
    async fn recovers(&self, what: &str) -> bool {
        let fresh = self.world.database();
        let next = self.world.repository(&fresh);
        let (request, progress) = (RecoveryRequest::default(), Progress::default());
        let report = next.recover_all(&request, &progress).await;
        let rows = self.rows(&fresh).await;
        for (version, row) in &rows {
            assert_eq!(Some(row), self.written.get(version), "{what}");
        }
        let told = report.is_err()
            || report.is_ok_and(|report| {
                report.tenants.iter().any(|(_, outcome)| match outcome {
                    Ok(recovery) => !(recovery.failures.is_empty() && recovery.orphans.is_empty()),
                    Err(_) => true,
                })
            });
        assert!(
            told || rows.len() == self.written.len(),
            "{what}: lost in silence"
        );
        rows.len() == self.written.len()
    }
}

fn snapshot(version: u64) -> String {
    snapshot_key(&acme(), Stream::Manifests, Seq::new(version), Epoch::FIRST)
}

#[tokio::test(start_paused = true)]
async fn nothing_else_than_what_was_written_is_served_from_a_bucket_with_a_wrong_byte() {
    let site = Site::new(2).await;
    let database = &site.database;
    for version in [1, 2] {
        database.lose_row(&acme(), Stream::Manifests, Seq::new(version));
    }
    let (cases, answered) = site.read_back("a/index.json", 1, &[1, 2]).await;
    assert_eq!(answered, 0);
    println!("{cases} indexes");
    let (cases, answered) = site.read_back(&snapshot(2), 1, &[1, 2]).await;
    assert_eq!(
        answered, cases,
        "the other version is served, and only that"
    );
    println!("{cases} snapshots");

    let site = Site::new(128).await;
    create(&site.repository, &acme(), "one more").await;
    drain(&site.repository).await;
    site.database
        .lose_row(&acme(), Stream::Manifests, Seq::new(9));
    let (cases, answered) = site.read_back("a/index/p000001.json", 7, &[9]).await;
    assert_eq!(answered, 0);
    println!("{cases} pages");
}

#[tokio::test(start_paused = true)]
async fn nothing_else_than_what_was_written_is_restored_from_a_bucket_with_a_wrong_byte() {
    let site = Site::new(2).await;
    let (cases, complete) = site.recover("a/index.json", 1).await;
    assert_eq!(complete, cases, "the snapshots have it all");
    println!("{cases} indexes");
    let (cases, complete) = site.recover(&snapshot(1), 1).await;
    assert_eq!(complete, 0);
    println!("{cases} snapshots");

    // Without an index only the chain can tell.
    site.world.memory.remove("a/index.json");
    let (cases, complete) = site.recover(&snapshot(2), 1).await;
    assert!(complete < cases);
    println!("{cases} snapshots that no index names, of which {complete} hold the same entry");

    let site = Site::new(128).await;
    create(&site.repository, &acme(), "one more").await;
    drain(&site.repository).await;
    let mut site = site;
    site.written = site.rows(&site.database.clone()).await;
    let (cases, complete) = site.recover("a/index/p000001.json", 997).await;
    assert_eq!(complete, cases, "the snapshots have it all");
    println!("{cases} pages");
}

/// A process that died left a snapshot that no index names, and then a byte of it went wrong.
#[tokio::test(start_paused = true)]
async fn a_snapshot_with_a_wrong_byte_is_not_adopted_unless_it_holds_the_very_entry() {
    let template = Site::new(1).await;
    create(&template.repository, &acme(), "second").await;
    let row = template
        .database
        .entry(&acme(), Stream::Manifests, Seq::new(2))
        .await;
    let bytes = Snapshot::write(&row.unwrap().unwrap().entry);
    let (mut cases, mut adopted) = (0, 0);
    for (place, flipped) in flipped(&bytes, 1) {
        let mut site = Site::new(1).await;
        create(&site.repository, &acme(), "second").await;
        site.written = site.rows(&site.database.clone()).await;
        site.world.memory.insert(&snapshot(2), flipped);
        let drained = drain(&site.repository).await;
        cases += 1;
        adopted += drained.shadowed;
        let left = drained.left.backing_off + drained.left.stopped;
        assert_eq!(drained.shadowed + left, 1, "byte {place}");
        let what = format!("byte {place} of a snapshot that was there");
        let complete = site.recovers(&what).await;
        assert!(complete || left == 1, "{what} was adopted");
    }
    println!("{cases} snapshots, of which {adopted} were adopted");
}
