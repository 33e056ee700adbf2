//! Which epoch is the newest that the bucket knows.

use super::{Context, Lister, listing};
use crate::hybrid::bucket::BucketError;
use crate::hybrid::settings::Sides;
use driftline_model::Stream;
use driftline_ports::Result;

/// The newest epoch in the bucket, where `bucket.json` does not tell it.
pub(super) async fn newest_epoch(context: &Context<'_>) -> Result<driftline_model::Epoch> {
    if context.takeover.knows_generation() {
        return Ok(driftline_model::Epoch::default());
    }
    highest_epoch(context.sides).await
}

/// The newest epoch that any index or snapshot names: the whole bucket is searched.
pub(crate) async fn highest_epoch(sides: &Sides) -> Result<driftline_model::Epoch> {
    let mut highest = driftline_model::Epoch::default();
    let bucket = sides.bucket();
    let mut lister = Lister::all(sides.snapshots.as_ref());
    while let Some((tenant, objects)) = lister.next().await? {
        let keys = listing::keys(&objects?);
        for stream in Stream::ALL {
            match bucket.index(&tenant, stream).await {
                Ok(Some((index, _))) => highest = highest.max(index.epoch),
                // Its snapshots tell below.
                Ok(None) | Err(BucketError::Damage(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let named = keys
            .iter()
            .filter_map(|key| driftline_model::format::parse_snapshot_key(key));
        highest = named
            .map(|(_, _, epoch)| epoch)
            .fold(highest, std::cmp::max);
    }
    Ok(highest)
}
