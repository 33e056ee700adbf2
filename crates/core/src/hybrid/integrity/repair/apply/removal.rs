//! Moving objects away, so that nobody names meanwhile what is removed.

use std::time::Duration;

use super::{makes_anew, moved};
use crate::hybrid::blocking::bytes_digest;
use crate::hybrid::bucket::{BucketError, Swapped};
use crate::hybrid::integrity::Look;
use crate::hybrid::integrity::repair::TenantRepair;
use crate::hybrid::{crash, quarantine};
use driftline_model::format::{IndexEntry, index_key, parse_snapshot_key};
use driftline_model::{Digest, Seq, Stream};
use driftline_ports::Result;

/// Copies the object, reads the copy back, and only then removes it.
pub(super) async fn move_away(
    look: &Look<'_>,
    planned: &TenantRepair,
    key: &str,
    sha256: Digest,
) -> Result<()> {
    let Some(found) = look.bucket.get_to_move(key).await? else {
        return Ok(());
    };
    if bytes_digest(&found.bytes).await != sha256 {
        return Err(moved(key));
    }
    quarantine::copy(&look.bucket, key, &found.bytes, sha256).await?;
    crash::point("repair-copied");
    if let Some((stream, seq, _)) = parse_snapshot_key(key)
        && !makes_anew(planned, stream)
    {
        announce(look, planned, (stream, seq), key, sha256).await?;
    }
    look.bucket.store().delete(key).await?;
    Ok(())
}

/// An object may have got its place in the index since the plan was made: it is no orphan any more. One beyond its end may get it
/// at any moment, by whoever read the index before the copy was there: the index is written once more, so that they come too
/// late. Who reads it from now on finds the copy.
async fn announce(
    look: &Look<'_>,
    planned: &TenantRepair,
    (stream, seq): (Stream, Seq),
    key: &str,
    sha256: Digest,
) -> Result<()> {
    let (mut index, etag) = match look.bucket.index(&planned.tenant, stream).await {
        Ok(Some(found)) => found,
        Ok(None) | Err(BucketError::Damage(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let is_it = |named: &IndexEntry| named.key() == key && named.object_sha256 == sha256;
    if index.entries.iter().any(is_it) {
        return Err(moved(key));
    }
    if seq <= index.latest() {
        return Ok(());
    }
    let index_key = index_key(&planned.tenant, stream);
    if index.epoch > planned.epoch {
        return Err(moved(&index_key));
    }
    // A version that differs in its bytes: some stores name versions by them.
    let later = index.updated_at.saturating_add(Duration::from_micros(1));
    index.updated_at = look.sides.now().max(later);
    match (look.bucket.swap(&index_key, &index.to_bytes(), Some(&etag))).await? {
        Swapped::Written(_) => Ok(()),
        Swapped::Moved => Err(moved(&index_key)),
    }
}
