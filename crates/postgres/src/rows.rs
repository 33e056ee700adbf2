//! Rows into the domain's types. What does not fit is an error that names table, column and key.

use std::fmt;

use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};

use super::error::corrupt;
use super::types::{PgDigest, PgTime, PgUuid};
use driftline_model::content::Content;
use driftline_model::{
    Activation, BucketId, DatabaseId, Digest, Entry, EntryId, EntryMeta, Head, PerStream, Seq,
    ShortText, Stream, TenantId, TenantState, Timestamp, VersionRef,
};
use driftline_ports::{DatabaseIdentity, Ownership, Server, StoreError, StoreResult, Whereabouts};

/// The columns of an entry without its content.
macro_rules! meta_columns {
    () => {
        "e.stream, e.seq, e.id, e.epoch, e.checksum, e.chain, e.created_at, e.committed_at, e.created_by, e.message, \
         octet_length(e.content)::bigint AS size"
    };
}

/// The columns of a tenant's state.
macro_rules! state_columns {
    () => {
        "t.tenant, t.epoch, t.awaiting_recovery, t.last_committed_at, t.manifests_head, t.manifests_chain, t.applies_head, \
         t.applies_chain, t.decisions_head, t.decisions_chain, t.activation_decision, t.activation_version, \
         t.activation_chain, t.activation_head_chain, t.retired"
    };
}

/// The columns of the database's identity.
macro_rules! identity_columns {
    // A standby cannot be asked for its timeline. It is where the server is that it follows, until it is promoted.
    () => {
        "d.id, d.ownership, d.generation, d.bucket_id, \
         CASE WHEN pg_catalog.pg_is_in_recovery() \
             THEN coalesce(d.server_system, 0) || '-' || coalesce(d.server_base, 0) || '-' || coalesce(d.server_relation, 0) \
                 || '/' || coalesce(d.server_timeline, 0) \
             ELSE driftline.server_name() END AS server, \
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'here' ELSE driftline.whereabouts() END AS whereabouts"
    };
}

/// The watermarks, from `s` (shadowing, which may be absent).
macro_rules! watermark_columns {
    () => {
        "coalesce(s.manifests_watermark, 0) AS manifests_watermark, coalesce(s.applies_watermark, 0) AS applies_watermark, \
         coalesce(s.decisions_watermark, 0) AS decisions_watermark"
    };
}

pub(super) use {identity_columns, meta_columns, state_columns, watermark_columns};

/// A row and what to call it.
pub(super) struct Fields<'a> {
    pub(super) row: &'a PgRow,
    pub(super) table: &'static str,
    pub(super) key: &'a dyn fmt::Display,
}

impl<'a> Fields<'a> {
    pub(super) fn of(row: &'a PgRow, table: &'static str, key: &'a dyn fmt::Display) -> Self {
        Self { row, table, key }
    }

    pub(super) fn get<T: Decode<'a, Postgres> + Type<Postgres>>(
        &self,
        column: &'static str,
    ) -> StoreResult<T> {
        self.row
            .try_get(column)
            .map_err(|error| self.corrupt(column).because(error))
    }

    pub(super) fn corrupt(&self, column: &'static str) -> StoreError {
        corrupt(self.table, column, self.key)
    }

    /// A number that cannot be negative.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> StoreResult<T> {
        T::try_from(self.get::<i64>(column)?).map_err(|_| self.corrupt(column))
    }

    pub(super) fn optional_number<T: TryFrom<i64>>(
        &self,
        column: &'static str,
    ) -> StoreResult<Option<T>> {
        let number = self.get::<Option<i64>>(column)?;
        number
            .map(T::try_from)
            .transpose()
            .map_err(|_| self.corrupt(column))
    }

    pub(super) fn digest(&self, column: &'static str) -> StoreResult<Digest> {
        Ok(self.get::<PgDigest>(column)?.0)
    }

    pub(super) fn optional_digest(&self, column: &'static str) -> StoreResult<Option<Digest>> {
        Ok(self.get::<Option<PgDigest>>(column)?.map(|digest| digest.0))
    }

    pub(super) fn time(&self, column: &'static str) -> StoreResult<Timestamp> {
        Ok(self.get::<PgTime>(column)?.0)
    }

    pub(super) fn optional_time(&self, column: &'static str) -> StoreResult<Option<Timestamp>> {
        Ok(self.get::<Option<PgTime>>(column)?.map(|time| time.0))
    }

    fn short_text(&self, column: &'static str) -> StoreResult<Option<ShortText>> {
        let text = self.get::<Option<&str>>(column)?;
        text.map(str::parse)
            .transpose()
            .map_err(|error| self.corrupt(column).because(error))
    }

    /// An entry without its content; see [`meta_columns`].
    pub(super) fn meta(&self, tenant: &TenantId, stream: Stream) -> StoreResult<EntryMeta> {
        self.meta_of_size(tenant, stream, self.number("size")?)
    }

    /// An entry; the checksum on record goes with its content.
    pub(super) fn entry(&self, tenant: &TenantId, stream: Stream) -> StoreResult<Entry> {
        let content = self.get::<&[u8]>("content")?;
        let meta = self.meta_of_size(tenant, stream, content.len() as u64)?;
        let content = Content::trusted(bytes::Bytes::copy_from_slice(content), meta.checksum);
        Ok(Entry { meta, content })
    }

    fn meta_of_size(
        &self,
        tenant: &TenantId,
        stream: Stream,
        content_bytes: u64,
    ) -> StoreResult<EntryMeta> {
        Ok(EntryMeta {
            tenant: tenant.clone(),
            stream,
            seq: self.number("seq")?,
            id: EntryId(self.get::<PgUuid>("id")?.0),
            epoch: self.number("epoch")?,
            checksum: self.digest("checksum")?,
            chain: self.digest("chain")?,
            created_at: self.time("created_at")?,
            committed_at: self.time("committed_at")?,
            created_by: self.short_text("created_by")?,
            message: self.short_text("message")?,
            content_bytes,
        })
    }

    fn head(&self, head: &'static str, chain: &'static str) -> StoreResult<Head> {
        Ok(Head {
            seq: self.number(head)?,
            chain: self.digest(chain)?,
        })
    }

    fn activation(&self) -> StoreResult<Option<Activation>> {
        let Some(decision) = self.optional_number("activation_decision")? else {
            return Ok(None);
        };
        let target = VersionRef {
            version: self.number("activation_version")?,
            chain: self.digest("activation_chain")?,
        };
        Ok(Some(Activation {
            decision,
            target,
            head_chain: self.digest("activation_head_chain")?,
        }))
    }

    fn bucket_id(&self) -> StoreResult<Option<BucketId>> {
        Ok(self
            .get::<Option<PgUuid>>("bucket_id")?
            .map(|id| BucketId(id.0)))
    }
}

