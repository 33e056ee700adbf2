//! The JSON documents of `status`.

use driftline::domain::{BucketId, Epoch, Halt, PerStream, Seq, Stream, TenantId, Timestamp};
use driftline::ports::{
    AtRisk, DatabaseIdentity, FailedDrill, Ownership, RestoreProof, TenantStatus, Whereabouts,
};
use serde::Serialize;

use crate::cli::hints;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    pub schema: &'static str,
    pub database: DatabaseDocument,
    pub tenants: &'a [TenantDocument<'a>],
    pub total: Total,
}

/// Who the database is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseDocument {
    id: String,
    ownership: &'static str,
    generation: Epoch,
    bucket_id: Option<BucketId>,
    /// Only told where it is not as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    whereabouts: Option<&'static str>,
}

/// What is shadowed of a tenant, and what is not.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantDocument<'a> {
    tenant: &'a TenantId,
    head: Seq,
    watermark: Seq,
    at_risk: AtRiskDocument,
    halted: bool,
    last_error: Option<String>,
    retry_at: Option<Timestamp>,
    awaiting_recovery: bool,
    retired: bool,
    proof: Option<ProofDocument>,
    /// Only told where the newest drill proved nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_drill: Option<FailedDrillDocument<'a>>,
    halt: Option<&'a Halt>,
    streams: PerStream<Progress>,
}

/// Up to which version a tenant was proven to be restorable, and when.
#[derive(Clone, Copy, Serialize)]
pub struct ProofDocument {
    version: Seq,
    at: Timestamp,
}

impl From<RestoreProof> for ProofDocument {
    fn from(proof: RestoreProof) -> Self {
        Self {
            version: proof.version,
            at: proof.at,
        }
    }
}

/// That the newest drill did not prove a tenant, and whether it found that it is not restorable.
#[derive(Clone, Copy, Serialize)]
pub struct FailedDrillDocument<'a> {
    at: Timestamp,
    result: &'static str,
    reason: &'a str,
}

impl<'a> From<&'a FailedDrill> for FailedDrillDocument<'a> {
    fn from(failed: &'a FailedDrill) -> Self {
        Self {
            at: failed.at,
            result: if failed.refutes { "failed" } else { "notKnown" },
            reason: &failed.reason,
        }
    }
}

#[derive(Serialize)]
struct Progress {
    head: Seq,
    watermark: Seq,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AtRiskDocument {
    pub entries: u64,
    pub bytes: u64,
    pub oldest_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    pub tenants: usize,
    pub halted: usize,
    pub at_risk: AtRiskDocument,
    /// The oldest proof of all tenants that have one.
    pub oldest_proof: Option<OldestProof>,
    /// Tenants with anything to prove that nothing proves to be restorable, be it in the bucket or not.
    pub never_proven: usize,
    /// Tenants that the newest drill found not to be restorable.
    #[serde(skip_serializing_if = "is_zero")]
    pub refuted: usize,
    pub retired: usize,
    /// Tenants with something at risk that cannot be shadowed now.
    #[serde(skip_serializing_if = "is_zero")]
    pub failing: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OldestProof {
    pub tenant: TenantId,
    #[serde(flatten)]
    pub proof: ProofDocument,
    #[serde(skip)]
    pub at: Timestamp,
}

/// Whether nothing proves the tenant to be restorable, although there is something to prove.
pub fn is_unproven(status: &TenantStatus) -> bool {
    let mut heads = status.state.heads.iter();
    status.proof.is_none() && heads.any(|(_, head)| head.seq > Seq::default())
}

/// Whether the newest drill found the tenant not to be restorable.
pub fn is_refuted(status: &TenantStatus) -> bool {
    let failed = status.failed_drill.as_ref();
    failed.is_some_and(|failed| failed.refutes)
}

/// Whether something is at risk, and something is known to keep it from being shadowed.
pub fn is_hindered(status: &TenantStatus) -> bool {
    status.at_risk.entries > 0 && status.hindrance().is_some()
}

impl From<&DatabaseIdentity> for DatabaseDocument {
    fn from(identity: &DatabaseIdentity) -> Self {
        Self {
            id: identity.id.to_string(),
            ownership: ownership(identity.ownership),
            generation: identity.generation,
            bucket_id: identity.bucket_id,
            whereabouts: match identity.whereabouts {
                Whereabouts::Here => None,
                Whereabouts::Promoted => Some("promoted"),
                Whereabouts::Elsewhere => Some("elsewhere"),
            },
        }
    }
}

impl From<AtRisk> for AtRiskDocument {
    fn from(at_risk: AtRisk) -> Self {
        Self {
            entries: at_risk.entries,
            bytes: at_risk.bytes,
            oldest_at: at_risk.oldest_at,
        }
    }
}

impl<'a> From<&'a TenantStatus> for TenantDocument<'a> {
    fn from(status: &'a TenantStatus) -> Self {
        let progress = |stream| Progress {
            head: status.state.heads[stream].seq,
            watermark: status.watermarks[stream],
        };
        Self {
            tenant: &status.state.tenant,
            head: status.state.heads[Stream::Manifests].seq,
            watermark: status.watermarks[Stream::Manifests],
            at_risk: status.at_risk.into(),
            halted: status.halted.is_some(),
            last_error: status.failure().as_ref().map(hints::reason),
            retry_at: status.retry_at,
            awaiting_recovery: status.state.awaiting_recovery,
            retired: status.state.retired.is_some(),
            proof: status.proof.map(ProofDocument::from),
            failed_drill: status.failed_drill.as_ref().map(FailedDrillDocument::from),
            halt: status.halted.as_ref(),
            streams: PerStream::from_fn(progress),
        }
    }
}

/// The word for an ownership.
pub const fn ownership(ownership: Ownership) -> &'static str {
    match ownership {
        Ownership::Unclaimed => "unclaimed",
        Ownership::Claimed => "claimed",
        Ownership::AwaitingRecovery => "awaitingRecovery",
    }
}

/// The sums over all that is shown.
pub fn total(found: &[TenantStatus]) -> Total {
    Total {
        tenants: found.len(),
        halted: found
            .iter()
            .filter(|status| status.halted.is_some())
            .count(),
        at_risk: AtRiskDocument {
            entries: found.iter().map(|status| status.at_risk.entries).sum(),
            bytes: found.iter().map(|status| status.at_risk.bytes).sum(),
            oldest_at: found
                .iter()
                .filter_map(|status| status.at_risk.oldest_at)
                .min(),
        },
        oldest_proof: found
            .iter()
            .filter_map(|status| Some((status.proof?, &status.state.tenant)))
            .min_by_key(|(proof, tenant)| (proof.at, *tenant))
            .map(|(proof, tenant)| OldestProof {
                tenant: tenant.clone(),
                proof: proof.into(),
                at: proof.at,
            }),
        never_proven: found.iter().filter(|it| is_unproven(it)).count(),
        refuted: found.iter().filter(|it| is_refuted(it)).count(),
        failing: found.iter().filter(|status| is_hindered(status)).count(),
        retired: found
            .iter()
            .filter(|status| status.state.retired.is_some())
            .count(),
    }
}
