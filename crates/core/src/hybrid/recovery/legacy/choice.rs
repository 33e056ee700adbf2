//! Which versions of the older layout follow the history at hand, and what they are there.

use std::collections::HashMap;

use super::object::{LegacyObject, LegacyVerdict};
use super::stock::LegacyInventory;
use crate::hybrid::bucket::Bucket;
use crate::hybrid::recovery::inventory::{Inventory, Recoverable};
use driftline_model::format::{Damage, IndexEntry, Problem};
use driftline_model::{
    Digest, EntryId, EntryMeta, Epoch, Seq, Stream, TenantId, Timestamp, genesis,
};
use driftline_ports::LegacyMapping;

/// What becomes of versions that nothing proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproven {
    /// They wait for a decision, and with them what comes after them: it would take their place.
    Wait,
    /// They are taken.
    Taken,
    /// They are left out.
    LeftOut,
}

/// What of the older layout follows the history at hand.
#[derive(Default)]
pub(super) struct Choice<'a> {
    /// The versions that follow, in order.
    taken: Vec<&'a LegacyObject>,
    /// Those that the history holds beyond what the bucket has in today's format.
    between: Vec<&'a LegacyObject>,
    /// What cannot be restored.
    pub(super) failures: Vec<Damage>,
    /// How many wait for a decision.
    pub(super) held: u64,
    /// Some are left out that could be taken.
    pub(super) leaves_out: bool,
    /// There is a history, and it holds nothing of what the older layout could give..
    pub(super) is_foreign: bool,
}

/// Chooses what follows the history at hand, of which the bucket holds the first `from` entries in today's format.
pub(super) fn choose<'a>(
    stock: &'a LegacyInventory,
    history: &[EntryMeta],
    from: usize,
    unproven: Unproven,
) -> Choice<'a> {
    let there: HashMap<(EntryId, Digest), Seq> = history
        .iter()
        .map(|meta| ((meta.id, meta.checksum), meta.seq))
        .collect();
    let place = |object: &LegacyObject| {
        let manifest = object.manifest.as_ref()?;
        there.get(&(manifest.id, manifest.checksum)).copied()
    };
    let placed = stock.entries.iter();
    let placed: HashMap<Seq, &LegacyObject> = placed
        .filter_map(|object| Some((place(object)?, object)))
        .collect();
    let head = Seq::new(history.len() as u64);
    let between: Option<Vec<_>> = (from as u64 + 1..=head.get())
        .map(|seq| placed.get(&Seq::new(seq)).copied())
        .collect();
    // Only a history that ends with a version of the older layout goes on with the next one.
    let newest = placed.get(&head).map(|object| object.version);
    let is_dense = history.last().is_none_or(|last| last.seq == head);
    let goes_on = is_dense && between.is_some() && (newest.is_some() || history.is_empty());
    let mut choice = Choice {
        is_foreign: placed.is_empty()
            && !history.is_empty()
            && stock
                .entries
                .iter()
                .any(|object| object.damage(true).is_none()),
        ..Choice::default()
    };
    for object in &stock.entries {
        if place(object).is_some() {
            continue;
        }
        let follows = goes_on && newest.is_none_or(|newest| object.version > newest);
        let is_unproven = matches!(object.verdict, LegacyVerdict::Unverifiable { .. });
        if follows && is_unproven {
            choice.held += u64::from(unproven == Unproven::Wait);
            choice.leaves_out |= unproven == Unproven::LeftOut;
        }
        match object.damage(unproven == Unproven::Taken) {
            Some(damage) => choice.failures.push(damage),
            None if follows && choice.held > 0 => choice.held += 1,
            None if follows => choice.taken.push(object),
            None => choice
                .failures
                .push(Damage::new(&object.key, Problem::LeftOut)),
        }
    }
    if !choice.taken.is_empty() {
        choice.between = between.unwrap_or_default();
    }
    choice
}

/// The database has a tenant of this name with another history.
pub(super) fn contradiction(stock: &LegacyInventory, history: &[EntryMeta]) -> Option<Damage> {
    let (object, meta) = (stock.entries.first()?, history.first()?);
    let expected = format!("version {} with the checksum {}", meta.seq, meta.checksum);
    let found = format!(
        "a history of the older layout that begins with version {}",
        object.version
    );
    Some(Damage::misplaced(&object.key, expected, found))
}

impl Choice<'_> {
    /// Old numbers and digests beside the new ones, which begin with `first`.
    pub(super) fn mapping(&self, first: Seq) -> Vec<LegacyMapping> {
        let numbered = self.taken.iter().zip(first.get()..);
        let mapping = numbered.filter_map(|(object, new_version)| {
            let manifest = object.manifest.as_ref()?;
            Some(LegacyMapping {
                old_version: object.version,
                new_version: Seq::new(new_version),
                old_digest: manifest.facts.checksum,
                new_checksum: manifest.checksum,
                verified: object.verdict == LegacyVerdict::Verified,
            })
        });
        mapping.collect()
    }

    /// Adds what follows to the bucket's part of `history`, in epoch 0 until the recovery has its own.
    pub(super) fn append(
        &self,
        bucket: &Bucket,
        tenant: &TenantId,
        inventory: &mut Inventory,
        history: &[EntryMeta],
    ) {
        let from = inventory.entries.len();
        for (meta, object) in history.iter().skip(from).zip(&self.between) {
            inventory
                .entries
                .extend(entry(bucket, meta.clone(), object));
        }
        for object in &self.taken {
            let Some(manifest) = &object.manifest else {
                continue;
            };
            let previous = inventory.entries.last().map(|entry| &entry.named.meta);
            let (chain, committed_at) = previous.map_or_else(
                || (genesis(tenant, Stream::Manifests), Timestamp::EPOCH),
                |meta| (meta.chain, meta.committed_at),
            );
            let facts = manifest.facts.clone();
            let created_at = facts.created_at.unwrap_or(committed_at);
            let mut meta = EntryMeta {
                tenant: tenant.clone(),
                stream: Stream::Manifests,
                seq: Seq::new(inventory.entries.len() as u64 + 1),
                id: manifest.id,
                epoch: Epoch::default(),
                checksum: manifest.checksum,
                chain,
                created_at,
                committed_at: created_at.max(committed_at),
                created_by: facts.created_by,
                message: facts.message,
                content_bytes: manifest.content_bytes,
            };
            meta.chain = meta.expected_chain(chain);
            inventory.entries.extend(entry(bucket, meta, object));
        }
    }
}

fn entry(bucket: &Bucket, meta: EntryMeta, object: &LegacyObject) -> Option<Recoverable> {
    let manifest = object.manifest.as_ref()?;
    let mut named = IndexEntry::new("", meta, manifest.content_bytes, manifest.object_sha256);
    named.s3_key = format!("{}{}", bucket.store().prefix(), object.key);
    Some(Recoverable {
        named,
        content: manifest.content.clone(),
        legacy: Some(object.key.clone()),
        unknown: None,
    })
}
