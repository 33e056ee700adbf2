//! What is shadowed, what is pending, who works on it.

mod rows;

use std::time::Duration;

use async_trait::async_trait;

use self::rows::{leased, status};
use super::PostgresDatabase;
use super::error::{Action, Phase};
use super::recovery_store::IDENTITY;
use super::rows::{
    Fields, identity, identity_columns, state_columns, watermark_columns, watermarks,
};
use super::session::{Scope, query};
use super::types::{PgDigest, PgUuid, micros};
use driftline_model::{BucketId, Entry, Halt, PerStream, Seq, Stream, TenantId, genesis};
use driftline_ports::rules::fault as stored_fault;
use driftline_ports::{
    Backlog, HaltGuard, LONGEST_HOLD, Lease, LeaseRequest, Mark, ShadowFailure, ShadowLedger,
    StoreResult, TenantStatus, WorkerId,
};

/// Something is pending: from `t` (tenant) and `s` (shadowing).
macro_rules! pending {
    () => {
        "(t.manifests_head > s.manifests_watermark
        OR t.applies_head > s.applies_watermark
        OR t.decisions_head > s.decisions_watermark)"
    };
}

/// A time on record is still to come. One that no hold reaches is of a clock that was set back since.
macro_rules! ahead {
    ($at:literal, $longest:literal) => {
        concat!(
            "coalesce(",
            $at,
            " > clock_timestamp() AND ",
            $at,
            " <= clock_timestamp() + ",
            $longest,
            " * interval '1 microsecond', false)"
        )
    };
}

/// Whoever was served longest ago waits longest: nobody starves, whatever the others write. Who was served at a time that is
/// still to come was served before the clock was set back.
const LEASE: &str = concat!(
    "WITH taken AS (
        SELECT s.tenant,
            CASE WHEN s.served_at > clock_timestamp() THEN '-infinity' ELSE s.served_at END AS waits_since
        FROM driftline.shadowing s JOIN driftline.tenant t ON t.tenant = s.tenant
        WHERE s.halted IS NULL AND NOT t.awaiting_recovery
            AND (s.lease_owner = $1 OR NOT ",
    ahead!("s.lease_until", "$5"),
    ")
            AND NOT ",
    ahead!("s.retry_at", "$5"),
    "
            AND s.tenant <> ALL ($4)
            AND ",
    pending!(),
    "
        ORDER BY waits_since, s.tenant
        LIMIT $2
        FOR UPDATE OF s SKIP LOCKED
    ), leased AS (
        UPDATE driftline.shadowing s
        SET lease_owner = $1, lease_until = clock_timestamp() + $3 * interval '1 microsecond', served_at = clock_timestamp()
        FROM taken WHERE s.tenant = taken.tenant
        RETURNING s.tenant, s.bucket_id, s.manifests_watermark, s.applies_watermark, s.decisions_watermark, s.attempts,
            taken.waits_since
    )
    SELECT ",
    identity_columns!(),
    ", ",
    state_columns!(),
    ", ",
    watermark_columns!(),
    ", s.attempts
    FROM driftline.database d
    LEFT JOIN (leased s JOIN driftline.tenant t ON t.tenant = s.tenant) ON true
    ORDER BY s.waits_since, s.tenant"
);

const RELEASE: &str = "UPDATE driftline.shadowing SET lease_owner = NULL, lease_until = NULL,
    attempts = CASE WHEN $3::text IS NULL THEN 0 ELSE attempts + 1 END,
    last_error = $3, fault = $5, failed_at = CASE WHEN $3 IS NULL THEN NULL ELSE clock_timestamp() END,
    retry_at = CASE WHEN $3 IS NULL THEN NULL ELSE clock_timestamp() + $4 * interval '1 microsecond' END
    WHERE tenant = $1 AND lease_owner = $2";

const HAND_BACK: &str = "UPDATE driftline.shadowing SET lease_owner = NULL, lease_until = NULL
    WHERE tenant = $1 AND lease_owner = $2";

