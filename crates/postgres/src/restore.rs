//! A tenant's restore: one open transaction that holds the tenant's lock row.

use std::collections::BTreeMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::PostgresDatabase;
use super::error::Action;
use super::rows::{Fields, state, state_columns, watermarks};
use super::session::{Scope, Session, query};
use super::shadow_ledger::WATERMARKS;
use super::types::{PgDigest, PgTime, PgUuid};
use driftline_model::{
    BucketId, Entry, EntryMeta, PerStream, Seq, ShortText, Stream, TenantId, TenantState,
    Timestamp, genesis,
};
use driftline_ports::rules::append::applied_version;
use driftline_ports::{Fault, Restore, Side, StoreError, StoreResult};

/// At most so much content, and so many entries, go into one statement.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
const CHUNK_ENTRIES: usize = 1000;

const LOCK: &str = concat!(
    "SELECT ",
    state_columns!(),
    " FROM driftline.tenant t WHERE t.tenant = driftline.here($1, NULL) FOR NO KEY UPDATE"
);

/// An unknown tenant's row, which nobody sees before the commit: it keeps a first writer waiting.
const CREATE: &str = "INSERT INTO driftline.tenant (tenant, epoch, awaiting_recovery, manifests_chain, applies_chain,
    decisions_chain) VALUES ($1, 1, true, $2, $3, $4) ON CONFLICT DO NOTHING";

const INSERT: &str = "INSERT INTO driftline.entry (tenant, stream, seq, id, epoch, checksum, chain, created_at, committed_at,
    created_by, message, manifest_version, content)
    SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::bytea[], $7::bytea[],
        $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::bigint[], $13::bytea[])";

const FINISH: &str = "UPDATE driftline.tenant SET epoch = $2, awaiting_recovery = $3, last_committed_at = $4,
    manifests_head = $5, manifests_chain = $6, applies_head = $7, applies_chain = $8, decisions_head = $9,
    decisions_chain = $10, activation_decision = $11, activation_version = $12, activation_chain = $13,
    activation_head_chain = $14, retired = $15 WHERE tenant = $1";

const SHADOWED: &str = "INSERT INTO driftline.shadowing AS s (tenant, bucket_id, manifests_watermark, applies_watermark,
    decisions_watermark) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant) DO UPDATE SET bucket_id = $2, manifests_watermark = $3, applies_watermark = $4,
    decisions_watermark = $5, attempts = 0, retry_at = NULL, last_error = NULL, fault = NULL, failed_at = NULL,
    halted = NULL";

/// The keys of entries, with the entries' identifiers.
const KEYS: &str = "SELECT i.key, i.checksum, i.at, e.id
    FROM driftline.idempotency i JOIN driftline.entry e USING (tenant, stream, seq)
    WHERE i.tenant = $1 AND i.stream = $2 AND i.seq = ANY($3) AND i.at > clock_timestamp() - interval '24 hours'";

const BRING: &str = "INSERT INTO driftline.idempotency (tenant, key, stream, seq, checksum, at)
    SELECT $1, * FROM unnest($2::text[], $3::smallint[], $4::bigint[], $5::bytea[], $6::timestamptz[])";

pub(super) struct PostgresRestore {
    session: Session,
    tenant: TenantId,
    state: Option<TenantState>,
    watermarks: PerStream<Seq>,
    /// Idempotency keys of entries that were taken out: per stream and identifier.
    keys: BTreeMap<(Stream, Uuid), Vec<Key>>,
}

struct Key {
    text: String,
    checksum: Vec<u8>,
    at: Timestamp,
}

