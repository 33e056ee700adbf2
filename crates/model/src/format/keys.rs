//! Where each object lies, relative to the bucket's prefix.

use crate::{Epoch, Seq, Stream, TenantId};

/// Whose bucket this is.
pub const BUCKET_KEY: &str = "_driftline/bucket.json";

/// More entries, and more epochs, than any history can have.
const MAX_NUMBER: u64 = 1 << 56;

/// What the keys of a stream's objects start with.
pub fn stream_prefix(tenant: &TenantId, stream: Stream) -> String {
    format!("{tenant}/{}", stream.folder())
}

/// The key of a stream's index.
pub fn index_key(tenant: &TenantId, stream: Stream) -> String {
    format!("{tenant}/{}index.json", stream.folder())
}

/// The key of a stream's `page`th sealed page, counted from 1.
pub fn page_key(tenant: &TenantId, stream: Stream, page: u64) -> String {
    format!("{tenant}/{}index/p{page:06}.json", stream.folder())
}

/// The key of an entry's snapshot.
pub fn snapshot_key(tenant: &TenantId, stream: Stream, seq: Seq, epoch: Epoch) -> String {
    let (folder, letter, seq) = (stream.snapshots(), stream.letter(), seq.get());
    if epoch <= Epoch::FIRST {
        format!("{tenant}/{folder}{letter}{seq:06}.json")
    } else {
        format!("{tenant}/{folder}{letter}{seq:06}.e{epoch}.json")
    }
}

/// The tenant that an object belongs to, or `None` for what belongs to no tenant.
pub fn tenant_of(key: &str) -> Option<TenantId> {
    key.split_once('/')?.0.parse().ok()
}

/// The stream that an object of a tenant belongs to.
pub fn stream_of(key: &str) -> Option<Stream> {
    let (_, place) = key.split_once('/')?;
    Stream::ALL.into_iter().find(|stream| {
        let is_index = |name: &str| !name.contains('/') || name.starts_with("index/");
        place.starts_with(stream.snapshots())
            || place.strip_prefix(stream.folder()).is_some_and(is_index)
    })
}

/// The stream, number and epoch in a snapshot's key; `None` for every other key.
pub fn parse_snapshot_key(key: &str) -> Option<(Stream, Seq, Epoch)> {
    let tenant = tenant_of(key)?;
    let name = &key[tenant.as_str().len() + 1..];
    let (stream, name) = Stream::ALL.into_iter().find_map(|stream| {
        let name = name.strip_prefix(stream.snapshots())?;
        Some((stream, name.strip_prefix(stream.letter())?))
    })?;
    let name = name.strip_suffix(".json")?;
    let (seq, epoch) = match name.split_once(".e") {
        Some((seq, epoch)) => (seq, epoch.parse().ok()?),
        None => (name, 1),
    };
    // A name is no proof: one that claims an absurd number must not become the beginning of what comes after it.
    let (seq, epoch): (u64, u64) = (seq.parse().ok()?, epoch);
    if seq > MAX_NUMBER || epoch > MAX_NUMBER {
        return None;
    }
    let (seq, epoch) = (Seq::new(seq), Epoch::new(epoch));
    (seq.get() > 0 && snapshot_key(&tenant, stream, seq, epoch) == key)
        .then_some((stream, seq, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_padded_and_carry_later_epochs() {
        let tenant: TenantId = "acme".parse().unwrap();
        let key =
            |stream, seq, epoch| snapshot_key(&tenant, stream, Seq::new(seq), Epoch::new(epoch));
        assert_eq!(key(Stream::Manifests, 13, 1), "acme/versions/v000013.json");
        assert_eq!(
            key(Stream::Manifests, 13, 2),
            "acme/versions/v000013.e2.json"
        );
        assert_eq!(
            key(Stream::Applies, 1_234_567, 1),
            "acme/applies/a1234567.json"
        );
        assert_eq!(index_key(&tenant, Stream::Manifests), "acme/index.json");
        assert_eq!(
            index_key(&tenant, Stream::Decisions),
            "acme/decisions/index.json"
        );
        assert_eq!(
            page_key(&tenant, Stream::Applies, 1),
            "acme/applies/index/p000001.json"
        );
    }

    #[test]
    fn snapshot_keys_parse_back_and_nothing_else_does() {
        let tenant: TenantId = "acme".parse().unwrap();
        for stream in Stream::ALL {
            for (seq, epoch) in [(1, 1), (999_999, 2), (1_000_000, 31)] {
                let (seq, epoch) = (Seq::new(seq), Epoch::new(epoch));
                let key = snapshot_key(&tenant, stream, seq, epoch);
                assert_eq!(parse_snapshot_key(&key), Some((stream, seq, epoch)));
                assert_eq!(stream_of(&key), Some(stream));
            }
            assert_eq!(stream_of(&index_key(&tenant, stream)), Some(stream));
            assert_eq!(stream_of(&page_key(&tenant, stream, 1)), Some(stream));
        }
        assert_eq!(stream_of("acme/elsewhere/x000001.json"), None);
        for key in [
            "acme/index.json",
            "acme/versions/v13.json",
            "acme/versions/v000013.e1.json",
            "acme/versions/v000000.json",
            "acme/versions/v000013.json.bak",
            "acme/versions/v+00013.json",
            "_driftline/bucket.json",
            "acme/index/p000001.json",
        ] {
            assert_eq!(parse_snapshot_key(key), None, "{key}");
        }
        assert_eq!(tenant_of(BUCKET_KEY), None);
    }
}
