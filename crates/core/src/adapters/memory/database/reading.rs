//! What an audit reads, in memory.

use async_trait::async_trait;

use super::{MemoryDatabase, Tenant, page};
use driftline_model::{Entry, Seq, Stream, TenantId};
use driftline_ports::rules::append::applied_version;
use driftline_ports::rules::document::{assemble, cut};
use driftline_ports::{Asked, ReadSession, StateReader, StoreResult, TenantDocuments};

impl Tenant {
    fn documents(&self, decided: Seq) -> TenantDocuments {
        let (active, apply) = (
            self.state.active_version(),
            self.entries[Stream::Applies].values().next_back(),
        );
        let applied = apply.and_then(|apply| applied_version(Stream::Applies, &apply.content));
        let other = applied.filter(|applied| *applied != active);
        let versions = [Some(active), other].into_iter().flatten();
        let decisions = self.entries[Stream::Decisions].range(decided.next()..);
        let entries = versions
            .filter_map(|version| self.get(Stream::Manifests, version))
            .chain(apply)
            .chain(decisions.map(|(_, decision)| decision));
        assemble(self.state.clone(), entries.cloned().collect(), applied)
    }
}

#[async_trait]
impl StateReader for MemoryDatabase {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        let tables = self.tables();
        Ok(page(&tables.tenants, after, limit)
            .map(|tenant| tenant.state.tenant.clone())
            .collect())
    }

    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        let tables = self.tables();
        let known = tenants
            .iter()
            .enumerate()
            .filter_map(|(place, Asked { tenant, decided })| {
                Some((place, tables.tenants.get(tenant)?.documents(*decided)))
            });
        Ok(cut(known, tenants.len(), max_bytes))
    }

    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        let tables = self.tables();
        let tenant = tables.tenants.get(tenant);
        Ok(tenant.and_then(|tenant| tenant.get(stream, seq)).cloned())
    }

    async fn session(&self) -> StoreResult<ReadSession> {
        Ok(ReadSession {
            role: None,
            read_only: true,
        })
    }
}
