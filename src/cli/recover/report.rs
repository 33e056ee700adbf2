//! What a recovery did, as text.

use driftline::domain::recovery::{RecoveryPlan, TenantPlan};
use driftline::domain::{Moved, TenantId};
use driftline::hybrid::RecoveryReport;
use driftline::ports::{Error, LegacyMapping, Recovery};

use super::spool::{Line, Spool};
use crate::cli::Ui;
use crate::cli::documents::or_dash;
use crate::cli::hints;

pub fn show(ui: &Ui, report: &RecoveryReport, dry_run: bool) -> anyhow::Result<()> {
    for damage in &report.worked_around {
        ui.line(format_args!("bucket: worked around: {damage}"))?;
    }
    if report.tenants.is_empty() {
        return Ok(ui.line("no tenant on either side")?);
    }
    let header = [
        "TENANT",
        "WAS",
        if dry_run { "TO RESTORE" } else { "RESTORED" },
        "HEAD",
        "ACTIVE",
        "NEW",
        "EPOCH",
    ];
    let rows = report
        .tenants
        .iter()
        .map(|(tenant, outcome)| match outcome {
            Ok(recovery) => vec![
                tenant.to_string(),
                recovery.state.to_string(),
                recovery.restored.to_string(),
                recovery.head.to_string(),
                recovery.active_version.to_string(),
                recovery
                    .new_version
                    .map_or_else(|| "-".to_owned(), |version| version.to_string()),
                recovery.epoch.to_string(),
            ],
            Err(_) => vec![tenant.to_string(), "failed".to_owned()],
        });
    ui.table(&header, &[2, 3, 4, 5, 6], rows.collect())?;
    for (tenant, outcome) in &report.tenants {
        details(ui, tenant, outcome)?;
    }
    if let Some((_, took)) = report.took.filter(|_| !dry_run) {
        let kept = report.kept.as_ref();
        let kept = kept.map_or_else(String::new, |key| format!("; the report is {key}"));
        ui.note(format_args!("took {:.1} s{kept}", took.as_secs_f64()));
    }
    if dry_run {
        ui.note("nothing was changed");
    } else if report.lost_keys() {
        ui.note("idempotency keys are in no bucket: a write that is repeated under the key of what came back makes another version");
    }
    Ok(())
}

/// What a plan would change. The tenants' parts are read back one by one.
pub fn plan(
    ui: &Ui,
    plan: &RecoveryPlan,
    tenants: &[(TenantId, Line)],
    spool: &Spool,
) -> anyhow::Result<()> {
    let rows = tenants.iter().map(|(tenant, line)| {
        let new = line.new_version.map(|version| version.to_string());
        vec![
            tenant.to_string(),
            line.state.clone(),
            line.rows.to_string(),
            line.renumbered.to_string(),
            line.active_version.to_string(),
            new.unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let header = ["TENANT", "IS", "ROWS", "RENUMBERED", "ACTIVE", "NEW"];
    ui.table(&header, &[2, 3, 4, 5], rows.collect())?;
    for (_, line) in tenants {
        changes(ui, &spool.read(line)?)?;
    }
    for failed in &plan.failed {
        ui.line(format_args!("{}: {}", failed.tenant, failed.reason))?;
    }
    Ok(())
}

/// What it would change beside the rows.
fn changes(ui: &Ui, tenant: &TenantPlan) -> anyhow::Result<()> {
    let name = &tenant.tenant;
    if tenant.inactive_then {
        ui.line(format_args!(
            "{name}: no version was active then; what is active would be left as it is"
        ))?;
    }
    for later in &tenant.deactivates {
        let by = or_dash(later.created_by.as_ref());
        let (version, at) = (later.version, later.created_at);
        ui.line(format_args!(
            "{name}: version {version} by {by} of {at} is active no longer"
        ))?;
    }
    for moved in &tenant.renumbers {
        let (stream, from, to) = (moved.stream, moved.from, moved.to);
        ui.line(format_args!(
            "{name}: {stream}/{from} becomes {stream}/{to}"
        ))?;
    }
    for lost in &tenant.lost {
        let (object, problem) = (&lost.object, hints::unverifiable(&lost.problem));
        ui.line(format_args!("{name}: not restored: {object}: {problem}"))?;
    }
    Ok(())
}

fn details(ui: &Ui, tenant: &TenantId, outcome: &Result<Recovery, Error>) -> anyhow::Result<()> {
    let recovery = match outcome {
        Ok(recovery) => recovery,
        Err(error) => {
            ui.line(format_args!("{tenant}: {error}"))?;
            // What the one needs is not what all of them need.
            if let Some(hint) = error.hinted() {
                ui.line(format_args!("{tenant}: {}", hints::words(hint)))?;
            }
            return Ok(());
        }
    };
    from_older_layout(ui, tenant, &recovery.legacy)?;
    if recovery.held > 0 {
        let held = crate::cli::ui::count(recovery.held, "version");
        ui.line(format_args!(
            "{tenant}: awaits recovery: {held} of the older layout not restored yet; `driftline recover --tenant {tenant} --accept-unverified` brings all of them, `--leave-out` opens the tenant without what nothing proves"
        ))?;
    }
    for damage in &recovery.failures {
        let damage = hints::unverifiable(&damage.to_string());
        ui.line(format_args!("{tenant}: not restored: {damage}"))?;
    }
    for damage in &recovery.worked_around {
        ui.line(format_args!("{tenant}: worked around: {damage}"))?;
    }
    for object in &recovery.orphans {
        ui.line(format_args!("{tenant}: orphan, left as it is: {object}"))?;
    }
    for Moved {
        stream, from, to, ..
    } in &recovery.renumbered
    {
        ui.line(format_args!(
            "{tenant}: {stream}/{from} is {stream}/{to} now"
        ))?;
    }
    if recovery.inactive_then {
        ui.line(format_args!(
            "{tenant}: no version was active then; what is active was left as it is"
        ))?;
    }
    for (stream, seq) in &recovery.void_references {
        ui.line(format_args!(
            "{tenant}: {stream}/{seq} refers to a version that is lost; it has no effect"
        ))?;
    }
    Ok(())
}

/// A count, and what an operator has to know of single versions; the others only stand in the document.
fn from_older_layout(ui: &Ui, tenant: &TenantId, legacy: &[LegacyMapping]) -> anyhow::Result<()> {
    if legacy.is_empty() {
        return Ok(());
    }
    let count = legacy.len();
    let unverified = legacy.iter().filter(|mapping| !mapping.verified);
    let renumbered = legacy
        .iter()
        .filter(|mapping| mapping.old_version != mapping.new_version)
        .count();
    ui.line(format_args!(
        "{tenant}: {count} from the older layout, {} of them unverified, {renumbered} renumbered",
        unverified.clone().count()
    ))?;
    for mapping in unverified {
        let stored = mapping
            .old_digest
            .map_or_else(|| "no digest".to_owned(), |digest| digest.to_string());
        ui.line(format_args!(
            "{tenant}: accepted unverified: version {} (older layout: version {}, {stored} on record)",
            mapping.new_version, mapping.old_version
        ))?;
    }
    Ok(())
}
