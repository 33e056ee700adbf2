//! How a database is reached, and how long it may take: what a program says, and what the URL says instead.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::error;
use driftline_net::misread::{Form, misread};
use driftline_net::tls;
use driftline_ports::{Fault, Side, StoreError, StoreResult};

/// How a [`PostgresDatabase`](super::PostgresDatabase) connects, and how long it waits. What the URL says comes first.
///
/// A server that is past one of these is down, and its caller goes on without it. Each has a name in the URL, where it takes
/// whole seconds: `acquire-timeout`, `connect-timeout`, `statement-timeout`, `lock-timeout`, `idle-in-transaction-timeout`.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// At most so many connections.
    pub max_connections: u32,
    /// How long a call waits for a connection before it fails with `Unavailable`; meanwhile a server that refuses
    /// connections, starts up or has no room is tried again.
    pub acquire_timeout: Duration,
    /// How long making a connection may take, TLS and authentication with it.
    pub connect_timeout: Duration,
    /// How long the server works on a statement. Whoever asked waits a few seconds longer, in case the connection is dead.
    /// What moves much at once (a migration, a restore, removing old reports) may take 20 times as long.
    pub statement_timeout: Duration,
    /// How long a statement waits for somebody else's lock.
    pub lock_timeout: Duration,
    /// How long the server keeps a transaction open in which nothing comes.
    pub idle_in_transaction_timeout: Duration,
    /// A file of CAs, in PEM, that are trusted if the URL names none (`sslrootcert`).
    pub ca_file: Option<PathBuf>,
    /// Prepared statements kept per connection; `None` leaves it to the URL (`statement-cache-capacity`, 100 by default).
    /// With 0 nothing is prepared by name, as old PgBouncers need it.
    pub statement_cache: Option<usize>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(30),
            ca_file: None,
            statement_cache: None,
        }
    }
}

/// A day: what waits longer waits for ever.
const LONGEST: u64 = 24 * 60 * 60;

/// Options of the URL that name a file.
const FILES: [(&str, &[&str]); 3] = [
    (
        "the CA's certificate (sslrootcert)",
        &["sslrootcert", "ssl-root-cert", "ssl-ca"],
    ),
    (
        "the client's certificate (sslcert)",
        &["sslcert", "ssl-cert"],
    ),
    ("the client's key (sslkey)", &["sslkey", "ssl-key"]),
];

impl PostgresOptions {
    /// Takes from the URL what is ours in it; the rest is the driver's. Nothing of the URL is shown.
    pub(super) fn read(mut self, text: &str) -> StoreResult<(Self, PgConnectOptions)> {
        if let Some(why) = misread(text, Form::Database) {
            return Err(refused(format!("cannot read the database URL: {why}")));
        }
        let mut url = url::Url::parse(text).map_err(|_| error::invalid_url(text))?;
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let (mut theirs, mut strangers) = (Vec::new(), 0);
        for (key, value) in pairs {
            let ours = match key.replace('_', "-").as_str() {
                "acquire-timeout" => Some((&mut self.acquire_timeout, "acquire-timeout")),
                "connect-timeout" => Some((&mut self.connect_timeout, "connect-timeout")),
                "statement-timeout" => Some((&mut self.statement_timeout, "statement-timeout")),
                "lock-timeout" => Some((&mut self.lock_timeout, "lock-timeout")),
                "idle-in-transaction-timeout" => Some((
                    &mut self.idle_in_transaction_timeout,
                    "idle-in-transaction-timeout",
                )),
                _ => None,
            };
            match ours {
                Some((limit, name)) => *limit = seconds(name, &value)?,
                // The driver would log it with its value.
                None if !is_known(&key) => strangers += 1,
                None => theirs.push((key, value)),
            }
        }
        if strangers > 0 {
            tracing::warn!(
                options = strangers,
                "the database URL has options that are not known here; they are ignored"
            );
        }
        if theirs.is_empty() {
            url.set_query(None);
        } else {
            url.query_pairs_mut().clear().extend_pairs(&theirs);
        }
        let mut connect =
            PgConnectOptions::from_str(url.as_str()).map_err(|_| error::invalid_url(text))?;
        readable(&theirs)?;
        let names_ca = |key: &str| FILES[0].1.contains(&key);
        if let Some(path) = &self.ca_file
            && !theirs.iter().any(|(key, _)| names_ca(key))
        {
            tls::certificates(path).map_err(refused)?;
            connect = connect.ssl_root_cert(path);
        }
        if self.statement_cache.is_none() {
            let named = theirs
                .iter()
                .rfind(|(key, _)| key == "statement-cache-capacity");
            self.statement_cache = named.and_then(|(_, capacity)| capacity.parse().ok());
        }
        if let Some(capacity) = self.statement_cache {
            connect = connect.statement_cache_capacity(capacity);
        }
        if connect.get_application_name().is_none() {
            connect = connect.application_name("driftline");
        }
        // No floating-point number passes here, and PgBouncer knows no such parameter.
        let connect = connect.extra_float_digits(None).disable_statement_logging();
        Ok((self, connect))
    }
}

