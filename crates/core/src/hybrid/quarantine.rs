//! Where copies of what is moved away lie.
//!
//! A copy is also a sign: whoever finds one knows that its object may be removed at any moment from then on.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::bucket::{Bucket, Created};
use driftline_model::format::stream_prefix;
use driftline_model::{Digest, Stream, TenantId};
use driftline_ports::{Error, ErrorKind, Hint, Result, StoreResult};

const QUARANTINE: &str = "_driftline/quarantine/";
/// Objects of a listing that are asked for at once.
const PAGE: usize = 1000;

/// Where the copy of an object with these bytes lies.
pub(super) fn place(key: &str, sha256: Digest) -> String {
    let short = &sha256.to_string()[..12];
    format!("{QUARANTINE}{key}.{short}")
}

/// Copies an object, and reads the copy back.
pub(super) async fn copy(bucket: &Bucket, key: &str, bytes: &Bytes, sha256: Digest) -> Result<()> {
    let place = place(key, sha256);
    let created = bucket.create(&place, bytes).await?;
    let there = bucket.store().get(&place, bytes.len() as u64).await?;
    match (created, there) {
        (Created::Written | Created::Exists(_), Some(there)) if there.bytes == *bytes => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Damaged,
            format!("repair: the copy {place} is not what was written"),
        )
        .hint(Hint::TestStore)),
    }
}

/// The keys of the copies of a stream's snapshots.
pub(super) async fn copies(
    bucket: &Bucket,
    tenant: &TenantId,
    stream: Stream,
) -> StoreResult<BTreeSet<String>> {
    let prefix = format!("{QUARANTINE}{}", stream_prefix(tenant, stream));
    let (mut copies, mut after) = (BTreeSet::new(), None);
    loop {
        let store = bucket.store();
        let part = store.list(&prefix, after.as_deref(), PAGE).await?;
        after = part.objects.last().map(|it| it.key.clone());
        copies.extend(part.objects.into_iter().map(|it| it.key));
        if !part.more || after.is_none() {
            return Ok(copies);
        }
    }
}
