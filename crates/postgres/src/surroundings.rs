//! What a session is like, whatever the role, the database or the server make of one.
//!
//! A role may come with a search path in which somebody's own functions and operators stand before the server's, with
//! another isolation level, with limits of its own. So every connection asks for settings of ours when it begins, which go
//! before those of role and database. A pooler takes none, or drops them, and shares sessions with other programs, in which
//! nothing may be left: behind one, every call is a transaction that begins with the same settings and ends with them.
//!
//! All texts here are fixed but for the limits, which are numbers, and are put together once.

use std::fmt::Write as _;
use std::time::Duration;

use super::PostgresOptions;
use super::scratch::Schema;

/// How long the caller waits after the server should have given up.
const GRACE: Duration = Duration::from_secs(5);
/// So much longer may take what moves much at once.
const LONG: u32 = 20;

/// A session in which our settings hold says so.
pub(super) const MARK: &str = "driftline.session";

/// What a connection is asked when it is made. Without our mark, nothing is known of the session, and nothing is changed in
/// it. A write that was acknowledged has to be on the disk; what is stricter than that is the operator's.
pub(super) const LOOK: &str = "SELECT pg_catalog.current_setting('server_encoding') AS encoding,
    pg_catalog.current_database()::pg_catalog.text AS database,
    coalesce(pg_catalog.current_setting('driftline.session', true), '') AS mark,
    pg_catalog.pg_is_in_recovery() AS standby,
    CASE WHEN pg_catalog.current_setting('driftline.session', true) OPERATOR(pg_catalog.=) 'ours'
            AND pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'
        THEN pg_catalog.set_config('synchronous_commit', 'on', false) END AS commits,
    CASE WHEN pg_catalog.current_setting('driftline.session', true) OPERATOR(pg_catalog.=) 'ours'
            AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 170000
        THEN pg_catalog.set_config('transaction_timeout', '0', false) END AS transactions";

/// How long a transaction's statements may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// What somebody waits for.
    Usual,
    /// What moves much at once.
    Long,
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    /// The server refuses every write.
    Read,
}

/// The settings, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    statement: Duration,
    lock: Duration,
    idle: Duration,
    usual: String,
    long: String,
}

impl Surroundings {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        let mut new = Self {
            statement: options.statement_timeout,
            lock: options.lock_timeout,
            idle: options.idle_in_transaction_timeout,
            usual: String::new(),
            long: String::new(),
        };
        for pace in [Pace::Usual, Pace::Long] {
            let mut text = String::new();
            for (name, value) in new.settings(pace) {
                let _ = write!(text, "; SET LOCAL {name} = {value}");
            }
            match pace {
                Pace::Usual => new.usual = text,
                Pace::Long => new.long = text,
            }
        }
        new
    }

    /// How long a call waits for the answer to a statement.
    pub(super) fn deadline(&self, pace: Pace) -> Duration {
        self.statement_limit(pace) + GRACE
    }

    /// What a connection asks for when it begins.
    pub(super) fn of_session(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.settings(Pace::Usual);
        for (_, value) in &mut settings {
            *value = value.replace('\'', "");
        }
        let own = [
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", "off"),
            ("default_transaction_deferrable", "off"),
            ("idle_session_timeout", "0"),
            // A client that vanished holds no lock for longer than this.
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
            (MARK, "ours"),
        ];
        settings.extend(own.map(|(name, value)| (name, value.to_owned())));
        settings
    }

    /// The beginning of a transaction. `shared` tells that the session's own settings are not ours.
    pub(super) fn begin(&self, access: Access, pace: Pace, shared: bool, standby: bool) -> String {
        let mut text = String::from("BEGIN ISOLATION LEVEL READ COMMITTED");
        match access {
            Access::Read => text.push_str(", READ ONLY"),
            // A standby refuses to be asked; that it takes no write is said by the write.
            Access::Write if shared && !standby => text.push_str(", READ WRITE"),
            Access::Write => {}
        }
        match pace {
            Pace::Usual if shared => text.push_str(&self.usual),
            Pace::Usual => {}
            Pace::Long => text.push_str(&self.long),
        }
        if shared && access == Access::Write {
            text.push_str(
                "; SELECT pg_catalog.set_config('synchronous_commit', 'on', true) \
                 WHERE pg_catalog.current_setting('synchronous_commit') = 'off'",
            );
        }
        text
    }

    fn statement_limit(&self, pace: Pace) -> Duration {
        match pace {
            Pace::Usual => self.statement,
            Pace::Long => self.statement * LONG,
        }
    }

    fn settings(&self, pace: Pace) -> Vec<(&'static str, String)> {
        let millis = |limit: Duration| limit.as_millis().to_string();
        let idle = match pace {
            Pace::Usual => self.idle,
            Pace::Long => self.idle * LONG,
        };
        let text = |value: &str| value.to_owned();
        vec![
            // Whatever is not named with its schema is the server's own.
            ("search_path", text("pg_catalog,pg_temp")),
            ("statement_timeout", millis(self.statement_limit(pace))),
            ("lock_timeout", millis(self.lock)),
            ("idle_in_transaction_session_timeout", millis(idle)),
            ("row_security", text("on")),
            ("standard_conforming_strings", text("on")),
            ("TimeZone", text("'UTC'")),
            ("DateStyle", text("'ISO, MDY'")),
            ("IntervalStyle", text("'postgres'")),
            ("bytea_output", text("'hex'")),
        ]
    }
}

/// Lets a transaction see all tenants; what it sees of one is a bound setting.
pub(super) fn all_tenants(schema: Option<&Schema>) -> String {
    let fixed = "; SELECT pg_catalog.set_config('driftline.scope', 'all', true)";
    match schema {
        None => fixed.to_owned(),
        Some(schema) => schema.text(fixed).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_ours_begins_short_and_a_shared_one_says_everything() {
        let surroundings = Surroundings::new(&PostgresOptions::default());
        let begin = |access, pace, shared| surroundings.begin(access, pace, shared, false);
        let plain = "BEGIN ISOLATION LEVEL READ COMMITTED";
        assert_eq!(begin(Access::Write, Pace::Usual, false), plain);
        assert_eq!(
            begin(Access::Read, Pace::Usual, false),
            format!("{plain}, READ ONLY")
        );
        let shared = begin(Access::Write, Pace::Usual, true);
        assert!(shared.starts_with(&format!(
            "{plain}, READ WRITE; SET LOCAL search_path = pg_catalog,pg_temp;"
        )));
        assert!(
            shared.contains("SET LOCAL statement_timeout = 30000;"),
            "{shared}"
        );
        let long = begin(Access::Write, Pace::Long, false);
        assert!(
            long.contains("SET LOCAL statement_timeout = 600000;"),
            "{long}"
        );
    }
}
