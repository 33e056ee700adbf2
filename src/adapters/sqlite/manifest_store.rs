//! Entries are appended and read.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tracing::instrument;

use super::error::failed;
use super::rows::{
    TenantRow, entry, entry_meta, execute, insert_entry, meta_columns, optional_time, save_state,
};
use super::{SqliteDatabase, commit, migrations, rows};
use crate::adapters::append_rules::{Facts, Verdict, decide, key_expires_at};
use crate::domain::{Entry, EntryMeta, Seq, Stream, TenantId, TenantState, Timestamp};
use crate::ports::{
    Appended, BackendInfo, DatabaseIdentity, IDEMPOTENCY_WINDOW, ManifestStore, NewEntry,
    StoreResult, Stored,
};

/// As many expired keys are forgotten with every key that is used, so that they never pile up and no write pays for all.
const FORGOTTEN_AT_ONCE: u32 = 100;

pub(super) async fn identity(
    connection: &mut SqliteConnection,
    action: impl Fn() -> String,
) -> StoreResult<DatabaseIdentity> {
    let row = sqlx::query("SELECT id, ownership, generation, bucket_id FROM database")
        .fetch_one(connection)
        .await
        .map_err(failed(action))?;
    rows::identity(&row)
}

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

async fn stored(
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
    }))
}

/// The entry that a key made, while it is remembered.
async fn keyed(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    new: &NewEntry,
    now: Timestamp,
    action: impl Fn() -> String,
) -> StoreResult<Option<EntryMeta>> {
    let Some(key) = &new.idempotency_key else {
        return Ok(None);
    };
    let row = sqlx::query(concat!(
        "SELECT ",
        meta_columns!(),
        ", i.used_at FROM idempotency i JOIN entry e USING (tenant, stream, seq)
         WHERE i.tenant = ? AND i.stream = ? AND i.key = ?"
    ))
    .bind(tenant.as_str().to_owned())
    .bind(new.stream.code())
    .bind(key.as_str().to_owned())
    .fetch_optional(connection)
    .await
    .map_err(failed(action))?;
    let Some(row) = row else { return Ok(None) };
    let used_at = optional_time(&row, "idempotency", "used_at")?;
    Ok(if used_at.is_some_and(|at| now < key_expires_at(at)) {
        Some(entry_meta(&row)?)
    } else {
        None
    })
}

async fn facts(
    connection: &mut SqliteConnection,
    name: &TenantId,
    new: &NewEntry,
    now: Timestamp,
    action: impl Fn() -> String + Copy + Send + Sync,
) -> StoreResult<Facts> {
    let identity = identity(&mut *connection, action).await?;
    let state = tenant(&mut *connection, name, action)
        .await?
        .map(|row| row.state);
    let keyed = keyed(&mut *connection, name, new, now, action).await?;
    let (mut head_checksum, mut referred, mut active) = (None, None, None);
    if let Some(state) = &state {
        let manifests = Stream::Manifests;
        if new.expect.is_some() {
            let head = meta(
                &mut *connection,
                name,
                manifests,
                state.heads[manifests].seq,
                action,
            )
            .await?;
            head_checksum = head.map(|meta| meta.checksum);
        }
        if let Some(reference) = new.refers_to {
            let version =
                meta(&mut *connection, name, manifests, reference.version, action).await?;
            referred = version.map(|meta| meta.chain);
        }
        if new.skip_unchanged {
            active = meta(
                &mut *connection,
                name,
                manifests,
                state.active_version(),
                action,
            )
            .await?;
        }
    }
    let (ownership, generation) = (identity.ownership, identity.generation);
    Ok(Facts {
        ownership,
        generation,
        state,
        keyed,
        head_checksum,
        referred,
        active,
    })
}

/// Remembers what the entry's key made, and forgets some that expired.
async fn remember(
    connection: &mut SqliteConnection,
    new: &NewEntry,
    made: &EntryMeta,
    now: Timestamp,
    action: impl Fn() -> String + Copy + Send + Sync,
) -> StoreResult<()> {
    let Some(key) = &new.idempotency_key else {
        return Ok(());
    };
    let window = i64::try_from(IDEMPOTENCY_WINDOW.as_micros()).unwrap_or(i64::MAX);
    let forget = sqlx::query(
        "DELETE FROM idempotency WHERE (tenant, stream, key) IN
             (SELECT tenant, stream, key FROM idempotency WHERE used_at <= ? ORDER BY used_at LIMIT ?)",
    )
    .bind(now.as_micros().saturating_sub(window))
    .bind(FORGOTTEN_AT_ONCE);
    execute(&mut *connection, forget, action).await?;
    let remember = sqlx::query("INSERT OR REPLACE INTO idempotency (tenant, stream, key, seq, used_at) VALUES (?, ?, ?, ?, ?)")
        .bind(made.tenant.as_str().to_owned())
        .bind(made.stream.code())
        .bind(key.as_str().to_owned())
        .bind(made.seq.to_i64())
        .bind(made.committed_at.as_micros());
    execute(connection, remember, action).await
}

