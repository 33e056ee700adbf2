//! Lost entries come back, in a transaction that holds the file's write lock: nobody else writes until it ends.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::Row as _;
use tracing::instrument;

use super::queries::identity;
use super::writes::{execute, insert_entry, save_state};
use super::{Tx, commit, error};
use driftline_model::{BucketId, Entry, PerStream, Seq, Stream, TenantId, TenantState};
use driftline_ports::{Fault, Restore, Server, StoreResult};

/// The keys of an entry, with its identifier as it is stored.
const KEYS: &str =
    "SELECT i.key, i.used_at, e.id FROM idempotency i JOIN entry e USING (tenant, stream, seq)
    WHERE i.tenant = ? AND i.stream = ? AND i.seq = ?";

const KEY: &str =
    "INSERT INTO idempotency (tenant, stream, key, seq, used_at) VALUES (?, ?, ?, ?, ?)";

/// Idempotency keys, and when they were used.
type Keys = Vec<(String, i64)>;

pub(super) struct SqliteRestore {
    transaction: Tx,
    tenant: TenantId,
    state: Option<TenantState>,
    watermarks: PerStream<Seq>,
    server: Server,
    /// Idempotency keys, and when they were used, of entries that were taken out: per stream and identifier.
    keys: BTreeMap<(Stream, Vec<u8>), Keys>,
    failed: bool,
}

impl SqliteRestore {
    pub(super) fn new(
        transaction: Tx,
        tenant: TenantId,
        (state, watermarks): (Option<TenantState>, PerStream<Seq>),
        server: Server,
    ) -> Self {
        Self {
            transaction,
            tenant,
            state,
            watermarks,
            server,
            keys: BTreeMap::new(),
            failed: false,
        }
    }
}

#[async_trait]
impl Restore for SqliteRestore {
    fn state(&self) -> Option<&TenantState> {
        self.state.as_ref()
    }

    fn watermarks(&self) -> PerStream<Seq> {
        self.watermarks
    }

    #[instrument(name = "db.entry.restore", skip_all, fields(tenant = %self.tenant, entries = entries.len()), err(level = "debug"))]
    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        // SQLite undoes the failed statement only; what came before it must not be committed either. That holds for a call
        // that is dropped half-way as well.
        let failed_before = std::mem::replace(&mut self.failed, true);
        for entry in entries {
            let meta = &entry.meta;
            let action = || {
                format!(
                    "restore {} {} of tenant {}",
                    meta.stream, meta.seq, meta.tenant
                )
            };
            if meta.tenant != self.tenant {
                let message = format!("{}: the restore is of tenant {}", action(), self.tenant);
                return Err(error::new(Fault::Refused, message));
            }
            insert_entry(&mut self.transaction, meta, &entry.content, action).await?;
            let id = (meta.stream, meta.id.0.as_bytes().to_vec());
            for (key, used_at) in self.keys.remove(&id).unwrap_or_default() {
                let query = sqlx::query(KEY)
                    .bind(meta.tenant.as_str().to_owned())
                    .bind(meta.stream.code())
                    .bind(key)
                    .bind(meta.seq.to_i64())
                    .bind(used_at);
                execute(&mut self.transaction, query, action).await?;
            }
        }
        self.failed = failed_before;
        Ok(())
    }

    #[instrument(name = "db.entry.remove", skip_all, fields(tenant = %self.tenant, %stream, entries = seqs.len()), err(level = "debug"))]
    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()> {
        let failed_before = std::mem::replace(&mut self.failed, true);
        for seq in seqs {
            let action = || format!("remove {stream} {seq} of tenant {}", self.tenant);
            let keys = sqlx::query(KEYS)
                .bind(self.tenant.as_str().to_owned())
                .bind(stream.code())
                .bind(seq.to_i64())
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(error::failed(action))?;
            for row in keys {
                let key = (
                    row.try_get("key"),
                    row.try_get("used_at"),
                    row.try_get("id"),
                );
                // An identifier that cannot be read is nobody's.
                if let (Ok(key), Ok(used_at), Ok(id)) = key {
                    self.keys
                        .entry((stream, id))
                        .or_default()
                        .push((key, used_at));
                }
            }
            for statement in [
                "DELETE FROM entry WHERE tenant = ? AND stream = ? AND seq = ?",
                "DELETE FROM idempotency WHERE tenant = ? AND stream = ? AND seq = ?",
            ] {
                let query = sqlx::query(statement)
                    .bind(self.tenant.as_str().to_owned())
                    .bind(stream.code())
                    .bind(seq.to_i64());
                execute(&mut self.transaction, query, action).await?;
            }
        }
        self.failed = failed_before;
        Ok(())
    }

    #[instrument(name = "db.tenant.restored", skip_all, fields(tenant = %self.tenant), err(level = "debug"))]
    async fn commit(
        mut self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()> {
        let tenant = self.tenant.clone();
        let action = || format!("restore tenant {tenant}");
        if self.failed {
            return Err(error::new(
                Fault::Refused,
                format!("{}: an insert had failed", action()),
            ));
        }
        if identity(&mut self.transaction, self.server, action)
            .await?
            .bucket_id
            != Some(bucket)
        {
            let message = format!(
                "{}: the database has another bucket than {bucket}",
                action()
            );
            return Err(error::new(Fault::Unavailable, message));
        }
        save_state(&mut self.transaction, state, action).await?;
        let mut query = sqlx::query(
            "UPDATE tenant SET halted = NULL, attempts = 0, last_error = NULL, fault = NULL, failed_at = NULL, retry_at = NULL, manifests_watermark = ?, applies_watermark = ?, decisions_watermark = ?
             WHERE tenant = ?",
        );
        for (_, watermark) in watermarks.iter() {
            query = query.bind(watermark.to_i64());
        }
        let query = query.bind(tenant.as_str().to_owned());
        execute(&mut self.transaction, query, action).await?;
        commit(self.transaction, action).await
    }
}
