//! A throw-away Postgres cluster, and databases in it.
//!
//! The server's programs are found in `DRIFTLINE_TEST_PG_BIN`, or under `/usr/lib/postgresql`, or on the `PATH`; without
//! them the tests fail. `DRIFTLINE_TEST_PG_BIN` has to hold `initdb`, `postgres`, `pg_ctl` and `psql`.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::service::{Service, free_port};

/// Whether the server waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// As in production: for crash tests and benchmarks.
    On,
    /// For tests of logic.
    Off,
}

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    service: Service,
    port: u16,
    databases: AtomicU32,
}

/// A database of its own, with roles that row-level security binds.
#[derive(Debug)]
pub struct Database {
    port: u16,
    name: String,
}

impl Cluster {
    /// The cluster that all tests of this process share; it does not wait for the disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Fsync::Off))
    }

    /// The same, waiting for the disk.
    pub fn durable() -> &'static Self {
        static DURABLE: OnceLock<Cluster> = OnceLock::new();
        DURABLE.get_or_init(|| Self::start(Fsync::On))
    }

    /// A cluster of one's own. It goes with its value, or with the process.
    pub fn start(fsync: Fsync) -> Self {
        Self::start_with(fsync, |_| Vec::new())
    }

    /// The same with settings (`name=value`), made with a look at the directory of its data.
    pub fn start_with(fsync: Fsync, settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let bin = programs();
        let port = free_port();
        let service = Service::start("postgres", |directory| {
            let mut command = command(&bin, directory, port, fsync);
            for setting in settings(&directory.join("data")) {
                command.extend(["-c".to_owned(), setting]);
            }
            command
        });
        let socket = service.directory.join(format!("data/.s.PGSQL.{port}"));
        let ready = || {
            socket.exists()
                && Command::new(bin.join("pg_ctl"))
                    .args(["status", "-D"])
                    .arg(service.directory.join("data"))
                    .output()
                    .is_ok()
                && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
                && log(&service).contains("database system is ready to accept connections")
        };
        service.wait_until("PostgreSQL", ready);
        Self {
            service,
            port,
            databases: AtomicU32::new(0),
        }
    }

    /// An empty database.
    pub fn database(&self) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = Database {
            port: self.port,
            name: format!("test_{number}"),
        };
        let roles = [
            database.owner(),
            database.app(),
            database.auditor(),
            database.recorder(),
        ];
        let roles = roles.map(|role| format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS;"));
        let (name, owner) = (&database.name, database.owner());
        self.sql(&[
            &roles.concat(),
            &format!("CREATE DATABASE {name} OWNER {owner}"),
        ]);
        database
    }

    /// Runs statements as the superuser, each by itself, and returns the rows that they answer with, one a line.
    pub fn sql(&self, statements: &[&str]) -> String {
        let asked = Command::new(programs().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.admin())
            .args(statements.iter().flat_map(|statement| ["-c", statement]))
            .output()
            .expect("psql runs; it comes with the PostgreSQL server");
        assert!(
            asked.status.success(),
            "{statements:?}: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
        String::from_utf8_lossy(&asked.stdout).into_owned()
    }

    /// The superuser's URL.
    pub fn admin(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's log.
    pub fn log(&self) -> String {
        log(&self.service)
    }
}

impl Database {
    /// The role that owns the schema.
    pub fn owner(&self) -> String {
        format!("{}_owner", self.name)
    }

    /// The role of the application: it may use the schema, and no more.
    pub fn app(&self) -> String {
        format!("{}_app", self.name)
    }

    /// The role of an auditor: it may read what is audited, and no more.
    pub fn auditor(&self) -> String {
        format!("{}_auditor", self.name)
    }

    /// The role that keeps what audits found: it sees nothing of what is audited.
    pub fn recorder(&self) -> String {
        format!("{}_recorder", self.name)
    }

    /// The database's URL for a role.
    pub fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn log(service: &Service) -> String {
    std::fs::read_to_string(service.directory.join("log")).unwrap_or_default()
}

/// Makes the cluster and returns the command that runs it.
fn command(bin: &Path, directory: &Path, port: u16, fsync: Fsync) -> Vec<String> {
    let data = directory.join("data");
    std::fs::create_dir(&data).expect("a directory for the cluster");
    let user = unprivileged(directory);
    if let Some((uid, gid)) = user {
        chown(&data, Some(uid), Some(gid)).expect("the cluster's user owns its directory");
    }
    let prefix = user.map_or_else(Vec::new, |(uid, gid)| {
        let drop = [
            "setpriv".to_owned(),
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
        ];
        drop.to_vec()
    });
    let with_prefix = |arguments: &[&str]| {
        prefix
            .iter()
            .cloned()
            .chain(arguments.iter().map(|&argument| argument.to_owned()))
            .collect::<Vec<_>>()
    };
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let data = text(&data);
    let initdb = with_prefix(&[
        &text(&bin.join("initdb")),
        "--no-sync",
        "-N",
        "-A",
        "trust",
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--locale=C",
        "-D",
        &data,
    ]);
    let made = Command::new(&initdb[0])
        .args(&initdb[1..])
        .current_dir("/")
        .output()
        .expect("initdb runs");
    assert!(
        made.status.success(),
        "initdb failed:\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let fsync = if fsync == Fsync::On {
        "fsync=on"
    } else {
        "fsync=off"
    };
    with_prefix(&[
        &text(&bin.join("postgres")),
        "-D",
        &data,
        "-k",
        &data,
        "-p",
        &port.to_string(),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        fsync,
        "-c",
        "max_connections=300",
        "-c",
        "max_wal_size=4GB",
    ])
}

/// Postgres refuses to run as root: the user to run it as then.
pub fn unprivileged(directory: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata(directory)
        .expect("the directory is there")
        .uid()
        != 0
    {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("the list of users");
    let find = |name: &str| {
        let account = accounts
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = account.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    };
    let user = find("postgres").or_else(|| find("nobody"));
    Some(user.expect("a user `postgres` or `nobody` to run the server as"))
}

/// The directory of the server's programs.
pub fn programs() -> PathBuf {
    if let Some(bin) = std::env::var_os("DRIFTLINE_TEST_PG_BIN") {
        return bin.into();
    }
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let versions = debian.filter_map(|entry| {
        Some((
            entry.file_name().to_str()?.parse::<u32>().ok()?,
            entry.path().join("bin"),
        ))
    });
    let newest = versions
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max()
        .map(|(_, bin)| bin);
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .or_else(|| std::env::split_paths(&path).find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists()))
        .expect(
            "no PostgreSQL server is installed: set DRIFTLINE_TEST_PG_BIN to the folder of its programs, or run `make setup` \
             in driftline's repository",
        )
}