const RENEW: &str =
    "UPDATE driftline.shadowing SET lease_until = clock_timestamp() + $3 * interval '1 microsecond'
    WHERE tenant = $1 AND lease_owner = $2";

/// The run of rows without a gap, up to the one that goes beyond the limit of bytes.
const PENDING: &str = "SELECT * FROM (
        SELECT e.*, row_number() OVER run AS nth,
            coalesce(sum(octet_length(e.content)) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes
        FROM (
            SELECT * FROM driftline.entry WHERE tenant = $1 AND stream = $2 AND seq > $3 ORDER BY seq LIMIT $4
        ) e
        WINDOW run AS (ORDER BY e.seq)
    ) e
    WHERE e.seq = $3 + e.nth AND e.bytes <= $5
    ORDER BY e.seq";

/// Under the row's lock: the bucket is still this one, and the row at that number has that chain.
const ADVANCE: &str = "UPDATE driftline.shadowing s SET
    manifests_watermark = greatest(s.manifests_watermark, CASE WHEN $3 = 0 THEN $4 ELSE 0 END),
    applies_watermark = greatest(s.applies_watermark, CASE WHEN $3 = 1 THEN $4 ELSE 0 END),
    decisions_watermark = greatest(s.decisions_watermark, CASE WHEN $3 = 2 THEN $4 ELSE 0 END)
    WHERE s.tenant = driftline.here($1, NULL) AND s.bucket_id = $2
        AND ($6 OR EXISTS (SELECT FROM driftline.entry e
            WHERE e.tenant = $1 AND e.stream = $3::smallint AND e.seq = $4::bigint AND e.chain = $5))";

/// A row that belongs to no bucket yet is given the database's, if that is this one. The lock keeps it so until the commit.
const ADOPT: &str = "WITH current AS MATERIALIZED (SELECT FROM driftline.database d WHERE d.bucket_id = $2 FOR SHARE)
    UPDATE driftline.shadowing s SET bucket_id = $2
    WHERE s.tenant = $1 AND s.bucket_id IS NULL AND EXISTS (SELECT FROM current)";

const LOWER: &str = "UPDATE driftline.shadowing SET
    manifests_watermark = CASE WHEN $3 = 0 THEN least(manifests_watermark, $4) ELSE manifests_watermark END,
    applies_watermark = CASE WHEN $3 = 1 THEN least(applies_watermark, $4) ELSE applies_watermark END,
    decisions_watermark = CASE WHEN $3::smallint = 2 THEN least(decisions_watermark, $4::bigint) ELSE decisions_watermark END
    WHERE tenant = $1 AND bucket_id = $2";

const LOCK: &str = "SELECT t.epoch FROM driftline.tenant t WHERE t.tenant = driftline.here($1, NULL) FOR NO KEY UPDATE";

pub(super) const WATERMARKS: &str = concat!(
    "SELECT ",
    watermark_columns!(),
    " FROM driftline.shadowing s WHERE s.tenant = $1"
);

/// Rows that are not what they were when they were compared.
const MOVED: &str = "SELECT count(*) AS moved
    FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) AS c(stream, seq, chain)
    LEFT JOIN driftline.entry e ON e.tenant = $1 AND e.stream = c.stream AND e.seq = c.seq
    WHERE e.chain IS DISTINCT FROM c.chain";

