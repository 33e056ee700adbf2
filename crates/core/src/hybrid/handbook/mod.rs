//! What a bucket says of itself to people who have nothing but the bucket: how it is laid out, and a script that gets a
//! tenant's versions back without driftline.
//!
//! Both are written once in the life of a bucket and never replaced, by an operator's own text or a later release's no more
//! than by ours. Nothing reads them, so that failing to write them is no reason to shadow nothing.

use bytes::Bytes;

use super::bucket::{Bucket, Created};

/// The texts, by their keys.
const TEXTS: [(&str, &str); 2] = [
    ("_driftline/README.txt", include_str!("README.txt")),
    ("_driftline/recover.sh", include_str!("recover.sh")),
];

/// Writes what is not there yet. A failure is logged, and is nobody else's concern.
pub(crate) async fn write(bucket: &Bucket) {
    for (key, text) in TEXTS {
        match bucket
            .create(key, &Bytes::from_static(text.as_bytes()))
            .await
        {
            Ok(Created::Written) => {}
            Ok(Created::Exists(_)) => tracing::debug!(key, "kept what is there"),
            Err(error) => {
                tracing::warn!(key, %error, "a text for people could not be written to the bucket");
            }
        }
    }
}
