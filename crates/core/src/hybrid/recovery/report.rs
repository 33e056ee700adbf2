//! What a recovery did, as a document: printed, and kept in the bucket, where it outlives the database.

use serde::Serialize;
use serde_json::{Value, json};

use super::RecoveryReport;
use crate::hybrid::bucket::Created;
use crate::hybrid::settings::Sides;
use driftline_model::format::Damage;
use driftline_model::{Digest, Epoch, Moved, Seq, ShortText, TenantId, Timestamp};
use driftline_ports::{Error, LegacyMapping, Recovery, RecoveryState};

/// Where reports are kept.
const RECOVERIES: &str = "_driftline/recoveries/";

/// The report of a recovery, as it is printed and kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryDocument<'a> {
    schema: &'static str,
    /// Nothing was changed.
    pub dry_run: bool,
    started_at: Option<Timestamp>,
    seconds: Option<f64>,
    by: Option<&'a ShortText>,
    /// Per tenant, in byte order.
    pub tenants: Vec<RecoveredTenant<'a>>,
    unfinished: Option<&'a str>,
    /// A write that is repeated under the idempotency key of an entry that was brought back makes another one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    idempotency_keys_lost: bool,
    /// What belongs to no tenant, was damaged, and was worked around.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    worked_around: Vec<Value>,
    /// The object in the bucket that keeps this report.
    report: Option<&'a str>,
}

/// One tenant in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveredTenant<'a> {
    tenant: &'a TenantId,
    state: Option<&'static str>,
    restored: u64,
    head: Option<Seq>,
    active_version: Option<Seq>,
    new_version: Option<Seq>,
    epoch: Option<Epoch>,
    failures: Vec<Value>,
    /// Versions of the older layout that wait for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<u64>,
    worked_around: Vec<Value>,
    orphans: &'a [String],
    void_references: Vec<Value>,
    renumbered: &'a [Moved],
    legacy: Vec<MappingDocument>,
    inactive_then: bool,
    /// Why it failed. Whoever shows it adds the words for its hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// A version of the older layout, and what became of it.
#[derive(Debug, Serialize)]
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

fn damages(damages: &[Damage]) -> Vec<Value> {
    let show =
        |damage: &Damage| json!({ "object": damage.object, "problem": damage.problem.to_string() });
    damages.iter().map(show).collect()
}

fn document((tenant, outcome): &(TenantId, Result<Recovery, Error>)) -> RecoveredTenant<'_> {
    match outcome {
        Ok(recovery) => RecoveredTenant {
            tenant,
            state: Some(recovery.state.name()),
            restored: recovery.restored,
            head: Some(recovery.head),
            active_version: Some(recovery.active_version),
            new_version: recovery.new_version,
            epoch: Some(recovery.epoch),
            failures: damages(&recovery.failures),
            held: Some(recovery.held).filter(|held| *held > 0),
            worked_around: damages(&recovery.worked_around),
            orphans: &recovery.orphans,
            void_references: recovery
                .void_references
                .iter()
                .map(|(stream, seq)| json!({ "stream": stream, "seq": seq }))
                .collect(),
            renumbered: &recovery.renumbered,
            legacy: recovery.legacy.iter().map(MappingDocument::of).collect(),
            inactive_then: recovery.inactive_then,
            error: None,
        },
        Err(error) => RecoveredTenant {
            tenant,
            state: None,
            restored: 0,
            head: None,
            active_version: None,
            new_version: None,
            epoch: None,
            failures: Vec::new(),
            held: None,
            worked_around: Vec::new(),
            orphans: &[],
            void_references: Vec::new(),
            renumbered: &[],
            legacy: Vec::new(),
            inactive_then: false,
            error: Some(error.document()),
        },
    }
}

impl RecoveryReport {
    /// Whether entries came back whose idempotency keys went with the database's rows, or with another database: keys are in no
    /// bucket. The older layout's entries never had any here.
    pub fn lost_keys(&self) -> bool {
        let recovered = self.tenants.iter().filter_map(|(_, it)| it.as_ref().ok());
        let mut rebuilt = recovered.filter(|recovery| {
            matches!(
                recovery.state,
                RecoveryState::Empty | RecoveryState::Behind | RecoveryState::Diverged
            )
        });
        rebuilt.any(|recovery| recovery.restored > recovery.legacy.len() as u64)
    }

    /// The document of this report.
    pub fn document<'a>(
        &'a self,
        dry_run: bool,
        by: Option<&'a ShortText>,
    ) -> RecoveryDocument<'a> {
        RecoveryDocument {
            schema: "driftline.recovery.v1",
            dry_run,
            started_at: self.took.map(|(began, _)| began),
            seconds: self.took.map(|(_, took)| took.as_secs_f64()),
            by,
            tenants: self.tenants.iter().map(document).collect(),
            unfinished: self.unfinished.as_deref(),
            idempotency_keys_lost: !dry_run && self.lost_keys(),
            worked_around: damages(&self.worked_around),
            report: self.kept.as_deref(),
        }
    }
}

/// Keeps the report in the bucket; the object's key. What was recovered is recovered all the same if that fails.
pub(super) async fn keep(
    sides: &Sides,
    report: &RecoveryReport,
    by: Option<&ShortText>,
) -> Option<String> {
    let (began, _) = report.took?;
    let id = sides.entropy.uuid().simple().to_string();
    let key = format!(
        "{RECOVERIES}{}-{}.json",
        began.to_string().replace(':', ""),
        &id[..8]
    );
    let bytes = match serde_json::to_vec_pretty(&report.document(false, by)) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "the report of the recovery could not be written down");
            return None;
        }
    };
    match sides.bucket().create(&key, &bytes.into()).await {
        Ok(Created::Written) => Some(key),
        Ok(Created::Exists(_)) => {
            tracing::warn!(
                key,
                "the report of the recovery is not kept: another object is there"
            );
            None
        }
        Err(error) => {
            tracing::warn!(key, %error, "the report of the recovery could not be kept in the bucket");
            None
        }
    }
}
