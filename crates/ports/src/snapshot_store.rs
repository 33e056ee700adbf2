//! The bucket.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::{BackendInfo, Oversize, StoreError, StoreResult};

/// The version of an object, as the store gave it; opaque, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its version.
    pub etag: ETag,
}

/// When a PUT may take place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing is there (`If-None-Match: *`).
    Absent,
    /// This version is there (`If-Match`).
    Matches(ETag),
}

/// What became of a PUT that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is there, durably.
    Written(ETag),
    /// The precondition did not hold (412). It may be one's own earlier, unanswered PUT that is there.
    PreconditionFailed,
    /// A concurrent request got in the way (409); nothing changed, try again.
    Conflict,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, relative to the store's prefix.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects in the store's order: most sort whole keys by their bytes, some folder by folder.
    pub objects: Vec<Listed>,
    /// Whether there are more after the last one.
    pub more: bool,
    /// Folders at the top that could not be read, where everything is listed: none of their objects is in this part. One that
    /// is asked for by its name is an error. A store without folders of its own has none.
    pub unread: Vec<Unread>,
}

/// A folder at the top that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its name, without the slash.
    pub folder: String,
    /// Where it failed, and why.
    pub reason: String,
}

/// Some of the folders at the top of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// Their names, without the slash, in no order.
    pub names: Vec<String>,
    /// From where to go on; `None` at the end.
    pub next: Option<String>,
}

/// How a condition was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It holds.
    Pass,
    /// Nothing depends on it; worth knowing.
    Info,
    /// It could not be found out.
    Unknown,
    /// It does not hold; driftline works all the same, with less to fall back on.
    Warn,
    /// It does not hold, and driftline relies on it.
    Fail,
}

/// One condition and how it was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The condition, in kebab case: a stable name.
    pub name: &'static str,
    /// How it was found to be.
    pub verdict: Verdict,
    /// What was seen, for an operator.
    pub detail: String,
}

/// An object that was read whole, if it has at most `most` bytes, which is its reader's bound. Otherwise the error names `key`
/// and both sizes.
pub fn within(key: &str, object: Object, most: u64) -> StoreResult<Object> {
    let size = object.bytes.len() as u64;
    if size <= most {
        return Ok(object);
    }
    Err(StoreError::too_large(Oversize {
        key: key.to_owned(),
        size: Some(size),
        most,
        etag: Some(object.etag),
    }))
}

/// A bucket, seen from its prefix: keys here are relative to it.
///
/// A key is one or more components between single slashes; none is empty or begins with a dot.
///
/// Reads see every write that was acknowledged before they began, and a PUT is atomic and durable once it is acknowledged.
/// Implementations retry reads that fail in passing, and never retry a PUT: only the caller can tell what an unanswered one
/// left behind.
#[async_trait]
pub trait SnapshotStore: Send + Sync + fmt::Debug {
    /// What stands before every key: empty, or ending with `/`.
    fn prefix(&self) -> &str;

    /// The store's URL, without secrets.
    fn url(&self) -> String;

    /// Reads an object of at most `most` bytes; `None` when there is none. A larger one is an error that changes nothing and
    /// passes by no retry ([`super::StoreError::oversize`]), and no more than `most` bytes of it are kept in memory.
    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>>;

    /// Writes an object if the condition holds. An error with [`super::Fault::OutcomeUnknown`] may have written it.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome>;

    /// Lists objects whose key starts with `prefix` and comes after `after`, at most `limit` (1 to 1000) at a time. A listing
    /// goes on after the last object of the part before. Objects of one folder at the top come together.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing>;

    /// Names the folders at the top, without what is in them: what stands before the first slash of any key. `from` is the
    /// `next` of the part before. A folder may be named in two parts, and one that cannot be read is named.
    async fn folders(&self, from: Option<&str>) -> StoreResult<Folders> {
        let part = self.list("", from, 1000).await?;
        let next = part.objects.last().filter(|_| part.more);
        let next = next.map(|last| last.key.clone());
        let tops = part
            .objects
            .iter()
            .filter_map(|object| object.key.split_once('/'));
        let mut names: Vec<_> = tops.map(|(top, _)| top.to_owned()).collect();
        names.dedup();
        Ok(Folders { names, next })
    }

    /// Removes an object; removing what is not there succeeds. Nothing that belongs to a tenant is ever removed by the
    /// replicator or by recovery.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Reaches the store and tells what it is. Fails when the bucket does not exist or may not be read.
    async fn ping(&self) -> StoreResult<BackendInfo>;

    /// Finds out what only the adapter can: whether the store enforces checksums, keeps versions, encrypts. May write and
    /// leave an object at `scratch`, a key that is the caller's own. What the store does not tell is [`Verdict::Unknown`];
    /// an error means that it was not reached.
    async fn inspect(&self, scratch: &str) -> StoreResult<Vec<Inspection>>;
}
