//! Entries are appended and read.

use async_trait::async_trait;
use tracing::instrument;

use super::error::failed;
use super::queries::stored;
use super::rows::{entry, entry_meta, meta_columns};
use super::writes::execute;
use super::{SqliteDatabase, append, migrations, queries, rows};
use driftline_model::{Entry, EntryMeta, Seq, Stream, TenantId, TenantState, Timestamp};
use driftline_ports::{
    Appended, BackendInfo, DatabaseIdentity, ManifestStore, NewEntry, StoreResult, Stored,
};

#[async_trait]
impl ManifestStore for SqliteDatabase {
    #[instrument(name = "db.entry.append", skip_all, fields(%tenant, stream = %entry.stream), err(level = "debug"))]
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        append::append(self, tenant, entry, None).await
    }

    #[instrument(name = "db.entry.append_at", skip_all, fields(%tenant, stream = %entry.stream), err(level = "debug"))]
    async fn append_at(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: &DatabaseIdentity,
    ) -> StoreResult<Appended> {
        append::append(self, tenant, entry, Some(at)).await
    }

    #[instrument(name = "db.tenant.get", skip_all, fields(%tenant))]
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        let action = || format!("read tenant {tenant}");
        let mut transaction = self.snapshot(action).await?;
        Ok(queries::tenant(&mut transaction, tenant, action)
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
        let Some(row) = queries::tenant(&mut transaction, tenant, action).await? else {
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
        let Some(row) = queries::tenant(&mut transaction, tenant, action).await? else {
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

    #[instrument(name = "db.database.try", skip_all)]
    async fn can_write(&self) -> StoreResult<()> {
        let action = || "try a write".to_owned();
        let mut transaction = self.begin(action).await?;
        let touch = sqlx::query("UPDATE database SET ownership = ownership");
        execute(&mut transaction, touch, action).await?;
        transaction.rollback().await.map_err(failed(action))
    }

    #[instrument(name = "db.database.migrate", skip_all)]
    async fn migrate(&self) -> StoreResult<()> {
        migrations::run(self).await
    }
}
