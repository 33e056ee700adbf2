//! An append: the facts, the verdict of the shared rules, and what it says is to be written, in one transaction.

use sqlx::SqliteConnection;

use super::error::failed;
use super::queries::{identity, meta, tenant};
use super::rows::{entry_meta, meta_columns, optional_time};
use super::whereabouts::{elsewhere, here};
use super::writes::{execute, insert_entry, save_state};
use super::{SqliteDatabase, commit};
use driftline_model::{EntryMeta, Stream, TenantId, Timestamp};
use driftline_ports::rules::append::{Facts, Verdict, decide, key_expires_at};
use driftline_ports::{Appended, DatabaseIdentity, IDEMPOTENCY_WINDOW, NewEntry, StoreResult};

/// As many expired keys are forgotten with every key that is used, so that they never pile up and no write pays for all.
const FORGOTTEN_AT_ONCE: u32 = 100;

/// Appends an entry.
pub(super) async fn append(
    database: &SqliteDatabase,
    tenant: &TenantId,
    entry: &NewEntry,
    at: Option<&DatabaseIdentity>,
) -> StoreResult<Appended> {
    let action = || format!("append to {} of tenant {tenant}", entry.stream);
    let mut transaction = database.begin(action).await?;
    let now = database.clock.now();
    let identity = identity(&mut transaction, database.server, action).await?;
    match at {
        Some(at) if at.server != identity.server => return Err(elsewhere(action)),
        Some(_) => {}
        None => here(&identity, action)?,
    }
    let facts = facts(&mut transaction, tenant, entry, (&identity, now), action).await?;
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
    (identity, now): (&DatabaseIdentity, Timestamp),
    action: impl Fn() -> String + Copy + Send + Sync,
) -> StoreResult<Facts> {
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
