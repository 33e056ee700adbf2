//! Values to rows.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use super::error::failed;
use driftline_model::content::Content;
use driftline_model::{Digest, EntryMeta, Seq, TenantState, Timestamp};
use driftline_ports::StoreResult;
use driftline_ports::rules::append::applied_version;

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Writes a tenant's state, and leaves its shadowing alone.
pub(super) async fn save_state(
    connection: &mut SqliteConnection,
    state: &TenantState,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    let mut query = sqlx::query(
        "INSERT INTO tenant (tenant, epoch, awaiting_recovery, last_committed_at, activation_decision,
             activation_version, activation_chain, activation_head_chain, retired, manifests_head, manifests_chain,
             applies_head, applies_chain, decisions_head, decisions_chain)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (tenant) DO UPDATE SET
             epoch = excluded.epoch, awaiting_recovery = excluded.awaiting_recovery,
             last_committed_at = excluded.last_committed_at, activation_decision = excluded.activation_decision,
             activation_version = excluded.activation_version, activation_chain = excluded.activation_chain,
             activation_head_chain = excluded.activation_head_chain, retired = excluded.retired, manifests_head = excluded.manifests_head,
             manifests_chain = excluded.manifests_chain, applies_head = excluded.applies_head,
             applies_chain = excluded.applies_chain, decisions_head = excluded.decisions_head,
             decisions_chain = excluded.decisions_chain",
    )
    .bind(state.tenant.as_str().to_owned())
    .bind(state.epoch.to_i64())
    .bind(state.awaiting_recovery)
    .bind(state.last_committed_at.map(Timestamp::as_micros))
    .bind(state.activation.map(|activation| activation.decision.to_i64()))
    .bind(state.activation.map(|activation| activation.target.version.to_i64()))
    .bind(state.activation.map(|activation| blob(activation.target.chain)))
    .bind(state.activation.map(|activation| blob(activation.head_chain)))
    .bind(state.retired.map(Seq::to_i64));
    for (_, head) in state.heads.iter() {
        query = query.bind(head.seq.to_i64()).bind(blob(head.chain));
    }
    execute(connection, query, action).await
}

/// Inserts an entry; a number that exists already is an error.
pub(super) async fn insert_entry(
    connection: &mut SqliteConnection,
    meta: &EntryMeta,
    content: &Content,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    let query = sqlx::query(
        "INSERT INTO entry (tenant, stream, seq, id, epoch, checksum, chain, created_at, committed_at, created_by,
             message, manifest_version, content)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(meta.tenant.as_str().to_owned())
    .bind(meta.stream.code())
    .bind(meta.seq.to_i64())
    .bind(meta.id.0.as_bytes().to_vec())
    .bind(meta.epoch.to_i64())
    .bind(blob(meta.checksum))
    .bind(blob(meta.chain))
    .bind(meta.created_at.as_micros())
    .bind(meta.committed_at.as_micros())
    .bind(meta.created_by.clone().map(String::from))
    .bind(meta.message.clone().map(String::from))
    .bind(applied_version(meta.stream, content).map(Seq::to_i64))
    .bind(content.as_bytes().to_vec());
    execute(connection, query, action).await
}

/// A digest's bytes.
fn blob(digest: Digest) -> Vec<u8> {
    digest.as_bytes().to_vec()
}

/// Runs a statement whose rows nobody reads.
pub(super) async fn execute(
    connection: &mut SqliteConnection,
    query: Query<'_>,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    query
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed(action))
}
