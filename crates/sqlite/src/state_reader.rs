//! What an audit reads: a page of tenants in one snapshot and two statements, whatever their number.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tracing::instrument;

use super::error::{corrupt, failed};
use super::rows::{self, entry, meta_columns, number, tenant_name};
use super::{SqliteDatabase, SqliteReader};
use driftline_model::{Entry, Seq, Stream, TenantId};
use driftline_ports::rules::document::{assemble, cut};
use driftline_ports::{Asked, ReadSession, StateReader, StoreResult, TenantDocuments};

/// The tenants of a JSON array of names and of the numbers up to which decisions are known, each with its place there.
const STATES: &str = "SELECT p.key AS place, t.* FROM json_each(?) p CROSS JOIN tenant t ON t.tenant = p.value ->> 0";

/// Their entries up to the tenant that goes beyond the limit of bytes. Sizes first: taking a length does not read the content.
const ENTRIES: &str = concat!(
    "WITH page AS MATERIALIZED (
        SELECT p.key AS place, t.tenant, t.decisions_head, p.value ->> 1 AS decided,
            CASE WHEN t.activation_head_chain = t.manifests_chain AND t.activation_version <= t.manifests_head
                THEN t.activation_version ELSE t.manifests_head END AS active,
            (SELECT max(e.seq) FROM entry e WHERE e.tenant = t.tenant AND e.stream = 1) AS apply
        FROM json_each(?1) p CROSS JOIN tenant t ON t.tenant = p.value ->> 0
    ), found AS (
        SELECT p.place, e.rowid AS id, length(e.content) AS bytes
        FROM page p CROSS JOIN entry e ON e.tenant = p.tenant AND e.stream = 0 AND e.seq = p.active
        UNION ALL
        SELECT p.place, e.rowid, length(e.content)
        FROM page p CROSS JOIN entry e ON e.tenant = p.tenant AND e.stream = 1 AND e.seq = p.apply
        UNION ALL
        SELECT p.place, e.rowid, length(e.content)
        FROM page p CROSS JOIN entry a ON a.tenant = p.tenant AND a.stream = 1 AND a.seq = p.apply
        CROSS JOIN entry e ON e.tenant = p.tenant AND e.stream = 0 AND e.seq = a.manifest_version
        WHERE a.manifest_version <> p.active
        UNION ALL
        SELECT p.place, e.rowid, length(e.content)
        FROM page p CROSS JOIN entry e ON e.tenant = p.tenant AND e.stream = 2 AND e.seq > p.decided
        WHERE p.decisions_head > p.decided
    ), sized AS (
        SELECT place, id,
            sum(bytes) OVER (ORDER BY place GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM found
    )
    SELECT s.place, e.manifest_version, ",
    meta_columns!(),
    ", e.content FROM sized s CROSS JOIN entry e ON e.rowid = s.id WHERE s.before IS NULL OR s.before <= ?2"
);

const ENTRY: &str = concat!(
    "SELECT ",
    meta_columns!(),
    ", e.content FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.seq = ?"
);

async fn names(
    pool: &SqlitePool,
    after: Option<&TenantId>,
    limit: u32,
) -> StoreResult<Vec<TenantId>> {
    let rows = sqlx::query("SELECT tenant FROM tenant WHERE tenant > ? ORDER BY tenant LIMIT ?")
        .bind(after.map_or("", TenantId::as_str).to_owned())
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(failed(|| "list tenants".to_owned()))?;
    rows.iter().map(tenant_name).collect()
}

async fn documents(
    pool: &SqlitePool,
    tenants: &[Asked],
    max_bytes: u64,
) -> StoreResult<(Vec<TenantDocuments>, usize)> {
    let action = || match tenants {
        [Asked { tenant, .. }] => format!("read the documents of tenant {tenant}"),
        _ => format!("read the documents of {} tenants", tenants.len()),
    };
    // A name has no character that JSON escapes.
    let names: Vec<String> = tenants
        .iter()
        .map(|Asked { tenant, decided }| format!("[\"{tenant}\",{decided}]"))
        .collect();
    let names = format!("[{}]", names.join(","));
    let mut snapshot = pool.begin().await.map_err(failed(action))?;
    let states = sqlx::query(STATES)
        .bind(names.clone())
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed(action))?;
    let entries = sqlx::query(ENTRIES)
        .bind(names)
        .bind(i64::try_from(max_bytes).unwrap_or(i64::MAX))
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed(action))?;
    let mut found = BTreeMap::new();
    for row in &states {
        let state = rows::tenant(row)?.state;
        found.insert(
            number::<usize>(row, "tenant", "place")?,
            (state, Vec::new(), None),
        );
    }
    for row in &entries {
        let entry = entry(row)?;
        let Some((_, entries, applied)) = found.get_mut(&number(row, "entry", "place")?) else {
            let key = entry.meta.tenant.as_str();
            return Err(corrupt("entry", "tenant", key, "no tenant has this name"));
        };
        if entry.meta.stream == Stream::Applies {
            *applied = rows::optional_seq(row, "entry", "manifest_version")?;
        }
        entries.push(entry);
    }
    let documents = found
        .into_iter()
        .map(|(place, (state, entries, applied))| (place, assemble(state, entries, applied)));
    Ok(cut(documents, tenants.len(), max_bytes))
}

async fn stored_entry(
    pool: &SqlitePool,
    tenant: &TenantId,
    stream: Stream,
    seq: Seq,
) -> StoreResult<Option<Entry>> {
    let row = sqlx::query(ENTRY)
        .bind(tenant.as_str().to_owned())
        .bind(stream.code())
        .bind(seq.to_i64())
        .fetch_optional(pool)
        .await
        .map_err(failed(|| format!("read {stream} {seq} of tenant {tenant}")))?;
    row.as_ref().map(entry).transpose()
}

async fn session(pool: &SqlitePool) -> StoreResult<ReadSession> {
    let action = || "ask whether the connection may write".to_owned();
    let mut snapshot = pool.begin().await.map_err(failed(action))?;
    let read_only: bool = sqlx::query_scalar("PRAGMA query_only")
        .fetch_one(&mut *snapshot)
        .await
        .map_err(failed(action))?;
    Ok(ReadSession {
        role: None,
        read_only,
    })
}

/// Both read through connections that refuse every write.
macro_rules! read_through {
    ($type:ty) => {
        #[async_trait]
        impl StateReader for $type {
            #[instrument(name = "db.tenant.names", skip_all)]
            async fn tenant_names(
                &self,
                after: Option<&TenantId>,
                limit: u32,
            ) -> StoreResult<Vec<TenantId>> {
                names(&self.reader, after, limit).await
            }

            #[instrument(name = "db.tenant.documents", skip_all, fields(tenants = tenants.len()))]
            async fn documents(
                &self,
                tenants: &[Asked],
                max_bytes: u64,
            ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
                documents(&self.reader, tenants, max_bytes).await
            }

            #[instrument(name = "db.entry.stored", skip_all, fields(%tenant, %stream, %seq))]
            async fn stored_entry(
                &self,
                tenant: &TenantId,
                stream: Stream,
                seq: Seq,
            ) -> StoreResult<Option<Entry>> {
                stored_entry(&self.reader, tenant, stream, seq).await
            }

            #[instrument(name = "db.database.session", skip_all)]
            async fn session(&self) -> StoreResult<ReadSession> {
                session(&self.reader).await
            }
        }
    };
}

read_through!(SqliteDatabase);
read_through!(SqliteReader);
