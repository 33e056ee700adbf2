//! Who the database is, and whether it may write.

use async_trait::async_trait;
use tracing::instrument;
use uuid::Uuid;

use super::queries::{self, identity};
use super::restore::SqliteRestore;
use super::writes::{execute, save_state};
use super::{SqliteDatabase, commit, whereabouts};
use driftline_model::{BucketId, Epoch, PerStream, TenantId, TenantState};
use driftline_ports::{
    DatabaseIdentity, FailedDrill, RecoveryStore, Restore, RestoreProof, StoreResult,
};

/// What a newer drill said stands, unless its time is still to come: then a clock was wrong.
const PROVE: &str = "UPDATE tenant SET proven_version = ?1, proven_at = ?2,
    drill_failed_at = NULL, drill_failure = NULL, drill_refuted = 0
    WHERE tenant = ?3 AND (proven_at > ?2 AND proven_at <= ?4) IS NOT TRUE
        AND (drill_refuted AND drill_failed_at > ?2 AND drill_failed_at <= ?4) IS NOT TRUE";

/// A drill that could not be carried out takes nothing back, neither a proof nor that it was refuted. What a newer one said
/// stands, as in [`PROVE`].
const FAIL: &str = "UPDATE tenant SET drill_failed_at = ?1, drill_failure = ?2, drill_refuted = ?3,
    proven_version = CASE WHEN ?3 THEN NULL ELSE proven_version END,
    proven_at = CASE WHEN ?3 THEN NULL ELSE proven_at END
    WHERE tenant = ?4 AND (?3 OR NOT drill_refuted)
        AND (proven_at > ?1 AND proven_at <= ?5) IS NOT TRUE
        AND (drill_refuted = ?3 AND drill_failed_at > ?1 AND drill_failed_at <= ?5) IS NOT TRUE";

impl SqliteDatabase {
    /// Makes `bucket` the current one, with at least this generation, and the database claimed if `claim` says so. Another
    /// bucket has proven nothing yet.
    ///
    /// `false`, and nothing changes, when the database is not as it was `seen`.
    async fn take(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
        claim: bool,
    ) -> StoreResult<bool> {
        let action = || format!("take bucket {bucket} with generation {generation}");
        let mut transaction = self.begin(action).await?;
        let now = identity(&mut transaction, self.server, action).await?;
        if seen.is_some_and(|seen| *seen != now) {
            return Ok(false);
        }
        if now.bucket_id != Some(bucket) {
            let reset = sqlx::query(
                "UPDATE tenant SET manifests_watermark = 0, applies_watermark = 0, decisions_watermark = 0,
                 proven_version = NULL, proven_at = NULL,
                 drill_failed_at = NULL, drill_failure = NULL, drill_refuted = 0",
            );
            execute(&mut transaction, reset, action).await?;
        }
        let query = sqlx::query(
            "UPDATE database SET bucket_id = ?, generation = max(generation, ?),
                 ownership = CASE WHEN ? THEN 'claimed' ELSE ownership END",
        )
        .bind(bucket.0.as_bytes().to_vec())
        .bind(generation.to_i64())
        .bind(claim);
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await?;
        Ok(true)
    }
}

#[async_trait]
impl RecoveryStore for SqliteDatabase {
    #[instrument(name = "db.database.identity", skip_all)]
    async fn identity(&self) -> StoreResult<DatabaseIdentity> {
        let action = || "read the database's identity".to_owned();
        let mut transaction = self.snapshot(action).await?;
        identity(&mut transaction, self.server, action).await
    }

    #[instrument(name = "db.database.claim", skip_all, fields(%bucket, %generation), err(level = "debug"))]
    async fn claim(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
    ) -> StoreResult<bool> {
        self.take(seen, bucket, generation, true).await
    }

