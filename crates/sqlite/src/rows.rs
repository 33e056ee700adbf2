//! Rows to values. A row that does not decode is an error that names table, column and key.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use uuid::Uuid;

use super::error::corrupt;
use super::whereabouts;
use driftline_model::content::Content;
use driftline_model::{
    Activation, BucketId, DatabaseId, Digest, Entry, EntryId, EntryMeta, Epoch, Head, PerStream,
    Seq, ShortText, Stream, TenantId, TenantState, Timestamp, VersionRef, json,
};
use driftline_ports::rules::fault as stored_fault;
use driftline_ports::rules::shadow::Shadowing;
use driftline_ports::{
    DatabaseIdentity, FailedDrill, Ownership, RestoreProof, Server, ShadowFault, StoreResult,
    WorkerId,
};

/// The columns that [`entry_meta`] reads. Taking the length does not read the content.
macro_rules! meta_columns {
    () => {
        "e.tenant, e.stream, e.seq, e.id, e.epoch, e.checksum, e.chain, e.created_at, e.committed_at, e.created_by, \
         e.message, length(e.content) AS size_bytes"
    };
}
pub(super) use meta_columns;

/// A tenant's row.
#[derive(Debug)]
pub(super) struct TenantRow {
    pub state: TenantState,
    pub shadowing: Shadowing,
}

/// A row with what an error needs to name it.
pub(super) struct Cells<'r> {
    row: &'r SqliteRow,
    table: &'static str,
}

impl<'r> Cells<'r> {
    pub(super) fn of(row: &'r SqliteRow, table: &'static str) -> Self {
        Self { row, table }
    }

    /// A value as SQLite has it.
    pub(super) fn raw<T: Decode<'r, Sqlite> + Type<Sqlite>>(&self, column: &str) -> StoreResult<T> {
        self.row
            .try_get(column)
            .map_err(|cause| corrupt(self.table, column, &self.key(), cause))
    }

    /// A value that `parse` accepts.
    pub(super) fn parsed<R: Decode<'r, Sqlite> + Type<Sqlite>, T, E: std::fmt::Display>(
        &self,
        column: &str,
        parse: impl FnOnce(R) -> Result<T, E>,
    ) -> StoreResult<T> {
        parse(self.raw(column)?)
            .map_err(|cause| corrupt(self.table, column, &self.key(), cause.to_string()))
    }

    /// A value that `parse` accepts, or null.
    pub(super) fn nullable<R: Decode<'r, Sqlite> + Type<Sqlite>, T, E: std::fmt::Display>(
        &self,
        column: &str,
        parse: impl FnOnce(R) -> Result<T, E>,
    ) -> StoreResult<Option<T>>
    where
        Option<R>: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        self.parsed(column, |value: Option<R>| value.map(parse).transpose())
    }

    fn digest(&self, column: &str) -> StoreResult<Digest> {
        self.parsed(column, digest)
    }

    fn seq(&self, column: &str) -> StoreResult<Seq> {
        self.parsed(column, |value: i64| Seq::try_from(value))
    }

    pub(super) fn time(&self, column: &str) -> StoreResult<Timestamp> {
        self.parsed(column, time)
    }

    fn head(&self, stream: Stream) -> StoreResult<Head> {
        let [seq, chain, _] = columns(stream);
        Ok(Head {
            seq: self.seq(seq)?,
            chain: self.digest(chain)?,
        })
    }

    /// What names the row: its primary key as far as it can be read.
    fn key(&self) -> String {
        let tenant = self
            .row
            .try_get("tenant")
            .unwrap_or_else(|_| "?".to_owned());
        match (
            self.table,
            self.row.try_get::<i64, _>("stream"),
            self.row.try_get::<i64, _>("seq"),
        ) {
            ("database", ..) => "the database".to_owned(),
            ("entry", Ok(stream), Ok(seq)) => {
                format!("tenant {tenant}, stream {stream}, seq {seq}")
            }
            _ => format!("tenant {tenant}"),
        }
    }
}

