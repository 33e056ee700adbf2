//! The last document of each tenant, for its ETag.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::HeaderValue;
use url::Url;

use driftline_model::TenantId;

/// A document and what the server calls this version of it.
#[derive(Clone)]
pub(super) struct Cached {
    /// Where it came from, behind all redirects.
    pub(super) url: Url,
    pub(super) etag: HeaderValue,
    pub(super) document: Bytes,
}

/// Documents of at most so many bytes together. What does not fit is not kept, and costs a transfer.
pub(super) struct Cache {
    limit: u64,
    documents: Mutex<BTreeMap<TenantId, Cached>>,
}

impl Cache {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            documents: Mutex::default(),
        }
    }

    pub(super) fn get(&self, tenant: &TenantId) -> Option<Cached> {
        let documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        documents.get(tenant).cloned()
    }

    pub(super) fn set(&self, tenant: &TenantId, cached: Option<Cached>) {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        documents.remove(tenant);
        let Some(cached) = cached else { return };
        let held: u64 = documents
            .values()
            .map(|held| held.document.len() as u64)
            .sum();
        if held.saturating_add(cached.document.len() as u64) <= self.limit {
            documents.insert(tenant.clone(), cached);
        }
    }
}