#[async_trait]
impl ManifestStore for SqliteDatabase {
    #[instrument(name = "db.entry.append", skip_all, fields(%tenant, stream = %entry.stream), err(level = "debug"))]
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        let action = || format!("append to {} of tenant {tenant}", entry.stream);
        let mut transaction = self.begin(action).await?;
        let now = self.clock.now();
        let facts = facts(&mut transaction, tenant, entry, now, action).await?;
        let step = match decide(tenant, entry, facts, now) {
            Verdict::Answer(answer) => return Ok(answer),
            Verdict::Append(step) => step,
        };
        save_state(&mut transaction, &step.after, action).await?;
        insert_entry(&mut transaction, &step.meta, &entry.content, action).await?;
        remember(&mut transaction, entry, &step.meta, now, action).await?;
        commit(transaction, action).await?;
        Ok(step.committed())
    }

    #[instrument(name = "db.tenant.get", skip_all, fields(%tenant))]
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        let action = || format!("read tenant {tenant}");
        let mut transaction = self.snapshot(action).await?;
        Ok(self::tenant(&mut transaction, tenant, action)
            .await?
            .map(|row| row.state))
    }

    #[instrument(name = "db.tenant.list", skip_all)]
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>> {
        let rows = sqlx::query("SELECT * FROM tenant WHERE tenant > ? ORDER BY tenant LIMIT ?")
            .bind(after.map_or("", TenantId::as_str).to_owned())
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(failed(|| "list tenants".to_owned()))?;
        rows.iter()
            .map(|row| Ok(rows::tenant(row)?.state))
            .collect()
    }

    #[instrument(name = "db.manifest.active", skip_all, fields(%tenant))]
    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>> {
        let action = || format!("read the active manifest of tenant {tenant}");
        let mut transaction = self.snapshot(action).await?;
        let Some(row) = self::tenant(&mut transaction, tenant, action).await? else {
            return Ok(None);
        };
        stored(
            &mut transaction,
            &row,
            Stream::Manifests,
            row.state.active_version(),
            action,
        )
        .await
    }

    #[instrument(name = "db.entry.get", skip_all, fields(%tenant, %stream, %seq))]
    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>> {
        let action = || format!("read {stream} {seq} of tenant {tenant}");
        let mut transaction = self.snapshot(action).await?;
        let Some(row) = self::tenant(&mut transaction, tenant, action).await? else {
            return Ok(None);
        };
        stored(&mut transaction, &row, stream, seq, action).await
    }

    #[instrument(name = "db.entry.latest", skip_all, fields(%tenant, %stream))]
    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>> {
        let row = sqlx::query(concat!(
            "SELECT ",
            meta_columns!(),
            ", e.content FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.committed_at <= ?
             ORDER BY e.committed_at DESC, e.seq DESC LIMIT 1"
        ))
        .bind(tenant.as_str().to_owned())
        .bind(stream.code())
        .bind(until.map_or(i64::MAX, Timestamp::as_micros))
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(|| {
            format!("read the latest of {stream} of tenant {tenant}")
        }))?;
        row.as_ref().map(entry).transpose()
    }

    #[instrument(name = "db.apply.latest", skip_all, fields(%tenant, %version))]
    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>> {
        let row = sqlx::query(concat!(
            "SELECT ",
            meta_columns!(),
            ", e.content FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.manifest_version = ?
             ORDER BY e.seq DESC LIMIT 1"
        ))
        .bind(tenant.as_str().to_owned())
        .bind(Stream::Applies.code())
        .bind(version.to_i64())
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(|| {
            format!("read the latest apply of version {version} of tenant {tenant}")
        }))?;
        row.as_ref().map(entry).transpose()
    }

    #[instrument(name = "db.entry.list", skip_all, fields(%tenant, %stream))]
    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            meta_columns!(),
            " FROM entry e WHERE e.tenant = ? AND e.stream = ? AND e.seq < ? ORDER BY e.seq DESC LIMIT ?"
        ))
        .bind(tenant.as_str().to_owned())
        .bind(stream.code())
        .bind(before.map_or(i64::MAX, Seq::to_i64))
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .map_err(failed(|| format!("list {stream} of tenant {tenant}")))?;
        rows.iter().map(entry_meta).collect()
    }

    #[instrument(name = "db.database.ping", skip_all)]
    async fn ping(&self) -> StoreResult<BackendInfo> {
        let (version, _tables): (String, i64) =
            sqlx::query_as("SELECT sqlite_version(), count(*) FROM sqlite_schema")
                .fetch_one(&self.reader)
                .await
                .map_err(failed(|| "reach the database".to_owned()))?;
        Ok(BackendInfo {
            version: format!("SQLite {version}"),
            now: Some(self.clock.now()),
        })
    }

    #[instrument(name = "db.database.migrate", skip_all)]
    async fn migrate(&self) -> StoreResult<()> {
        migrations::run(self).await
    }
}
