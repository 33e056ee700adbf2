//! A database's rows, past all faults.

use driftline::domain::content::Content;
use driftline::domain::{Digest, Entry, Seq, Stream, TenantId};
use driftline::ports::{
    ManifestStore as _, Ownership, RecoveryStore as _, ShadowLedger as _, TenantStatus,
};

use crate::world::{Node, now};

/// The dense run from 1 on.
pub fn rows(node: &Node, tenant: &TenantId, stream: Stream) -> Vec<Entry> {
    let rows = node
        .database
        .pending(tenant, stream, Seq::default(), u32::MAX, u64::MAX);
    now(rows).expect("a database in memory never fails")
}

/// All rows, whatever is missing between them.
pub fn all_rows(node: &Node, tenant: &TenantId, stream: Stream) -> Vec<Entry> {
    let metas = node.database.history(tenant, stream, None, u32::MAX);
    let metas = now(metas).expect("a database in memory never fails");
    let row = |seq| {
        let row = now(node.database.entry(tenant, stream, seq));
        row.expect("a database in memory never fails")
    };
    let rows = metas.into_iter().rev().filter_map(|meta| row(meta.seq));
    rows.map(|stored| stored.entry).collect()
}

/// The row's bytes are those of its checksum.
pub fn is_intact(row: &Entry) -> bool {
    Content::from_stored(row.content.bytes().clone()).checksum() == row.meta.checksum
}

pub fn chain_at(node: &Node, tenant: &TenantId, stream: Stream, seq: Seq) -> Option<Digest> {
    row(node, tenant, stream, seq).map(|row| row.meta.chain)
}

pub fn row(node: &Node, tenant: &TenantId, stream: Stream, seq: Seq) -> Option<Entry> {
    let row = now(node.database.entry(tenant, stream, seq));
    let row = row.expect("a database in memory never fails");
    row.map(|stored| stored.entry)
}

pub fn state(node: &Node, tenant: &TenantId) -> Option<TenantStatus> {
    let status = now(node.database.status(Some(tenant), None, 1));
    status.expect("a database in memory never fails").pop()
}

/// Why the database may take no write of this tenant, if so.
pub fn stopped(node: &Node, tenant: &TenantId) -> Option<&'static str> {
    let identity = now(node.database.identity()).expect("a database in memory never fails");
    match (identity.ownership, state(node, tenant)) {
        (Ownership::Unclaimed, _) => Some("never saw its bucket"),
        (_, Some(status)) if status.state.awaiting_recovery => Some("awaits its recovery"),
        (Ownership::AwaitingRecovery, None) => Some("awaits recovery"),
        _ => None,
    }
}
