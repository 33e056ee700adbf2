//! The one place where the URL of an actual state becomes the source that observes it.
//!
//! Nothing here repeats a URL in a message: it may hold a password.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driftline_model::TenantId;
use driftline_observe::sources::{ExecOptions, ExecSource, FileOptions, FileSource, StdinSource};
use driftline_ports::{ActualStateSource, SourceError};
use secrecy::ExposeSecret as _;

use crate::{Advice, AuditConfig, DEFAULT_FILE, Problem, ProblemKind, Source, TenantAudit};

/// How sources observe. What is `None` is the source's own default.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// A file with the headers of HTTP requests, one `Name: value` a line.
    pub headers: Option<PathBuf>,
    /// How long one observation may take.
    pub timeout: Option<Duration>,
    /// Whether HTTP may go to link-local addresses and those of cloud metadata services.
    pub allow_link_local: bool,
    /// A file of CAs that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
}

/// What observes which tenant.
#[derive(Debug, Default)]
pub struct Sources {
    default: Option<Arc<dyn ActualStateSource>>,
    tenants: BTreeMap<TenantId, Option<Arc<dyn ActualStateSource>>>,
}

impl Sources {
    /// One source for every tenant, or none.
    pub fn only(source: Option<Arc<dyn ActualStateSource>>) -> Self {
        Self {
            default: source,
            tenants: BTreeMap::new(),
        }
    }

    /// Those that the configuration names for audits, unless `over` takes their place.
    pub fn of_audits(
        config: &AuditConfig,
        over: Option<Arc<dyn ActualStateSource>>,
    ) -> Result<Self, Problem> {
        if over.is_some() {
            return Ok(Self::only(over));
        }
        let configured = |audit: &TenantAudit, many: bool| match &audit.source {
            Some(named) => {
                check_trust(named, config)?;
                configured(named, config, many).map(Some)
            }
            None => Ok(None),
        };
        let tenants = config.tenants.iter();
        Ok(Self {
            default: configured(&config.default, true)?,
            tenants: tenants
                .map(|(name, audit)| {
                    // A source that is the default's has to tell tenants apart as well.
                    let is_own = audit.source != config.default.source;
                    Ok((name.clone(), configured(audit, !is_own)?))
                })
                .collect::<Result<_, Problem>>()?,
        })
    }

    /// What observes this tenant; without a name, those that are not named.
    pub fn of(&self, tenant: Option<&TenantId>) -> Option<&Arc<dyn ActualStateSource>> {
        match tenant.and_then(|tenant| self.tenants.get(tenant)) {
            Some(own) => own.as_ref(),
            None => self.default.as_ref(),
        }
    }
}

/// Refuses to run a program only because a file that somebody else could write lies in the working directory.
fn check_trust(named: &Source, config: &AuditConfig) -> Result<(), Problem> {
    match &config.untrusted {
        Some(why) if kind(named.url.expose_secret())? == Kind::Exec => {
            let message = format!("run the exec: source that {DEFAULT_FILE} names: the file {why}");
            Err(Problem::new(ProblemKind::Refused, message).advise(Advice::TrustFile(DEFAULT_FILE)))
        }
        _ => Ok(()),
    }
}

/// A source that the configuration names; `many` when it has to tell tenants apart.
fn configured(
    named: &Source,
    config: &AuditConfig,
    many: bool,
) -> Result<Arc<dyn ActualStateSource>, Problem> {
    let url = named.url.expose_secret();
    if url == "-" {
        return Err(bad(
            "stdin is for the command line, not for the configuration",
        ));
    }
    if many {
        check_for_many(url)?;
    }
    let options = SourceOptions {
        headers: named.headers.clone(),
        timeout: named.timeout,
        allow_link_local: config.allow_link_local,
        ca_file: config.ca_file.clone(),
    };
    source(url, &options)
}

/// What a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Stdin,
    Http,
    Exec,
    Discord,
}

