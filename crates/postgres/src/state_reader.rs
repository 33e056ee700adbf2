//! What an audit reads. Every transaction here begins as `READ ONLY`, and the statements are plain `SELECT`s: the role needs
//! no more than `SELECT` on `tenant` and `entry`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresDatabase;
use super::error::Action;
use super::rows::{Fields, meta_columns, state_with_epoch, tenant_name};
use super::session::{Scope, query};
use driftline_model::{Entry, Seq, Stream, TenantId, TenantState};
use driftline_ports::rules::document::{assemble, cut};
use driftline_ports::{Asked, ReadSession, StateReader, StoreResult, TenantDocuments};

/// One row for each entry, at least one for each tenant that is known; all of one snapshot.
///
/// Every row is looked up by its whole key, so that a tenant costs the same whatever its history's length and whatever the
/// planner believes of it; only where the row of the newest apply is lost is there a search for the one before. What keys
/// depend on is worked out first: an expression that might leak would keep row-level security from looking whole keys up.
/// Contents that stand in tables of their own pass through here as references, and are fetched only for what is kept: their
/// sizes are known without.
const DOCUMENTS: &str = concat!(
    "WITH page AS MATERIALIZED (
        SELECT p.nth, p.decided, t.*, coalesce(a.seq, b.seq) AS apply, coalesce(a.manifest_version, b.manifest_version) AS applied,
            CASE WHEN t.activation_head_chain = t.manifests_chain AND t.activation_version <= t.manifests_head
                THEN t.activation_version ELSE t.manifests_head END AS active
        FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS p(tenant, decided, nth)
        CROSS JOIN LATERAL (SELECT * FROM driftline.tenant t WHERE t.tenant = p.tenant LIMIT 1) t
        LEFT JOIN LATERAL (
            SELECT e.seq, e.manifest_version FROM driftline.entry e
            WHERE e.tenant = t.tenant AND e.stream = 1 AND e.seq = t.applies_head
        ) a ON true
        LEFT JOIN LATERAL (
            SELECT e.seq, e.manifest_version FROM driftline.entry e
            WHERE e.tenant = t.tenant AND e.stream = 1 AND t.applies_head > 0 AND a.seq IS NULL
            ORDER BY e.seq DESC LIMIT 1
        ) b ON true
    ), sized AS (
        SELECT e.*, t.nth, t.tenant AS name, t.epoch AS tenant_epoch, t.awaiting_recovery, t.last_committed_at,
            t.manifests_head, t.manifests_chain, t.applies_head, t.applies_chain, t.decisions_head, t.decisions_chain,
            t.activation_decision, t.activation_version, t.activation_chain, t.activation_head_chain, t.retired,
            sum(octet_length(e.content)) OVER (ORDER BY t.nth GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM page t
        LEFT JOIN LATERAL (
            SELECT e.* FROM driftline.entry e WHERE e.tenant = t.tenant AND e.stream = 0 AND e.seq = t.active
            UNION ALL
            SELECT e.* FROM driftline.entry e
            WHERE e.tenant = t.tenant AND e.stream = 0 AND e.seq = t.applied AND t.applied <> t.active
            UNION ALL
            SELECT e.* FROM driftline.entry e WHERE e.tenant = t.tenant AND e.stream = 1 AND e.seq = t.apply
            UNION ALL
            SELECT e.* FROM driftline.entry e WHERE e.tenant = t.tenant AND e.stream = 2 AND e.seq > t.decided AND t.decisions_head > t.decided
        ) e ON true
    )
    SELECT e.nth, e.name AS tenant, e.tenant_epoch, e.awaiting_recovery, e.last_committed_at, e.manifests_head,
        e.manifests_chain, e.applies_head, e.applies_chain, e.decisions_head, e.decisions_chain, e.activation_decision,
        e.activation_version, e.activation_chain, e.activation_head_chain, e.retired, e.manifest_version, ",
    meta_columns!(),
    ", e.content
    FROM sized e WHERE e.before IS NULL OR e.before <= $3"
);

const NAMES: &str = "SELECT t.tenant FROM driftline.tenant t WHERE $1::text IS NULL OR t.tenant > $1 ORDER BY t.tenant LIMIT $2";

const ENTRY: &str = concat!(
    "SELECT ",
    meta_columns!(),
    ", e.content FROM driftline.entry e WHERE e.tenant = $1 AND e.stream = $2 AND e.seq = $3"
);

const SESSION: &str = "SELECT current_user::text AS role, current_setting('transaction_read_only') = 'on' AS read_only";

