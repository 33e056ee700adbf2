//! A schema of its own beside `driftline`, for a database that is thrown away.
//!
//! All statements name the schema `driftline`. Each has a second text for the schema of a scratch database, made once from the
//! first, which is fixed: no value is ever in either. Its settings (`driftline.tenant`, `driftline.scope`) are renamed with
//! it, so that the two can see nothing of each other. A schema that was left behind goes when the next one is made, a day
//! after it was made itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::PostgresDatabase;
use super::connections::Connections;
use super::dial::Dial;
use super::error::{Action, REFUSED_PERMISSION};
use super::rows::Fields;
use super::session::{Scope, query};
use driftline_ports::{Fault, Side, StoreError, StoreResult};

const PREFIX: &str = "driftline_drill_";
/// How long a schema is left alone, in seconds: whoever made it may be at work still.
const LEFT_ALONE: i64 = 24 * 60 * 60;

const ABOUT: &str = "SELECT extract(epoch FROM clock_timestamp())::bigint AS now, left(md5(gen_random_uuid()::text), 8) AS id,
    quote_ident(current_database()) AS database, quote_ident(current_user) AS role,
    has_database_privilege(current_database(), 'CREATE') AS allowed";

const NAMES: &str = "SELECT nspname::text AS name FROM pg_namespace WHERE starts_with(nspname, $1)";

/// Where statements go instead of the schema `driftline`.
#[derive(Clone)]
pub(super) struct Schema(Arc<Place>);

struct Place {
    name: String,
    /// Fixed texts, and the same about this schema.
    texts: Mutex<BTreeMap<&'static str, Arc<str>>>,
}

