//! How large an object may be before it is taken for anything but itself.
//!
//! Whoever can write to the bucket can put anything there, and a reader must not need memory for it. Where an index tells an
//! object's size, that is the bound; everywhere else it is the one of its kind, far above whatever driftline writes.

use super::keys::{BUCKET_KEY, parse_snapshot_key};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The largest canonical content of an entry, whatever limit is set: 64 MiB.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024 * 1024;

/// What is left of a bound below which nothing is saved by telling sizes apart: a digest says more.
const SMALL: u64 = 64 * KIB;

/// The most bytes that an object of this key's kind may have: 64 KiB for `bucket.json`; 16 MiB for a page; 256 MiB for an index,
/// which holds a whole history where it could not be divided into pages; 128 MiB for a snapshot and for everything else.
pub fn most_bytes(key: &str) -> u64 {
    if key == BUCKET_KEY {
        return SMALL;
    }
    if parse_snapshot_key(key).is_some() {
        return 128 * MIB;
    }
    let mut parts = key.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some("index.json"), _) => 256 * MIB,
        (Some(_), Some("index")) => 16 * MIB,
        _ => 128 * MIB,
    }
}

/// The most bytes of an object that is moved away whole, whatever belongs there: what anything but an index may have.
pub fn most_bytes_to_move(key: &str) -> u64 {
    most_bytes(key).max(128 * MIB)
}

/// The bound for a snapshot of which an index says that it has `object_bytes`.
pub fn most_bytes_of(key: &str, object_bytes: u64) -> u64 {
    object_bytes.max(SMALL).min(most_bytes(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_bound_and_an_index_narrows_it() {
        for (key, mib) in [
            ("acme/index.json", 256),
            ("acme/applies/index.json", 256),
            ("acme/index/p000001.json", 16),
            ("acme/versions/v000001.json", 128),
            ("_driftline/recover.sh", 128),
        ] {
            assert_eq!(most_bytes(key), mib * MIB, "{key}");
        }
        assert_eq!(most_bytes(BUCKET_KEY), 64 * KIB);
        let key = "acme/versions/v000001.json";
        assert_eq!(most_bytes_of(key, 5), 64 * KIB);
        assert_eq!(most_bytes_of(key, 3 * MIB), 3 * MIB);
        assert_eq!(most_bytes_of(key, u64::MAX), 128 * MIB);
    }
}
