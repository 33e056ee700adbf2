//! What every write to the bucket must keep, and whether the two sides disagree.

use std::collections::BTreeSet;

use bytes::Bytes;
use driftline::adapters::memory::MemorySnapshotStore;
use driftline::domain::format::{
    BUCKET_KEY, BucketIdentity, Index, IndexEntry, Page, Snapshot, index_key, page_key,
    parse_snapshot_key, snapshot_key, stream_of, tenant_of,
};
use driftline::domain::{Digest, EntryId, Head, Seq, Stream, TenantId};
use driftline::ports::SnapshotStore as _;

use super::{Broken, Checked, Model, Named, broken, rows};
use crate::world::{Node, now};

pub fn object(bucket: &MemorySnapshotStore, key: &str) -> Option<Bytes> {
    let found = now(bucket.get(key, u64::MAX)).expect("a bucket in memory never fails");
    found.map(|object| object.bytes)
}

/// What lay where the objects of a number belong, and was moved away.
pub fn quarantined(
    bucket: &MemorySnapshotStore,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
) -> Vec<Bytes> {
    let place = "_driftline/quarantine/";
    let copies = now(bucket.list(&format!("{place}{tenant}/"), None, 1000));
    let copies = copies.expect("a bucket in memory never fails").objects;
    let is_of = |key: &str| {
        let original = key[place.len()..].rsplit_once('.').map(|(key, _)| key);
        let parsed = original.and_then(parse_snapshot_key);
        parsed.is_some_and(|(of, number, _)| (of, number) == (stream, seq))
    };
    let copies = copies.into_iter().filter(|copy| is_of(&copy.key));
    copies
        .filter_map(|copy| object(bucket, &copy.key))
        .collect()
}

fn page(
    bucket: &MemorySnapshotStore,
    tenant: &TenantId,
    stream: Stream,
    number: u64,
) -> Result<Page, Broken> {
    let key = page_key(tenant, stream, number);
    let Some(bytes) = object(bucket, &key) else {
        return broken(format!(
            "the index of {tenant}'s {stream} counts {key}, which is not there"
        ));
    };
    Page::parse(tenant, stream, number, &bytes).map_err(|damage| Broken(damage.to_string()))
}

/// The index and all of its pages can be read.
pub fn is_readable(bucket: &MemorySnapshotStore, tenant: &TenantId, stream: Stream) -> bool {
    let there = object(bucket, &index_key(tenant, stream));
    let index = there.and_then(|there| Index::parse(tenant, stream, &there).ok());
    index.is_some_and(|index| {
        (1..=index.sealed_pages).all(|number| page(bucket, tenant, stream, number).is_ok())
    })
}

fn pairs(entries: &[IndexEntry]) -> Vec<(EntryId, Digest)> {
    let pair = |entry: &IndexEntry| (entry.meta.id, entry.meta.chain);
    entries.iter().map(pair).collect()
}

impl Model {
    /// The bucket took an object.
    pub fn written(
        &mut self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        key: &str,
        before: Option<&Bytes>,
        bytes: &Bytes,
    ) -> Checked {
        if key == BUCKET_KEY {
            return claimed(before, bytes);
        }
        let (Some(tenant), Some(stream)) = (tenant_of(key), stream_of(key)) else {
            return Ok(());
        };
        if key == index_key(&tenant, stream) {
            return self.indexed(bucket, node, (&tenant, stream), before, bytes);
        }
        if before.is_some_and(|before| before != bytes) {
            return broken(format!(
                "{key}, an immutable object, was overwritten with other bytes"
            ));
        }
        if parse_snapshot_key(key).is_some() {
            let snapshot = Snapshot::parse(&tenant, stream, key, bytes);
            let snapshot = snapshot.map_err(|damage| Broken(damage.to_string()))?;
            return self.known(&snapshot.entry.meta);
        }
        self.sealed(key, &tenant, stream, bytes)
    }

    /// A page was written: only of entries that an index named.
    fn sealed(&self, key: &str, tenant: &TenantId, stream: Stream, bytes: &Bytes) -> Checked {
        let mut numbers = 1..1000;
        let number = numbers.find(|number| page_key(tenant, stream, *number) == key);
        let Some(number) = number else {
            return broken(format!("{key} has no place in the layout"));
        };
        let page = Page::parse(tenant, stream, number, bytes);
        let page = page.map_err(|damage| Broken(damage.to_string()))?;
        match page
            .entries
            .iter()
            .find(|entry| !self.once_named.contains(&entry.meta.id))
        {
            Some(entry) => broken(format!(
                "{key} holds {}, which no index ever named",
                entry.meta.seq
            )),
            None => Ok(()),
        }
    }

