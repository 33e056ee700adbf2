//! Long computations leave the threads that everybody's requests share.
//!
//! What is short runs where it is asked for: another thread would cost more than it frees. Under paused time the clock stands
//! still for as long as such work runs, so that a simulation sees it take no time at all.

use std::panic::resume_unwind;

use bytes::Bytes;
use tokio::runtime::Handle;

use driftline_model::content::Content;
use driftline_model::format::Snapshot;
use driftline_model::{Digest, Entry};

/// Bytes up to which a document is parsed, compared and hashed in place: about a millisecond's work.
pub(crate) const IN_PLACE: usize = 256 * 1024;

/// Does `work` on `len` bytes: in place if they are few, otherwise on a thread made for long computations. Dropping the future
/// lets the work end by itself, and its result go.
pub(crate) async fn off_thread<T: Send + 'static>(
    len: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if len <= IN_PLACE {
        return work();
    }
    let Ok(runtime) = Handle::try_current() else {
        return work();
    };
    match runtime.spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime shuts down, and this very future is about to be dropped.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The bytes of the snapshot that a row makes, and their digest.
pub(crate) async fn snapshot_of(row: &Entry) -> (Bytes, Digest) {
    let row = row.clone();
    off_thread(row.content.len(), move || {
        let bytes = Snapshot::write(&row);
        let digest = Digest::of(&bytes);
        (bytes, digest)
    })
    .await
}

/// The digest of a row's content, whatever is on record.
pub(crate) async fn digest_of(content: &Content) -> Digest {
    bytes_digest(content.bytes()).await
}

/// The digest of these bytes.
pub(crate) async fn bytes_digest(bytes: &Bytes) -> Digest {
    let bytes = bytes.clone();
    off_thread(bytes.len(), move || Digest::of(&bytes)).await
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn only_long_work_leaves_the_thread() {
        let here = thread::current().id();
        let on = |len| off_thread(len, move || thread::current().id());
        assert_eq!(on(IN_PLACE).await, here);
        assert_ne!(on(IN_PLACE + 1).await, here);
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_time_stands_still_meanwhile() {
        let began = Instant::now();
        let timer = tokio::spawn(tokio::time::sleep(Duration::from_mins(1)));
        off_thread(IN_PLACE + 1, || thread::sleep(Duration::from_millis(20))).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        timer.await.unwrap();
    }

    #[test]
    fn without_a_runtime_it_runs_in_place() {
        let done = off_thread(IN_PLACE + 1, || 7).now_or_never();
        assert_eq!(done, Some(7));
    }
}
