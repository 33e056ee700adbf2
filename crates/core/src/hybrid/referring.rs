//! What refers to a version follows the index that names that version.

use driftline_model::{Entry, Seq, Stream};
use driftline_ports::{Database, StoreResult};

/// The row refers to a version that the database has, and that the index of manifests, which ends at `manifests`, does not name
/// yet. A reference that does not resolve waits for nothing.
pub(super) async fn waits_for(
    database: &dyn Database,
    row: &Entry,
    manifests: Seq,
) -> StoreResult<bool> {
    for to in row.meta.stream.references(&row.content) {
        if to.version <= manifests {
            continue;
        }
        let next = Some(to.version.next());
        let found = database
            .history(&row.meta.tenant, Stream::Manifests, next, 1)
            .await?;
        if (found.first()).is_some_and(|it| (it.seq, it.chain) == (to.version, to.chain)) {
            return Ok(true);
        }
    }
    Ok(false)
}
