//! Ownership and recovery.

use async_trait::async_trait;
use uuid::Uuid;

use super::PostgresDatabase;
use super::error::{Action, Phase};
use super::restore::PostgresRestore;
use super::rows::{Fields, identity, identity_columns, server_name};
use super::session::{Scope, Session, query};
use super::types::{PgTime, PgUuid};
use driftline_model::{BucketId, Epoch, TenantId};
use driftline_ports::{
    DatabaseIdentity, FailedDrill, RecoveryStore, Restore, RestoreProof, StoreResult,
};

/// Who the database is, at this moment.
pub(super) const IDENTITY: &str =
    concat!("SELECT ", identity_columns!(), " FROM driftline.database d");

/// A tenant that is not known yet gets its row, so that its first write is refused.
const AWAIT_ONE: &str = "INSERT INTO driftline.tenant (tenant, epoch, awaiting_recovery, manifests_chain, applies_chain,
    decisions_chain)
    SELECT $1, d.generation, true, driftline.genesis($1, 'manifests'), driftline.genesis($1, 'applies'),
        driftline.genesis($1, 'decisions')
    FROM driftline.database d
    ON CONFLICT (tenant) DO UPDATE SET awaiting_recovery = true";

/// A row that belongs to no bucket has nothing in one, and nothing to prove. What a newer drill said stands, unless its time is
/// still to come: then a clock was wrong.
const PROVE: &str = "UPDATE driftline.shadowing s SET proven_version = p.version, proven_at = p.at,
    drill_failed_at = NULL, drill_failure = NULL, drill_refuted = false
    FROM unnest($2::text[], $3::bigint[], $4::timestamptz[]) AS p(tenant, version, at)
    WHERE s.tenant = p.tenant AND s.bucket_id = $1
        AND (s.proven_at > p.at AND s.proven_at <= clock_timestamp()) IS NOT TRUE
        AND (s.drill_refuted AND s.drill_failed_at > p.at AND s.drill_failed_at <= clock_timestamp()) IS NOT TRUE";

/// A drill that could not be carried out takes nothing back, neither a proof nor that it was refuted. What a newer one said
/// stands, as in [`PROVE`].
const FAIL: &str = "UPDATE driftline.shadowing s SET drill_failed_at = f.at, drill_failure = f.reason,
    drill_refuted = f.refutes, proven_version = CASE WHEN f.refutes THEN NULL ELSE s.proven_version END,
    proven_at = CASE WHEN f.refutes THEN NULL ELSE s.proven_at END
    FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::boolean[]) AS f(tenant, at, reason, refutes)
    WHERE s.tenant = f.tenant AND s.bucket_id = $1 AND (f.refutes OR NOT s.drill_refuted)
        AND (s.proven_at > f.at AND s.proven_at <= clock_timestamp()) IS NOT TRUE
        AND (s.drill_refuted = f.refutes AND s.drill_failed_at > f.at AND s.drill_failed_at <= clock_timestamp())
            IS NOT TRUE";

/// Only where the caller knows to be.
const SETTLE: &str =
    "UPDATE driftline.database d SET id = coalesce($2::uuid, d.id), server_system = s.system,
    server_base = s.base, server_relation = s.relation, server_timeline = s.timeline
    FROM driftline.server() s WHERE driftline.server_name() = $1 AND d.id = $3::uuid";

#[async_trait]
impl RecoveryStore for PostgresDatabase {
    #[tracing::instrument(name = "db.database.identity", skip_all, err(level = "debug"))]
    async fn identity(&self) -> StoreResult<DatabaseIdentity> {
        let row = self
            .call(
                Action::new("read the database's identity"),
                Phase::Open,
                query(IDENTITY),
            )
            .await?;
        identity(&row)
    }

    #[tracing::instrument(name = "db.database.claim", skip_all, fields(%bucket, %generation), err(level = "debug"))]
    async fn claim(
        &self,
        seen: Option<&DatabaseIdentity>,
        bucket: BucketId,
        generation: Epoch,
    ) -> StoreResult<bool> {
        let action = Action::new("claim the database");
        let mut session = self.begin(action, Scope::All).await?;
        if !is_as(&mut session, action, seen).await? {
            return Ok(false);
        }
        take_bucket(&mut session, action, bucket, generation).await?;
        let claim = query("UPDATE driftline.database SET ownership = 'claimed'");
        session.execute(action, claim).await?;
        session.commit(action).await?;
        Ok(true)
    }

    #[tracing::instrument(name = "db.database.await_recovery", skip_all, err(level = "debug"))]
    async fn await_recovery(
        &self,
        seen: Option<&DatabaseIdentity>,
        tenant: Option<&TenantId>,
    ) -> StoreResult<bool> {
        let action = Action {
            verb: "await the recovery",
            tenant,
        };
        let mut session = self
            .begin(action, tenant.map_or(Scope::All, Scope::Tenant))
            .await?;
        if !is_as(&mut session, action, seen).await? {
            return Ok(false);
        }
        stop(&mut session, action, tenant).await?;
        session.commit(action).await?;
        Ok(true)
    }

    #[tracing::instrument(name = "db.database.settle", skip_all, err(level = "debug"))]
    async fn settle(&self, at: &DatabaseIdentity, id: Option<Uuid>) -> StoreResult<bool> {
        let action = Action::new("put on record where the database is");
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(SETTLE)
            .bind(server_name(at))
            .bind(id.map(PgUuid))
            .bind(PgUuid(at.id.id));
        let settled = session.execute(action, statement).await? == 1;
        session.commit(action).await?;
        Ok(settled)
    }

