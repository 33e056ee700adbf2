//! A database that waits for the disk, and the floor's tables beside driftline's.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use driftline::adapters::memory::MemorySnapshotStore;
use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::adapters::system::System;
use driftline::domain::content::Content;
use driftline::domain::{BucketId, Epoch, TenantId};
use driftline::hybrid::{HybridManifestRepository, Settings, Sides};
use driftline::ports::{CreateManifest, Entropy, RecoveryStore};
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::support::postgres::{Reached as _, options, run};
use driftline_conformance::services::{Cluster, Database, Fsync};

/// Writers of the rows with many.
pub const WRITERS: usize = 16;

/// One database for both sides.
pub struct Bench {
    /// The database itself, for what only its owner may do.
    pub database: Database,
    /// Where driftline's side finds it.
    pub url: String,
    /// Driftline's database.
    pub store: PostgresDatabase,
    /// Driftline's side. Nothing shadows meanwhile.
    pub repository: HybridManifestRepository,
    /// The floor's side: a pool with the same settings.
    pub floor: PgPool,
    next: AtomicI64,
}

impl Bench {
    /// A fresh database.
    pub async fn open() -> Self {
        let database = cluster().database();
        database.migrate().await;
        let mut owner = database.connect(&database.owner()).await;
        // The same key, the same storage of the same bytes, the same room for updates.
        let schema = "CREATE SCHEMA floor;
            CREATE TABLE floor.entry (tenant text COLLATE \"C\", stream smallint, seq bigint, content bytea NOT NULL,
                PRIMARY KEY (tenant, stream, seq)) WITH (toast_tuple_target = 8160);
            ALTER TABLE floor.entry ALTER COLUMN content SET STORAGE EXTERNAL;
            CREATE TABLE floor.counter (tenant text COLLATE \"C\" PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 30);";
        run(&mut owner, schema.to_owned()).await;
        for writer in 0..WRITERS {
            run(
                &mut owner,
                format!("INSERT INTO floor.counter VALUES ('{}', 0)", tenant(writer)),
            )
            .await;
        }
        run(
            &mut owner,
            format!("GRANT USAGE ON SCHEMA floor TO {}", database.app()),
        )
        .await;
        run(
            &mut owner,
            format!(
                "GRANT ALL ON ALL TABLES IN SCHEMA floor TO {}",
                database.app()
            ),
        )
        .await;
        let url = database.url(&database.app());
        let connections = u32::try_from(WRITERS).unwrap_or(1);
        let sizes = PostgresOptions {
            max_connections: connections,
            ..PostgresOptions::default()
        };
        let store = PostgresDatabase::connect(&url, sizes)
            .await
            .expect("a good URL");
        store
            .claim(None, BucketId(System.uuid()), Epoch::FIRST)
            .await
            .expect("the database can be claimed");
        let floor = PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .connect_with(sqlx::ConnectOptions::disable_statement_logging(options(
                &url,
            )))
            .await
            .expect("the server answers");
        let ports = Sides {
            database: Arc::new(store.clone()),
            snapshots: Arc::new(MemorySnapshotStore::new()),
            clock: Arc::new(System),
            entropy: Arc::new(System),
        };
        Self {
            database,
            url,
            store,
            repository: HybridManifestRepository::new(ports, Settings::default()),
            floor,
            next: AtomicI64::new(1),
        }
    }

    /// A number that was not given yet.
    pub fn next(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// The server that all rows share.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(Fsync::On))
}

/// The tenant of a writer.
pub fn tenant(writer: usize) -> TenantId {
    format!("tenant-{writer}").parse().expect("a good name")
}

/// A manifest of 4 KiB.
pub fn content() -> Content {
    let mut roles = String::new();
    let mut number = 0_u32;
    while roles.len() < 4096 - 160 {
        number += 1;
        let comma = if roles.is_empty() { "" } else { "," };
        let scrambled = number.wrapping_mul(2_654_435_761);
        let _ = write!(
            roles,
            "{comma}{{\"id\":\"role-{number:04}\",\"name\":\"{scrambled:08x}\",\"permissions\":{scrambled}}}"
        );
    }
    let head =
        format!("{{\"roles\":[{roles}],\"schemaVersion\":\"1\",\"settings\":{{\"note\":\"\"");
    let note = "n".repeat(4096 - head.len() - 2);
    let text = head.replace("\"note\":\"\"", &format!("\"note\":\"{note}\"")) + "}}";
    assert_eq!(text.len(), 4096);
    Content::from_stored(text.into_bytes().into())
}

/// A request to create a version with this content.
pub fn create(content: &Content) -> CreateManifest {
    CreateManifest {
        content: content.as_bytes().to_vec(),
        created_by: Some("bench".parse().expect("a short text")),
        ..CreateManifest::default()
    }
}