    #[instrument(name = "db.database.await_recovery", skip_all, err(level = "debug"))]
    async fn await_recovery(
        &self,
        seen: Option<&DatabaseIdentity>,
        tenant: Option<&TenantId>,
    ) -> StoreResult<bool> {
        let action = || "await recovery".to_owned();
        let mut transaction = self.begin(action).await?;
        let now = identity(&mut transaction, self.server, action).await?;
        if seen.is_some_and(|seen| *seen != now) {
            return Ok(false);
        }
        if let Some(name) = tenant {
            let known = queries::tenant(&mut transaction, name, action).await?;
            let mut state = known.map_or_else(
                || TenantState::new(name.clone(), now.generation),
                |row| row.state,
            );
            state.awaiting_recovery = true;
            save_state(&mut transaction, &state, action).await?;
        } else {
            let database = sqlx::query("UPDATE database SET ownership = 'awaiting_recovery'");
            execute(&mut transaction, database, action).await?;
            let tenants = sqlx::query("UPDATE tenant SET awaiting_recovery = 1");
            execute(&mut transaction, tenants, action).await?;
        }
        commit(transaction, action).await?;
        Ok(true)
    }

    #[instrument(name = "db.database.settle", skip_all, err(level = "debug"))]
    async fn settle(&self, at: &DatabaseIdentity, id: Option<Uuid>) -> StoreResult<bool> {
        let action = || "put on record where the database is".to_owned();
        if at.server != self.server {
            return Ok(false);
        }
        let mut transaction = self.begin(action).await?;
        if identity(&mut transaction, self.server, action).await?.id.id != at.id.id {
            return Ok(false);
        }
        let query = sqlx::query("UPDATE database SET server = ?, id = coalesce(?, id)")
            .bind(whereabouts::text(self.server))
            .bind(id.map(|id| id.as_bytes().to_vec()));
        execute(&mut transaction, query, action).await?;
        commit(transaction, action).await?;
        Ok(true)
    }

    #[instrument(name = "db.database.take_generation", skip_all, fields(%bucket, %generation), err(level = "debug"))]
    async fn take_generation(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()> {
        self.take(None, bucket, generation, false).await?;
        Ok(())
    }

    #[instrument(name = "db.tenant.prove", skip_all, fields(%bucket, tenants = proofs.len()), err(level = "debug"))]
    async fn record_proofs(
        &self,
        bucket: BucketId,
        proofs: &[(TenantId, RestoreProof)],
    ) -> StoreResult<()> {
        let action = || "record what is restorable".to_owned();
        let mut transaction = self.begin(action).await?;
        if identity(&mut transaction, self.server, action)
            .await?
            .bucket_id
            != Some(bucket)
        {
            return Ok(());
        }
        let now = self.clock.now().as_micros();
        for (tenant, proof) in proofs {
            let query = sqlx::query(PROVE)
                .bind(proof.version.to_i64())
                .bind(proof.at.as_micros())
                .bind(tenant.as_str().to_owned())
                .bind(now);
            execute(&mut transaction, query, action).await?;
        }
        commit(transaction, action).await
    }

    #[instrument(name = "db.tenant.refute", skip_all, fields(%bucket, tenants = failed.len()), err(level = "debug"))]
    async fn record_failed_drills(
        &self,
        bucket: BucketId,
        failed: &[(TenantId, FailedDrill)],
    ) -> StoreResult<()> {
        let action = || "record what a drill did not prove".to_owned();
        let mut transaction = self.begin(action).await?;
        let identity = identity(&mut transaction, self.server, action).await?;
        if identity.bucket_id != Some(bucket) {
            return Ok(());
        }
        let now = self.clock.now().as_micros();
        for (tenant, failed) in failed {
            let query = sqlx::query(FAIL)
                .bind(failed.at.as_micros())
                .bind(failed.reason.clone())
                .bind(failed.refutes)
                .bind(tenant.as_str().to_owned())
                .bind(now);
            execute(&mut transaction, query, action).await?;
        }
        commit(transaction, action).await
    }

    #[instrument(name = "db.tenant.restore", skip_all, fields(%tenant), err(level = "debug"))]
    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>> {
        let action = || format!("begin the restore of tenant {tenant}");
        let mut transaction = self.begin(action).await?;
        let identity = identity(&mut transaction, self.server, action).await?;
        whereabouts::here(&identity, action)?;
        let row = queries::tenant(&mut transaction, tenant, action).await?;
        let (state, watermarks) = row.map_or_else(
            || (None, PerStream::default()),
            |row| (Some(row.state), row.shadowing.watermarks),
        );
        Ok(Box::new(SqliteRestore::new(
            transaction,
            tenant.clone(),
            (state, watermarks),
            self.server,
        )))
    }
}