    /// An index was replaced. It names what it named before and what follows, all of it is there, and what refers to a version
    /// follows the index that names that version.
    fn indexed(
        &mut self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        (tenant, stream): (&TenantId, Stream),
        seen: Option<&Bytes>,
        bytes: &Bytes,
    ) -> Checked {
        // One that was lost or that nobody can read is made up anew, from rows and snapshots: only then it may name less.
        let place = (tenant.clone(), stream);
        let was_parsed = |seen: &Bytes| self.parsed.get(&place) == Some(seen);
        let is_readable =
            seen.is_some_and(|seen| was_parsed(seen) || Index::parse(tenant, stream, seen).is_ok());
        let before = if is_readable {
            self.named(tenant, stream)
        } else {
            Named::default()
        };
        let index =
            Index::parse(tenant, stream, bytes).map_err(|damage| Broken(damage.to_string()))?;
        let mut entries = Vec::new();
        for number in 1..=index.sealed_pages {
            let end = usize::try_from(number * 128).expect("a short history");
            if number <= before.sealed {
                entries.extend(before.entries[end - 128..end].iter().copied());
            } else {
                entries.extend(pairs(&page(bucket, tenant, stream, number)?.entries));
            }
        }
        entries.extend(pairs(&index.entries));
        let named = Named {
            epoch: index.epoch,
            sealed: index.sealed_pages,
            entries,
        };
        let what = format!("the index of {tenant}'s {stream}");
        if named.entries.len() < before.entries.len()
            || named.entries[..before.entries.len()] != before.entries
        {
            return broken(format!(
                "{what} lost entries: it named {}, and names {} now, not all of them the same",
                before.entries.len(),
                named.entries.len()
            ));
        }
        if named.epoch < before.epoch {
            return broken(format!(
                "{what} went back from epoch {} to {}: a replicator that was fenced off wrote it",
                before.epoch, named.epoch
            ));
        }
        for entry in index
            .entries
            .iter()
            .skip_while(|entry| entry.meta.seq.get() <= before.entries.len() as u64)
        {
            self.added(bucket, node, &what, entry)?;
        }
        let ids: BTreeSet<EntryId> = named.entries.iter().map(|(id, _)| *id).collect();
        if ids.len() < named.entries.len() {
            return broken(format!("{what} names an entry twice"));
        }
        // The bucket is a side that survives, whoever wrote to it.
        self.must.extend(ids.iter());
        self.once_named.extend(ids);
        self.parsed.insert(place.clone(), bytes.clone());
        self.named.insert(place, named);
        Ok(())
    }

    /// An index names an entry that it did not name before.
    fn added(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        what: &str,
        entry: &IndexEntry,
    ) -> Checked {
        let meta = &entry.meta;
        self.known(meta)?;
        let there = object(bucket, &entry.key()).map(|bytes| Digest::of(&bytes));
        if there != Some(entry.object_sha256) && !self.has_rotten_object(meta) {
            return broken(format!(
                "{what} names {}, but {} is {}",
                meta.seq,
                entry.key(),
                there.map_or("not there", |_| "another object")
            ));
        }
        let content = &self.entries[&meta.id].content;
        for reference in meta.stream.references(content) {
            let latest = self.named(&meta.tenant, Stream::Manifests).entries.len() as u64;
            let manifest = rows::row(node, &meta.tenant, Stream::Manifests, reference.version)
                .filter(|row| row.meta.chain == reference.chain);
            // One that an index named which was lost comes back later: until then what refers to it is not left out.
            let is_due = manifest.is_some_and(|row| {
                let manifests = (meta.tenant.clone(), Stream::Manifests);
                let was_named = self.once_named.contains(&row.meta.id);
                !(was_named && self.rotten_indexes.contains(&manifests))
            });
            if reference.version.get() > latest && is_due {
                return broken(format!(
                    "{what} names {}, which refers to version {}, but the index of manifests ends at {latest}",
                    meta.seq, reference.version
                ));
            }
        }
        Ok(())
    }

    /// Where a database and the bucket hold two histories, in words; `None` when they do not disagree.
    pub fn divergence(
        &self,
        bucket: &MemorySnapshotStore,
        node: &Node,
        tenant: &TenantId,
    ) -> Option<String> {
        for stream in Stream::ALL {
            let named = self.named(tenant, stream);
            // The lock row tells what a lost row at the head was.
            let head = rows::state(node, tenant).map(|status| status.state.heads[stream]);
            let other = |head: &Head| named.chain_at(head.seq).is_some_and(|it| it != head.chain);
            if let Some(head) = head.filter(other) {
                return Some(format!("the index names another {stream} {}", head.seq));
            }
            // What nobody can read where a page belongs is no page of this history.
            let pages = (1..=named.entries.len() / 128).map(|number| number as u64);
            for key in pages.map(|number| (number, page_key(tenant, stream, number))) {
                let is_there = object(bucket, &key.1).is_some();
                if is_there && page(bucket, tenant, stream, key.0).is_err() {
                    return Some(format!("{} holds something else", key.1));
                }
            }
            for row in rows::all_rows(node, tenant, stream) {
                let meta = &row.meta;
                if named
                    .chain_at(meta.seq)
                    .is_some_and(|chain| chain != meta.chain)
                {
                    return Some(format!("the index names another {stream} {}", meta.seq));
                }
                // Where the row before is lost, this one tells what it was.
                let before = Seq::new(meta.seq.get() - 1);
                if rows::row(node, tenant, stream, before).is_none()
                    && named
                        .chain_at(before)
                        .is_some_and(|chain| meta.expected_chain(chain) != meta.chain)
                {
                    return Some(format!("the index names another {stream} {before}"));
                }
                let key = snapshot_key(tenant, stream, meta.seq, meta.epoch);
                let there = object(bucket, &key);
                if there.is_some_and(|bytes| bytes != Snapshot::write(&row)) {
                    return Some(format!("{key} is another entry"));
                }
            }
        }
        None
    }
}

/// `bucket.json` was written: its generation never goes back.
fn claimed(before: Option<&Bytes>, bytes: &Bytes) -> Checked {
    let parse =
        |bytes: &Bytes| BucketIdentity::parse(bytes).map_err(|damage| Broken(damage.to_string()));
    let after = parse(bytes)?;
    if let Some(before) = before
        && parse(before)?.generation > after.generation
    {
        return broken(format!(
            "bucket.json went back to generation {}",
            after.generation
        ));
    }
    Ok(())
}
