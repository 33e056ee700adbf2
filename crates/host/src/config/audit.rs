//! How tenants are audited: `[audit]`, `[audit.tenants.NAME]` and `[audit.receivers.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use driftline_core::hybrid::audit::{AuditSettings, InvalidSchedule, Schedule};
use driftline_model::TenantId;
use driftline_ports::LONGEST_CLAIM;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::DatabaseUrl;
use crate::Problem;

const DAY: u64 = 24 * 60 * 60;

/// The table as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct AuditFile {
    read_database: Option<SecretString>,
    parallelism: Option<usize>,
    stale_after: Option<u32>,
    keep_days: Option<u64>,
    keep_reports: Option<u32>,
    source: Option<SecretString>,
    source_headers: Option<PathBuf>,
    source_timeout_seconds: Option<u64>,
    allow_link_local: Option<bool>,
    cron: Option<String>,
    time_zone: Option<String>,
    every_seconds: Option<u64>,
    jitter_seconds: Option<u64>,
    notify: Option<Vec<String>>,
    tenants: BTreeMap<String, TenantFile>,
    receivers: BTreeMap<String, ReceiverFile>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct TenantFile {
    source: Option<SecretString>,
    source_headers: Option<PathBuf>,
    source_timeout_seconds: Option<u64>,
    cron: Option<String>,
    time_zone: Option<String>,
    every_seconds: Option<u64>,
    jitter_seconds: Option<u64>,
    notify: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ReceiverFile {
    url_env: Option<String>,
    url_file: Option<PathBuf>,
    secret_env: Option<String>,
    secret_file: Option<PathBuf>,
    #[serde(default)]
    format: BodyFormat,
}

/// What a receiver gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyFormat {
    /// The event as JSON.
    #[default]
    Event,
    /// A text, as Slack and its like take it.
    Slack,
}

/// Something that is kept out of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In an environment variable.
    Environment(String),
    /// In a file.
    File(PathBuf),
}

/// Who is told.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where its URL is kept: whoever knows it can write there.
    pub url: Kept,
    /// Where the key of the signatures is kept.
    pub secret: Option<Kept>,
    /// What it gets.
    pub format: BodyFormat,
}

/// What observes a tenant.
#[derive(Debug, Clone)]
pub struct Source {
    /// The source as on the command line. It may hold a password.
    pub url: SecretString,
    /// A file with headers.
    pub headers: Option<PathBuf>,
    /// How long an observation may take.
    pub timeout: Option<Duration>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
            && (&self.headers, self.timeout) == (&other.headers, other.timeout)
    }
}

/// How one tenant is audited.
#[derive(Debug, Clone)]
pub struct TenantAudit {
    /// What observes it; `None` compares desired and recorded alone.
    pub source: Option<Source>,
    /// When.
    pub schedule: Schedule,
    /// Who is told.
    pub notify: Vec<String>,
}

/// How tenants are audited.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The database as a role sees it that can only read; `None` is the database itself.
    pub read_database: Option<DatabaseUrl>,
    /// How the auditor behaves.
    pub settings: AuditSettings,
    /// Tenants that are not named.
    pub default: TenantAudit,
    /// Tenants that are.
    pub tenants: BTreeMap<TenantId, TenantAudit>,
    /// Who can be told.
    pub receivers: BTreeMap<String, Receiver>,
    /// Whether HTTP may go to link-local addresses.
    pub allow_link_local: bool,
    /// Why no program runs that the file names, if that is so.
    pub untrusted: Option<String>,
    /// A file of CAs that HTTP trusts beside the machine's.
    pub ca_file: Option<PathBuf>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            read_database: None,
            settings: AuditSettings::default(),
            default: TenantAudit {
                source: None,
                schedule: Schedule::default(),
                notify: Vec::new(),
            },
            tenants: BTreeMap::new(),
            receivers: BTreeMap::new(),
            allow_link_local: false,
            untrusted: None,
            ca_file: None,
        }
    }
}

fn bad(where_: &str, what: impl std::fmt::Display) -> Problem {
    Problem::misuse(format!("read the configuration: {where_}: {what}"))
}

impl TryFrom<AuditFile> for AuditConfig {
    type Error = Problem;

