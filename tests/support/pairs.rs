//! A database and a bucket of one kind, whatever the kind: for tests that must hold on all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driftline::adapters::filesystem::DirectorySnapshotStore;
use driftline::adapters::memory::{MemoryDatabase, MemorySnapshotStore};
use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::adapters::sqlite::SqliteDatabase;
use driftline::adapters::system::System;
use driftline::domain::content::Content;
use driftline::domain::{Entry, Seq, Stream, TenantId};
use driftline::hybrid::{HybridManifestRepository, Settings, Sides};
use driftline::ports::{Database, ManifestStore as _, Precondition, PutOutcome, SnapshotStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

use super::localstack;
use super::postgres::Reached as _;
use driftline_conformance::services::free_port;
use driftline_conformance::services::{self, Cluster, Database as Server};

/// The prefix of buckets that have one.
const PREFIX: &str = "manifests";

/// Which backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both sides in memory.
    Memory,
    /// SQLite and a directory.
    Embedded,
    /// Postgres and LocalStack.
    Services,
}

/// A database that can be lost and damaged, and a bucket, both of nobody else. Nothing is left behind.
pub struct Pair {
    pub snapshots: Arc<dyn SnapshotStore>,
    pub database: Arc<dyn Database>,
    place: Place,
    databases: u32,
    directory: TempDir,
    cluster: fn() -> &'static Cluster,
    /// The bucket's name, where it has one.
    bucket: Option<String>,
}

/// What is under the port.
enum Place {
    Memory(Arc<MemoryDatabase>),
    Sqlite(PathBuf),
    Postgres(Server),
}

impl Pair {
    /// An empty bucket, and a database that has not seen it.
    pub async fn new(kind: Kind) -> Self {
        Self::on(kind, Cluster::shared).await
    }

    /// The same, on a database that waits for the disk.
    pub async fn durable(kind: Kind) -> Self {
        Self::on(kind, Cluster::durable).await
    }

    async fn on(kind: Kind, cluster: fn() -> &'static Cluster) -> Self {
        let bucket = (kind == Kind::Services).then(|| services::localstack().fresh_bucket());
        let directory = tempfile::tempdir().unwrap();
        let snapshots: Arc<dyn SnapshotStore> = match kind {
            Kind::Memory => Arc::new(MemorySnapshotStore::new().with_prefix(PREFIX)),
            Kind::Embedded => {
                Arc::new(DirectorySnapshotStore::open(directory.path().join("bucket")).unwrap())
            }
            Kind::Services => {
                let bucket = bucket.as_deref().unwrap_or_default();
                Arc::new(localstack::store(bucket, PREFIX).await)
            }
        };
        let (place, database) = fresh_database(kind, &directory, 0, cluster()).await;
        Self {
            snapshots,
            database,
            place,
            databases: 1,
            directory,
            cluster,
            bucket,
        }
    }

    fn kind(&self) -> Kind {
        match self.place {
            Place::Memory(_) => Kind::Memory,
            Place::Sqlite(_) => Kind::Embedded,
            Place::Postgres(_) => Kind::Services,
        }
    }

    /// Loses the database: from now on there is a new and empty one.
    pub async fn lose_database(&mut self) {
        let (kind, number) = (self.kind(), self.databases);
        let cluster = (self.cluster)();
        (self.place, self.database) = fresh_database(kind, &self.directory, number, cluster).await;
        self.databases += 1;
    }

    /// The database as another process would open it, with connections of its own. In memory it is the same.
    pub async fn another_connection(&self) -> Arc<dyn Database> {
        match &self.place {
            Place::Memory(database) => Arc::clone(database) as _,
            Place::Sqlite(path) => sqlite(path).await,
            Place::Postgres(database) => Arc::new(database.adapter(&database.app()).await),
        }
    }

