//! Reads that several calls share; each sees what its transaction sees.

use sqlx::SqliteConnection;

use super::error::failed;
use super::rows::{self, TenantRow, entry, entry_meta, meta_columns};
use driftline_model::{EntryMeta, Seq, Stream, TenantId};
use driftline_ports::{DatabaseIdentity, Server, StoreResult, Stored};

/// Who the database is.
pub(super) async fn identity(
    connection: &mut SqliteConnection,
    server: Server,
    action: impl Fn() -> String,
) -> StoreResult<DatabaseIdentity> {
    let row = sqlx::query("SELECT id, ownership, generation, bucket_id, server FROM database")
        .fetch_one(connection)
        .await
        .map_err(failed(action))?;
    rows::identity(&row, server)
}

/// A tenant's row.
pub(super) async fn tenant(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    action: impl Fn() -> String,
) -> StoreResult<Option<TenantRow>> {
    let row = sqlx::query("SELECT * FROM tenant WHERE tenant = ?")
        .bind(tenant.as_str().to_owned())
        .fetch_optional(connection)
        .await
        .map_err(failed(action))?;
    row.as_ref().map(rows::tenant).transpose()
}

/// An entry but its content.
pub(super) async fn meta(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
    action: impl Fn() -> String,
) -> StoreResult<Option<EntryMeta>> {
    let row = sqlx::query(concat!(
        "SELECT ",
        meta_columns!(),
        " FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.seq = ?"
    ))
    .bind(tenant.as_str().to_owned())
    .bind(stream.code())
    .bind(seq.to_i64())
    .fetch_optional(connection)
    .await
    .map_err(failed(action))?;
    row.as_ref().map(entry_meta).transpose()
}

/// An entry of the tenant that has this row.
pub(super) async fn stored(
    connection: &mut SqliteConnection,
    row: &TenantRow,
    stream: Stream,
    seq: Seq,
    action: impl Fn() -> String,
) -> StoreResult<Option<Stored>> {
    let found = sqlx::query(concat!(
        "SELECT ",
        meta_columns!(),
        ", e.content FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.seq = ?"
    ))
    .bind(row.state.tenant.as_str().to_owned())
    .bind(stream.code())
    .bind(seq.to_i64())
    .fetch_optional(connection)
    .await
    .map_err(failed(action))?;
    let Some(found) = found else { return Ok(None) };
    let (active, watermark) = (row.state.active_version(), row.shadowing.watermarks[stream]);
    Ok(Some(Stored {
        entry: entry(&found)?,
        active,
        watermark,
        retired: row.state.retired.is_some(),
    }))
}