    #[tracing::instrument(name = "db.database.take_generation", skip_all, fields(%bucket, %generation), err(level = "debug"))]
    async fn take_generation(&self, bucket: BucketId, generation: Epoch) -> StoreResult<()> {
        let action = Action::new("take over the bucket");
        let mut session = self.begin(action, Scope::All).await?;
        take_bucket(&mut session, action, bucket, generation).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.tenant.prove", skip_all, fields(%bucket, tenants = proofs.len()), err(level = "debug"))]
    async fn record_proofs(
        &self,
        bucket: BucketId,
        proofs: &[(TenantId, RestoreProof)],
    ) -> StoreResult<()> {
        let action = Action::new("record what is restorable");
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(PROVE)
            .bind(PgUuid(bucket.0))
            .bind(
                proofs
                    .iter()
                    .map(|(tenant, _)| tenant.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(
                proofs
                    .iter()
                    .map(|(_, proof)| proof.version.to_i64())
                    .collect::<Vec<_>>(),
            )
            .bind(
                proofs
                    .iter()
                    .map(|(_, proof)| PgTime(proof.at))
                    .collect::<Vec<_>>(),
            );
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.tenant.refute", skip_all, fields(%bucket, tenants = failed.len()), err(level = "debug"))]
    async fn record_failed_drills(
        &self,
        bucket: BucketId,
        failed: &[(TenantId, FailedDrill)],
    ) -> StoreResult<()> {
        fn each<'a, T>(
            failed: &'a [(TenantId, FailedDrill)],
            get: impl Fn(&'a (TenantId, FailedDrill)) -> T,
        ) -> Vec<T> {
            failed.iter().map(get).collect()
        }
        let action = Action::new("record what a drill did not prove");
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(FAIL)
            .bind(PgUuid(bucket.0))
            .bind(each(failed, |(tenant, _)| tenant.as_str()))
            .bind(each(failed, |(_, failed)| PgTime(failed.at)))
            .bind(each(failed, |(_, failed)| failed.reason.as_str()))
            .bind(each(failed, |(_, failed)| failed.refutes));
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.tenant.restore", skip_all, fields(%tenant), err(level = "debug"))]
    async fn begin_restore(&self, tenant: &TenantId) -> StoreResult<Box<dyn Restore>> {
        Ok(Box::new(PostgresRestore::begin(self, tenant).await?))
    }
}

/// Whether the database is as it was `seen`, if that matters. Its row is then locked, so that it stays so until the end of the
/// transaction; a statement after that one sees what whoever held the lock before has committed.
async fn is_as(
    session: &mut Session,
    action: Action<'_>,
    seen: Option<&DatabaseIdentity>,
) -> StoreResult<bool> {
    let Some(seen) = seen else {
        return Ok(true);
    };
    let lock = query("SELECT d.id FROM driftline.database d FOR UPDATE");
    session.one(action, lock).await?;
    let now = identity(&session.one(action, query(IDENTITY)).await?)?;
    Ok(now == *seen)
}

/// Makes one tenant, or the database and all of them, await recovery.
async fn stop(
    session: &mut Session,
    action: Action<'_>,
    tenant: Option<&TenantId>,
) -> StoreResult<()> {
    match tenant {
        None => {
            // The database's row first: a tenant that is being created holds it, and is there to be marked afterwards.
            session
                .execute(
                    action,
                    query("UPDATE driftline.database SET ownership = 'awaiting_recovery'"),
                )
                .await?;
            let mark =
                "UPDATE driftline.tenant SET awaiting_recovery = true WHERE NOT awaiting_recovery";
            session.execute(action, query(mark)).await?;
        }
        Some(tenant) => {
            session
                .execute(action, query(AWAIT_ONE).bind(tenant.as_str()))
                .await?;
            let shadowing =
                "INSERT INTO driftline.shadowing (tenant) VALUES ($1) ON CONFLICT DO NOTHING";
            session
                .execute(action, query(shadowing).bind(tenant.as_str()))
                .await?;
        }
    }
    Ok(())
}

/// Makes `bucket` the database's, with at least this generation. Watermarks of other buckets end: were one to become the
/// database's again, they start at 0.
async fn take_bucket(
    session: &mut Session,
    action: Action<'_>,
    bucket: BucketId,
    generation: Epoch,
) -> StoreResult<()> {
    let before = session
        .one(
            action,
            query("SELECT d.bucket_id FROM driftline.database d FOR UPDATE"),
        )
        .await?;
    let before =
        Fields::of(&before, "database", &"the only row").get::<Option<PgUuid>>("bucket_id")?;
    let take =
        "UPDATE driftline.database SET bucket_id = $1, generation = greatest(generation, $2)";
    session
        .execute(
            action,
            query(take).bind(PgUuid(bucket.0)).bind(generation.to_i64()),
        )
        .await?;
    if before.is_none_or(|before| before.0 != bucket.0) {
        let reset = "UPDATE driftline.shadowing SET bucket_id = NULL, manifests_watermark = 0, applies_watermark = 0,
            decisions_watermark = 0, proven_version = NULL, proven_at = NULL, drill_failed_at = NULL, drill_failure = NULL,
            drill_refuted = false WHERE bucket_id <> $1";
        session
            .execute(action, query(reset).bind(PgUuid(bucket.0)))
            .await?;
    }
    Ok(())
}