#[async_trait]
impl StateReader for PostgresDatabase {
    #[tracing::instrument(name = "db.tenant.names", skip_all, err(level = "debug"))]
    async fn tenant_names(
        &self,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<TenantId>> {
        let action = Action::new("list the tenants");
        let mut session = self.begin_reading(action, Scope::All).await?;
        let statement = query(NAMES)
            .bind(after.map(TenantId::as_str))
            .bind(i64::from(limit));
        let rows = session.all(action, statement).await?;
        rows.iter().map(|row| tenant_name(row, "tenant")).collect()
    }

    #[tracing::instrument(name = "db.tenant.documents", skip_all, fields(tenants = tenants.len()), err(level = "debug"))]
    async fn documents(
        &self,
        tenants: &[Asked],
        max_bytes: u64,
    ) -> StoreResult<(Vec<TenantDocuments>, usize)> {
        let (action, scope) = match tenants {
            [] => return Ok((Vec::new(), 0)),
            [Asked { tenant, .. }] => (
                Action::on("read the documents", tenant),
                Scope::Tenant(tenant),
            ),
            _ => (Action::new("read the documents of tenants"), Scope::All),
        };
        let mut session = self.begin_reading(action, scope).await?;
        let names: Vec<&str> = tenants.iter().map(|it| it.tenant.as_str()).collect();
        let decided: Vec<i64> = tenants.iter().map(|it| it.decided.to_i64()).collect();
        let statement = query(DOCUMENTS)
            .bind(names)
            .bind(decided)
            .bind(i64::try_from(max_bytes).unwrap_or(i64::MAX));
        let mut found = BTreeMap::new();
        for row in session.all(action, statement).await? {
            collect(&row, &mut found)?;
        }
        let documents = found.into_iter().map(|(place, found)| {
            let Rows {
                state,
                entries,
                applied,
            } = found;
            (place, assemble(state, entries, applied))
        });
        Ok(cut(documents, tenants.len(), max_bytes))
    }

    #[tracing::instrument(name = "db.entry.stored", skip_all, fields(%tenant, %stream, %seq), err(level = "debug"))]
    async fn stored_entry(
        &self,
        tenant: &TenantId,
        stream: Stream,
        seq: Seq,
    ) -> StoreResult<Option<Entry>> {
        let action = Action::on("read an entry", tenant);
        let mut session = self.begin_reading(action, Scope::Tenant(tenant)).await?;
        let statement = query(ENTRY)
            .bind(tenant.as_str())
            .bind(stream.code())
            .bind(seq.to_i64());
        let row = session.optional(action, statement).await?;
        let key = format!("{tenant}/{stream}/{seq}");
        row.map(|row| Fields::of(&row, "entry", &key).entry(tenant, stream))
            .transpose()
    }

    #[tracing::instrument(name = "db.server.session", skip_all, err(level = "debug"))]
    async fn session(&self) -> StoreResult<ReadSession> {
        let action = Action::new("ask who reads");
        let mut session = self.begin_reading(action, Scope::All).await?;
        let row = session.one(action, query(SESSION)).await?;
        let fields = Fields::of(&row, "server", &"the session");
        Ok(ReadSession {
            role: Some(fields.get("role")?),
            read_only: fields.get("read_only")?,
        })
    }
}

/// What was found of a tenant.
struct Rows {
    state: TenantState,
    entries: Vec<Entry>,
    applied: Option<Seq>,
}

/// Adds a row to its tenant's, by the tenant's place among those asked for.
fn collect(row: &PgRow, found: &mut BTreeMap<usize, Rows>) -> StoreResult<()> {
    let fields = Fields::of(row, "tenant", &"a row");
    let place = fields.number::<usize>("nth")?.saturating_sub(1);
    let rows = match found.entry(place) {
        Slot::Occupied(slot) => slot.into_mut(),
        Slot::Vacant(slot) => slot.insert(Rows {
            state: state_with_epoch(row, "tenant_epoch")?,
            entries: Vec::new(),
            applied: None,
        }),
    };
    let tenant = &rows.state.tenant;
    let fields = Fields::of(row, "entry", tenant);
    let Some(code) = fields.get::<Option<i16>>("stream")? else {
        return Ok(());
    };
    let stream = Stream::from_code(code).ok_or_else(|| fields.corrupt("stream"))?;
    let entry = fields.entry(tenant, stream)?;
    if stream == Stream::Applies {
        rows.applied = fields.optional_number("manifest_version")?;
    }
    rows.entries.push(entry);
    Ok(())
}