/// Whether the driver knows an option. A misspelt `password` is not shown.
fn is_known(key: &str) -> bool {
    let files = FILES.iter().flat_map(|(_, names)| names.iter());
    let others = [
        "sslmode",
        "ssl-mode",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    others.iter().chain(files).any(|name| *name == key) || key.starts_with("options[")
}

fn seconds(name: &str, value: &str) -> StoreResult<Duration> {
    match value.parse() {
        Ok(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err(refused(format!(
            "cannot read the database URL: {name} must be 1 to {LONGEST}, in seconds"
        ))),
    }
}

/// A file that is not there would pass for a server that is down.
fn readable(pairs: &[(String, String)]) -> StoreResult<()> {
    for (what, names) in FILES {
        let Some((key, path)) = pairs.iter().rfind(|(key, _)| names.contains(&key.as_str())) else {
            continue;
        };
        let text = std::fs::read(path).map_err(|cause| {
            refused(format!(
                "cannot read {what} {path}, which the database URL names"
            ))
            .because(cause)
        })?;
        let certificate = !key.contains("key");
        if certificate && !text.windows(BEGIN.len()).any(|window| window == BEGIN) {
            return Err(refused(format!(
                "{what} {path}, which the database URL names, holds no certificate in PEM"
            )));
        }
    }
    Ok(())
}

const BEGIN: &[u8] = b"-----BEGIN";

fn refused(message: String) -> StoreError {
    StoreError::new(Side::Database, Fault::Refused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_how_long_things_may_take() {
        let url = "postgres://u@h/d?statement-timeout=7&connect_timeout=2&lock-timeout=3&sslmode=disable\
                   &idle-in-transaction-timeout=4&acquire-timeout=6&statement-cache-capacity=0";
        let (options, _) = PostgresOptions::default().read(url).unwrap();
        let all = [
            options.statement_timeout,
            options.connect_timeout,
            options.lock_timeout,
            options.idle_in_transaction_timeout,
            options.acquire_timeout,
        ];
        assert_eq!(all.map(|limit| limit.as_secs()), [7, 2, 3, 4, 6]);
        assert_eq!(options.statement_cache, Some(0));
    }

    #[test]
    fn a_limit_that_is_none_is_refused() {
        for value in ["0", "-1", "x", "5s", "86401", ""] {
            let url = format!("postgres://u:hunter2@h/d?statement-timeout={value}");
            let error = PostgresOptions::default().read(&url).unwrap_err();
            assert_eq!(error.fault(), Fault::Refused);
            let report = error.report();
            assert!(
                report.contains("statement-timeout must be 1 to 86400"),
                "{report}"
            );
            assert!(!report.contains("hunter2"), "{report}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_there_or_is_none_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let junk = directory.path().join("junk.pem");
        std::fs::write(&junk, "junk").unwrap();
        for (option, path, words) in [
            (
                "sslrootcert",
                "/nowhere/ca.pem",
                "cannot read the CA's certificate",
            ),
            (
                "sslcert",
                "/nowhere/me.pem",
                "cannot read the client's certificate",
            ),
            ("sslkey", "/nowhere/me.key", "cannot read the client's key"),
            (
                "sslrootcert",
                junk.to_str().unwrap(),
                "holds no certificate in PEM",
            ),
        ] {
            let url = format!("postgres://u@h/d?sslmode=verify-full&{option}={path}");
            let error = PostgresOptions::default().read(&url).unwrap_err();
            assert_eq!(error.fault(), Fault::Refused);
            assert!(error.report().contains(words), "{}", error.report());
            assert!(error.report().contains(path), "{}", error.report());
        }
    }
}
