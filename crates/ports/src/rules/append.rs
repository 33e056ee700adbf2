//! What becomes of an append, as a pure function of what the database holds.
//!
//! An adapter gathers the [`Facts`] under the tenant's lock, asks [`decide`], and writes what the verdict says in the same
//! transaction. No technology is known here, so every adapter that uses it behaves alike.

use crate::{Appended, Expectation, IDEMPOTENCY_WINDOW, NewEntry, Ownership, Refusal};
use driftline_model::{
    Activation, Digest, EntryMeta, Epoch, Head, Seq, Stream, TenantId, TenantState, Timestamp,
    retires,
};

/// What the database holds that an append depends on. What the entry does not ask for may stay `None`.
#[derive(Debug)]
pub struct Facts {
    /// Whether the database may take writes.
    pub ownership: Ownership,
    /// The epoch of a new tenant.
    pub generation: Epoch,
    /// The tenant, if it is known.
    pub state: Option<TenantState>,
    /// For an idempotency key: the entry that it made within the window.
    pub keyed: Option<EntryMeta>,
    /// For an expectation: the checksum of the newest manifest.
    pub head_checksum: Option<Digest>,
    /// For a reference: the chain of the version with that number.
    pub referred: Option<Digest>,
    /// For `skip_unchanged`: the active version.
    pub active: Option<EntryMeta>,
}

/// What to do.
#[derive(Debug)]
pub enum Verdict {
    /// Write nothing and answer this.
    Answer(Appended),
    /// Write this entry and this state of the tenant.
    Append(Box<Step>),
}

/// An entry to write and the state that it produces.
#[derive(Debug)]
pub struct Step {
    /// The entry but its content.
    pub meta: EntryMeta,
    /// The tenant after it.
    pub after: TenantState,
}

impl Step {
    /// The answer once the step is committed.
    pub fn committed(self) -> Appended {
        Appended::Committed {
            active: self.after.active_version(),
            meta: self.meta,
        }
    }
}

/// The time until which a key that was used at `used_at` is remembered; from then on it is free again.
pub fn key_expires_at(used_at: Timestamp) -> Timestamp {
    used_at.saturating_add(IDEMPOTENCY_WINDOW)
}

/// Judges an append at `now`, in the order that [`crate::ManifestStore::append`] promises.
pub fn decide(tenant: &TenantId, entry: &NewEntry, facts: Facts, now: Timestamp) -> Verdict {
    if let Some(refusal) = refusal(facts.ownership, facts.state.as_ref(), entry) {
        return Verdict::Answer(Appended::Refused(refusal));
    }
    let state = facts
        .state
        .unwrap_or_else(|| TenantState::new(tenant.clone(), facts.generation));
    let active = state.active_version();
    if let Some(meta) = facts.keyed {
        return Verdict::Answer(if meta.checksum == entry.content.checksum() {
            Appended::Replayed { meta, active }
        } else {
            Appended::KeyReused { seq: meta.seq }
        });
    }
    let head = state.heads[Stream::Manifests];
    if entry
        .expect
        .is_some_and(|expected| !holds(expected, head, facts.head_checksum))
    {
        return Verdict::Answer(Appended::Conflict {
            head,
            checksum: facts.head_checksum,
        });
    }
    if entry
        .refers_to
        .is_some_and(|reference| facts.referred != Some(reference.chain))
    {
        return Verdict::Answer(Appended::NoSuchVersion);
    }
    if entry.skip_unchanged
        && entry.stream == Stream::Manifests
        && let Some(meta) = facts.active
        && meta.checksum == entry.content.checksum()
    {
        return Verdict::Answer(Appended::Unchanged { meta });
    }
    Verdict::Append(Box::new(next(state, entry, now)))
}

fn refusal(ownership: Ownership, state: Option<&TenantState>, entry: &NewEntry) -> Option<Refusal> {
    match (ownership, state) {
        (Ownership::Unclaimed, _) => Some(Refusal::Unclaimed),
        (_, Some(state)) if state.awaiting_recovery => Some(Refusal::AwaitingRecovery),
        (_, Some(state)) => {
            let back = retires(entry.stream, &entry.content) == Some(false);
            (state.retired.is_some() && !back).then_some(Refusal::Retired)
        }
        (Ownership::AwaitingRecovery, None) => Some(Refusal::AwaitingRecovery),
        (Ownership::Claimed, None) => None,
    }
}

fn holds(expected: Expectation, head: Head, checksum: Option<Digest>) -> bool {
    match expected {
        Expectation::Version(seq) => head.seq == seq,
        Expectation::Checksum(digest) => checksum == Some(digest),
        Expectation::Chain(digest) => head.chain == digest,
    }
}

fn next(mut state: TenantState, entry: &NewEntry, now: Timestamp) -> Step {
    let head = state.heads[entry.stream];
    let mut meta = EntryMeta {
        tenant: state.tenant.clone(),
        stream: entry.stream,
        seq: head.seq.next(),
        id: entry.id,
        epoch: state.epoch,
        checksum: entry.content.checksum(),
        chain: head.chain,
        created_at: entry.created_at,
        committed_at: state.last_committed_at.map_or(now, |last| last.max(now)),
        created_by: entry.created_by.clone(),
        message: entry.message.clone(),
        content_bytes: entry.content.len() as u64,
    };
    meta.chain = meta.expected_chain(head.chain);
    let decided = entry
        .activation
        .filter(|_| entry.stream == Stream::Decisions);
    state.push(
        &meta,
        decided.map(|activation| Activation {
            decision: meta.seq,
            ..activation
        }),
        retires(entry.stream, &entry.content),
    );
    Step { meta, after: state }
}

/// The version whose number an apply names, for finding the newest apply of a version.
pub fn applied_version(stream: Stream, content: &driftline_model::content::Content) -> Option<Seq> {
    if stream != Stream::Applies {
        return None;
    }
    stream
        .references(content)
        .first()
        .map(|reference| reference.version)
}
