//! The URLs that choose the sides.
//!
//! Nothing here repeats a URL in a message: it may hold a password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use driftline_net::misread::{Form, misread};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{Advice, Problem};

/// Where the database is.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// In this process, for as long as it runs.
    Memory,
    /// A file.
    Sqlite(PathBuf),
    /// A server; the whole URL, which may hold a password.
    Postgres(SecretString),
}

/// Where the bucket is.
#[derive(Clone, PartialEq, Eq)]
pub enum SnapshotsUrl {
    /// In this process, for as long as it runs.
    Memory,
    /// A directory.
    Directory(PathBuf),
    /// A bucket; the whole URL.
    S3(String),
}

impl FromStr for DatabaseUrl {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| {
            Problem::misuse(format!("open the database: {what}")).advise(Advice::DatabaseForm)
        };
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if let Some(why) = misread(text, Form::Database) {
            return Err(bad(why));
        }
        match scheme(text) {
            Some("sqlite") => path(text).map(Self::Sqlite).map_err(|what| bad(&what)),
            Some("postgres" | "postgresql") => match url::Url::parse(text) {
                Ok(url)
                    if url.host_str().is_some_and(|host| !host.is_empty())
                        || url.query().is_some() =>
                {
                    Ok(Self::Postgres(text.into()))
                }
                Ok(_) => Err(bad("the URL names no host")),
                Err(error) => Err(bad(&format!("the URL is not valid: {error}"))),
            },
            Some(other) => Err(bad(&format!("there is no database of the kind `{other}`"))),
            None => Err(bad("the URL has no scheme")),
        }
    }
}

impl FromStr for SnapshotsUrl {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| {
            Problem::misuse(format!("open the bucket: {what}")).advise(Advice::SnapshotsForm)
        };
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        match scheme(text) {
            Some("file") => path(text).map(Self::Directory).map_err(|what| bad(&what)),
            Some("s3") => match url::Url::parse(text) {
                Ok(url) if !url.username().is_empty() || url.password().is_some() => Err(bad(
                    "the URL holds credentials; they belong in the AWS_* variables",
                )),
                Ok(url)
                    if url.port().is_some()
                        || url.query().is_some()
                        || url.fragment().is_some() =>
                {
                    Err(bad(
                        "the URL takes neither a port nor the characters ? and #",
                    ))
                }
                Ok(url) if url.host_str().is_some() => Ok(Self::S3(text.to_owned())),
                _ => Err(bad("the URL names no bucket")),
            },
            Some(other) => Err(bad(&format!("there is no bucket of the kind `{other}`"))),
            None => Err(bad("the URL has no scheme")),
        }
    }
}

/// The scheme, if the text begins like a URL. Anything odd in it may be the start of a secret and is no scheme.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let plain = scheme.len() <= 20
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (plain && !scheme.is_empty()).then_some(scheme)
}

/// The path behind `scheme://`: absolute with a third slash, otherwise relative to the working directory.
fn path(text: &str) -> Result<PathBuf, String> {
    let path = text.split_once("://").map_or("", |(_, path)| path);
    if path.is_empty() || path.ends_with("..") {
        return Err("the URL names no file".to_owned());
    }
    let first = path.split('/').next().unwrap_or_default();
    if first.contains('@') && first.contains(':') {
        return Err("a path has neither a user nor a password".to_owned());
    }
    if path.contains(['?', '#', '\0']) {
        return Err("the path takes neither options nor the characters ? and #".to_owned());
    }
    Ok(PathBuf::from(path))
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory, Self::Memory) => true,
            (Self::Sqlite(own), Self::Sqlite(other)) => own == other,
            (Self::Postgres(own), Self::Postgres(other)) => {
                own.expose_secret() == other.expose_secret()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

impl fmt::Debug for SnapshotsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Directory(path) => write!(f, "file://{}", path.display()),
            Self::S3(url) => f.write_str(url),
        }
    }
}