    fn try_from(file: AuditFile) -> Result<Self, Problem> {
        let base = TenantFile {
            source: file.source,
            source_headers: file.source_headers,
            source_timeout_seconds: file.source_timeout_seconds,
            cron: file.cron,
            time_zone: file.time_zone,
            every_seconds: file.every_seconds,
            jitter_seconds: file.jitter_seconds,
            notify: file.notify,
        };
        let receivers: BTreeMap<String, Receiver> = file
            .receivers
            .into_iter()
            .map(|(name, receiver)| Ok((name.clone(), receiver.check(&name)?)))
            .collect::<Result<_, Problem>>()?;
        let tenant = |table: &str, own: TenantFile| -> Result<TenantAudit, Problem> {
            let audit = own.over(&base).check(table)?;
            match audit
                .notify
                .iter()
                .find(|name| !receivers.contains_key(*name))
            {
                Some(name) => Err(bad(
                    table,
                    format_args!("notify names `{name}`, but there is no [audit.receivers.{name}]"),
                )),
                None => Ok(audit),
            }
        };
        let default = tenant("audit", TenantFile::default())?;
        let tenants = file.tenants.into_iter().map(|(name, own)| {
            let table = format!("audit.tenants.{name}");
            let id = name.parse().map_err(|error| bad(&table, error))?;
            Ok((id, tenant(&table, own)?))
        });
        let tenants: BTreeMap<TenantId, TenantAudit> = tenants.collect::<Result<_, Problem>>()?;
        let defaults = AuditSettings::default();
        // A source gets the time that it was given, and a claim outlasts it.
        let audits = tenants.values().chain([&default]);
        let timeouts = audits.filter_map(|audit| audit.source.as_ref()?.timeout);
        let deadline = timeouts
            .map(|timeout| timeout.saturating_add(Duration::from_secs(5)))
            .fold(defaults.deadline, Duration::max);
        let settings = AuditSettings {
            parallelism: at_least_one("parallelism", file.parallelism)?
                .unwrap_or(defaults.parallelism),
            stale_after: at_least_one("stale-after", file.stale_after)?
                .unwrap_or(defaults.stale_after),
            keep_for: match at_least_one("keep-days", file.keep_days)? {
                Some(days) => Some(Duration::from_secs(days.saturating_mul(DAY))),
                None => defaults.keep_for,
            },
            keep_newest: at_least_one("keep-reports", file.keep_reports)?.or(defaults.keep_newest),
            deadline,
            lease: defaults
                .lease
                .max(deadline.saturating_mul(4))
                .min(LONGEST_CLAIM),
            ..defaults
        };
        Ok(Self {
            read_database: (file.read_database.as_ref())
                .map(|url| url.expose_secret().parse())
                .transpose()?,
            settings,
            default,
            tenants,
            receivers,
            allow_link_local: file.allow_link_local.unwrap_or(false),
            untrusted: None,
            ca_file: None,
        })
    }
}

fn at_least_one<T: From<u8> + PartialOrd>(
    key: &str,
    number: Option<T>,
) -> Result<Option<T>, Problem> {
    match number {
        Some(number) if number < T::from(1) => {
            Err(bad("audit", format_args!("{key} must be 1 or more")))
        }
        other => Ok(other),
    }
}

impl TenantFile {
    /// What is not said here is as in `base`. A schedule and a source are each taken whole.
    fn over(self, base: &Self) -> Self {
        let base = base.clone();
        let (source, source_headers, source_timeout_seconds) = if self.source.is_some() {
            (
                self.source,
                self.source_headers,
                self.source_timeout_seconds,
            )
        } else {
            (
                base.source,
                self.source_headers.or(base.source_headers),
                self.source_timeout_seconds.or(base.source_timeout_seconds),
            )
        };
        let has_schedule = self.cron.is_some() || self.every_seconds.is_some();
        let (cron, time_zone, every_seconds) = if has_schedule {
            (self.cron, self.time_zone, self.every_seconds)
        } else {
            (
                base.cron,
                self.time_zone.or(base.time_zone),
                base.every_seconds,
            )
        };
        Self {
            source,
            source_headers,
            source_timeout_seconds,
            cron,
            time_zone,
            every_seconds,
            jitter_seconds: self.jitter_seconds.or(base.jitter_seconds),
            notify: self.notify.or(base.notify),
        }
    }

