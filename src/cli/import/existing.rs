//! The versions that a tenant has already, oldest first.

use driftline::domain::{EntryMeta, Seq, TenantId};
use driftline::hybrid::HybridManifestRepository;
use driftline::ports::{Error, ErrorKind, Hint, Result};
use driftline::prelude::*;

/// How many versions are read at once.
const PAGE: u64 = 1000;

/// Goes through the versions 1 to `head`.
pub struct Existing<'a> {
    repository: &'a HybridManifestRepository,
    tenant: &'a TenantId,
    head: Seq,
    seen: u64,
    page: Vec<EntryMeta>,
}

impl<'a> Existing<'a> {
    pub fn new(repository: &'a HybridManifestRepository, tenant: &'a TenantId, head: Seq) -> Self {
        Self {
            repository,
            tenant,
            head,
            seen: 0,
            page: Vec::new(),
        }
    }

    /// How many were not asked for yet.
    pub fn left(&self) -> u64 {
        self.head.get() - self.seen
    }

    /// The next version; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<EntryMeta>> {
        if self.left() == 0 {
            return Ok(None);
        }
        if self.page.is_empty() {
            let last = (self.seen + PAGE).min(self.head.get());
            let limit = u32::try_from(last - self.seen).unwrap_or(u32::MAX);
            let page = self
                .repository
                .version_history(self.tenant, Some(Seq::new(last + 1)), limit)
                .await?;
            // Newest first: the next one is at the end.
            self.page = page.items;
        }
        self.seen += 1;
        match self.page.pop() {
            Some(meta) if meta.seq.get() == self.seen => Ok(Some(meta)),
            _ => {
                let message = format!(
                    "read version {} of {}: the row is lost",
                    self.seen, self.tenant
                );
                Err(Error::new(ErrorKind::Damaged, message).hint(Hint::Recover {
                    tenant: Some(self.tenant.clone()),
                    dry_run: true,
                }))
            }
        }
    }
}