impl Schema {
    fn new(name: String) -> Self {
        Self(Arc::new(Place {
            name,
            texts: Mutex::default(),
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// The text about this schema. Only a fixed text has one.
    pub(super) fn text(&self, fixed: &'static str) -> Arc<str> {
        let mut texts = self.0.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = texts.entry(fixed).or_insert_with(|| {
            let here = format!("{}.", self.0.name);
            fixed.replace("driftline.", &here).into()
        });
        Arc::clone(text)
    }
}

/// A database in a schema of its own, with connections of its own. It stays until [`PostgresScratch::remove`] is called.
pub struct PostgresScratch {
    database: PostgresDatabase,
    schema: Schema,
}

impl PostgresDatabase {
    /// Makes an empty database in a new schema of the same server's database. The role has to have the right to make one:
    /// the error of one that has not tells what to grant. Schemas that were left behind more than a day ago are dropped.
    pub async fn scratch(&self) -> StoreResult<PostgresScratch> {
        let action = Action::new("make a schema for scratch");
        let mut session = self.begin(action, Scope::Nothing).await?;
        let row = session.one(action, query(ABOUT)).await?;
        session.commit(action).await?;
        let about = Fields::of(&row, "server", &"the session");
        let now: i64 = about.get("now")?;
        if !about.get::<bool>("allowed")? {
            let (database, role): (&str, &str) = (about.get("database")?, about.get("role")?);
            let message = format!(
                "{action}: {REFUSED_PERMISSION}: the role {role} may not make one; GRANT CREATE ON DATABASE {database} TO {role} lets it"
            );
            return Err(StoreError::new(Side::Database, Fault::Refused, message));
        }
        let schema = Schema::new(format!("{PREFIX}{now}_{}", about.get::<&str>("id")?));
        self.sweep(now).await;
        let mut session = self.begin(action, Scope::Nothing).await?;
        let create = format!("CREATE SCHEMA {}", schema.name());
        session.raw(action, create).await?;
        session.commit(action).await?;
        let dial = Dial::new(self.connections.dial().options().clone(), &self.options);
        let database = PostgresDatabase {
            connections: Arc::new(Connections::new(dial, self.connections.places())),
            options: self.options.clone(),
            prepared: self.prepared,
            schema: Some(schema.clone()),
        };
        let scratch = PostgresScratch { database, schema };
        if let Err(error) = scratch.database.run_migrations().await {
            // What is left of it goes a day later if not now.
            let _ = scratch.remove().await;
            return Err(error);
        }
        Ok(scratch)
    }

    /// Drops what was left behind. Whatever hinders it hinders nobody else.
    async fn sweep(&self, now: i64) {
        let action = Action::new("look for schemas that drills left behind");
        let found = async {
            let mut session = self.begin(action, Scope::Nothing).await?;
            session.all(action, query(NAMES).bind(PREFIX)).await
        };
        for row in found.await.unwrap_or_default() {
            let fields = Fields::of(&row, "server", &"a schema");
            let name: &str = fields.get("name").unwrap_or_default();
            if made_at(name).is_some_and(|at| now - at > LEFT_ALONE)
                && let Err(error) = self.drop_schema(name).await
            {
                tracing::warn!(
                    schema = name,
                    error = error.report(),
                    "cannot drop a schema that a drill left behind"
                );
            }
        }
    }

    /// Drops a schema whose name is of our making.
    async fn drop_schema(&self, name: &str) -> StoreResult<()> {
        let action = Action::new("drop the schema of scratch");
        let mut session = self.begin_long(action, Scope::Nothing).await?;
        let statement = format!("DROP SCHEMA IF EXISTS {name} CASCADE");
        session.raw(action, statement).await?;
        session.commit(action).await
    }
}

impl PostgresScratch {
    /// The database in it.
    pub fn database(&self) -> PostgresDatabase {
        self.database.clone()
    }

    /// The schema's name.
    pub fn schema(&self) -> &str {
        self.schema.name()
    }

    /// Closes the connections, after the calls that still use them, and drops the schema with everything in it.
    pub async fn remove(self) -> StoreResult<()> {
        self.database.close().await;
        let dial = Dial::new(
            self.database.connections.dial().options().clone(),
            &self.database.options,
        );
        let last = PostgresDatabase {
            connections: Arc::new(Connections::new(dial, 1)),
            ..self.database
        };
        last.drop_schema(self.schema.name()).await?;
        last.close().await;
        Ok(())
    }
}

impl fmt::Debug for PostgresScratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresScratch")
            .field(&self.schema.name())
            .finish()
    }
}

/// When a schema of ours was made; `None` for a name that is not exactly of our making.
fn made_at(name: &str) -> Option<i64> {
    let (at, id) = name.strip_prefix(PREFIX)?.split_once('_')?;
    let ours = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let at = at.parse().ok()?;
    (ours && name == format!("{PREFIX}{at}_{id}")).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_text_has_one_for_every_mention_of_the_schema_and_nothing_else() {
        let schema = Schema::new("driftline_drill_7_abcdef01".to_owned());
        let text = "SELECT set_config('driftline.tenant', 'driftline', true), 'driftline/v1/' FROM driftline.entry";
        let wanted = "SELECT set_config('driftline_drill_7_abcdef01.tenant', 'driftline', true), 'driftline/v1/' \
                      FROM driftline_drill_7_abcdef01.entry";
        assert_eq!(&*schema.text(text), wanted);
        assert!(
            Arc::ptr_eq(&schema.text(text), &schema.text(text)),
            "it is made once"
        );
    }

    #[test]
    fn only_names_of_our_making_are_dropped() {
        assert_eq!(
            made_at("driftline_drill_1700000000_0a1b2c3d"),
            Some(1_700_000_000)
        );
        for name in [
            "driftline",
            "driftline_drill_",
            "driftline_drill_1700000000",
            "driftline_drill_1700000000_mine",
            "driftline_drill_01700000000_0a1b2c3d",
            "driftline_drill_1700000000_0a1b2c3d; DROP SCHEMA driftline",
        ] {
            assert_eq!(made_at(name), None, "{name}");
        }
    }
}
