//! Listing a tree of files in the byte order of their keys.

use std::fs::DirEntry;
use std::io::{ErrorKind, Result};
use std::path::Path;

use crate::ports::{Listed, Listing};

/// Lists the files below `root`.
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
        Err(error) if !base.is_empty() && is_gone(error.kind()) => {
            // Nothing there, unless it is the root that is not there.
            root.metadata()?;
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
        for entry in directory.read_dir()? {
            let entry = entry?;
            if let Some(wanted) = self.wanted(base, entry)? {
                found.push(wanted);
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (key, what) in found {
            match what {
                Found::Directory => match self.visit(&directory.join(&key[base.len()..]), &key) {
                    Err(error) if is_gone(error.kind()) => {}
                    other => other?,
                },
                Found::File(entry) => match entry.metadata() {
                    Err(error) if is_gone(error.kind()) => {}
                    Err(error) => return Err(error),
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

    /// The key of an entry that is, or may hold, an object to list.
    fn wanted(&self, base: &str, entry: DirEntry) -> Result<Option<(String, Found)>> {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            return Ok(None);
        };
        let kind = match entry.file_type() {
            Err(error) if is_gone(error.kind()) => return Ok(None),
            other => other?,
        };
        if kind.is_dir() {
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