    /// What the program needs in its environment to find both sides; it can do nothing else with it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let directory = self.directory.path().display().to_string();
        let database = match &self.place {
            Place::Memory(_) => panic!("another process sees nothing of this memory"),
            Place::Sqlite(path) => format!("sqlite://{}", path.display()),
            Place::Postgres(database) => database.url(&database.app()),
        };
        let mut environment = vec![
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("DRIFTLINE_DATABASE_URL", database),
            ("DRIFTLINE_BY", "tester".to_owned()),
        ];
        if let Some(bucket) = &self.bucket {
            environment.extend([
                ("DRIFTLINE_SNAPSHOTS_URL", format!("s3://{bucket}/{PREFIX}")),
                ("AWS_ENDPOINT_URL_S3", services::localstack().endpoint()),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", "test".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ]);
        } else {
            environment.push((
                "DRIFTLINE_SNAPSHOTS_URL",
                format!("file://{directory}/bucket"),
            ));
        }
        environment.push(("HOME", directory));
        environment
    }

    /// The database on its server, where it has one.
    pub fn server(&self) -> Option<&Server> {
        match &self.place {
            Place::Postgres(database) => Some(database),
            Place::Memory(_) | Place::Sqlite(_) => None,
        }
    }

    /// Whether the sides are processes of their own.
    pub fn has_servers(&self) -> bool {
        self.kind() == Kind::Services
    }

    /// A directory that goes with it.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// What a repository is made of.
    pub fn sides(&self) -> Sides {
        Sides {
            database: Arc::clone(&self.database),
            snapshots: Arc::clone(&self.snapshots),
            clock: Arc::new(System),
            entropy: Arc::new(System),
        }
    }

    /// A repository without a background replicator, after the start-up check.
    pub async fn repository(&self) -> Arc<HybridManifestRepository> {
        let repository = HybridManifestRepository::new(self.sides(), settings());
        repository.check_ownership().await.unwrap();
        Arc::new(repository)
    }

    /// Loses a row, as a damaged disk does.
    pub async fn lose_row(&self, tenant: &TenantId, version: Seq) {
        match &self.place {
            Place::Memory(database) => database.lose_row(tenant, Stream::Manifests, version),
            Place::Sqlite(path) => {
                let delete = "DELETE FROM entry WHERE tenant = ? AND stream = 0 AND seq = ?";
                let done = sqlx::query(delete)
                    .bind(tenant.as_str())
                    .bind(version.to_i64())
                    .execute(&mut connect(path).await)
                    .await;
                assert_eq!(done.unwrap().rows_affected(), 1);
            }
            Place::Postgres(database) => {
                let delete =
                    "DELETE FROM driftline.entry WHERE tenant = $1 AND stream = 0 AND seq = $2";
                let done = sqlx::query(delete)
                    .bind(tenant.as_str())
                    .bind(version.to_i64())
                    .execute(&mut database.connect("postgres").await)
                    .await;
                assert_eq!(done.unwrap().rows_affected(), 1);
            }
        }
    }

    /// Ends every lease again and again, as a server's clock does that jumps ahead, until the task is aborted.
    pub async fn ending_leases(&self) -> tokio::task::JoinHandle<()> {
        let Place::Postgres(database) = &self.place else {
            panic!("only a server has a clock of its own");
        };
        let mut connection = database.connect("postgres").await;
        tokio::spawn(async move {
            loop {
                let end = "UPDATE driftline.shadowing SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL";
                sqlx::query(end).execute(&mut connection).await.unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        })
    }

    /// Changes the content of a row behind driftline's back.
    pub async fn tamper_row(&self, tenant: &TenantId, version: Seq, content: &'static [u8]) {
        match &self.place {
            Place::Memory(database) => {
                let stored = database.entry(tenant, Stream::Manifests, version).await;
                let mut entry: Entry = stored.unwrap().unwrap().entry;
                entry.content = Content::trusted(content.into(), entry.meta.checksum);
                database.lose_row(tenant, Stream::Manifests, version);
                put_back(database.as_ref(), tenant, entry).await;
            }
            Place::Sqlite(path) => {
                let update =
                    "UPDATE entry SET content = ? WHERE tenant = ? AND stream = 0 AND seq = ?";
                let done = sqlx::query(update)
                    .bind(content)
                    .bind(tenant.as_str())
                    .bind(version.to_i64())
                    .execute(&mut connect(path).await)
                    .await;
                assert_eq!(done.unwrap().rows_affected(), 1);
            }
            Place::Postgres(database) => {
                let update = "UPDATE driftline.entry SET content = $3 WHERE tenant = $1 AND stream = 0 AND seq = $2";
                let done = sqlx::query(update)
                    .bind(tenant.as_str())
                    .bind(version.to_i64())
                    .bind(content)
                    .execute(&mut database.connect("postgres").await)
                    .await;
                assert_eq!(done.unwrap().rows_affected(), 1);
            }
        }
    }
}

/// The defaults, looking more often.
pub fn settings() -> Settings {
    Settings {
        poll_interval: Duration::from_millis(100),
        ..Settings::default()
    }
}

/// A database that cannot be reached.
pub async fn unreachable_database() -> Arc<dyn Database> {
    let url = format!("postgres://nobody@127.0.0.1:{}/nothing", free_port());
    let options = PostgresOptions {
        acquire_timeout: Duration::from_millis(500),
        ..PostgresOptions::default()
    };
    Arc::new(PostgresDatabase::connect(&url, options).await.unwrap())
}

/// Puts an object over whatever is there, as an intruder would.
pub async fn overwrite(store: &dyn SnapshotStore, key: &str, bytes: Vec<u8>) {
    let condition = match store.get(key, u64::MAX).await.unwrap() {
        Some(object) => Precondition::Matches(object.etag),
        None => Precondition::Absent,
    };
    let outcome = store.put(key, bytes.into(), condition).await.unwrap();
    assert!(matches!(outcome, PutOutcome::Written(_)), "{outcome:?}");
}

/// Every key below a prefix, in order.
pub async fn keys(store: &dyn SnapshotStore, prefix: &str) -> Vec<String> {
    let mut keys = Vec::<String>::new();
    loop {
        let after = keys.last().cloned();
        let listing = store.list(prefix, after.as_deref(), 1000).await.unwrap();
        keys.extend(listing.objects.into_iter().map(|object| object.key));
        if !listing.more {
            return keys;
        }
    }
}

async fn fresh_database(
    kind: Kind,
    directory: &TempDir,
    number: u32,
    cluster: &Cluster,
) -> (Place, Arc<dyn Database>) {
    match kind {
        Kind::Memory => {
            let database = Arc::new(MemoryDatabase::new(Arc::new(System), Arc::new(System)));
            (Place::Memory(Arc::clone(&database)), database)
        }
        Kind::Embedded => {
            let path = directory.path().join(format!("{number}.db"));
            let database = sqlite(&path).await;
            (Place::Sqlite(path), database)
        }
        Kind::Services => {
            let database = cluster.database();
            database.migrate().await;
            let adapter = database.adapter(&database.app()).await;
            (Place::Postgres(database), Arc::new(adapter))
        }
    }
}

async fn sqlite(path: &std::path::Path) -> Arc<dyn Database> {
    let database = SqliteDatabase::open(path, Arc::new(System), Arc::new(System)).await;
    let database = database.unwrap();
    database.migrate().await.unwrap();
    Arc::new(database)
}

/// The file as another program sees it.
async fn connect(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    options.connect().await.unwrap()
}

/// Inserts a row where one is missing, and leaves everything else as it is.
async fn put_back(database: &dyn Database, tenant: &TenantId, entry: Entry) {
    let bucket = database.identity().await.unwrap().bucket_id.unwrap();
    let watermarks = database.watermarks(tenant).await.unwrap();
    let mut restore = database.begin_restore(tenant).await.unwrap();
    let state = restore.state().unwrap().clone();
    restore.insert(&[entry]).await.unwrap();
    restore.commit(&state, bucket, &watermarks).await.unwrap();
}
