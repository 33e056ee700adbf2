//! Which tenants are drilled.

use std::collections::BTreeMap;

use super::Shadowed;
use crate::hybrid::drift;
use crate::hybrid::settings::Sides;
use driftline_model::{Seq, TenantId};
use driftline_ports::Result;

const PAGE: u32 = 1000;

/// Which tenants are drilled.
#[derive(Debug, Clone, PartialEq)]
pub enum DrillScope {
    /// Every one that either side knows.
    All,
    /// At random so many of a hundred of those that have something in the bucket; at least one.
    Sample {
        /// Above 0, and no more than 100.
        percent: f64,
    },
    /// These.
    Tenants(Vec<TenantId>),
}

impl DrillScope {
    /// The tenants, as the database sees them, with what it says to be in the bucket.
    pub(super) async fn choose(&self, live: &Sides) -> Result<BTreeMap<TenantId, Shadowed>> {
        match self {
            Self::All => every(live).await,
            Self::Sample { percent } => Ok(sample(live, *percent, every(live).await?)),
            Self::Tenants(tenants) => {
                let mut chosen = BTreeMap::new();
                for tenant in tenants {
                    let status = live.database.status(Some(tenant), None, 1).await?;
                    let status = drift::known(tenant, status.into_iter().next())?;
                    chosen.insert(tenant.clone(), status.watermarks);
                }
                Ok(chosen)
            }
        }
    }
}

async fn every(live: &Sides) -> Result<BTreeMap<TenantId, Shadowed>> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = live.database.status(None, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = Some(last.state.tenant.clone());
        let page = page.into_iter();
        found.extend(page.map(|status| (status.state.tenant, status.watermarks)));
    }
}

/// Draws without putting back, each tenant as likely as any other.
fn sample(
    live: &Sides,
    percent: f64,
    found: BTreeMap<TenantId, Shadowed>,
) -> BTreeMap<TenantId, Shadowed> {
    let mut left: Vec<_> = found
        .into_iter()
        .filter(|(_, shadowed)| shadowed.iter().any(|(_, seq)| *seq > Seq::default()))
        .collect();
    let mut chosen = BTreeMap::new();
    let wanted = share(left.len(), percent / 100.0).max(1);
    while chosen.len() < wanted && !left.is_empty() {
        let at = share(left.len(), live.entropy.fraction());
        let at = at.saturating_sub(1).min(left.len() - 1);
        let (tenant, shadowed) = left.swap_remove(at);
        chosen.insert(tenant, shadowed);
    }
    chosen
}

/// This part of so many, rounded up.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of tenants, and a part of it, are far below 2^52 and not negative"
)]
fn share(count: usize, part: f64) -> usize {
    (count as f64 * part.clamp(0.0, 1.0)).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_more_than_all() {
        for (count, part, wanted) in [
            (0, 0.5, 0),
            (10, 0.05, 1),
            (10, 0.5, 5),
            (10, 0.51, 6),
            (10, 1.0, 10),
            (10, 7.0, 10),
            (10, f64::NAN, 0),
        ] {
            assert_eq!(share(count, part), wanted, "{part} of {count}");
        }
    }
}
