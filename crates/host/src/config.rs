//! Which sides, and how they behave: flags and environment first, then a TOML file, then the defaults.
//!
//! Nothing here repeats a value in a message: a URL may hold a password.

mod audit;
mod urls;

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_core::hybrid::{OnClone, OnFailover, Settings};
use driftline_model::json;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::Problem;

pub use self::audit::{AuditConfig, BodyFormat, Kept, Receiver, Source, TenantAudit};
pub use self::urls::{DatabaseUrl, SnapshotsUrl};

/// Read when `--config` names no other file, if it is there.
pub const DEFAULT_FILE: &str = "driftline.toml";
const DEFAULT_DATABASE: &str = "sqlite://.driftline/driftline.db";
const DEFAULT_SNAPSHOTS: &str = "file://.driftline/snapshots";

/// The configuration file. Every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "fields are the keys of the file")]
struct File {
    database: Option<SecretString>,
    snapshots: Option<String>,
    on_failover: Option<Failover>,
    on_clone: Option<Copied>,
    sse: Option<String>,
    endpoint: Option<String>,
    region: Option<String>,
    path_style: Option<bool>,
    ca_file: Option<PathBuf>,
    busy_timeout_seconds: Option<u64>,
    content_limit: Option<usize>,
    concurrent_tenants: Option<usize>,
    concurrent_requests: Option<usize>,
    lease_seconds: Option<u64>,
    proof_max_age_days: Option<u64>,
    at_risk_limit: Option<String>,
    #[serde(default)]
    audit: audit::AuditFile,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Failover {
    Recover,
    Trust,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Copied {
    Refuse,
    Adopt,
}

/// The variable that names the database where no flag does.
pub const DATABASE_VARIABLE: &str = "DRIFTLINE_DATABASE_URL";
/// The variable that names the bucket where no flag does.
pub const SNAPSHOTS_VARIABLE: &str = "DRIFTLINE_SNAPSHOTS_URL";

/// What whoever started the process said. A flag, or else a variable, stands before the file.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The URL of the database, which may hold a password.
    pub database: Option<SecretString>,
    /// The URL of the bucket.
    pub snapshots: Option<String>,
    /// The configuration file; [`DEFAULT_FILE`] is read without it, if it is there.
    pub file: Option<PathBuf>,
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
    /// CAs, in PEM, that are trusted beside the machine's: for a server, a bucket, sources and webhooks.
    pub ca_file: Option<PathBuf>,
    /// How long a file waits for another process's lock; `None` is its own default.
    pub busy_timeout: Option<Duration>,
    /// How the repository behaves.
    pub settings: Settings,
    /// How old a proof of being restorable may be before `doctor` fails; `None` lets it be any age.
    pub proof_max_age: Option<Duration>,
    /// For how long entries may be at risk before `doctor` fails; `None` lets them be for ever.
    pub at_risk_limit: Option<Duration>,
    /// How tenants are audited.
    pub audit: AuditConfig,
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
    /// CAs that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
}

impl Config {
    /// Puts what was given, the file and the defaults together.
    pub fn load(given: &Given) -> Result<Self, Problem> {
        let (file, untrusted) = read(given.file.as_deref())?;
        let database = given.database.as_ref().or(file.database.as_ref());
        let database = database.map_or(DEFAULT_DATABASE, SecretString::expose_secret);
        let snapshots = given.snapshots.as_deref();
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
            on_clone: match file.on_clone {
                Some(Copied::Adopt) => OnClone::Adopt,
                Some(Copied::Refuse) => OnClone::Refuse,
                None => defaults.on_clone,
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
            lease: match file.lease_seconds {
                Some(seconds @ 1..=3600) => Duration::from_secs(seconds),
                Some(_) => {
                    return Err(Problem::misuse(
                        "read the configuration: lease-seconds must be 1 to 3600",
                    ));
                }
                None => defaults.lease,
            },
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
                ca_file: file.ca_file.clone(),
            },
            ca_file: file.ca_file.clone(),
            busy_timeout: match file.busy_timeout_seconds {
                None => None,
                Some(seconds @ 1..=86_400) => Some(Duration::from_secs(seconds)),
                Some(_) => {
                    return Err(Problem::misuse(
                        "read the configuration: busy-timeout-seconds must be 1 to 86400",
                    ));
                }
            },
            settings,
            proof_max_age: match file.proof_max_age_days {
                None | Some(0) => None,
                Some(days @ 1..=36_500) => Some(Duration::from_hours(24 * days)),
                Some(_) => {
                    return Err(Problem::misuse(
                        "read the configuration: proof-max-age-days must be 0 to 36500",
                    ));
                }
            },
            at_risk_limit: match file.at_risk_limit.as_deref() {
                None => Some(Duration::from_hours(1)),
                Some("0") => None,
                Some(text) => match duration(text) {
                    Some(limit) => Some(limit),
                    None => {
                        return Err(Problem::misuse(
                            "read the configuration: at-risk-limit must be a duration like 30m, 1h or 2d, or 0",
                        ));
                    }
                },
            },
            audit: AuditConfig {
                untrusted,
                ca_file: file.ca_file,
                ..file.audit.try_into()?
            },
        })
    }
}