impl PostgresRestore {
    pub(super) async fn begin(database: &PostgresDatabase, tenant: &TenantId) -> StoreResult<Self> {
        let action = Action::on("begin the restore", tenant);
        let mut session = database.begin_long(action, Scope::Tenant(tenant)).await?;
        let state = loop {
            let row = session
                .optional(action, query(LOCK).bind(tenant.as_str()))
                .await?;
            if let Some(row) = row {
                break Some(state(&row)?);
            }
            let create = query(CREATE)
                .bind(tenant.as_str())
                .bind(PgDigest(genesis(tenant, Stream::Manifests)))
                .bind(PgDigest(genesis(tenant, Stream::Applies)))
                .bind(PgDigest(genesis(tenant, Stream::Decisions)));
            // Nothing inserted: somebody else created the tenant meanwhile, and it can be locked.
            if session.execute(action, create).await? == 1 {
                break None;
            }
        };
        let row = session
            .optional(action, query(WATERMARKS).bind(tenant.as_str()))
            .await?;
        let watermarks = match row {
            Some(row) => watermarks(&row, tenant)?,
            None => PerStream::default(),
        };
        Ok(Self {
            session,
            tenant: tenant.clone(),
            state,
            watermarks,
            keys: BTreeMap::new(),
        })
    }

    async fn insert_chunk(&mut self, entries: &[Entry]) -> StoreResult<()> {
        fn each<'a, T>(entries: &'a [Entry], get: impl Fn(&'a Entry) -> T) -> Vec<T> {
            entries.iter().map(get).collect()
        }
        let statement = query(INSERT)
            .bind(self.tenant.as_str())
            .bind(each(entries, |entry| entry.meta.stream.code()))
            .bind(each(entries, |entry| entry.meta.seq.to_i64()))
            .bind(each(entries, |entry| PgUuid(entry.meta.id.0)))
            .bind(each(entries, |entry| entry.meta.epoch.to_i64()))
            .bind(each(entries, |entry| PgDigest(entry.meta.checksum)))
            .bind(each(entries, |entry| PgDigest(entry.meta.chain)))
            .bind(each(entries, |entry| PgTime(entry.meta.created_at)))
            .bind(each(entries, |entry| PgTime(entry.meta.committed_at)))
            .bind(each(entries, |entry| {
                entry.meta.created_by.as_ref().map(ShortText::as_str)
            }))
            .bind(each(entries, |entry| {
                entry.meta.message.as_ref().map(ShortText::as_str)
            }))
            .bind(each(entries, manifest_version))
            .bind(each(entries, |entry| entry.content.as_bytes()));
        self.session
            .execute(Action::on("restore entries", &self.tenant), statement)
            .await?;
        self.bring_keys(entries).await
    }

    /// Keeps the keys of entries that are to be taken out. Those that have expired are passed over.
    async fn keep_keys(&mut self, stream: Stream, seqs: &[i64]) -> StoreResult<()> {
        let action = Action::on("read idempotency keys", &self.tenant);
        let statement = query(KEYS)
            .bind(self.tenant.as_str())
            .bind(stream.code())
            .bind(seqs.to_vec());
        for row in self.session.all(action, statement).await? {
            let fields = Fields::of(&row, "idempotency", &self.tenant);
            let key = Key {
                text: fields.get::<String>("key")?,
                checksum: fields.get("checksum")?,
                at: fields.time("at")?,
            };
            let id = (stream, fields.get::<PgUuid>("id")?.0);
            self.keys.entry(id).or_default().push(key);
        }
        Ok(())
    }

