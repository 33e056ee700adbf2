//! The database as one process reaches it.

mod ledger;
mod recovery;

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use driftline::domain::{Entry, EntryMeta, Seq, Stream, TenantId, TenantState, Timestamp};
use driftline::ports::{
    Appended, Asked, BackendInfo, DatabaseIdentity, Fault, ManifestStore, NewEntry, ReadSession,
    Side, StateReader, StoreError, StoreResult, Stored, TenantDocuments,
};

use crate::process::Process;
use crate::weather::Flaw;
use crate::world::{Node, now};

#[derive(Debug)]
pub struct SimDatabase(pub Arc<Process>);

fn error(fault: Fault, what: &str) -> StoreError {
    StoreError::new(Side::Database, fault, format!("the database: {what}"))
}

/// One call: the way there, the call at once and whole, and the way back.
async fn call<T>(
    process: &Process,
    what: impl Display,
    writes: bool,
    run: impl FnOnce(&Arc<Node>) -> StoreResult<T>,
) -> StoreResult<T> {
    let what = what.to_string();
    if writes {
        process.writes(&what);
    }
    let course = process.leave().await;
    let node = process.node();
    let answer = match course.flaw {
        Some(Flaw::Unavailable | Flaw::Conflict) => Err(error(Fault::Unavailable, "unavailable")),
        Some(Flaw::DroppedUnknown) if writes => Err(error(Fault::OutcomeUnknown, "timed out")),
        Some(Flaw::AppliedUnknown | Flaw::OwnWrite) if writes => {
            run(&node).and_then(|_| Err(error(Fault::OutcomeUnknown, "the answer was lost")))
        }
        _ => run(&node),
    };
    let outcome = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?} ({:?})", error.fault(), course.flaw),
    };
    process.say(&format!("{} {what}: {outcome}", node.name));
    process.come_back(course).await;
    answer
}

const READS: bool = false;
const WRITES: bool = true;

#[async_trait]
impl ManifestStore for SimDatabase {
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        let what = format!("append {tenant} {} {}", entry.stream, entry.id);
        call(&self.0, what, WRITES, |node| {
            let stopped = crate::model::stopped(node, tenant);
            let appended = now(node.database.append(tenant, entry))?;
            let world = &self.0.world;
            world.appended(&self.0, node, (entry, stopped), &appended);
            Ok(appended)
        })
        .await
    }

    async fn append_at(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: &DatabaseIdentity,
    ) -> StoreResult<Appended> {
        let what = format!("append at {} {tenant} {}", at.server, entry.id);
        call(&self.0, what, WRITES, |node| {
            let stopped = crate::model::stopped(node, tenant);
            let appended = now(node.database.append_at(tenant, entry, at))?;
            let world = &self.0.world;
            world.appended(&self.0, node, (entry, stopped), &appended);
            Ok(appended)
        })
        .await
    }

    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        let what = format!("tenant {tenant}");
        call(&self.0, what, READS, |node| {
            now(node.database.tenant(tenant))
        })
        .await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>> {
        call(&self.0, "tenants", READS, |node| {
            now(node.database.tenants(after, limit))
        })
        .await
    }

    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>> {
        let what = format!("active {tenant}");
        call(&self.0, what, READS, |node| {
            now(node.database.active_manifest(tenant))
        })
        .await
    }

    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>> {
        let what = format!("entry {tenant} {stream} {seq}");
        call(&self.0, what, READS, |node| {
            now(node.database.entry(tenant, stream, seq))
        })
        .await
    }

    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>> {
        let what = format!("latest {tenant} {stream}");
        call(&self.0, what, READS, |node| {
            now(node.database.latest(tenant, stream, until))
        })
        .await
    }

    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>> {
        let what = format!("apply of {tenant} {version}");
        call(&self.0, what, READS, |node| {
            now(node.database.latest_apply_of(tenant, version))
        })
        .await
    }

    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>> {
        let what = format!("history {tenant} {stream} {before:?}");
        call(&self.0, what, READS, |node| {
            now(node.database.history(tenant, stream, before, limit))
        })
        .await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        call(&self.0, "ping", READS, |node| now(node.database.ping())).await
    }

    async fn migrate(&self) -> StoreResult<()> {
        call(&self.0, "migrate", WRITES, |node| {
            now(node.database.migrate())
        })
        .await
    }
}

#[async_trait]
impl StateReader for SimDatabase {
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        call(&self.0, "names", READS, |node| {
            now(node.database.tenant_names(after, limit))
        })
        .await
    }

    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        call(&self.0, "documents", READS, |node| {
            now(node.database.documents(tenants, max_bytes))
        })
        .await
    }

    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        let what = format!("stored {tenant} {stream} {seq}");
        call(&self.0, what, READS, |node| {
            now(node.database.stored_entry(tenant, stream, seq))
        })
        .await
    }

    async fn session(&self) -> StoreResult<ReadSession> {
        call(&self.0, "session", READS, |node| {
            now(node.database.session())
        })
        .await
    }
}
