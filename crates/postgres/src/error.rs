//! Errors of the driver, translated: by SQLSTATE and by how far the call had got, never by text.

use std::borrow::Cow;
use std::fmt;
use std::io;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::dial::Unfit;
use driftline_model::TenantId;
use driftline_net::tls;
use driftline_ports::{Fault, Side, StoreError};

/// What an error of a role that may not do something says.
pub(super) const REFUSED_PERMISSION: &str = "the role lacks a permission";

/// Where a CA is named.
const TRUST: &str =
    "name its CA with sslrootcert=FILE in the database URL, or with ca-file in the configuration";

/// How far a call had got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of it can be committed: a read, or a transaction that is still open.
    Open,
    /// A statement that commits by itself was sent. If the server answers with an error, it did not commit.
    Sent,
    /// The end of the transaction was asked for. A connection that ends here may have committed.
    Committing,
}

/// What was being done, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action<'a> {
    pub(super) verb: &'static str,
    pub(super) tenant: Option<&'a TenantId>,
}

impl<'a> Action<'a> {
    pub(super) fn on(verb: &'static str, tenant: &'a TenantId) -> Self {
        Self {
            verb,
            tenant: Some(tenant),
        }
    }

    pub(super) fn new(verb: &'static str) -> Self {
        Self { verb, tenant: None }
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.verb)?;
        match self.tenant {
            Some(tenant) => write!(f, " of tenant {tenant}"),
            None => Ok(()),
        }
    }
}

/// Translates an error of the driver.
pub(super) fn translate(action: Action<'_>, phase: Phase, error: sqlx::Error) -> StoreError {
    let (fault, advice) = judge(phase, &error);
    let message = match advice {
        Some(advice) => format!("{action}: {advice}"),
        None => action.to_string(),
    };
    let refused = StoreError::new(Side::Database, fault, message);
    match error {
        // A configuration's error may quote the URL.
        sqlx::Error::Configuration(_) => refused,
        // Its own text ends with a line of the server's source.
        sqlx::Error::Database(said) => {
            refused.because(format!("the server says: {}", said.message()))
        }
        error => refused.because(error),
    }
}

/// A row that cannot be understood.
pub(super) fn corrupt(table: &str, column: &str, key: &dyn fmt::Display) -> StoreError {
    StoreError::new(
        Side::Database,
        Fault::Corrupt,
        format!("cannot read driftline.{table}.{column} of {key}"),
    )
}

/// A URL that cannot be read; nothing of it is shown, since it may hold a password.
pub(super) fn invalid_url(url: &str) -> StoreError {
    let reason = match url::Url::parse(url) {
        Err(error) => error.to_string(),
        Ok(_) => "an option in it is not understood".to_owned(),
    };
    let expected = "postgres://user:password@host:port/database is expected";
    StoreError::new(
        Side::Database,
        Fault::Refused,
        format!("cannot read the database URL: {reason}; {expected}"),
    )
}

/// What an error means, and what to do about it.
type Judgement = (Fault, Option<Cow<'static, str>>);

fn judge(phase: Phase, error: &sqlx::Error) -> Judgement {
    use sqlx::Error;
    let lost = if phase == Phase::Open {
        Fault::Unavailable
    } else {
        Fault::OutcomeUnknown
    };
    match error {
        Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => {
                let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
                if fatal && phase == Phase::Committing {
                    (lost, None)
                } else {
                    by_code(error.code(), lost)
                }
            }
            None => (lost, None),
        },
        // Connections are made outside of this; see `Dial`.
        Error::PoolTimedOut => (
            Fault::Unavailable,
            Some("all connections of this process are in use".into()),
        ),
        Error::PoolClosed => (Fault::Unavailable, None),
        Error::Configuration(error) => {
            let advice = match error.downcast_ref::<Unfit>() {
                Some(unfit) => unfit.to_string().into(),
                None => "the connection is configured wrongly".into(),
            };
            (Fault::Refused, Some(advice))
        }
        Error::Io(error) => match tls::fault(error) {
            Some(fault) => (Fault::Refused, Some(tls::advice(fault, TRUST).into())),
            // A socket that is not there is a server that is down.
            None if error.kind() == io::ErrorKind::PermissionDenied => (Fault::Refused, None),
            None => (lost, None),
        },
        Error::Tls(error) => {
            let advice = tls::fault(&**error).map(|fault| tls::advice(fault, TRUST).into());
            (Fault::Refused, advice)
        }
        Error::Encode(_) | Error::InvalidArgument(_) | Error::TypeNotFound { .. } => {
            (Fault::Refused, None)
        }
        Error::Decode(_)
        | Error::ColumnDecode { .. }
        | Error::ColumnNotFound(_)
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::RowNotFound => (Fault::Corrupt, None),
        _ => (lost, None),
    }
}

/// See the appendix "PostgreSQL Error Codes" of the manual. The server reports these before it commits.
fn by_code(code: &str, lost: Fault) -> Judgement {
    let (fault, advice) = by_class(code, lost);
    (fault, advice.map(Cow::Borrowed))
}

fn by_class(code: &str, lost: Fault) -> (Fault, Option<&'static str>) {
    match code {
        // Undefined schema, table, column, function, type: or a schema of another version.
        "3F000" | "42P01" | "42703" | "42883" | "42704" => (
            Fault::Absent,
            Some("the schema is not there, or is that of an older build"),
        ),
        "42501" => (Fault::Refused, Some(REFUSED_PERMISSION)),
        // Ours: raised by `driftline.here`.
        "DL001" => (Fault::Elsewhere, None),
        "3D000" => (Fault::Absent, Some("there is no such database")),
        // The server cannot tell: an outcome that is unknown to it as well.
        "40003" | "08007" => (lost, None),
        // Read-only transaction, recovery in progress: a standby, or the old primary during a failover.
        "25006" | "55000" => (
            Fault::Unavailable,
            Some("the server takes no writes; it may be a standby"),
        ),
        // A prepared statement that is gone or there already: a pooler that shares sessions.
        "26000" | "42P05" => (
            Fault::Refused,
            Some(
                "a pooler does not keep prepared statements; add ?statement-cache-capacity=0 to the URL",
            ),
        ),
        "0A000" => (
            Fault::Unavailable,
            Some("the schema changed under a prepared statement"),
        ),
        "55P03" => (
            Fault::Unavailable,
            Some("somebody else holds a lock for too long (lock-timeout)"),
        ),
        "57014" => (
            Fault::Unavailable,
            Some("it took too long (statement-timeout)"),
        ),
        "25P03" => (
            Fault::Unavailable,
            Some("nothing came for too long in an open transaction (idle-in-transaction-timeout)"),
        ),
        "53300" => (
            Fault::Unavailable,
            Some("the server has no room for another connection"),
        ),
        "28P01" => (Fault::Refused, Some("the server refuses the password")),
        _ => match code.get(..2) {
            // Connection, transaction rollback, insufficient resources, operator intervention, system error.
            Some("08" | "40" | "53" | "57" | "58") => (Fault::Unavailable, None),
            Some("28") => (Fault::Refused, Some("the server does not let this role in")),
            Some("XX") if code != "XX000" => (Fault::Corrupt, None),
            _ => (Fault::Refused, None),
        },
    }
}
