//! Files that commands read; `-` is stdin.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use driftline::domain::content::ContentError;
use driftline::ports::Error;

use super::signals::Signals;
use super::{Exit, Failure};

/// A file, or stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-`
    Stdin,
    /// Anything else.
    Path(PathBuf),
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a file's name is expected, or - for stdin".to_owned()),
            "-" => Ok(Self::Stdin),
            path => Ok(Self::Path(path.into())),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl Input {
    /// Opens it for reading.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        match self {
            Self::Stdin => Ok(Box::new(io::stdin())),
            Self::Path(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(self.unreadable(&error)),
            },
        }
    }

    /// Reads all of it, at most `limit` bytes, unless a signal comes first: somebody may sit before an empty stdin.
    pub async fn read(&self, limit: usize, signals: &Signals) -> anyhow::Result<Vec<u8>> {
        let file = self.clone();
        tokio::select! {
            biased;
            () = signals.soft.cancelled() => {
                Err(Failure::new(Exit::Interrupted, "interrupted", format!("read {self}: interrupted")).into())
            }
            bytes = tokio::task::spawn_blocking(move || file.read_now(limit)) => Ok(bytes??),
        }
    }

    fn read_now(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        let read = self.open()?.take(most).read_to_end(&mut bytes);
        read.map_err(|error| self.unreadable(&error))?;
        if bytes.len() > limit {
            let message =
                format!("read {self}: it has more than the {limit} bytes that are allowed");
            return Err(Failure::new(Exit::Error, "invalid_input", message)
                .hint("make it smaller, or raise content-limit in the configuration"));
        }
        Ok(bytes)
    }

    /// The error for a file that cannot be read.
    pub fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::new(
            Exit::Error,
            "unreadable_file",
            format!("read {self}: {error}"),
        )
    }

    /// An error of the repository, with the place in this file before it if it is the content there that is wrong.
    pub fn blame(&self, place: &str, error: Error) -> anyhow::Error {
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<ContentError>) {
            return anyhow::Error::from(error).context(format!("read {self}{place}"));
        }
        error.into()
    }
}
