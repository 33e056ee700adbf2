//! What a drill found, as a document and as text.

use std::collections::BTreeSet;

use driftline::domain::{BucketId, TenantId};
use driftline::hybrid::drill::{Compared, Difference, DrillReport, Drilled, Unrecorded};
use driftline::ports::{Error, RestoreProof};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{Ui, hints, ui};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    bucket_id: BucketId,
    tenants: &'a [TenantDocument<'a>],
    total: Total,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TenantDocument<'a> {
    tenant: &'a TenantId,
    result: &'static str,
    proof: Option<Value>,
    entries: u64,
    bytes: u64,
    differences: Vec<Value>,
    more_differences: u64,
    worked_around: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    /// Only told where what was found could not be put on record: an earlier proof still stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    unrecorded: Option<Value>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    tenants: u64,
    proven: u64,
    different: u64,
    failed: u64,
    nothing_to_prove: u64,
    entries: u64,
    bytes: u64,
}

/// Prints the report.
pub fn show(ui: &Ui, report: &DrillReport) -> anyhow::Result<()> {
    let total = total(report);
    if ui.is_text() {
        return text(ui, report, &total);
    }
    let tenants = report.tenants.iter();
    let tenants: Vec<_> = tenants
        .map(|it| document(it, report.unrecorded.as_ref()))
        .collect();
    let document = Document {
        schema: "driftline.drill.v1",
        bucket_id: report.bucket,
        tenants: &tenants,
        total,
    };
    ui.items(&document, &tenants)
}

/// Says that the record does not have what was found, so that nobody trusts it.
pub fn warn(ui: &Ui, tenants: BTreeSet<TenantId>, error: Option<&Error>) {
    if tenants.is_empty() {
        return;
    }
    let names = ui::names(&tenants.into_iter().collect::<Vec<_>>());
    let error = error.map_or_else(String::new, |error| format!(": {error}"));
    ui.warn(format_args!(
        "NOT ON RECORD: what this drill found of {names}; `driftline status` and `driftline doctor` go on showing what an earlier drill proved, do not rely on that{error}; run the drill again when the database takes writes"
    ));
}

/// A proof as documents show it.
pub fn proof(proof: &RestoreProof) -> Value {
    json!({ "version": proof.version, "at": proof.at })
}

const fn result(drilled: &Drilled) -> &'static str {
    match drilled {
        Drilled::Proven { .. } => "proven",
        Drilled::Nothing => "nothingToProve",
        Drilled::Different { .. } => "different",
        Drilled::Failed(_) => "failed",
    }
}

const fn compared(drilled: &Drilled) -> Option<&Compared> {
    match drilled {
        Drilled::Proven { compared, .. } | Drilled::Different { compared, .. } => Some(compared),
        Drilled::Nothing | Drilled::Failed(_) => None,
    }
}

fn document<'a>(
    (tenant, drilled): &'a (TenantId, Drilled),
    unrecorded: Option<&Unrecorded>,
) -> TenantDocument<'a> {
    let compared = compared(drilled);
    let damages = compared.map(|compared| &compared.worked_around[..]);
    let (differences, more) = match drilled {
        Drilled::Different {
            differences, more, ..
        } => (&differences[..], *more),
        _ => (&[][..], 0),
    };
    TenantDocument {
        tenant,
        result: result(drilled),
        proof: match drilled {
            Drilled::Proven { proof: proven, .. } => Some(proof(proven)),
            _ => None,
        },
        entries: compared.map_or(0, |compared| compared.entries),
        bytes: compared.map_or(0, |compared| compared.bytes),
        differences: differences.iter().map(difference).collect(),
        more_differences: more,
        worked_around: damages
            .unwrap_or_default()
            .iter()
            .map(|damage| json!({ "object": damage.object, "problem": damage.problem.to_string() }))
            .collect(),
        error: match drilled {
            Drilled::Failed(error) => Some(hints::document(error)),
            _ => None,
        },
        unrecorded: unrecorded
            .filter(|it| it.tenants.contains(tenant))
            .map(|it| hints::document(&it.error)),
    }
}

fn difference(difference: &Difference) -> Value {
    let place = difference.place();
    json!({
        "kind": difference.kind(),
        "stream": place.map(|(stream, _)| stream),
        "seq": place.map(|(_, seq)| seq),
        "text": difference.to_string(),
    })
}

fn total(report: &DrillReport) -> Total {
    let mut total = Total::default();
    for (_, drilled) in &report.tenants {
        total.tenants += 1;
        match drilled {
            Drilled::Proven { .. } => total.proven += 1,
            Drilled::Nothing => total.nothing_to_prove += 1,
            Drilled::Different { .. } => total.different += 1,
            Drilled::Failed(_) => total.failed += 1,
        }
        if let Some(compared) = compared(drilled) {
            total.entries += compared.entries;
            total.bytes += compared.bytes;
        }
    }
    total
}

fn text(ui: &Ui, report: &DrillReport, total: &Total) -> anyhow::Result<()> {
    if report.tenants.is_empty() {
        return Ok(
            ui.line("nothing of any tenant is in the bucket yet: there is nothing to prove")?
        );
    }
    let rows = report.tenants.iter().map(|(tenant, drilled)| {
        let word = match drilled {
            Drilled::Proven { .. } => "proven",
            Drilled::Nothing => "nothing to prove",
            Drilled::Different { .. } => "different",
            Drilled::Failed(_) => "failed",
        };
        let mut row = vec![tenant.to_string(), word.to_owned()];
        row.push(match drilled {
            Drilled::Proven { proof, .. } => proof.version.to_string(),
            _ => "-".to_owned(),
        });
        if let Some(compared) = compared(drilled) {
            row.extend([compared.entries.to_string(), compared.bytes.to_string()]);
        }
        row
    });
    let header = ["TENANT", "RESULT", "VERSION", "ENTRIES", "BYTES"];
    ui.table(&header, &[2, 3, 4], rows.collect())?;
    for (tenant, drilled) in &report.tenants {
        details(ui, tenant, drilled)?;
    }
    let mut words = vec![format!(
        "{} proven restorable",
        ui::count(total.proven, "tenant")
    )];
    for (count, what) in [
        (total.different, "different"),
        (total.failed, "failed"),
        (total.nothing_to_prove, "with nothing to prove"),
    ] {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    }
    let (entries, bytes) = (ui::count(total.entries, "entry"), ui::bytes(total.bytes));
    Ok(ui.line(format_args!(
        "{}; {entries} and {bytes} compared",
        words.join(", ")
    ))?)
}

fn details(ui: &Ui, tenant: &TenantId, drilled: &Drilled) -> anyhow::Result<()> {
    match drilled {
        Drilled::Failed(error) => {
            ui.line(format_args!("{tenant}: {error}"))?;
        }
        Drilled::Different {
            differences, more, ..
        } => {
            for difference in differences {
                ui.line(format_args!("{tenant}: {difference}"))?;
            }
            if *more > 0 {
                ui.line(format_args!(
                    "{tenant}: and {}",
                    ui::count(*more, "more difference")
                ))?;
            }
        }
        Drilled::Proven { .. } | Drilled::Nothing => {}
    }
    for damage in compared(drilled).map_or(&[][..], |compared| &compared.worked_around) {
        ui.line(format_args!("{tenant}: worked around: {damage}"))?;
    }
    Ok(())
}