fn digest(bytes: &[u8]) -> Result<Digest, std::array::TryFromSliceError> {
    bytes.try_into().map(Digest::from_bytes)
}

pub(super) fn time(micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_micros(micros)
        .ok_or_else(|| format!("{micros} microseconds since 1970 are beyond the year 9999"))
}

fn short(text: &str) -> Result<ShortText, driftline_model::InvalidName> {
    text.parse()
}

/// Head, chain and watermark of a stream.
fn columns(stream: Stream) -> [&'static str; 3] {
    match stream {
        Stream::Manifests => ["manifests_head", "manifests_chain", "manifests_watermark"],
        Stream::Applies => ["applies_head", "applies_chain", "applies_watermark"],
        Stream::Decisions => ["decisions_head", "decisions_chain", "decisions_watermark"],
    }
}

/// Decodes the row of `database`.
pub(super) fn identity(row: &SqliteRow, server: Server) -> StoreResult<DatabaseIdentity> {
    let cells = Cells {
        row,
        table: "database",
    };
    Ok(DatabaseIdentity {
        id: DatabaseId {
            id: cells.parsed("id", Uuid::from_slice)?,
            timeline: 0,
        },
        ownership: cells.parsed("ownership", |name: &str| match name {
            "unclaimed" => Ok(Ownership::Unclaimed),
            "claimed" => Ok(Ownership::Claimed),
            "awaiting_recovery" => Ok(Ownership::AwaitingRecovery),
            _ => Err(format!("`{name}` is unknown")),
        })?,
        generation: cells.parsed("generation", |value: i64| Epoch::try_from(value))?,
        bucket_id: cells.nullable("bucket_id", |bytes: &[u8]| {
            Uuid::from_slice(bytes).map(BucketId)
        })?,
        server,
        whereabouts: whereabouts::beside(cells.nullable("server", whereabouts::parse)?, server),
    })
}

/// Decodes a row of `tenant`.
pub(super) fn tenant(row: &SqliteRow) -> StoreResult<TenantRow> {
    let cells = Cells {
        row,
        table: "tenant",
    };
    let (mut heads, mut watermarks) = (PerStream::from_fn(|_| None), PerStream::default());
    for stream in Stream::ALL {
        heads[stream] = Some(cells.head(stream)?);
        watermarks[stream] = cells.seq(columns(stream)[2])?;
    }
    let mut state = TenantState::new(
        cells.parsed("tenant", |name: &str| name.parse::<TenantId>())?,
        cells.parsed("epoch", |value: i64| Epoch::try_from(value))?,
    );
    for (stream, head) in heads.iter() {
        state.heads[stream] = head.unwrap_or(state.heads[stream]);
    }
    state.last_committed_at = cells.nullable("last_committed_at", time)?;
    state.awaiting_recovery = cells.raw("awaiting_recovery")?;
    state.retired = cells.nullable("retired", |value: i64| Seq::try_from(value))?;
    if let Some(decision) =
        cells.nullable("activation_decision", |value: i64| Seq::try_from(value))?
    {
        let target = VersionRef {
            version: cells.seq("activation_version")?,
            chain: cells.digest("activation_chain")?,
        };
        state.activation = Some(Activation {
            decision,
            target,
            head_chain: cells.digest("activation_head_chain")?,
        });
    }
    let worker = cells.nullable("lease_owner", |bytes: &[u8]| {
        Uuid::from_slice(bytes).map(WorkerId)
    })?;
    let version = cells.nullable("proven_version", |value: i64| Seq::try_from(value))?;
    let (fault, failed_at) = failure(&cells)?;
    let shadowing = Shadowing {
        watermarks,
        lease: worker.zip(cells.nullable("lease_until", time)?),
        attempts: cells.parsed("attempts", |value: i64| u32::try_from(value))?,
        last_error: cells.raw("last_error")?,
        fault,
        failed_at,
        retry_at: cells.nullable("retry_at", time)?,
        halted: cells.nullable("halted", |text: &str| {
            serde_json::from_str(text).map_err(|error| json::explain(text.as_bytes(), &error))
        })?,
        proof: version
            .zip(cells.nullable("proven_at", time)?)
            .map(|(version, at)| RestoreProof { version, at }),
        failed_drill: failed_drill(&cells)?,
    };
    Ok(TenantRow { state, shadowing })
}

