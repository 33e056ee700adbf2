//! What a recovery did, as a document and as text.

use driftline::domain::format::Damage;
use driftline::domain::{Digest, Epoch, Moved, Seq, TenantId};
use driftline::hybrid::RecoveryReport;
use driftline::ports::{Error, LegacyMapping, Recovery};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Ui;
use crate::cli::documents::error_document;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    pub schema: &'static str,
    pub dry_run: bool,
    pub tenants: &'a [TenantDocument<'a>],
    pub unfinished: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantDocument<'a> {
    tenant: &'a TenantId,
    state: Option<&'static str>,
    restored: u64,
    head: Option<Seq>,
    active_version: Option<Seq>,
    new_version: Option<Seq>,
    epoch: Option<Epoch>,
    failures: Vec<Value>,
    worked_around: Vec<Value>,
    orphans: &'a [String],
    void_references: Vec<Value>,
    renumbered: &'a [Moved],
    legacy: Vec<MappingDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// A version of the older layout, and what became of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MappingDocument {
    old_version: Seq,
    new_version: Seq,
    old_digest: Option<Digest>,
    new_checksum: Digest,
    verified: bool,
}

impl MappingDocument {
    fn of(mapping: &LegacyMapping) -> Self {
        let LegacyMapping {
            old_version,
            new_version,
            old_digest,
            new_checksum,
            verified,
        } = *mapping;
        Self {
            old_version,
            new_version,
            old_digest,
            new_checksum,
            verified,
        }
    }
}

pub fn document((tenant, outcome): &(TenantId, Result<Recovery, Error>)) -> TenantDocument<'_> {
    let damages = |damages: &[Damage]| {
        let show = |damage: &Damage| json!({ "object": damage.object, "problem": damage.problem.to_string() });
        damages.iter().map(show).collect::<Vec<_>>()
    };
    match outcome {
        Ok(recovery) => TenantDocument {
            tenant,
            state: Some(recovery.state.name()),
            restored: recovery.restored,
            head: Some(recovery.head),
            active_version: Some(recovery.active_version),
            new_version: recovery.new_version,
            epoch: Some(recovery.epoch),
            failures: damages(&recovery.failures),
            worked_around: damages(&recovery.worked_around),
            orphans: &recovery.orphans,
            void_references: recovery
                .void_references
                .iter()
                .map(|(stream, seq)| json!({ "stream": stream, "seq": seq }))
                .collect(),
            renumbered: &recovery.renumbered,
            legacy: recovery.legacy.iter().map(MappingDocument::of).collect(),
            error: None,
        },
        Err(error) => TenantDocument {
            tenant,
            state: None,
            restored: 0,
            head: None,
            active_version: None,
            new_version: None,
            epoch: None,
            failures: Vec::new(),
            worked_around: Vec::new(),
            orphans: &[],
            void_references: Vec::new(),
            renumbered: &[],
            legacy: Vec::new(),
            error: Some(error_document(error)),
        },
    }
}

pub fn show(ui: &Ui, report: &RecoveryReport, dry_run: bool) -> anyhow::Result<()> {
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
    if dry_run {
        ui.note("nothing was changed");
    }
    Ok(())
}

fn details(ui: &Ui, tenant: &TenantId, outcome: &Result<Recovery, Error>) -> anyhow::Result<()> {
    let recovery = match outcome {
        Ok(recovery) => recovery,
        Err(error) => return Ok(ui.line(format_args!("{tenant}: {error}"))?),
    };
    from_older_layout(ui, tenant, &recovery.legacy)?;
    for damage in &recovery.failures {
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