/// A tenant's name, from a row that may be of any.
pub(super) fn tenant_name(row: &PgRow, table: &'static str) -> StoreResult<TenantId> {
    let text = Fields::of(row, table, &"a row").get::<&str>("tenant")?;
    text.parse()
        .map_err(|error| corrupt(table, "tenant", &text).because(error))
}

/// A tenant's state; see [`state_columns`].
pub(super) fn state(row: &PgRow) -> StoreResult<TenantState> {
    state_with_epoch(row, "epoch")
}

/// The same where the tenant's epoch goes by another name, because an entry's stands in the row too.
pub(super) fn state_with_epoch(row: &PgRow, epoch: &'static str) -> StoreResult<TenantState> {
    let tenant = tenant_name(row, "tenant")?;
    let fields = Fields::of(row, "tenant", &tenant);
    let mut heads = PerStream::from_fn(|_| Head {
        seq: Seq::default(),
        chain: Digest::from_bytes([0; 32]),
    });
    heads[Stream::Manifests] = fields.head("manifests_head", "manifests_chain")?;
    heads[Stream::Applies] = fields.head("applies_head", "applies_chain")?;
    heads[Stream::Decisions] = fields.head("decisions_head", "decisions_chain")?;
    Ok(TenantState {
        epoch: fields.number(epoch)?,
        heads,
        last_committed_at: fields.optional_time("last_committed_at")?,
        activation: fields.activation()?,
        awaiting_recovery: fields.get("awaiting_recovery")?,
        retired: fields.optional_number("retired")?,
        tenant: tenant.clone(),
    })
}

/// The watermarks of a tenant; see [`watermark_columns`].
pub(super) fn watermarks(row: &PgRow, tenant: &TenantId) -> StoreResult<PerStream<Seq>> {
    let fields = Fields::of(row, "shadowing", tenant);
    let mut watermarks = PerStream::default();
    watermarks[Stream::Manifests] = fields.number("manifests_watermark")?;
    watermarks[Stream::Applies] = fields.number("applies_watermark")?;
    watermarks[Stream::Decisions] = fields.number("decisions_watermark")?;
    Ok(watermarks)
}

/// The database's identity; see [`identity_columns`].
pub(super) fn identity(row: &PgRow) -> StoreResult<DatabaseIdentity> {
    let fields = Fields::of(row, "database", &"the only row");
    let ownership = match fields.get::<&str>("ownership")? {
        "unclaimed" => Ownership::Unclaimed,
        "claimed" => Ownership::Claimed,
        "awaiting_recovery" => Ownership::AwaitingRecovery,
        _ => return Err(fields.corrupt("ownership")),
    };
    let (server, timeline) =
        server(fields.get("server")?).ok_or_else(|| fields.corrupt("server"))?;
    let whereabouts = match fields.get::<&str>("whereabouts")? {
        "here" => Whereabouts::Here,
        "promoted" => Whereabouts::Promoted,
        "elsewhere" => Whereabouts::Elsewhere,
        _ => return Err(fields.corrupt("whereabouts")),
    };
    Ok(DatabaseIdentity {
        id: DatabaseId {
            id: fields.get::<PgUuid>("id")?.0,
            timeline,
        },
        ownership,
        generation: fields.number("generation")?,
        bucket_id: fields.bucket_id()?,
        server,
        whereabouts,
    })
}

/// What `driftline.server_name` says of where this is.
pub(super) fn server_name(identity: &DatabaseIdentity) -> String {
    format!("{}/{}", identity.server, identity.id.timeline)
}

fn server(name: &str) -> Option<(Server, u32)> {
    let (server, timeline) = name.split_once('/')?;
    let mut numbers = server.splitn(3, '-').map(|number| number.parse().ok());
    let server = Server([numbers.next()??, numbers.next()??, numbers.next()??]);
    Some((server, timeline.parse().ok()?))
}