/// What the last failure comes to, and when that was. A reader that may not migrate knows nothing of it before somebody did.
fn failure(cells: &Cells<'_>) -> StoreResult<(ShadowFault, Option<Timestamp>)> {
    if cells.row.try_column("fault").is_err() {
        return Ok((ShadowFault::default(), None));
    }
    let message = cells.raw::<Option<&str>>("last_error")?;
    let fault = stored_fault::of_text(message, cells.raw("fault")?);
    Ok((fault, cells.nullable("failed_at", time)?))
}

/// The newest drill, if it proved nothing. A reader that may not migrate knows of none before somebody did.
fn failed_drill(cells: &Cells<'_>) -> StoreResult<Option<FailedDrill>> {
    if cells.row.try_column("drill_failed_at").is_err() {
        return Ok(None);
    }
    let Some(at) = cells.nullable("drill_failed_at", time)? else {
        return Ok(None);
    };
    let reason = cells.raw::<Option<String>>("drill_failure")?;
    Ok(Some(FailedDrill {
        at,
        reason: reason.unwrap_or_default(),
        refutes: cells.raw("drill_refuted")?,
    }))
}

/// Decodes the columns of [`meta_columns!`].
pub(super) fn entry_meta(row: &SqliteRow) -> StoreResult<EntryMeta> {
    let cells = Cells {
        row,
        table: "entry",
    };
    Ok(EntryMeta {
        tenant: cells.parsed("tenant", |name: &str| name.parse::<TenantId>())?,
        stream: cells.parsed("stream", |code: i64| {
            let stream = i16::try_from(code).ok().and_then(Stream::from_code);
            stream.ok_or_else(|| format!("stream {code} is unknown"))
        })?,
        seq: cells.seq("seq")?,
        id: cells.parsed("id", |bytes: &[u8]| Uuid::from_slice(bytes).map(EntryId))?,
        epoch: cells.parsed("epoch", |value: i64| Epoch::try_from(value))?,
        checksum: cells.digest("checksum")?,
        chain: cells.digest("chain")?,
        created_at: cells.time("created_at")?,
        committed_at: cells.time("committed_at")?,
        created_by: cells.nullable("created_by", short)?,
        message: cells.nullable("message", short)?,
        content_bytes: cells.parsed("size_bytes", |value: i64| u64::try_from(value))?,
    })
}

/// Decodes the columns of [`meta_columns!`] and `content`.
pub(super) fn entry(row: &SqliteRow) -> StoreResult<Entry> {
    let meta = entry_meta(row)?;
    let content: Vec<u8> = Cells {
        row,
        table: "entry",
    }
    .raw("content")?;
    let content = Content::trusted(content.into(), meta.checksum);
    Ok(Entry { meta, content })
}

/// The name in a row of `tenant`.
pub(super) fn tenant_name(row: &SqliteRow) -> StoreResult<TenantId> {
    let table = "tenant";
    Cells { row, table }.parsed("tenant", |name: &str| name.parse::<TenantId>())
}

/// A number of another query's column that cannot be negative.
pub(super) fn number<T>(row: &SqliteRow, table: &'static str, column: &str) -> StoreResult<T>
where
    T: TryFrom<i64, Error: std::fmt::Display>,
{
    Cells { row, table }.parsed(column, |value: i64| T::try_from(value))
}

/// A number of an entry, or null, of another query's column.
pub(super) fn optional_seq(
    row: &SqliteRow,
    table: &'static str,
    column: &str,
) -> StoreResult<Option<Seq>> {
    Cells { row, table }.nullable(column, |value: i64| Seq::try_from(value))
}

/// A time of another query's column.
pub(super) fn optional_time(
    row: &SqliteRow,
    table: &'static str,
    column: &str,
) -> StoreResult<Option<Timestamp>> {
    Cells { row, table }.nullable(column, time)
}