impl Config {
    /// The same for what only reads: through the role that can do no more, if there is one.
    #[must_use]
    pub fn for_reading(&self) -> Self {
        let mut config = self.clone();
        if let Some(url) = self.audit.read_database.clone() {
            config.database = url;
        }
        config
    }
}

/// A duration like 90m, 12h, 7d or 2w; `None` for anything else, and for nothing at all.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

fn at_least_one(key: &str, number: usize) -> Result<usize, Problem> {
    if number > 0 {
        return Ok(number);
    }
    Err(Problem::misuse(format!(
        "read the configuration: {key} must be 1 or more"
    )))
}

/// The file, and why no program runs that it names.
fn read(file: Option<&Path>) -> Result<(File, Option<String>), Problem> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    if file.is_none() && !path.exists() {
        return Ok((File::default(), None));
    }
    let failed = |reason: &dyn fmt::Display| {
        Problem::misuse(format!(
            "read the configuration {}: {reason}",
            path.display()
        ))
    };
    let mut opened = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let untrusted = match file {
        // Whoever names it means it.
        Some(_) => None,
        None => distrust(&opened).map_err(|error| failed(&error))?,
    };
    let mut text = String::new();
    (opened.read_to_string(&mut text)).map_err(|error| failed(&error))?;
    let file = Figment::from(Toml::string(&text))
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
                Kind::InvalidType(found, wanted) => failed(&format_args!(
                    "`{key}` is {}, but {} is expected",
                    word(found),
                    json::expected(wanted)
                )),
                Kind::UnknownVariant(_, known) => {
                    failed(&format_args!("`{key}` must be one of {}", known.join(", ")))
                }
                Kind::InvalidValue(_, wanted) => failed(&format_args!(
                    "the value of `{key}` will not do: {} is expected",
                    json::expected(wanted)
                )),
                Kind::MissingField(name) => failed(&format_args!(
                    "{}`{name}` is missing",
                    if key.is_empty() {
                        String::new()
                    } else {
                        format!("`{key}`: ")
                    }
                )),
                Kind::DuplicateField(name) => failed(&format_args!("`{name}` is there twice")),
                Kind::Message(message) => failed(&json::plain(first_line(message))),
                _ => failed(&"it is not valid"),
            }
        })?;
    Ok((file, untrusted))
}

/// Why a file that merely lies in the working directory may be somebody else's trap. Who is root needs none.
fn distrust(file: &std::fs::File) -> std::io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt as _;
    let found = file.metadata()?;
    let (owner, own) = (found.uid(), rustix::process::geteuid().as_raw());
    Ok(if owner != own && owner != 0 {
        Some("belongs to another user".to_owned())
    } else if found.mode() & 0o022 != 0 {
        Some("can be written by other users".to_owned())
    } else {
        None
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

#[cfg(test)]
mod tests;
