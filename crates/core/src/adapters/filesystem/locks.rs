//! Advisory locks between processes and threads.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::errors::{self, unchanged};
use driftline_model::Digest;
use driftline_ports::{Fault, Side, StoreError, StoreResult};

/// The mode of a new file, which the umask can only narrow: objects hold what belongs to tenants.
pub(super) const PRIVATE_FILE: u32 = 0o600;
/// The same of a new directory.
pub(super) const PRIVATE_DIRECTORY: u32 = 0o700;

/// Below the root: locks and temporary files.
const WORK: &str = ".driftline";
/// How many PUTs of different keys can run at once.
const STRIPES: u8 = 64;
/// A holder writes one object; longer than this and it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A held lock; dropping it, or dying, lets it go.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    /// A path for one temporary file, which belongs to the holder.
    pub(super) temporary: PathBuf,
}

/// Locks what writes to `key`.
pub(super) fn for_key(root: &Path, key: &str) -> StoreResult<Lock> {
    let stripe = Digest::of(key.as_bytes()).as_bytes()[0] % STRIPES;
    acquire(root, &format!("{stripe:02}"))
}

/// Locks what makes directories. Taken after a key's lock, never before.
pub(super) fn for_tree(root: &Path) -> StoreResult<Lock> {
    acquire(root, "tree")
}

fn acquire(root: &Path, name: &str) -> StoreResult<Lock> {
    let path = root.join(WORK).join(format!("{name}.lock"));
    let file = open(root, &path).map_err(unchanged("open lock", &path))?;
    let mut waited = Duration::ZERO;
    let mut pause = Duration::from_micros(100);
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => {
                return Err(errors::failed(errors::fault(&error), "lock", &path, error));
            }
            Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
                let message = format!(
                    "waited {PATIENCE:?} for another process to let go of `{}`",
                    path.display()
                );
                return Err(StoreError::new(Side::Bucket, Fault::Unavailable, message));
            }
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(pause);
                waited += pause;
                pause = (pause * 2).min(Duration::from_millis(5));
            }
        }
    }
    Ok(Lock {
        _file: file,
        temporary: root.join(WORK).join(format!("{name}.tmp")),
    })
}

fn open(root: &Path, path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(PRIVATE_FILE);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Never makes the root: a root that is gone may be a disk that is not mounted.
            match DirBuilder::new()
                .mode(PRIVATE_DIRECTORY)
                .create(root.join(WORK))
            {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => options.open(path),
            }
        }
        other => other,
    }
}
