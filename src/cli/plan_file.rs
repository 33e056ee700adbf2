//! Files with plans: written whole or not at all, for nobody else to read, and refused when they are cut short.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use driftline::domain::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::{Builder, NamedTempFile};

use super::Failure;

/// A plan that is being written. Until it is whole, what was at its place stays there.
pub struct PlanFile {
    /// As it was named.
    name: PathBuf,
    out: Out,
}

enum Out {
    /// Beside its place.
    Part(NamedTempFile, PathBuf),
    /// A pipe or a device: it has no other place to be written at.
    There(File),
}

impl PlanFile {
    /// Begins a plan for this place. A file that is there keeps its mode; a new one is for nobody else to read.
    pub fn begin(name: &Path) -> anyhow::Result<Self> {
        let out = begin(name).with_context(|| format!("write the plan {}", name.display()))?;
        let name = name.to_owned();
        Ok(Self { name, out })
    }

    /// Where there is room for as much as the plan takes.
    pub fn directory(&self) -> PathBuf {
        match &self.out {
            Out::Part(_, place) => directory(place),
            Out::There(_) => std::env::temp_dir(),
        }
    }

    /// Writes all of it, and puts it at its place.
    pub fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        let name = self.name.clone();
        self.finish(write)
            .with_context(|| format!("write the plan {}", name.display()))
    }

    fn finish(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let through = |file: &File| {
            let mut out = BufWriter::new(file);
            write(&mut out)?;
            out.write_all(b"\n")?;
            out.flush()
        };
        match self.out {
            Out::There(file) => through(&file),
            Out::Part(part, place) => {
                through(part.as_file())?;
                part.as_file().sync_all()?;
                part.persist(place)?;
                Ok(())
            }
        }
    }

    /// The same for a plan that is in memory.
    pub fn document(self, plan: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(plan)?;
        self.write(|out| out.write_all(&text))
    }
}

fn begin(name: &Path) -> io::Result<Out> {
    // A link leads to its file, and stays.
    let place = name.canonicalize().unwrap_or_else(|_| name.to_owned());
    let there = match place.metadata() {
        Ok(there) if !there.is_file() => {
            let mut options = OpenOptions::new();
            return Ok(Out::There(options.write(true).mode(0o600).open(place)?));
        }
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if there.is_some() {
        // What may not be written is not replaced either.
        OpenOptions::new().write(true).open(&place)?;
    }
    let part = Builder::new()
        .prefix(".driftline-plan-")
        .suffix(".part")
        .tempfile_in(directory(&place))?;
    if let Some(there) = there {
        part.as_file().set_permissions(there.permissions())?;
    }
    Ok(Out::Part(part, place))
}

fn directory(place: &Path) -> PathBuf {
    match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Reads a plan of this schema, from its beginning to its end and without holding the text.
pub fn read_plan<T: DeserializeOwned>(file: &Path, schema: &str) -> anyhow::Result<T> {
    let source = Source::open(file)?;
    source.parse(schema)
}

/// The same for a plan of which every member has to be one that this build would write.
pub fn read_whole_plan<T>(file: &Path, schema: &str) -> anyhow::Result<T>
where
    T: DeserializeOwned + Serialize,
{
    let source = Source::open(file)?;
    let plan: T = source.parse(schema)?;
    // What this build would not write it does not understand, and somebody may have meant something by it.
    let text = source.text()?;
    let written = serde_json::from_slice(&text).map_err(|error| source.misread(&error))?;
    if let Some((pointer, meant)) = json::unread(&written, &serde_json::to_value(&plan)?) {
        let meant = meant.map_or_else(String::new, |meant| {
            format!("; `{meant}` is meant, perhaps")
        });
        return Err(source.misuse(&format!(
            "{pointer} is not a member that is known here{meant}"
        )));
    }
    Ok(plan)
}

/// Where a plan is read from.
struct Source<'a> {
    file: &'a Path,
    /// What came through a pipe, which comes once.
    piped: Option<Vec<u8>>,
}

impl<'a> Source<'a> {
    fn open(file: &'a Path) -> anyhow::Result<Self> {
        let read = || -> io::Result<Option<Vec<u8>>> {
            let mut first = File::open(file)?;
            if first.metadata()?.is_file() {
                return Ok(None);
            }
            let mut piped = Vec::new();
            first.read_to_end(&mut piped)?;
            Ok(Some(piped))
        };
        let piped = read().with_context(|| said(file))?;
        Ok(Self { file, piped })
    }

    fn parse<T: DeserializeOwned>(&self, schema: &str) -> anyhow::Result<T> {
        #[derive(serde::Deserialize)]
        struct Tag {
            schema: String,
        }
        let tag: Tag = self.parsed()?;
        if tag.schema != schema {
            return Err(self.misuse(&format!("`{}` is no {schema}", tag.schema)));
        }
        self.parsed()
    }

    fn parsed<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let parsed = if let Some(piped) = &self.piped {
            serde_json::from_slice(piped)
        } else {
            let opened = File::open(self.file).with_context(|| said(self.file))?;
            serde_json::from_reader(BufReader::new(opened))
        };
        parsed.map_err(|error| {
            if error.is_io() {
                return anyhow::Error::new(io::Error::from(error)).context(said(self.file));
            }
            // A reader is ahead of what it has parsed: the text tells the place.
            match self.text().map(|text| serde_json::from_slice::<T>(&text)) {
                Ok(again) => self.misread(&again.err().unwrap_or(error)),
                Err(error) => error,
            }
        })
    }

    fn text(&self) -> anyhow::Result<Vec<u8>> {
        match &self.piped {
            Some(piped) => Ok(piped.clone()),
            None => std::fs::read(self.file).with_context(|| said(self.file)),
        }
    }

    /// What is wrong with it, in words: the text is held for that alone.
    fn misread(&self, error: &serde_json::Error) -> anyhow::Error {
        match self.text() {
            Ok(text) if error.is_eof() && !text.is_empty() => {
                let what = json::advise(&text, error);
                self.misuse(&format!("it ends too early: {what}"))
            }
            Ok(text) => self.misuse(&json::advise(&text, error)),
            Err(error) => error,
        }
    }

    fn misuse(&self, what: &str) -> anyhow::Error {
        Failure::misuse(format!("{}: {what}", said(self.file)))
            .hint("make a new one with --plan FILE")
            .into()
    }
}

fn said(file: &Path) -> String {
    format!("read the plan {}", file.display())
}