const STATUS: &str = concat!(
    "SELECT ",
    state_columns!(),
    ", w.*, s.halted, s.last_error, s.fault, s.failed_at,
        CASE WHEN s.retry_at <= clock_timestamp() + $4 * interval '1 microsecond' THEN s.retry_at END AS retry_at,
        s.proven_version, s.proven_at,
        s.drill_failed_at, s.drill_failure, s.drill_refuted,
        greatest(t.manifests_head - w.manifests_watermark, 0) + greatest(t.applies_head - w.applies_watermark, 0)
            + greatest(t.decisions_head - w.decisions_watermark, 0) AS entries,
        coalesce(r.bytes, 0) AS bytes, r.oldest_at
    FROM driftline.tenant t
    LEFT JOIN driftline.shadowing s ON s.tenant = t.tenant
    CROSS JOIN LATERAL (SELECT ",
    watermark_columns!(),
    ") w
    CROSS JOIN LATERAL (
        SELECT sum(octet_length(e.content))::bigint AS bytes, min(e.committed_at) AS oldest_at
        FROM (VALUES (0::smallint, w.manifests_watermark), (1::smallint, w.applies_watermark),
            (2::smallint, w.decisions_watermark)) AS m(stream, seq)
        JOIN driftline.entry e ON e.tenant = t.tenant AND e.stream = m.stream AND e.seq > m.seq
    ) r
    WHERE ($1::text IS NULL OR t.tenant = $1) AND ($2::text IS NULL OR t.tenant > $2)
    ORDER BY t.tenant LIMIT $3"
);

const BACKLOG: &str = concat!(
    "SELECT
        count(*) FILTER (WHERE p.stopped) AS stopped,
        count(*) FILTER (WHERE NOT p.stopped AND p.leased) AS leased,
        count(*) FILTER (WHERE NOT p.stopped AND NOT p.leased AND p.backing_off) AS backing_off,
        count(*) FILTER (WHERE NOT p.stopped AND NOT p.leased AND NOT p.backing_off) AS ready
    FROM (
        SELECT s.halted IS NOT NULL OR t.awaiting_recovery AS stopped,
            ",
    ahead!("s.lease_until", "$1"),
    " AS leased,
            ",
    ahead!("s.retry_at", "$1"),
    " AS backing_off
        FROM driftline.shadowing s JOIN driftline.tenant t ON t.tenant = s.tenant
        WHERE ",
    pending!(),
    ") p"
);

#[async_trait]
impl ShadowLedger for PostgresDatabase {
    #[tracing::instrument(name = "db.shadowing.lease", skip_all, err(level = "debug"))]
    async fn lease(&self, request: &LeaseRequest) -> StoreResult<Lease> {
        let action = Action::new("lease tenants");
        let except: Vec<&str> = request.except.iter().map(TenantId::as_str).collect();
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(LEASE)
            .bind(PgUuid(request.worker.0))
            .bind(i64::from(request.limit))
            .bind(hold(request.duration))
            .bind(except)
            .bind(hold(LONGEST_HOLD));
        let rows = session.all(action, statement).await?;
        session.commit(action).await?;
        let Some(first) = rows.first() else {
            return Err(super::error::corrupt("database", "id", &"the only row"));
        };
        let identity = identity(first)?;
        let mut work = Vec::with_capacity(rows.len());
        for row in &rows {
            if Fields::of(row, "tenant", &"a row")
                .get::<Option<&str>>("tenant")?
                .is_some()
            {
                work.push(leased(row)?);
            }
        }
        Ok(Lease { identity, work })
    }

    #[tracing::instrument(name = "db.shadowing.release", skip_all, fields(%tenant), err(level = "debug"))]
    async fn release(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        failure: Option<&ShadowFailure>,
    ) -> StoreResult<()> {
        let action = Action::on("release the lease", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        // A NUL, which no text of Postgres can hold, must not keep the failure from being stored.
        let message = failure.map(|failure| failure.message.replace('\0', "\u{fffd}"));
        let fault = failure.zip(message.as_deref());
        let fault = fault.map(|(failure, message)| stored_fault::to_text(message, &failure.fault));
        let statement = query(RELEASE)
            .bind(tenant.as_str())
            .bind(PgUuid(worker.0))
            .bind(message)
            .bind(failure.map_or(0, |failure| hold(failure.retry_after)))
            .bind(fault);
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.shadowing.hand_back", skip_all, fields(%tenant), err(level = "debug"))]
    async fn hand_back(&self, tenant: &TenantId, worker: WorkerId) -> StoreResult<()> {
        let action = Action::on("hand the lease back", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let statement = query(HAND_BACK)
            .bind(tenant.as_str())
            .bind(PgUuid(worker.0));
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.shadowing.renew", skip_all, fields(%tenant), err(level = "debug"))]
    async fn renew(
        &self,
        tenant: &TenantId,
        worker: WorkerId,
        duration: Duration,
    ) -> StoreResult<bool> {
        let action = Action::on("renew the lease", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let statement = query(RENEW)
            .bind(tenant.as_str())
            .bind(PgUuid(worker.0))
            .bind(hold(duration));
        let renewed = session.execute(action, statement).await?;
        session.commit(action).await?;
        Ok(renewed > 0)
    }

    #[tracing::instrument(name = "db.entry.pending", skip_all, fields(%tenant, %stream, %after), err(level = "debug"))]
    async fn pending(
        &self,
        tenant: &TenantId,
        stream: Stream,
        after: Seq,
        limit: u32,
        max_bytes: u64,
    ) -> StoreResult<Vec<Entry>> {
        let action = Action::on("read pending entries", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let statement = query(PENDING)
            .bind(tenant.as_str())
            .bind(stream.code())
            .bind(after.to_i64())
            .bind(i64::from(limit))
            .bind(i64::try_from(max_bytes).unwrap_or(i64::MAX));
        let rows = session.all(action, statement).await?;
        rows.iter()
            .map(|row| {
                Fields::of(row, "entry", &format_args!("{tenant}/{stream}")).entry(tenant, stream)
            })
            .collect()
    }

    #[tracing::instrument(name = "db.shadowing.advance", skip_all, fields(%tenant, stream = %mark.stream, seq = %mark.seq), err(level = "debug"))]
    async fn advance_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        mark: &Mark,
    ) -> StoreResult<bool> {
        let action = Action::on("advance the watermark", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let advance = || {
            query(ADVANCE)
                .bind(tenant.as_str())
                .bind(PgUuid(bucket.0))
                .bind(mark.stream.code())
                .bind(mark.seq.to_i64())
                .bind(PgDigest(mark.chain))
                .bind(mark.seq == Seq::default() && mark.chain == genesis(tenant, mark.stream))
        };
        let mut moved = session.execute(action, advance()).await? == 1;
        if !moved {
            let adopt = query(ADOPT).bind(tenant.as_str()).bind(PgUuid(bucket.0));
            moved = session.execute(action, adopt).await? == 1
                && session.execute(action, advance()).await? == 1;
        }
        session.commit(action).await?;
        Ok(moved)
    }

    #[tracing::instrument(name = "db.shadowing.lower", skip_all, fields(%tenant, %stream, %to), err(level = "debug"))]
    async fn lower_watermark(
        &self,
        tenant: &TenantId,
        bucket: BucketId,
        stream: Stream,
        to: Seq,
    ) -> StoreResult<()> {
        let action = Action::on("lower the watermark", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        session
            .optional(action, query(LOCK).bind(tenant.as_str()))
            .await?;
        let statement = query(LOWER)
            .bind(tenant.as_str())
            .bind(PgUuid(bucket.0))
            .bind(stream.code())
            .bind(to.to_i64());
        session.execute(action, statement).await?;
        session.commit(action).await
    }

    #[tracing::instrument(name = "db.shadowing.watermarks", skip_all, fields(%tenant), err(level = "debug"))]
    async fn watermarks(&self, tenant: &TenantId) -> StoreResult<PerStream<Seq>> {
        let action = Action::on("read the watermarks", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let row = session
            .optional(action, query(WATERMARKS).bind(tenant.as_str()))
            .await?;
        row.map_or_else(|| Ok(PerStream::default()), |row| watermarks(&row, tenant))
    }

    #[tracing::instrument(name = "db.shadowing.halt", skip_all, fields(%tenant), err(level = "debug"))]
    async fn halt(&self, tenant: &TenantId, halt: &Halt, guard: &HaltGuard) -> StoreResult<bool> {
        let action = Action::on("halt the shadowing", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let Some(locked) = session
            .optional(action, query(LOCK).bind(tenant.as_str()))
            .await?
        else {
            return Ok(false);
        };
        if Fields::of(&locked, "tenant", tenant).get::<i64>("epoch")? != guard.epoch.to_i64() {
            return Ok(false);
        }
        if identity(&session.one(action, query(IDENTITY)).await?)?.id != guard.database {
            return Ok(false);
        }
        let compared = &guard.compared;
        let statement = query(MOVED)
            .bind(tenant.as_str())
            .bind(
                compared
                    .iter()
                    .map(|(stream, _, _)| stream.code())
                    .collect::<Vec<_>>(),
            )
            .bind(
                compared
                    .iter()
                    .map(|(_, seq, _)| seq.to_i64())
                    .collect::<Vec<_>>(),
            )
            .bind(
                compared
                    .iter()
                    .map(|(_, _, chain)| chain.map(PgDigest))
                    .collect::<Vec<_>>(),
            );
        let moved = session.one(action, statement).await?;
        if Fields::of(&moved, "entry", tenant).get::<i64>("moved")? != 0 {
            return Ok(false);
        }
        let now = session
            .one(action, query("SELECT clock_timestamp() AS now"))
            .await?;
        let halt = Halt {
            at: Fields::of(&now, "shadowing", tenant).time("now")?,
            ..halt.clone()
        };
        let text = serde_json::to_string(&halt)
            .map_err(|error| super::error::corrupt("shadowing", "halted", tenant).because(error))?;
        let statement = query("UPDATE driftline.shadowing SET halted = $2 WHERE tenant = $1");
        let stored = session
            .execute(action, statement.bind(tenant.as_str()).bind(text))
            .await?
            == 1;
        session.commit(action).await?;
        Ok(stored)
    }

    #[tracing::instrument(name = "db.shadowing.status", skip_all, err(level = "debug"))]
    async fn status(
        &self,
        tenant: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantStatus>> {
        let action = Action {
            verb: "read the status",
            tenant,
        };
        let mut session = self
            .begin(action, tenant.map_or(Scope::All, Scope::Tenant))
            .await?;
        let statement = query(STATUS)
            .bind(tenant.map(TenantId::as_str))
            .bind(after.map(TenantId::as_str))
            .bind(i64::from(limit))
            .bind(hold(LONGEST_HOLD));
        session
            .all(action, statement)
            .await?
            .iter()
            .map(status)
            .collect()
    }

    #[tracing::instrument(name = "db.shadowing.backlog", skip_all, err(level = "debug"))]
    async fn backlog(&self) -> StoreResult<Backlog> {
        let action = Action::new("count what is pending");
        let mut session = self.begin(action, Scope::All).await?;
        let row = session
            .one(action, query(BACKLOG).bind(hold(LONGEST_HOLD)))
            .await?;
        let fields = Fields::of(&row, "shadowing", &"all tenants");
        Ok(Backlog {
            ready: fields.number("ready")?,
            leased: fields.number("leased")?,
            backing_off: fields.number("backing_off")?,
            stopped: fields.number("stopped")?,
        })
    }

    #[tracing::instrument(name = "db.probe.get", skip_all, fields(%bucket), err(level = "debug"))]
    async fn probe_passed(&self, bucket: BucketId) -> StoreResult<bool> {
        let statement =
            query("SELECT EXISTS (SELECT FROM driftline.probe p WHERE p.bucket_id = $1) AS passed");
        let action = Action::new("read whether the bucket was probed");
        let row = self
            .call(action, Phase::Open, statement.bind(PgUuid(bucket.0)))
            .await?;
        Fields::of(&row, "probe", &bucket).get("passed")
    }

    #[tracing::instrument(name = "db.probe.record", skip_all, fields(%bucket), err(level = "debug"))]
    async fn record_probe(&self, bucket: BucketId) -> StoreResult<()> {
        let statement = "INSERT INTO driftline.probe AS p (bucket_id) VALUES ($1)
            ON CONFLICT (bucket_id) DO UPDATE SET passed_at = excluded.passed_at RETURNING p.passed_at";
        let action = Action::new("record that the bucket was probed");
        self.call(action, Phase::Sent, query(statement).bind(PgUuid(bucket.0)))
            .await?;
        Ok(())
    }
}

/// No longer than anybody believes, in microseconds.
fn hold(duration: Duration) -> i64 {
    micros(duration.min(LONGEST_HOLD))
}
