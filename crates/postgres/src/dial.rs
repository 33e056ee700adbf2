//! Making a connection: with settings of ours, and with the server's own words if it comes to nothing.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Error, PgConnection, Row as _};
use tokio::time::{Instant, sleep, timeout};

use super::PostgresOptions;
use super::surroundings::{LOOK, Surroundings};

/// The first wait before a server that may come is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// How connections to one database are made.
pub(super) struct Dial {
    /// As the URL says.
    plain: PgConnectOptions,
    /// The same with our settings.
    ours: PgConnectOptions,
    surroundings: Surroundings,
    /// For one connection.
    patience: Duration,
    /// For one and all attempts at it.
    all: Duration,
    /// Sessions are not ours: see [`super::surroundings`].
    shared: AtomicBool,
    standby: AtomicBool,
}

/// What is wrong with a database that answers.
#[derive(Debug)]
pub(super) struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Unfit {}

impl Dial {
    pub(super) fn new(connect: PgConnectOptions, options: &PostgresOptions) -> Self {
        let surroundings = Surroundings::new(options);
        Self {
            ours: connect.clone().options(surroundings.of_session()),
            plain: connect,
            surroundings,
            patience: options.connect_timeout,
            all: options.acquire_timeout,
            shared: AtomicBool::new(false),
            standby: AtomicBool::new(false),
        }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.plain
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// How long a call waits for a connection.
    pub(super) fn all(&self) -> Duration {
        self.all
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    pub(super) fn is_standby(&self) -> bool {
        self.standby.load(Ordering::Relaxed)
    }

    /// A connection. A server that may come, or may have room, in a moment is tried again until it is too late; the error is
    /// that of the last attempt.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        let end = Instant::now() + self.all;
        let mut wait = FIRST_WAIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let limit = self.patience.min(left.max(FIRST_WAIT));
            let error = match timeout(limit, self.once()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) if may_pass(&error) => error,
                Ok(Err(error)) => return Err(self.named(error)),
                Err(_) => return Err(self.named(silent(limit))),
            };
            if Instant::now() + wait >= end {
                return Err(self.named(error));
            }
            sleep(wait).await;
            wait = (wait * 2).min(self.all / 5);
        }
    }

    async fn once(&self) -> Result<PgConnection, Error> {
        let first = if self.is_shared() {
            None
        } else {
            match PgConnection::connect_with(&self.ours).await {
                // What a pooler says to settings that it does not know; if that is not what it means, it says so again.
                Err(Error::Database(error))
                    if error.code().is_some_and(|code| {
                        code.starts_with("08") || code.starts_with("0A") || code == "42704"
                    }) =>
                {
                    None
                }
                outcome => Some(outcome?),
            }
        };
        let mut connection = match first {
            Some(connection) => connection,
            None => PgConnection::connect_with(&self.plain).await?,
        };
        let row = sqlx::raw_sql(LOOK).fetch_one(&mut connection).await?;
        let encoding: String = row.try_get("encoding")?;
        if encoding != "UTF8" {
            let database: String = row.try_get("database")?;
            return Err(Error::Configuration(Box::new(Unfit(format!(
                "the database `{database}` is encoded in {encoding}, and driftline needs one in UTF8: \
                 CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 makes one"
            )))));
        }
        let mark: String = row.try_get("mark")?;
        self.shared.store(mark != "ours", Ordering::Relaxed);
        let standby: bool = row.try_get("standby")?;
        self.standby.store(standby, Ordering::Relaxed);
        Ok(connection)
    }

    /// The error with the place that it came from, unless the server itself speaks.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Io(error) => {
                let place = self.place();
                // What TLS has to say stays among the causes.
                let kind = error.kind();
                Error::Io(io::Error::new(kind, At { place, error }))
            }
            other => other,
        }
    }

    fn place(&self) -> String {
        match self.plain.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", self.plain.get_host(), self.plain.get_port()),
        }
    }
}

/// An error of the network and where.
#[derive(Debug)]
struct At {
    place: String,
    error: io::Error,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.error)
    }
}

impl StdError for At {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// The error for no answer within this time.
pub(super) fn silent(limit: Duration) -> Error {
    let seconds = limit.as_secs_f64().ceil();
    let message = format!("no answer within {seconds} s");
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
}

/// Nobody listens, no room for one more (53300), or starting up or shutting down (57P03).
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}
