//! Which sides, and how they behave: flags and environment first, then a TOML file, then the defaults.
//!
//! Nothing here repeats a URL in a message: it may hold a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use driftline::hybrid::{OnFailover, Settings};
use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;

use crate::cli::Failure;

/// Read when `--config` names no other file, if it is there.
pub const DEFAULT_FILE: &str = "driftline.toml";
const DEFAULT_DATABASE: &str = "sqlite://.driftline/driftline.db";
const DEFAULT_SNAPSHOTS: &str = "file://.driftline/snapshots";

/// The configuration file. Every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    database: Option<String>,
    snapshots: Option<String>,
    on_failover: Option<Failover>,
    sse: Option<String>,
    endpoint: Option<String>,
    region: Option<String>,
    path_style: Option<bool>,
    content_limit: Option<usize>,
    concurrent_tenants: Option<usize>,
    concurrent_requests: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Failover {
    Recover,
    Trust,
}

/// Everything that opening a repository takes.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: DatabaseUrl,
    /// The bucket.
    pub snapshots: SnapshotsUrl,
    /// What only a bucket on S3 heeds.
    pub s3: S3,
    /// How the repository behaves.
    pub settings: Settings,
}

/// What only a bucket on S3 heeds. The rest comes from the standard `AWS_*` variables.
#[derive(Debug, Clone, Default)]
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "this build has no S3")
)]
pub struct S3 {
    /// `sse-s3`, or the id of a KMS key.
    pub sse: Option<String>,
    /// Another store than Amazon's.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The bucket's name goes in the path.
    pub path_style: Option<bool>,
}

impl Config {
    /// Puts flags (or what the environment says in their place), the file and the defaults together.
    pub fn load(
        database: Option<&str>,
        snapshots: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let file = read(file)?;
        let database = database
            .or(file.database.as_deref())
            .unwrap_or(DEFAULT_DATABASE);
        let snapshots = snapshots
            .or(file.snapshots.as_deref())
            .unwrap_or(DEFAULT_SNAPSHOTS);
        let defaults = Settings::default();
        let settings = Settings {
            content_limit: file.content_limit.unwrap_or(defaults.content_limit),
            on_failover: match file.on_failover {
                Some(Failover::Trust) => OnFailover::Trust,
                Some(Failover::Recover) => OnFailover::Recover,
                None => defaults.on_failover,
            },
            concurrent_tenants: at_least_one(
                "concurrent-tenants",
                file.concurrent_tenants
                    .unwrap_or(defaults.concurrent_tenants),
            )?,
            concurrent_requests: at_least_one(
                "concurrent-requests",
                file.concurrent_requests
                    .unwrap_or(defaults.concurrent_requests),
            )?,
            ..defaults
        };
        Ok(Self {
            database: database.parse()?,
            snapshots: snapshots.parse()?,
            s3: S3 {
                sse: file.sse,
                endpoint: file.endpoint,
                region: file.region,
                path_style: file.path_style,
            },
            settings,
        })
    }
}

fn at_least_one(key: &str, number: usize) -> Result<usize, Failure> {
    if number > 0 {
        return Ok(number);
    }
    Err(Failure::misuse(format!(
        "read the configuration: {key} must be 1 or more"
    )))
}

fn read(file: Option<&Path>) -> Result<File, Failure> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    if file.is_none() && !path.exists() {
        return Ok(File::default());
    }
    let failed = |reason: &dyn fmt::Display| {
        Failure::misuse(format!(
            "read the configuration {}: {reason}",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    Figment::from(Toml::string(&text))
        .extract()
        .map_err(|error| {
            use figment::error::Kind;
            // Some kinds show the value, which may be a URL with a password in it.
            let key = error.path.join(".");
            match &error.kind {
                Kind::UnknownField(key, known) => failed(&format_args!(
                    "there is no key `{key}`; there are {}",
                    known.join(", ")
                )),
                Kind::InvalidType(found, expected) => failed(&format_args!(
                    "`{key}` is {}, but {expected} is expected",
                    word(found)
                )),
                Kind::UnknownVariant(_, known) => {
                    failed(&format_args!("`{key}` must be one of {}", known.join(", ")))
                }
                Kind::InvalidValue(_, expected) => failed(&format_args!(
                    "the value of `{key}` will not do: {expected} is expected"
                )),
                Kind::Message(message) => failed(&first_line(message)),
                _ => failed(&"it is not valid"),
            }
        })
}

/// What a value is, without showing it.
fn word(found: &figment::error::Actual) -> &'static str {
    use figment::error::Actual;
    match found {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a number",
        Actual::Str(_) | Actual::Char(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// A TOML error shows the line it stumbled over below its first line.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// In this process, for as long as it runs.
    Memory,
    /// A file.
    Sqlite(PathBuf),
    /// A server; the whole URL.
    Postgres(String),
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
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| {
            Failure::misuse(format!("open the database: {what}"))
                .hint("--database takes postgres://USER@HOST/NAME, sqlite://PATH or memory:")
        };
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        match scheme(text) {
            Some("sqlite") => path(text).map(Self::Sqlite).map_err(|what| bad(&what)),
            Some("postgres" | "postgresql") => match url::Url::parse(text) {
                Ok(url)
                    if url.host_str().is_some_and(|host| !host.is_empty())
                        || url.query().is_some() =>
                {
                    Ok(Self::Postgres(text.to_owned()))
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
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| {
            Failure::misuse(format!("open the bucket: {what}"))
                .hint("--snapshots takes s3://BUCKET/PREFIX, file:///DIRECTORY or memory:")
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
    if path.contains(['?', '#', '\0']) {
        return Err("the path takes neither options nor the characters ? and #".to_owned());
    }
    Ok(PathBuf::from(path))
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

#[cfg(test)]
mod tests;
