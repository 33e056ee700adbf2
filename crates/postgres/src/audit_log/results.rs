//! Results are kept: so many statements, whatever the number of tenants.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::PostgresDatabase;
use super::super::error::Action;
use super::super::rows::Fields;
use super::super::session::{Scope, Session, Statement, query};
use super::super::types::{PgTime, PgUuid};
use driftline_model::drift::Timeliness;
use driftline_ports::{AuditOutcome, NewEvent, StoreResult};

/// Rows are locked in the order of their names, so that two batches with the same tenants do not wait for each other.
const END: &str = "WITH result AS MATERIALIZED (
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::timestamptz[])
            WITH ORDINALITY AS r(tenant, fence, at, memory, error, next_at, nth)
    ), newest AS (
        SELECT a.tenant, r.nth FROM result r JOIN driftline.audited a ON a.tenant = r.tenant
        WHERE a.fence = r.fence AND a.claim_until IS NOT NULL
        ORDER BY a.tenant FOR NO KEY UPDATE OF a
    )
    UPDATE driftline.audited a SET
        claim_owner = NULL,
        claim_until = NULL,
        next_at = coalesce(r.next_at, a.next_at),
        last_attempt_at = r.at,
        last_success_at = CASE WHEN r.error IS NULL THEN r.at ELSE a.last_success_at END,
        last_error = r.error,
        failures = CASE WHEN r.error IS NULL THEN 0 ELSE a.failures + 1 END,
        stale = a.stale AND r.error IS NOT NULL,
        memory = coalesce(r.memory, a.memory)
    FROM newest n JOIN result r ON r.nth = n.nth
    WHERE a.tenant = n.tenant
    RETURNING n.nth";

const REPORTS: &str = "INSERT INTO driftline.report (id, tenant, at, has_drift, differences, unknown, timeliness, body)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::boolean[], $5::bigint[], $6::bigint[], $7::text[],
        $8::text[])";

const EVENTS: &str = "INSERT INTO driftline.event (id, kind, tenant, at, receiver, body)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])";

/// See [`driftline_ports::AuditLog::finish`].
pub(super) async fn finish(
    database: &PostgresDatabase,
    outcomes: &[AuditOutcome],
) -> StoreResult<Vec<bool>> {
    let action = Action::new("keep the results of audits");
    // A claim ends once: of several results under it the first counts. Of several claims of a tenant one is the newest.
    let mut seen = BTreeSet::new();
    let (places, first): (Vec<usize>, Vec<&AuditOutcome>) = outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| seen.insert((&outcome.tenant, outcome.fence)))
        .unzip();
    let mut kept = vec![false; outcomes.len()];
    if first.is_empty() {
        return Ok(kept);
    }
    let mut session = database.begin(action, Scope::All).await?;
    for row in session.all(action, end(&first)).await? {
        let nth: usize = Fields::of(&row, "audited", &"a result").number("nth")?;
        if let Some(place) = places.get(nth.saturating_sub(1)) {
            kept[*place] = true;
        }
    }
    let whole: Vec<&AuditOutcome> = outcomes
        .iter()
        .zip(&kept)
        .filter_map(|(outcome, kept)| kept.then_some(outcome))
        .collect();
    insert_reports(&mut session, action, &whole).await?;
    let events: Vec<&NewEvent> = whole.iter().flat_map(|outcome| &outcome.events).collect();
    insert_events(&mut session, action, &events).await?;
    session.commit(action).await?;
    Ok(kept)
}

fn end(outcomes: &[&AuditOutcome]) -> Statement {
    let each = outcomes.iter();
    query(END)
        .bind(column(each.clone(), |it| it.tenant.as_str()))
        .bind(column(each.clone(), |it| number(it.fence)))
        .bind(column(each.clone(), |it| PgTime(it.at)))
        .bind(column(each.clone(), |it| it.memory.as_deref()))
        .bind(column(each.clone(), |it| it.error.as_deref().map(text)))
        .bind(column(each, |it| it.next_at.map(PgTime)))
}

async fn insert_reports(
    session: &mut Session,
    action: Action<'_>,
    outcomes: &[&AuditOutcome],
) -> StoreResult<()> {
    let reports: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.tenant.as_str(), outcome.report.as_ref()?)))
        .collect();
    if reports.is_empty() {
        return Ok(());
    }
    let each = reports.iter();
    let statement = query(REPORTS)
        .bind(column(each.clone(), |(_, it)| PgUuid(it.id.0)))
        .bind(column(each.clone(), |(tenant, _)| *tenant))
        .bind(column(each.clone(), |(_, it)| PgTime(it.at)))
        .bind(column(each.clone(), |(_, it)| it.has_drift))
        .bind(column(each.clone(), |(_, it)| number(it.differences)))
        .bind(column(each.clone(), |(_, it)| number(it.unknown)))
        .bind(column(each.clone(), |(_, it)| {
            it.timeliness.map(Timeliness::name)
        }))
        .bind(column(each, |(_, it)| it.body.as_str()));
    session.execute(action, statement).await?;
    Ok(())
}

/// Inserts events, due at once.
pub(super) async fn insert_events(
    session: &mut Session,
    action: Action<'_>,
    events: &[&NewEvent],
) -> StoreResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    let each = events.iter();
    let statement = query(EVENTS)
        .bind(column(each.clone(), |it| PgUuid(it.id.0)))
        .bind(column(each.clone(), |it| it.kind.name()))
        .bind(column(each.clone(), |it| it.tenant.as_str()))
        .bind(column(each.clone(), |it| PgTime(it.at)))
        .bind(column(each.clone(), |it| it.receiver.as_str()))
        .bind(column(each, |it| it.body.as_str()));
    session.execute(action, statement).await?;
    Ok(())
}

/// One array for a column of `unnest`.
fn column<T, V>(rows: impl Iterator<Item = T>, value: impl FnMut(T) -> V) -> Vec<V> {
    rows.map(value).collect()
}

/// A count as the server has it; nothing counts beyond.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// An error's text comes from outside, and the server takes no NUL in a text: it must not keep a result from being kept.
pub(super) fn text(error: &str) -> Cow<'_, str> {
    if error.contains('\0') {
        Cow::Owned(error.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(error)
    }
}
