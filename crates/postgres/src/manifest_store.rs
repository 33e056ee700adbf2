//! Entries are appended and read.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresDatabase;
use super::error::{Action, Phase};
use super::rows::{Fields, meta_columns, server_name, state, state_columns};
use super::session::{Scope, query};
use super::types::{PgDigest, PgTime, PgUuid};
use driftline_model::{
    Entry, EntryMeta, Head, Seq, ShortText, Stream, TenantId, TenantState, Timestamp,
};
use driftline_ports::rules::append::applied_version;
use driftline_ports::{
    Appended, BackendInfo, DatabaseIdentity, Expectation, ManifestStore, NewEntry, Refusal,
    StoreResult, Stored,
};

/// Whether it may be written here is known before the function is called: its arguments come first.
const APPEND: &str = "SELECT * FROM driftline.append(driftline.here($1, $21), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
                      $17, $18, $19, $20)";

const READ: &str = "SELECT * FROM driftline.read($1, $2, $3)";

/// The search by time halves the numbers: times never fall, so that it needs no index and few rows.
const LATEST: &str = concat!(
    "WITH RECURSIVE search(low, high) AS (
        SELECT 0::bigint, CASE $2::smallint WHEN 0 THEN t.manifests_head WHEN 1 THEN t.applies_head ELSE t.decisions_head END
        FROM driftline.tenant t WHERE t.tenant = $1
        UNION ALL
        SELECT CASE WHEN m.fits THEN m.middle ELSE s.low END, CASE WHEN m.fits THEN s.high ELSE m.middle - 1 END
        FROM search s CROSS JOIN LATERAL (
            SELECT (s.low + s.high + 1) / 2 AS middle, $3::timestamptz IS NULL OR coalesce((
                SELECT e.committed_at FROM driftline.entry e
                WHERE e.tenant = $1 AND e.stream = $2 AND e.seq <= (s.low + s.high + 1) / 2
                ORDER BY e.seq DESC LIMIT 1
            ) <= $3, true) AS fits
        ) m
        WHERE s.low < s.high
    )
    SELECT ",
    meta_columns!(),
    ", e.content FROM driftline.entry e
    WHERE e.tenant = $1 AND e.stream = $2 AND e.seq <= (SELECT low FROM search WHERE low = high)
    ORDER BY e.seq DESC LIMIT 1"
);

const LATEST_APPLY_OF: &str = concat!(
    "SELECT ",
    meta_columns!(),
    ", e.content FROM driftline.entry e WHERE e.tenant = $1 AND e.stream = 1 AND e.manifest_version = $2
    ORDER BY e.seq DESC LIMIT 1"
);

const HISTORY: &str = concat!(
    "SELECT ",
    meta_columns!(),
    " FROM driftline.entry e WHERE e.tenant = $1 AND e.stream = $2 AND e.seq < $3 ORDER BY e.seq DESC LIMIT $4"
);

const TENANT: &str = concat!(
    "SELECT ",
    state_columns!(),
    " FROM driftline.tenant t WHERE t.tenant = $1"
);

const TENANTS: &str = concat!(
    "SELECT ",
    state_columns!(),
    " FROM driftline.tenant t WHERE $1::text IS NULL OR t.tenant > $1 ORDER BY t.tenant LIMIT $2"
);

#[async_trait]
impl ManifestStore for PostgresDatabase {
    async fn append(&self, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
        self.append_on(tenant, entry, None).await
    }

    async fn append_at(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: &DatabaseIdentity,
    ) -> StoreResult<Appended> {
        self.append_on(tenant, entry, Some(at)).await
    }

