//! Documents in files and on standard input.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OnceCell, oneshot};

use super::{DEFAULT_LIMIT, document, lasting, passing, template};
use crate::text::{EXCERPT, harmless};
use driftline_model::drift::ActualState;
use driftline_ports::{ActualStateSource, ObserveRequest, SourceError};

/// How a file, or standard input, is read.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// The most bytes that a document may have.
    pub limit: u64,
    /// How long reading may take.
    pub timeout: Duration,
}

impl Default for FileOptions {
    /// [`DEFAULT_LIMIT`] and one minute.
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            timeout: Duration::from_mins(1),
        }
    }
}

/// A document in a file, or in a pipe that has a name. It is read anew for every observation.
#[derive(Clone)]
pub struct FileSource {
    path: String,
    options: FileOptions,
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSource({})", self.name())
    }
}

impl FileSource {
    /// The file at `url`: `file:PATH`, `file://PATH` or a bare path, taken as it is (nothing is percent-decoded), with
    /// `{tenant}` for the tenant. Nothing is read yet.
    pub fn new(url: &str, options: FileOptions) -> Result<Self, SourceError> {
        let path = url.strip_prefix("file:").unwrap_or(url);
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains('\0') {
            return Err(lasting(
                "the URL of the actual state names no file".to_owned(),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            options,
        })
    }
}

#[async_trait]
impl ActualStateSource for FileSource {
    fn name(&self) -> String {
        format!("file:{}", harmless(&self.path, EXCERPT))
    }

    async fn observe(&self, request: ObserveRequest<'_>) -> Result<ActualState, SourceError> {
        let path = template::fill(&self.path, request.tenant);
        let name = format!("`{}`", harmless(&path, EXCERPT));
        let open = move || {
            let file = File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(file)
        };
        let document = read(&name, self.options, open).await?;
        document::parse(&name, document).await
    }
}

/// A document on standard input. It is read once, by the first observation, and kept for the others.
pub struct StdinSource {
    options: FileOptions,
    document: OnceCell<Result<Bytes, SourceError>>,
}

impl fmt::Debug for StdinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StdinSource")
    }
}

impl StdinSource {
    /// Nothing is read yet.
    pub fn new(options: FileOptions) -> Self {
        Self {
            options,
            document: OnceCell::new(),
        }
    }
}

#[async_trait]
impl ActualStateSource for StdinSource {
    fn name(&self) -> String {
        "stdin".to_owned()
    }

    async fn observe(&self, _: ObserveRequest<'_>) -> Result<ActualState, SourceError> {
        let read = || read("standard input", self.options, || Ok(io::stdin()));
        let document = self.document.get_or_init(read).await.clone()?;
        document::parse("standard input", document).await
    }
}

/// Everything that can be read from what `open` opens.
///
/// The thread belongs to nobody: opening or reading a pipe, a terminal or a lost network drive may never end and cannot be
/// broken off, and a thread of the runtime would keep the program from ending.
async fn read<R: Read>(
    name: &str,
    options: FileOptions,
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> Result<Bytes, SourceError> {
    let FileOptions { limit, timeout } = options;
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let read = open().and_then(|input| {
            let mut document = Vec::new();
            input
                .take(limit.saturating_add(1))
                .read_to_end(&mut document)?;
            Ok(Bytes::from(document))
        });
        // Nobody waits any more: the time is over.
        let _ = sender.send(read);
    };
    std::thread::Builder::new()
        .name("driftline-read".to_owned())
        .spawn(work)
        .map_err(|error| passing(format!("cannot read {name}: {error}")))?;
    let document = match tokio::time::timeout(timeout, receiver).await {
        Ok(Ok(Ok(document))) => document,
        Ok(Ok(Err(error))) => return Err(lasting(format!("cannot read {name}: {error}"))),
        Ok(Err(_)) => return Err(lasting(format!("cannot read {name}: the reader died"))),
        Err(_) => {
            let message = format!("cannot read {name}: it did not end within {timeout:?}");
            return Err(passing(message));
        }
    };
    if document.len() as u64 > limit {
        let message = format!("cannot read {name}: it is larger than {limit} bytes");
        return Err(lasting(message));
    }
    Ok(document)
}
