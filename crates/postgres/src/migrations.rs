//! The schema's versions. They only move forward, and are kept track of in the schema itself, apart from those of a program
//! that embeds driftline.

use sha2::{Digest as _, Sha384};

use super::PostgresDatabase;
use super::error::Action;
use super::rows::Fields;
use super::session::{Scope, Session, query};
use driftline_ports::{Fault, Side, StoreError, StoreResult};

const ACTION: &str = "migrate the schema driftline";

/// Whoever else migrates waits. Any number will do, as long as it stays the same.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7596503841235)";

/// The table of what was applied is that of the driver, which kept it before.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS driftline._migrations (
    version bigint PRIMARY KEY,
    description text NOT NULL,
    installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
)";

const APPLIED: &str =
    "SELECT m.version, m.checksum, m.success FROM driftline._migrations m ORDER BY m.version";

const RECORD: &str =
    "INSERT INTO driftline._migrations (version, description, success, checksum, execution_time)
    VALUES ($1, $2, true, $3, -1)";

/// Number, name, text. Never change one that was released.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "schema", include_str!("../migrations/0001_schema.sql")),
    (
        2,
        "functions",
        include_str!("../migrations/0002_functions.sql"),
    ),
    (3, "audits", include_str!("../migrations/0003_audits.sql")),
    (
        4,
        "lifecycle",
        include_str!("../migrations/0004_lifecycle.sql"),
    ),
    (
        5,
        "surroundings",
        include_str!("../migrations/0005_surroundings.sql"),
    ),
    (
        7,
        "whereabouts",
        include_str!("../migrations/0007_whereabouts.sql"),
    ),
    (
        8,
        "failed drills",
        include_str!("../migrations/0008_failed_drills.sql"),
    ),
    (
        10,
        "timeliness",
        include_str!("../migrations/0010_timeliness.sql"),
    ),
    (11, "faults", include_str!("../migrations/0011_faults.sql")),
];

impl PostgresDatabase {
    /// All that is missing, in one transaction: it is there whole or not at all.
    pub(super) async fn run_migrations(&self) -> StoreResult<()> {
        let action = Action::new(ACTION);
        if self.schema.is_none() && self.is_current().await {
            return Ok(());
        }
        let mut session = self.begin_long(action, Scope::Nothing).await?;
        session.execute(action, query(LOCK)).await?;
        // Who may only use a schema that is there is not asked for the right to make one.
        let there = "SELECT 1 FROM pg_namespace WHERE nspname = 'driftline'";
        if self.schema.is_none() && session.optional(action, query(there)).await?.is_none() {
            session.raw(action, "CREATE SCHEMA driftline").await?;
        }
        let table = session.place(TABLE);
        session.raw(action, table).await?;
        let applied = applied(&mut session, action).await?;
        for (version, name, text) in MIGRATIONS {
            let checksum = Sha384::digest(text).to_vec();
            match applied.iter().find(|known| known.version == *version) {
                // A newer driftline may have been here: what it added does not hinder this one.
                Some(known) if known.success && known.checksum == checksum => {}
                Some(_) => {
                    let message = format!(
                        "{action}: number {version}, which was applied, is not this program's"
                    );
                    return Err(StoreError::new(Side::Database, Fault::Refused, message));
                }
                None => {
                    let text = session.place(text);
                    session.raw(action, text).await?;
                    let record = query(RECORD).bind(*version).bind(*name).bind(checksum);
                    session.execute(action, record).await?;
                }
            }
        }
        session.commit(action).await
    }

    /// Whether nothing is left to do. A role that may do no more than read what was applied learns so too; one that may not
    /// even do that is told by the migration itself what it lacks.
    async fn is_current(&self) -> bool {
        let action = Action::new(ACTION);
        let Ok(mut session) = self.begin_reading(action, Scope::Nothing).await else {
            return false;
        };
        let Ok(applied) = applied(&mut session, action).await else {
            return false;
        };
        MIGRATIONS.iter().all(|(version, _, text)| {
            applied.iter().any(|known| {
                known.success
                    && known.version == *version
                    && known.checksum == Sha384::digest(text).to_vec()
            })
        })
    }
}

struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

async fn applied(session: &mut Session, action: Action<'_>) -> StoreResult<Vec<Applied>> {
    let rows = session.all(action, query(APPLIED)).await?;
    let rows = rows.iter().map(|row| {
        let fields = Fields::of(row, "_migrations", &"a row");
        Ok(Applied {
            version: fields.get("version")?,
            checksum: fields.get("checksum")?,
            success: fields.get("success")?,
        })
    });
    rows.collect()
}
