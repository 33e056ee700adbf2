//! A database's rows, past all faults.

use driftline::domain::{Digest, Entry, Seq, Stream, TenantId};
use driftline::ports::{ManifestStore as _, ShadowLedger as _, TenantStatus};

use crate::world::{Node, now};

/// The dense run from 1 on.
pub fn rows(node: &Node, tenant: &TenantId, stream: Stream) -> Vec<Entry> {
    let rows = node
        .database
        .pending(tenant, stream, Seq::default(), u32::MAX, u64::MAX);
    now(rows).expect("a database in memory never fails")
}

pub fn chain_at(node: &Node, tenant: &TenantId, stream: Stream, seq: Seq) -> Option<Digest> {
    let row =
        now(node.database.entry(tenant, stream, seq)).expect("a database in memory never fails");
    row.map(|stored| stored.entry.meta.chain)
}

pub fn state(node: &Node, tenant: &TenantId) -> Option<TenantStatus> {
    let status = now(node.database.status(Some(tenant), None, 1));
    status.expect("a database in memory never fails").pop()
}