    #[tracing::instrument(name = "db.tenant.get", skip_all, fields(%tenant), err(level = "debug"))]
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantState>> {
        let action = Action::on("read the state", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let row = session
            .optional(action, query(TENANT).bind(tenant.as_str()))
            .await?;
        row.as_ref().map(state).transpose()
    }

    #[tracing::instrument(name = "db.tenant.list", skip_all, err(level = "debug"))]
    async fn tenants(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<TenantState>> {
        let action = Action::new("list the tenants");
        let mut session = self.begin(action, Scope::All).await?;
        let statement = query(TENANTS)
            .bind(after.map(TenantId::as_str))
            .bind(i64::from(limit));
        session
            .all(action, statement)
            .await?
            .iter()
            .map(state)
            .collect()
    }

    #[tracing::instrument(name = "db.entry.active", skip_all, fields(%tenant), err(level = "debug"))]
    async fn active_manifest(&self, tenant: &TenantId) -> StoreResult<Option<Stored>> {
        self.read(tenant, Stream::Manifests, None).await
    }

    #[tracing::instrument(name = "db.entry.get", skip_all, fields(%tenant, %stream, %seq), err(level = "debug"))]
    async fn entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Stored>> {
        self.read(tenant, stream, Some(seq)).await
    }

    #[tracing::instrument(name = "db.entry.latest", skip_all, fields(%tenant, %stream), err(level = "debug"))]
    async fn latest(
        &self,
        tenant: &TenantId,
        stream: Stream,
        until: Option<Timestamp>,
    ) -> StoreResult<Option<Entry>> {
        let action = Action::on("read the newest entry", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let statement = query(LATEST)
            .bind(tenant.as_str())
            .bind(stream.code())
            .bind(until.map(PgTime));
        let row = session.optional(action, statement).await?;
        row.map(|row| Fields::of(&row, "entry", &Key(tenant, stream)).entry(tenant, stream))
            .transpose()
    }

    #[tracing::instrument(name = "db.entry.latest_apply", skip_all, fields(%tenant, %version), err(level = "debug"))]
    async fn latest_apply_of(&self, tenant: &TenantId, version: Seq) -> StoreResult<Option<Entry>> {
        let action = Action::on("read the newest apply", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let statement = query(LATEST_APPLY_OF)
            .bind(tenant.as_str())
            .bind(version.to_i64());
        let row = session.optional(action, statement).await?;
        let key = Key(tenant, Stream::Applies);
        row.map(|row| Fields::of(&row, "entry", &key).entry(tenant, Stream::Applies))
            .transpose()
    }

    #[tracing::instrument(name = "db.entry.history", skip_all, fields(%tenant, %stream), err(level = "debug"))]
    async fn history(
        &self,
        tenant: &TenantId,
        stream: Stream,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<EntryMeta>> {
        let action = Action::on("read the history", tenant);
        let mut session = self.begin(action, Scope::Tenant(tenant)).await?;
        let statement = query(HISTORY)
            .bind(tenant.as_str())
            .bind(stream.code())
            .bind(before.map_or(i64::MAX, Seq::to_i64))
            .bind(i64::from(limit));
        let rows = session.all(action, statement).await?;
        rows.iter()
            .map(|row| Fields::of(row, "entry", &Key(tenant, stream)).meta(tenant, stream))
            .collect()
    }

    #[tracing::instrument(name = "db.server.ping", skip_all, err(level = "debug"))]
    async fn ping(&self) -> StoreResult<BackendInfo> {
        let statement =
            query("SELECT current_setting('server_version') AS version, clock_timestamp() AS now");
        let row = self
            .call(Action::new("reach the server"), Phase::Open, statement)
            .await?;
        let fields = Fields::of(&row, "server", &"the server");
        let version = format!("PostgreSQL {}", fields.get::<&str>("version")?);
        Ok(BackendInfo {
            version,
            now: Some(fields.time("now")?),
        })
    }

    #[tracing::instrument(name = "db.database.try", skip_all, err(level = "debug"))]
    async fn can_write(&self) -> StoreResult<()> {
        let action = Action::new("try a write");
        let mut session = self.begin(action, Scope::All).await?;
        // Dropping the session undoes it.
        let touch = query("UPDATE driftline.database SET ownership = ownership");
        session.execute(action, touch).await.map(drop)
    }

    #[tracing::instrument(name = "db.schema.migrate", skip_all, err(level = "debug"))]
    async fn migrate(&self) -> StoreResult<()> {
        self.run_migrations().await
    }
}

impl PostgresDatabase {
    #[tracing::instrument(name = "db.entry.append", skip_all, fields(%tenant, stream = %entry.stream), err(level = "debug"))]
    async fn append_on(
        &self,
        tenant: &TenantId,
        entry: &NewEntry,
        at: Option<&DatabaseIdentity>,
    ) -> StoreResult<Appended> {
        let expected = Expected::of(entry.expect);
        let named = applied_version(entry.stream, &entry.content).map(Seq::to_i64);
        let statement = query(APPEND)
            .bind(tenant.as_str())
            .bind(entry.stream.code())
            .bind(PgUuid(entry.id.0))
            .bind(entry.content.as_bytes())
            .bind(PgDigest(entry.content.checksum()))
            .bind(PgDigest(entry.identity()))
            .bind(PgTime(entry.created_at))
            .bind(entry.created_by.as_ref().map(ShortText::as_str))
            .bind(entry.message.as_ref().map(ShortText::as_str))
            .bind(named)
            .bind(expected.version)
            .bind(expected.checksum)
            .bind(expected.chain)
            .bind(entry.idempotency_key.as_ref().map(ShortText::as_str))
            .bind(entry.skip_unchanged)
            .bind(entry.refers_to.map(|to| to.version.to_i64()))
            .bind(entry.refers_to.map(|to| PgDigest(to.chain)))
            .bind(
                entry
                    .activation
                    .map(|activation| activation.target.version.to_i64()),
            )
            .bind(
                entry
                    .activation
                    .map(|activation| PgDigest(activation.target.chain)),
            )
            .bind(
                entry
                    .activation
                    .map(|activation| PgDigest(activation.head_chain)),
            )
            .bind(at.map(server_name));
        let row = self
            .call(
                Action::on("append to the stream", tenant),
                Phase::Sent,
                statement,
            )
            .await?;
        appended(&row, tenant, entry)
    }

    async fn read(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Option<Seq>,
    ) -> StoreResult<Option<Stored>> {
        let statement = query(READ)
            .bind(tenant.as_str())
            .bind(stream.code())
            .bind(seq.map(Seq::to_i64));
        let row = self
            .ask(Action::on("read an entry", tenant), Phase::Open, statement)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let key = Key(tenant, stream);
        let fields = Fields::of(&row, "entry", &key);
        let entry = fields.entry(tenant, stream)?;
        Ok(Some(Stored {
            entry,
            active: fields.number("active")?,
            watermark: fields.number("watermark")?,
            retired: fields.get("retired")?,
        }))
    }
}

/// What an entry is called in an error, when its number is not known.
struct Key<'a>(&'a TenantId, Stream);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

#[derive(Default)]
struct Expected {
    version: Option<i64>,
    checksum: Option<PgDigest>,
    chain: Option<PgDigest>,
}

impl Expected {
    fn of(expectation: Option<Expectation>) -> Self {
        match expectation {
            None => Self::default(),
            Some(Expectation::Version(version)) => Self {
                version: Some(version.to_i64()),
                ..Self::default()
            },
            Some(Expectation::Checksum(checksum)) => Self {
                checksum: Some(PgDigest(checksum)),
                ..Self::default()
            },
            Some(Expectation::Chain(chain)) => Self {
                chain: Some(PgDigest(chain)),
                ..Self::default()
            },
        }
    }
}

/// The answer of `driftline.append`.
fn appended(row: &PgRow, tenant: &TenantId, entry: &NewEntry) -> StoreResult<Appended> {
    let key = Key(tenant, entry.stream);
    let fields = Fields::of(row, "entry", &key);
    Ok(match fields.get::<&str>("outcome")? {
        "committed" => Appended::Committed {
            meta: EntryMeta {
                tenant: tenant.clone(),
                stream: entry.stream,
                seq: fields.number("seq")?,
                id: entry.id,
                epoch: fields.number("epoch")?,
                checksum: entry.content.checksum(),
                chain: fields.digest("chain")?,
                created_at: entry.created_at,
                committed_at: fields.time("committed_at")?,
                created_by: entry.created_by.clone(),
                message: entry.message.clone(),
                content_bytes: entry.content.len() as u64,
            },
            active: fields.number("active")?,
        },
        "replayed" => Appended::Replayed {
            meta: fields.meta(tenant, entry.stream)?,
            active: fields.number("active")?,
        },
        "unchanged" => Appended::Unchanged {
            meta: fields.meta(tenant, entry.stream)?,
        },
        "conflict" => Appended::Conflict {
            head: Head {
                seq: fields.number("seq")?,
                chain: fields.digest("chain")?,
            },
            checksum: fields.optional_digest("checksum")?,
        },
        "key_reused" => Appended::KeyReused {
            seq: fields.number("seq")?,
        },
        "no_such_version" => Appended::NoSuchVersion,
        "unclaimed" => Appended::Refused(Refusal::Unclaimed),
        "awaiting_recovery" => Appended::Refused(Refusal::AwaitingRecovery),
        "retired" => Appended::Refused(Refusal::Retired),
        _ => return Err(fields.corrupt("outcome")),
    })
}