    fn check(self, table: &str) -> Result<TenantAudit, Problem> {
        let schedule = match (&self.cron, self.every_seconds) {
            (Some(_), Some(_)) => {
                return Err(bad(table, "cron and every-seconds exclude each other"));
            }
            (Some(cron), None) => {
                let zone = self.time_zone.as_deref().unwrap_or("UTC");
                Schedule::cron(cron, zone).map_err(|error: InvalidSchedule| bad(table, error))?
            }
            (None, Some(0)) => return Err(bad(table, "every-seconds must be 1 or more")),
            (None, Some(seconds)) => Schedule::every(Duration::from_secs(seconds)),
            (None, None) if self.time_zone.is_some() => {
                return Err(bad(table, "time-zone is for cron, and there is none"));
            }
            (None, None) => Schedule::default(),
        };
        let jitter = Duration::from_secs(self.jitter_seconds.unwrap_or(60));
        Ok(TenantAudit {
            source: self.source.map(|url| Source {
                url,
                headers: self.source_headers,
                timeout: self.source_timeout_seconds.map(Duration::from_secs),
            }),
            schedule: schedule.with_jitter(jitter),
            notify: self.notify.unwrap_or_default(),
        })
    }
}

impl ReceiverFile {
    fn check(self, name: &str) -> Result<Receiver, Problem> {
        let table = format!("audit.receivers.{name}");
        let one = |environment: Option<String>, file: Option<PathBuf>, what: &str| match (
            environment,
            file,
        ) {
            (Some(_), Some(_)) => Err(bad(
                &table,
                format_args!("{what}-env and {what}-file exclude each other"),
            )),
            (Some(name), None) => Ok(Some(Kept::Environment(name))),
            (None, Some(path)) => Ok(Some(Kept::File(path))),
            (None, None) => Ok(None),
        };
        let url = one(self.url_env, self.url_file, "url")?;
        Ok(Receiver {
            url: url.ok_or_else(|| {
                bad(
                    &table,
                    "url-env or url-file is expected, to say where its URL is kept",
                )
            })?,
            secret: one(self.secret_env, self.secret_file, "secret")?,
            format: self.format,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AuditConfig, String> {
        use figment::providers::Format as _;
        let file: AuditFile = figment::Figment::from(figment::providers::Toml::string(text))
            .extract()
            .map_err(|error| error.to_string())?;
        AuditConfig::try_from(file).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_tenant_says_only_what_is_different() {
        let config = read(
            r#"
            source = "https://observer/{tenant}"
            source-headers = "headers"
            every-seconds = 300
            notify = ["ops"]
            [receivers.ops]
            url-env = "HOOK"
            [tenants.acme]
            cron = "0 3 * * *"
            time-zone = "Europe/Berlin"
            [tenants.other]
            source = "exec:observe"
            notify = []
            "#,
        )
        .unwrap();
        let of = |name: &str| {
            let name = name.parse().unwrap();
            config.tenants.get(&name).unwrap_or(&config.default)
        };
        let acme = of("acme");
        assert_eq!(acme.schedule.to_string(), "0 3 * * * (Europe/Berlin)");
        assert_eq!(
            acme.source.as_ref().unwrap().url.expose_secret(),
            "https://observer/{tenant}"
        );
        assert_eq!(acme.notify, ["ops"]);
        let other = of("other");
        assert_eq!(other.source.as_ref().unwrap().headers, None);
        assert_eq!(other.schedule.to_string(), "every 300 s");
        assert!(other.notify.is_empty());
        assert_eq!(of("any").notify, ["ops"]);
    }

    #[test]
    fn the_slowest_source_says_how_long_an_audit_may_take() {
        let times = |text: &str| {
            let settings = read(text).unwrap().settings;
            (settings.deadline.as_secs(), settings.lease.as_secs())
        };
        assert_eq!(times(""), (60, 240));
        assert_eq!(
            times("source = \"x:\"\nsource-timeout-seconds = 5"),
            (60, 240)
        );
        let slow = "[tenants.a]\nsource = \"x:\"\nsource-timeout-seconds = 120";
        assert_eq!(times(slow), (125, 500));
        // Nobody believes in a longer claim, so that none is given.
        let slowest = "source = \"x:\"\nsource-timeout-seconds = 50000";
        assert_eq!(times(slowest), (50_005, LONGEST_CLAIM.as_secs()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (text, message) in [
            ("cron = \"x\"", "audit: the cron expression `x` will not do"),
            (
                "cron = \"* * * * *\"\nevery-seconds = 5",
                "audit: cron and every-seconds exclude each other",
            ),
            ("time-zone = \"UTC\"", "audit: time-zone is for cron"),
            ("notify = [\"ops\"]", "audit: notify names `ops`"),
            (
                "[receivers.ops]",
                "audit.receivers.ops: url-env or url-file is expected",
            ),
            ("[tenants.\"a b\"]", "audit.tenants.a b: invalid tenant"),
            (
                "[tenants.a]\nevery-seconds = 0",
                "audit.tenants.a: every-seconds must be 1 or more",
            ),
            ("parallelism = 0", "audit: parallelism must be 1 or more"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