/// The source behind a URL. Nothing is observed yet.
pub fn source(url: &str, options: &SourceOptions) -> Result<Arc<dyn ActualStateSource>, Problem> {
    let kind = kind(url)?;
    if options.headers.is_some() && kind != Kind::Http {
        return Err(bad("headers are sent to http and https URLs only"));
    }
    let timeout = options.timeout;
    match kind {
        Kind::File | Kind::Stdin => {
            let mut file = FileOptions::default();
            file.timeout = timeout.unwrap_or(file.timeout);
            if kind == Kind::Stdin {
                return Ok(Arc::new(StdinSource::new(file)));
            }
            built(FileSource::new(url, file))
        }
        Kind::Exec => {
            let mut exec = ExecOptions::default();
            exec.timeout = timeout.unwrap_or(exec.timeout);
            built(ExecSource::new(url, exec))
        }
        #[cfg(feature = "http")]
        Kind::Http => {
            use driftline_observe::sources::{HttpOptions, HttpSource};
            let mut http = HttpOptions {
                headers: options.headers.clone(),
                allow_link_local: options.allow_link_local,
                ca_file: options.ca_file.clone(),
                ..HttpOptions::default()
            };
            http.timeout = timeout.unwrap_or(http.timeout);
            built(HttpSource::new(url, http))
        }
        #[cfg(feature = "http")]
        Kind::Discord => {
            use driftline_observe::sources::{DiscordOptions, DiscordSource};
            let mut discord = DiscordOptions {
                allow_link_local: options.allow_link_local,
                ca_file: options.ca_file.clone(),
                ..DiscordOptions::default()
            };
            discord.timeout = timeout.unwrap_or(discord.timeout);
            built(DiscordSource::new(url, discord))
        }
        #[cfg(not(feature = "http"))]
        Kind::Http | Kind::Discord => Err(Problem::left_out(
            "this build of driftline observes nothing over HTTP",
            "http",
        )),
    }
}

/// Refuses a source that would show every tenant the same document: what is live for one would be held against all.
pub fn check_for_many(url: &str) -> Result<(), Problem> {
    if kind(url)? == Kind::Exec || url.contains("{tenant}") {
        return Ok(());
    }
    Err(Problem::misuse(
        "observe several tenants: this source shows each of them the same document",
    )
    .advise(Advice::TellTenantsApart))
}

fn kind(url: &str) -> Result<Kind, Problem> {
    if url == "-" {
        return Ok(Kind::Stdin);
    }
    if url.is_empty() {
        return Err(bad("the source is empty"));
    }
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    match scheme.map(str::to_ascii_lowercase).as_deref() {
        Some("http" | "https") => Ok(Kind::Http),
        Some("exec") => Ok(Kind::Exec),
        Some("discord") => Ok(Kind::Discord),
        Some("file") => Ok(Kind::File),
        Some(_) if url.contains("://") => Err(bad("there is no source of this kind")),
        _ => Ok(Kind::File),
    }
}

fn bad(what: &str) -> Problem {
    Problem::misuse(format!("choose what observes the live state: {what}"))
        .advise(Advice::SourceForm)
}

fn built<S: ActualStateSource + 'static>(
    source: Result<S, SourceError>,
) -> Result<Arc<dyn ActualStateSource>, Problem> {
    match source {
        Ok(source) => Ok(Arc::new(source)),
        Err(error) => Err(Problem::misuse(error.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> Result<String, String> {
        match source(url, &SourceOptions::default()) {
            Ok(source) => Ok(source.name()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn a_url_chooses_the_source() {
        for (url, expected) in [
            ("-", "stdin"),
            ("live.json", "file:live.json"),
            ("./a:b.json", "file:./a:b.json"),
            ("file:live/{tenant}.json", "file:live/{tenant}.json"),
            ("file:///live.json", "file:/live.json"),
            ("exec:observe --secret s3cr3t", "exec:observe …"),
        ] {
            assert_eq!(name(url).as_deref(), Ok(expected), "{url}");
        }
        #[cfg(feature = "http")]
        assert!(
            name("https://ops:s3cr3t@live.example/{tenant}").is_ok_and(|name| {
                name.starts_with("https://live.example/") && !name.contains("s3cr3t")
            })
        );
    }

    #[test]
    fn what_is_no_source_is_refused_without_repeating_it() {
        for url in ["", "ftp://ops:s3cr3t@host/x", "exec:", "file:", "http://"] {
            let error = name(url).unwrap_err();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let options = SourceOptions {
            headers: Some("headers".into()),
            ..SourceOptions::default()
        };
        assert!(source("live.json", &options).is_err());
    }

    #[test]
    fn many_tenants_need_a_source_that_tells_them_apart() {
        for url in [
            "live/{tenant}.json",
            "exec:observe",
            "https://host/{tenant}",
        ] {
            assert!(check_for_many(url).is_ok(), "{url}");
        }
        for url in ["-", "live.json", "https://host/live", "discord:1"] {
            assert!(check_for_many(url).is_err(), "{url}");
        }
    }
}
