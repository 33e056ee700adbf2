//! Listing a tree of files in the byte order of their keys.

use std::fs::{DirEntry, Metadata};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use driftline_model::TenantId;
use driftline_ports::{Folders, Listed, Listing, Unread};

/// Where it failed, and why.
pub(super) type Result<T> = std::result::Result<T, (PathBuf, Error)>;

/// Names the directories in `root` that hold objects, and those that cannot be read: they may.
pub(super) fn folders(root: &Path) -> Result<Folders> {
    let mut names = Vec::new();
    for entry in root.read_dir().map_err(at(root))? {
        let name = entry.map_err(at(root))?.file_name();
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
            continue;
        };
        match list(root, &format!("{name}/"), None, 1) {
            Ok(found) if found.objects.is_empty() => {}
            Err(error) if !is_tenants(name) => return Err(error),
            Ok(_) | Err(_) => names.push(name.to_owned()),
        }
    }
    names.sort_unstable();
    Ok(Folders { names, next: None })
}

/// Whether a directory at the top can hold objects of driftline's: the root of a mount, or a neighbour's files beside ours,
/// may well be unreadable, and are none of our business.
fn is_ours(name: &str) -> bool {
    is_tenants(name) || name == "_driftline"
}

fn is_tenants(name: &str) -> bool {
    name.parse::<TenantId>().is_ok()
}

fn at(path: &Path) -> impl FnOnce(Error) -> (PathBuf, Error) {
    move |error| (path.to_owned(), error)
}

/// Lists the files below `root`. A directory at the top that can hold no objects is not entered; one of a tenant that cannot be
/// read hides no other. A link at the top leads to a tenant's directory elsewhere.
///
/// Sorting each directory with a slash after the names of its subdirectories gives the order of the whole keys: `a-b/x`,
/// `a.b/x`, `a/x`, `a0/x`.
pub(super) fn list(
    root: &Path,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing> {
    let mut walk = Walk {
        prefix,
        after,
        limit,
        listing: Listing::default(),
    };
    let base = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
    match walk.visit(&root.join(base), base) {
        Err((path, error)) if !base.is_empty() && is_gone(error.kind()) => {
            let top = base.split('/').next().unwrap_or_default();
            if is_broken_link(&root.join(top)) {
                return Err((path, error));
            }
            // Nothing there, unless it is the root that is not there.
            root.metadata().map_err(at(root))?;
        }
        other => other?,
    }
    Ok(walk.listing)
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
    listing: Listing,
}

enum Found {
    Directory,
    File(DirEntry),
}

impl Walk<'_> {
    /// Lists `directory`, whose keys begin with `base`, until there is one object more than the limit.
    fn visit(&mut self, directory: &Path, base: &str) -> Result<()> {
        let mut found = Vec::new();
        for entry in directory.read_dir().map_err(at(directory))? {
            let entry = entry.map_err(at(directory))?;
            let path = entry.path();
            if let Some(wanted) = self.wanted(base, entry).map_err(at(&path))? {
                found.push(wanted);
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (key, what) in found {
            match what {
                Found::Directory => self.enter(directory, base, &key)?,
                Found::File(entry) => match entry.metadata() {
                    Err(error) if is_gone(error.kind()) => {}
                    Err(error) => return Err((entry.path(), error)),
                    Ok(_) if self.listing.objects.len() == self.limit => self.listing.more = true,
                    Ok(metadata) => self.listing.objects.push(Listed {
                        key,
                        size: metadata.len(),
                    }),
                },
            }
            if self.listing.more {
                break;
            }
        }
        Ok(())
    }

    /// Lists a directory in another one.
    fn enter(&mut self, directory: &Path, base: &str, key: &str) -> Result<()> {
        let (path, listed) = (
            directory.join(&key[base.len()..]),
            self.listing.objects.len(),
        );
        let Err((at, error)) = self.visit(&path, key) else {
            return Ok(());
        };
        let folder = key.trim_end_matches('/');
        if is_gone(error.kind()) && !is_broken_link(&directory.join(folder)) {
            return Ok(());
        }
        let is_top = base.is_empty() && self.prefix.is_empty();
        if !is_top || !is_tenants(folder) {
            return Err((at, error));
        }
        self.listing.objects.truncate(listed);
        self.listing.unread.push(Unread {
            folder: folder.to_owned(),
            reason: super::objects::unlisted((at, error)).report(),
        });
        Ok(())
    }

    /// The key of an entry that is, or may hold, an object to list.
    fn wanted(&self, base: &str, entry: DirEntry) -> std::io::Result<Option<(String, Found)>> {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            return Ok(None);
        };
        let kind = match entry.file_type() {
            Err(error) if is_gone(error.kind()) => return Ok(None),
            other => other?,
        };
        let is_link = kind.is_symlink() && base.is_empty() && is_tenants(name);
        let leads_to_file = |there: Metadata| !there.is_dir();
        if is_link && entry.path().metadata().is_ok_and(leads_to_file) {
            return Ok(None);
        }
        if kind.is_dir() || is_link {
            if base.is_empty() && !is_ours(name) {
                return Ok(None);
            }
            let key = format!("{base}{name}/");
            let inside = key.starts_with(self.prefix) || self.prefix.starts_with(&key);
            let ahead = self
                .after
                .is_none_or(|after| key.as_str() > after || after.starts_with(&key));
            return Ok((inside && ahead).then_some((key, Found::Directory)));
        }
        let key = format!("{base}{name}");
        let ahead = self.after.is_none_or(|after| key.as_str() > after);
        let wanted = kind.is_file() && key.starts_with(self.prefix) && ahead;
        Ok(wanted.then_some((key, Found::File(entry))))
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A link that leads nowhere, or round in a circle: what it stands for is not gone.
fn is_broken_link(path: &Path) -> bool {
    path.is_symlink() && path.metadata().is_err()
}
