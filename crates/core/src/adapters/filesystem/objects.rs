//! Reading, writing and removing files; everything here blocks.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::errors::{self, failed, refused, unchanged};
use super::locks::{self, Lock, PRIVATE_DIRECTORY, PRIVATE_FILE};
use super::walk;
use driftline_model::Digest;
use driftline_ports::{
    ETag, Fault, Folders, Listing, Object, Oversize, Precondition, PutOutcome, StoreError,
    StoreResult,
};

/// How many directories are remembered before forgetting all.
const REMEMBERED: usize = 20_000;

/// A directory that holds objects.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) root: PathBuf,
    // Directories, relative to the root, that are there durably as far as this process knows.
    known: Mutex<BTreeSet<String>>,
}

impl Directory {
    /// Opens `path`, and makes it when it is not there.
    pub(super) fn open(path: &Path) -> StoreResult<Self> {
        let root = std::path::absolute(path).map_err(unchanged("resolve", path))?;
        for directory in root.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !directory.exists() {
                make(directory).map_err(unchanged("make directory", directory))?;
            }
        }
        if !root.is_dir() {
            return Err(refused(format!("`{}` is not a directory", root.display())));
        }
        Ok(Self {
            root,
            known: Mutex::default(),
        })
    }

    pub(super) fn get(&self, key: &str, most: u64) -> StoreResult<Option<Object>> {
        let path = self.path(key)?;
        match read(&path, most).map_err(unchanged("read", &path))? {
            Read::Absent => {
                self.check_root()?;
                Ok(None)
            }
            Read::Whole(bytes) => Ok(Some(Object {
                etag: etag(&bytes),
                bytes: bytes.into(),
            })),
            Read::TooLarge(size) => {
                let etag = etag_of(&path).map_err(unchanged("read", &path))?;
                Err(StoreError::too_large(Oversize {
                    key: key.to_owned(),
                    size: Some(size),
                    most,
                    etag,
                }))
            }
        }
    }

    pub(super) fn put(
        &self,
        key: &str,
        bytes: &Bytes,
        condition: &Precondition,
    ) -> StoreResult<PutOutcome> {
        let path = self.path(key)?;
        let lock = locks::for_key(&self.root, key)?;
        let holds = match condition {
            Precondition::Absent => path.symlink_metadata().is_err(),
            Precondition::Matches(expected) => {
                let there = etag_of(&path).map_err(unchanged("read", &path))?;
                there.is_some_and(|there| there == *expected)
            }
        };
        if !holds {
            if path.is_dir() {
                let error = ErrorKind::IsADirectory.into();
                return Err(failed(Fault::Refused, "write", &path, error));
            }
            return Ok(PutOutcome::PreconditionFailed);
        }
        write_temporary(&lock, bytes, &path).map_err(unchanged("write", &path))?;
        let outcome = self.publish(&lock, key, &path, *condition == Precondition::Absent);
        if !matches!(outcome, Ok(true)) {
            drop(std::fs::remove_file(&lock.temporary));
        }
        Ok(if outcome? {
            PutOutcome::Written(etag(bytes))
        } else {
            PutOutcome::PreconditionFailed
        })
    }

    pub(super) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing> {
        if let Some((directory, _)) = prefix.rsplit_once('/') {
            self.path(directory)?;
        }
        walk::list(&self.root, prefix, after, limit).map_err(unlisted)
    }

    pub(super) fn folders(&self) -> StoreResult<Folders> {
        walk::folders(&self.root).map_err(unlisted)
    }

    pub(super) fn delete(&self, key: &str) -> StoreResult<()> {
        let path = self.path(key)?;
        let _lock = locks::for_key(&self.root, key)?;
        match std::fs::remove_file(&path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            other => other.map_err(unchanged("remove", &path))?,
        }
        self.remove_empty_parents(key)
    }

    /// Fails when the root is gone, which is another thing than an empty bucket.
    pub(super) fn check_root(&self) -> StoreResult<()> {
        self.root
            .read_dir()
            .map_err(unchanged("open directory", &self.root))?;
        Ok(())
    }

    /// Renames the temporary file to `path`, durably; `false` when `create` and something is there.
    fn publish(&self, lock: &Lock, key: &str, path: &Path, create: bool) -> StoreResult<bool> {
        self.make_parents(key)?;
        let renamed = match rename(&lock.temporary, path, create) {
            // Someone removed the last object beside this one, and the directory with it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.known().clear();
                self.make_parents(key)?;
                rename(&lock.temporary, path, create)
            }
            other => other,
        };
        match renamed {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) if errors::is_determinate(&error) => {
                return Err(unchanged("write", path)(error));
            }
            other => other.map_err(unknown(path))?,
        }
        sync_directory(path.parent().unwrap_or(&self.root)).map_err(unknown(path))?;
        Ok(true)
    }

    /// Makes the directories that `key` lies in, durably.
    fn make_parents(&self, key: &str) -> StoreResult<()> {
        let mut lock = None;
        for (slash, _) in key.match_indices('/') {
            let directory = &key[..slash];
            if self.known().contains(directory) {
                continue;
            }
            if lock.is_none() {
                lock = Some(locks::for_tree(&self.root)?);
            }
            if !directory.contains('/') {
                self.refuse_case_clash(directory)?;
            }
            let path = self.root.join(directory);
            make(&path).map_err(unchanged("make directory", &path))?;
            let mut known = self.known();
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(directory.to_owned());
        }
        Ok(())
    }

    fn refuse_case_clash(&self, tenant: &str) -> StoreResult<()> {
        let io = || unchanged("list", &self.root);
        let mut clash = None;
        for entry in self.root.read_dir().map_err(io())? {
            let name = entry.map_err(io())?.file_name();
            if name == tenant {
                return Ok(());
            }
            if name.eq_ignore_ascii_case(tenant) {
                clash = name.into_string().ok();
            }
        }
        match clash {
            None => Ok(()),
            Some(other) => Err(refused(format!(
                "cannot write for `{tenant}`: `{}` holds `{other}`, and names that differ only in case are the same \
                 on some file systems; choose another name, or an S3 bucket",
                self.root.display()
            ))),
        }
    }

    fn remove_empty_parents(&self, key: &str) -> StoreResult<()> {
        let _lock = locks::for_tree(&self.root)?;
        let mut directory = key;
        while let Some((parent, _)) = directory.rsplit_once('/') {
            let path = self.root.join(parent);
            match std::fs::remove_dir(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return sync_directory(&path).map_err(unknown(&path));
                }
                _ => {}
            }
            self.known().remove(parent);
            directory = parent;
        }
        sync_directory(&self.root).map_err(unknown(&self.root))
    }

    /// The path of a key, which cannot leave the root.
    fn path(&self, key: &str) -> StoreResult<PathBuf> {
        let bad = |name: &str| name.is_empty() || name.starts_with('.') || name.contains('\0');
        if key.split('/').any(bad) {
            return Err(refused(format!(
                "`{}` is no key for a directory: its components must not be empty or begin with a dot",
                key.escape_debug()
            )));
        }
        Ok(self.root.join(key))
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn unlisted((path, error): (PathBuf, std::io::Error)) -> StoreError {
    unchanged("list", &path)(error)
}

fn etag(bytes: &[u8]) -> ETag {
    ETag(Digest::of(bytes).to_string())
}

/// What was read of a file.
enum Read {
    Absent,
    Whole(Vec<u8>),
    TooLarge(u64),
}

/// Opens an object's file; `None` when there is none. Whatever else is there is never opened: whoever reads from a pipe waits
/// for whoever writes to it.
fn open(path: &Path) -> std::io::Result<Option<(File, u64)>> {
    let opened = std::fs::metadata(path).and_then(|there| {
        if there.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        if !there.is_file() {
            let what = "it is no file, but a pipe, a socket or a device";
            return Err(std::io::Error::new(ErrorKind::Unsupported, what));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata.len()))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

fn read(path: &Path, most: u64) -> std::io::Result<Read> {
    let Some((file, size)) = open(path)? else {
        return Ok(Read::Absent);
    };
    if size > most {
        return Ok(Read::TooLarge(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // An intruder may append to it meanwhile.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    Ok(if size > most {
        Read::TooLarge(size)
    } else {
        Read::Whole(bytes)
    })
}

/// The version of what is there, whatever its size.
fn etag_of(path: &Path) -> std::io::Result<Option<ETag>> {
    let Some((mut file, _)) = open(path)? else {
        return Ok(None);
    };
    Ok(Some(ETag(Digest::of_reader(&mut file)?.to_string())))
}

/// Writes what becomes the object at `path`: a new one is private, one that is replaced keeps its mode.
fn write_temporary(lock: &Lock, bytes: &[u8], path: &Path) -> std::io::Result<()> {
    // A process that died may have left one, which could even be an object already: never write into it.
    match std::fs::remove_file(&lock.temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(&lock.temporary)?;
    let kept = match path.metadata() {
        Ok(replaced) => file.set_permissions(replaced.permissions()),
        Err(_) => Ok(()),
    };
    let written = kept
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        drop(std::fs::remove_file(&lock.temporary));
    }
    written
}

fn rename(from: &Path, to: &Path, create: bool) -> std::io::Result<()> {
    if create {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can; the lock and the check under it stand alone then.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            other => return other.map_err(Into::into),
        }
    }
    std::fs::rename(from, to)
}

/// Makes a directory in one that exists, durably.
fn make(path: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    path.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn unknown(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    move |error| failed(Fault::OutcomeUnknown, "make durable", path, error)
}
