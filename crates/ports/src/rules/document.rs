//! A tenant's documents, put together from the rows that an adapter found: every adapter answers alike.

use crate::TenantDocuments;
use driftline_model::{Entry, Seq, Stream, TenantState};

/// The documents of a tenant. `entries` are the rows that there are among the active version, the newest apply, the version
/// `applied` that it names, and the decisions, each once and in any order.
pub fn assemble(state: TenantState, entries: Vec<Entry>, applied: Option<Seq>) -> TenantDocuments {
    let active = state.active_version();
    let mut documents = TenantDocuments {
        state,
        desired: None,
        apply: None,
        applied: None,
        decisions: Vec::new(),
    };
    for entry in entries {
        let stream = entry.meta.stream;
        if stream == Stream::Manifests {
            if applied == Some(entry.meta.seq) {
                documents.applied = Some(entry.clone());
            }
            if active == entry.meta.seq {
                documents.desired = Some(entry);
            }
        } else if stream == Stream::Applies {
            documents.apply = Some(entry);
        } else if stream == Stream::Decisions {
            documents.decisions.push(entry);
        }
    }
    documents
        .decisions
        .sort_unstable_by_key(|decision| decision.meta.seq);
    documents
}

/// How many bytes of content they hold, a version that is both active and applied counted once.
fn content_bytes(documents: &TenantDocuments) -> u64 {
    let seq = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.meta.seq);
    let applied = documents
        .applied
        .as_ref()
        .filter(|_| seq(&documents.applied) != seq(&documents.desired));
    let entries = documents.desired.iter().chain(&documents.apply);
    entries
        .chain(applied)
        .chain(&documents.decisions)
        .map(|entry| entry.meta.content_bytes)
        .sum()
}

/// The first of `documents` (each with its place among the tenants asked for, from 0) up to the one with which the content
/// exceeds `max_bytes`, and how many of the `asked` tenants were looked at for them.
pub fn cut(
    documents: impl IntoIterator<Item = (usize, TenantDocuments)>,
    asked: usize,
    max_bytes: u64,
) -> (Vec<TenantDocuments>, usize) {
    let (mut kept, mut bytes) = (Vec::new(), 0_u64);
    for (place, found) in documents {
        bytes = bytes.saturating_add(content_bytes(&found));
        kept.push(found);
        if bytes > max_bytes {
            return (kept, place + 1);
        }
    }
    (kept, asked)
}
