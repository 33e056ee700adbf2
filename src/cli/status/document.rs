//! The JSON documents of `status`.

use driftline::domain::{BucketId, Epoch, Halt, Seq, Stream, TenantId, Timestamp};
use driftline::ports::{
    AtRisk, DatabaseIdentity, Ownership, RestoreProof, TenantStatus, Whereabouts,
};
use serde::Serialize;

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
    last_error: Option<&'a str>,
    retry_at: Option<Timestamp>,
    awaiting_recovery: bool,
    retired: bool,
    proof: Option<ProofDocument>,
    halt: Option<&'a Halt>,
    streams: Streams,
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

#[derive(Serialize)]
struct Streams {
    manifests: Progress,
    applies: Progress,
    decisions: Progress,
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
    /// Tenants with something in the bucket that were never proven to be restorable.
    pub never_proven: usize,
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

/// Whether the database says that anything of the tenant is in the bucket.
fn is_shadowed(status: &TenantStatus) -> bool {
    let mut watermarks = status.watermarks.iter();
    watermarks.any(|(_, watermark)| *watermark > Seq::default())
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
            last_error: status.last_error.as_deref(),
            retry_at: status.retry_at,
            awaiting_recovery: status.state.awaiting_recovery,
            retired: status.state.retired.is_some(),
            proof: status.proof.map(ProofDocument::from),
            halt: status.halted.as_ref(),
            streams: Streams {
                manifests: progress(Stream::Manifests),
                applies: progress(Stream::Applies),
                decisions: progress(Stream::Decisions),
            },
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
        never_proven: found
            .iter()
            .filter(|status| status.proof.is_none() && is_shadowed(status))
            .count(),
        failing: found.iter().filter(|status| is_hindered(status)).count(),
        retired: found
            .iter()
            .filter(|status| status.state.retired.is_some())
            .count(),
    }
}