    /// Keys go where their entries come back.
    async fn bring_keys(&mut self, entries: &[Entry]) -> StoreResult<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let (mut keys, mut streams, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
        for EntryMeta {
            id, stream, seq, ..
        } in entries.iter().map(|entry| &entry.meta)
        {
            for key in self.keys.remove(&(*stream, id.0)).unwrap_or_default() {
                keys.push(key);
                streams.push(stream.code());
                seqs.push(seq.to_i64());
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let texts: Vec<_> = keys.iter().map(|key| key.text.as_str()).collect();
        let checksums: Vec<_> = keys.iter().map(|key| key.checksum.as_slice()).collect();
        let times: Vec<_> = keys.iter().map(|key| PgTime(key.at)).collect();
        let statement = query(BRING)
            .bind(self.tenant.as_str())
            .bind(texts)
            .bind(streams)
            .bind(seqs)
            .bind(checksums)
            .bind(times);
        let action = Action::on("keep idempotency keys", &self.tenant);
        self.session.execute(action, statement).await?;
        Ok(())
    }
}

#[async_trait]
impl Restore for PostgresRestore {
    fn state(&self) -> Option<&TenantState> {
        self.state.as_ref()
    }

    fn watermarks(&self) -> PerStream<Seq> {
        self.watermarks
    }

    #[tracing::instrument(name = "db.entry.restore", skip_all, fields(tenant = %self.tenant, entries = entries.len()), err(level = "debug"))]
    async fn insert(&mut self, entries: &[Entry]) -> StoreResult<()> {
        let mut rest = entries;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(CHUNK_ENTRIES).take_while(|entry| {
                bytes += entry.content.len();
                bytes <= CHUNK_BYTES
            });
            let (chunk, remaining) = rest.split_at(fits.count().max(1));
            self.insert_chunk(chunk).await?;
            rest = remaining;
        }
        Ok(())
    }

    #[tracing::instrument(name = "db.entry.remove", skip_all, fields(tenant = %self.tenant, %stream, entries = seqs.len()), err(level = "debug"))]
    async fn remove(&mut self, stream: Stream, seqs: &[Seq]) -> StoreResult<()> {
        let numbers: Vec<_> = seqs.iter().map(|seq| seq.to_i64()).collect();
        self.keep_keys(stream, &numbers).await?;
        let action = Action::on("remove entries", &self.tenant);
        for statement in [
            "DELETE FROM driftline.entry WHERE tenant = $1 AND stream = $2 AND seq = ANY($3)",
            "DELETE FROM driftline.idempotency WHERE tenant = $1 AND stream = $2 AND seq = ANY($3)",
        ] {
            let statement = query(statement)
                .bind(self.tenant.as_str())
                .bind(stream.code())
                .bind(numbers.clone());
            self.session.execute(action, statement).await?;
        }
        Ok(())
    }

    #[tracing::instrument(name = "db.tenant.restored", skip_all, fields(tenant = %self.tenant), err(level = "debug"))]
    async fn commit(
        mut self: Box<Self>,
        state: &TenantState,
        bucket: BucketId,
        watermarks: &PerStream<Seq>,
    ) -> StoreResult<()> {
        let tenant = self.tenant;
        let action = Action::on("commit the restore", &tenant);
        // Others take the database's row first and a tenant's then; waiting for it here could become a deadlock.
        let current = "SELECT d.bucket_id FROM driftline.database d FOR SHARE NOWAIT";
        let current = self.session.one(action, query(current)).await?;
        let current =
            Fields::of(&current, "database", &"the only row").get::<Option<PgUuid>>("bucket_id")?;
        if current.is_none_or(|current| current.0 != bucket.0) {
            let message = format!("{action}: the database's bucket is another one than {bucket}");
            return Err(StoreError::new(Side::Database, Fault::Unavailable, message));
        }
        let activation = state.activation;
        let mut finish = query(FINISH)
            .bind(tenant.as_str())
            .bind(state.epoch.to_i64())
            .bind(state.awaiting_recovery)
            .bind(state.last_committed_at.map(PgTime));
        for (_, head) in state.heads.iter() {
            finish = finish.bind(head.seq.to_i64()).bind(PgDigest(head.chain));
        }
        finish = finish
            .bind(activation.map(|activation| activation.decision.to_i64()))
            .bind(activation.map(|activation| activation.target.version.to_i64()))
            .bind(activation.map(|activation| PgDigest(activation.target.chain)))
            .bind(activation.map(|activation| PgDigest(activation.head_chain)))
            .bind(state.retired.map(Seq::to_i64));
        self.session.execute(action, finish).await?;
        let mut shadowed = query(SHADOWED).bind(tenant.as_str()).bind(PgUuid(bucket.0));
        for (_, watermark) in watermarks.iter() {
            shadowed = shadowed.bind(watermark.to_i64());
        }
        self.session.execute(action, shadowed).await?;
        self.session.commit(action).await
    }
}

/// What an apply names.
fn manifest_version(entry: &Entry) -> Option<i64> {
    applied_version(entry.meta.stream, &entry.content).map(Seq::to_i64)
}
