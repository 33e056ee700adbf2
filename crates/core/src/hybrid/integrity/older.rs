//! Objects of the older layout: what they are worth, as long as a tenant was not recovered from them, and what nothing proves
//! afterwards.

use std::collections::BTreeSet;

use super::look::Look;
use super::rows::Rows;
use super::stock::Stock;
use crate::hybrid::bucket::BucketResult;
use crate::hybrid::recovery::legacy::{LegacyObject, LegacyVerdict, take_stock};
use driftline_model::format::legacy::parse_legacy_key;
use driftline_model::integrity::{Finding, Mend, Verdict};
use driftline_model::{Digest, Stream, TenantId};

/// Whether the tenant still is in the older layout; its keys are not today's then.
pub(super) async fn is_in_older_layout(
    look: &Look<'_>,
    tenant: &TenantId,
    stock: &mut Stock,
    keys: &[String],
) -> BucketResult<Option<Vec<LegacyObject>>> {
    let any = keys
        .iter()
        .any(|key| parse_legacy_key(tenant, key).is_some());
    if stock.index.is_some() || !any {
        return Ok(None);
    }
    let older = take_stock(&look.bucket, tenant, keys).await?;
    let told = |object: &LegacyObject| !matches!(object.verdict, LegacyVerdict::Malformed(_));
    if !older.todays.is_empty() || !older.entries.iter().any(told) {
        return Ok(None);
    }
    stock.index_damage = None;
    forget(tenant, stock);
    Ok(Some(older.entries))
}

/// Leaves out the keys of the older layout.
pub(super) fn forget(tenant: &TenantId, stock: &mut Stock) {
    let is_older = |key: &String| parse_legacy_key(tenant, key).is_some();
    stock.objects.retain(|_, key| !is_older(key));
    stock.foreign.retain(|key| !is_older(key));
}

/// What a tenant that was recovered from the older layout left behind there because nothing proves it.
pub(super) async fn left_behind(
    look: &Look<'_>,
    tenant: &TenantId,
    keys: &[String],
    rows: Option<&Rows>,
) -> BucketResult<Vec<LegacyObject>> {
    let older = take_stock(&look.bucket, tenant, keys).await?;
    let known: BTreeSet<Digest> = rows
        .iter()
        .flat_map(|rows| rows.metas.values().map(|meta| meta.checksum))
        .collect();
    let is_left = |object: &LegacyObject| {
        matches!(object.verdict, LegacyVerdict::Unverifiable { .. })
            && object.told.is_none_or(|told| !known.contains(&told))
    };
    Ok(older.entries.into_iter().filter(is_left).collect())
}

/// The finding that an object of the older layout is.
pub(super) fn finding(tenant: &TenantId, object: &LegacyObject) -> Finding {
    let (verdict, repair, detail) = match &object.verdict {
        LegacyVerdict::Verified => (
            Verdict::IndexOnly,
            Mend::Recover,
            "an older system wrote it, and it was not recovered yet".to_owned(),
        ),
        LegacyVerdict::Unverifiable { .. } => (
            Verdict::UnverifiableLegacy,
            Mend::RecoverUnverified,
            "an older system wrote it, and its digest is not that of its content".to_owned(),
        ),
        LegacyVerdict::Missing => (
            Verdict::ShadowMissing,
            Mend::Lost,
            "an older system's index names it, and it is not there".to_owned(),
        ),
        LegacyVerdict::Contradicted { .. }
        | LegacyVerdict::Refused(_)
        | LegacyVerdict::Malformed(_) => {
            let damage = object.damage(true);
            let detail = damage.map(|damage| damage.problem.to_string());
            let detail = detail.unwrap_or_default();
            (Verdict::Malformed, Mend::Lost, detail)
        }
    };
    Finding {
        tenant: tenant.clone(),
        stream: Some(Stream::Manifests),
        seq: Some(object.version),
        verdict,
        object: Some(object.key.clone()),
        detail,
        repair,
        hindrance: None,
        hint: None,
        accepted: None,
    }
}
