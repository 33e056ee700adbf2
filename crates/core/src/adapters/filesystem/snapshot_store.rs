//! The port on a directory: the blocking work runs on threads made for it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::objects::Directory;
use driftline_ports::{
    BackendInfo, Fault, Folders, Inspection, Listing, Object, Precondition, PutOutcome, Side,
    SnapshotStore, StoreError, StoreResult, Verdict,
};

/// A bucket that is a local directory; see the [module](super) for what it guarantees.
#[derive(Debug, Clone)]
pub struct DirectorySnapshotStore {
    directory: Arc<Directory>,
}

impl DirectorySnapshotStore {
    /// Opens the bucket at `path`, and makes the directory when it is not there.
    pub fn open(path: impl AsRef<Path>) -> StoreResult<Self> {
        let directory = Directory::open(path.as_ref())?;
        Ok(Self {
            directory: Arc::new(directory),
        })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.directory.root
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let directory = Arc::clone(&self.directory);
        tokio::task::spawn_blocking(move || work(&directory))
            .await
            .unwrap_or_else(|error| {
                let message = "the work on the directory was cut off";
                Err(StoreError::new(Side::Bucket, Fault::OutcomeUnknown, message).because(error))
            })
    }
}

#[async_trait]
impl SnapshotStore for DirectorySnapshotStore {
    fn prefix(&self) -> &'static str {
        ""
    }

    fn url(&self) -> String {
        url::Url::from_file_path(self.root()).map_or_else(
            |()| format!("file://{}", self.root().display()),
            String::from,
        )
    }

    async fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let key = key.to_owned();
        self.run(move |directory| directory.get(&key, most)).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Precondition,
    ) -> StoreResult<PutOutcome> {
        let key = key.to_owned();
        self.run(move |directory| directory.put(&key, &bytes, &condition))
            .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> StoreResult<Listing> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let limit = limit.clamp(1, 1000);
        self.run(move |directory| directory.list(&prefix, after.as_deref(), limit))
            .await
    }

    async fn folders(&self, _from: Option<&str>) -> StoreResult<Folders> {
        self.run(Directory::folders).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let key = key.to_owned();
        self.run(move |directory| directory.delete(&key)).await
    }

    async fn ping(&self) -> StoreResult<BackendInfo> {
        self.run(Directory::check_root).await?;
        Ok(BackendInfo {
            version: "directory".to_owned(),
            now: None,
        })
    }

    async fn inspect(&self, _scratch: &str) -> StoreResult<Vec<Inspection>> {
        self.run(|directory| {
            directory.check_root()?;
            Ok(vec![sharing(&directory.root), space(&directory.root)])
        })
        .await
    }
}

/// Whether locks hold for everyone who can reach the directory.
fn sharing(root: &Path) -> Inspection {
    // linux/magic.h: NFS, SMB, SMB2, CIFS, 9P, FUSE, Ceph.
    const NETWORK: [u64; 7] = [
        0x6969,
        0x517b,
        0xfe53_4d42,
        0xff53_4d42,
        0x0102_1997,
        0x6573_5546,
        0x00c3_6400,
    ];
    let (verdict, detail) = match file_system(root) {
        None => (
            Verdict::Unknown,
            "the kind of file system could not be found out".to_owned(),
        ),
        Some(kind) if NETWORK.contains(&kind) => (
            Verdict::Warn,
            format!(
                "kind {kind:#x} is shared over a network, where locks may not hold between machines"
            ),
        ),
        Some(kind) => (
            Verdict::Pass,
            format!("kind {kind:#x}: locks hold between processes"),
        ),
    };
    Inspection {
        name: "local-file-system",
        verdict,
        detail,
    }
}

#[cfg(target_os = "linux")]
fn file_system(root: &Path) -> Option<u64> {
    u64::try_from(rustix::fs::statfs(root).ok()?.f_type).ok()
}

#[cfg(not(target_os = "linux"))]
fn file_system(_root: &Path) -> Option<u64> {
    None
}

fn space(root: &Path) -> Inspection {
    const ENOUGH: u64 = 64 * 1024 * 1024;
    let (verdict, detail) = match rustix::fs::statvfs(root) {
        Err(error) => (
            Verdict::Unknown,
            format!("the free space could not be found out: {error}"),
        ),
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let verdict = if free < ENOUGH {
                Verdict::Warn
            } else {
                Verdict::Info
            };
            (verdict, format!("{} MiB free", free / 1024 / 1024))
        }
    };
    Inspection {
        name: "free-space",
        verdict,
        detail,
    }
}

#[cfg(test)]
mod tests;
