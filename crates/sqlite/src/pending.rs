//! What is pending, of one tenant and of all.

use sqlx::{Row, SqliteConnection};

use super::error::failed;
use super::rows::{TenantRow, entry, meta_columns, optional_time};
use super::writes::execute;
use super::{SqliteDatabase, rows};
use driftline_model::{Entry, Seq, Stream, TenantId, Timestamp};
use driftline_ports::rules::fault as stored_fault;
use driftline_ports::{AtRisk, LeaseRequest, StoreResult};

/// Tenants with something pending, each with the time of its oldest entry there, by stream.
pub(super) const PENDING: &str = "
    SELECT t.*,
        (SELECT e.committed_at FROM entry e WHERE e.tenant = t.tenant AND e.stream = 0
            AND e.seq > t.manifests_watermark ORDER BY e.seq LIMIT 1) AS manifests_since,
        (SELECT e.committed_at FROM entry e WHERE e.tenant = t.tenant AND e.stream = 1
            AND e.seq > t.applies_watermark ORDER BY e.seq LIMIT 1) AS applies_since,
        (SELECT e.committed_at FROM entry e WHERE e.tenant = t.tenant AND e.stream = 2
            AND e.seq > t.decisions_watermark ORDER BY e.seq LIMIT 1) AS decisions_since
    FROM tenant t
    WHERE t.manifests_head > t.manifests_watermark OR t.applies_head > t.applies_watermark
        OR t.decisions_head > t.decisions_watermark
    ORDER BY t.tenant";

/// Pending tenants that `request` may take now, longest waiting first.
pub(super) async fn free(
    connection: &mut SqliteConnection,
    request: &LeaseRequest,
    now: Timestamp,
    action: impl Fn() -> String,
) -> StoreResult<Vec<TenantRow>> {
    let rows = sqlx::query(PENDING)
        .fetch_all(connection)
        .await
        .map_err(failed(action))?;
    let mut free = Vec::new();
    for row in &rows {
        let tenant = rows::tenant(row)?;
        if tenant.shadowing.is_free_for(request, &tenant.state, now) {
            let mut since = tenant.state.last_committed_at;
            for column in ["manifests_since", "applies_since", "decisions_since"] {
                let at = optional_time(row, "entry", column)?;
                since = at.map_or(since, |at| Some(since.map_or(at, |since| since.min(at))));
            }
            free.push((since, tenant));
        }
    }
    free.sort_by_key(|(since, _)| *since);
    Ok(free
        .into_iter()
        .take(request.limit as usize)
        .map(|(_, tenant)| tenant)
        .collect())
}

/// Writes what a lease or a release changed.
pub(super) async fn save_lease(
    connection: &mut SqliteConnection,
    row: &TenantRow,
    action: impl Fn() -> String,
) -> StoreResult<()> {
    let (worker, until) = row.shadowing.lease.unzip();
    let message = row.shadowing.last_error.as_deref();
    let fault = message.map(|message| stored_fault::to_text(message, &row.shadowing.fault));
    let query = sqlx::query(
        "UPDATE tenant SET lease_owner = ?, lease_until = ?, attempts = ?, last_error = ?, fault = ?, failed_at = ?, retry_at = ?
         WHERE tenant = ?",
    )
    .bind(worker.map(|worker| worker.0.as_bytes().to_vec()))
    .bind(until.map(Timestamp::as_micros))
    .bind(row.shadowing.attempts)
    .bind(row.shadowing.last_error.clone())
    .bind(fault)
    .bind(row.shadowing.failed_at.map(Timestamp::as_micros))
    .bind(row.shadowing.retry_at.map(Timestamp::as_micros))
    .bind(row.state.tenant.as_str().to_owned());
    execute(connection, query, action).await
}

/// What is not proven to be in the bucket.
pub(super) async fn at_risk(
    connection: &mut SqliteConnection,
    row: &TenantRow,
    action: impl Fn() -> String,
) -> StoreResult<AtRisk> {
    let mut query = sqlx::query(
        "SELECT count(*), coalesce(sum(bytes), 0), min(committed_at) AS committed_at FROM (
             SELECT length(content) AS bytes, committed_at FROM entry WHERE tenant = ?1 AND stream = 0 AND seq > ?2
             UNION ALL
             SELECT length(content), committed_at FROM entry WHERE tenant = ?1 AND stream = 1 AND seq > ?3
             UNION ALL
             SELECT length(content), committed_at FROM entry WHERE tenant = ?1 AND stream = 2 AND seq > ?4)",
    )
    .bind(row.state.tenant.as_str().to_owned());
    for (_, watermark) in row.shadowing.watermarks.iter() {
        query = query.bind(watermark.to_i64());
    }
    let found = query.fetch_one(connection).await.map_err(failed(&action))?;
    let number = |index: usize| {
        found
            .try_get::<i64, _>(index)
            .map(i64::unsigned_abs)
            .map_err(failed(&action))
    };
    Ok(AtRisk {
        entries: number(0)?,
        bytes: number(1)?,
        oldest_at: optional_time(&found, "entry", "committed_at")?,
    })
}

/// A dense run of pending entries.
pub(super) async fn run(
    database: &SqliteDatabase,
    tenant: &TenantId,
    stream: Stream,
    after: Seq,
    limit: u32,
    max_bytes: u64,
) -> StoreResult<Vec<Entry>> {
    let action = || format!("read pending {stream} of tenant {tenant}");
    let mut transaction = database.snapshot(action).await?;
    let sizes: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT seq, length(content) FROM entry WHERE tenant = ? AND stream = ? AND seq > ? ORDER BY seq LIMIT ?",
    )
    .bind(tenant.as_str().to_owned())
    .bind(stream.code())
    .bind(after.to_i64())
    .bind(limit)
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed(action))?;
    // Sizes first, so that no more content is read than is asked for.
    let (mut last, mut bytes) = (after.to_i64(), 0_u64);
    for (seq, size) in sizes {
        if bytes > max_bytes || last.checked_add(1) != Some(seq) {
            break;
        }
        last = seq;
        bytes = bytes.saturating_add(size.unsigned_abs());
    }
    let rows = sqlx::query(concat!(
        "SELECT ",
        meta_columns!(),
        ", e.content FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.seq > ? AND e.seq <= ? ORDER BY e.seq"
    ))
    .bind(tenant.as_str().to_owned())
    .bind(stream.code())
    .bind(after.to_i64())
    .bind(last)
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed(action))?;
    rows.iter().map(entry).collect()
}
