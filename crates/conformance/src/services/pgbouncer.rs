//! PgBouncer in transaction mode, in front of the server that tests share.

use std::os::unix::fs::chown;
use std::path::PathBuf;

use super::postgres::{Database, unprivileged};
use super::service::{Service, free_port};

/// A running pooler. It goes with its value, or with the process.
#[derive(Debug)]
pub struct Pooler {
    _service: Service,
    port: u16,
}

impl Pooler {
    /// A pooler for a database's owner and application, with so many sessions for each, and with `more` in its configuration.
    pub fn start(server: &str, place: &Database, sessions: u32, more: &str) -> Self {
        let program = program();
        let port = free_port();
        let (host, server) = server.rsplit_once(':').expect("HOST:PORT");
        let service = Service::start("pgbouncer", |directory| {
            let configuration = directory.join("pgbouncer.ini");
            let text = format!(
                "[databases]\n* = host={host} port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = trust\npool_mode = transaction\ndefault_pool_size = {sessions}\n\
                 auth_file = {}/users\nmax_client_conn = 200\n{more}\n",
                directory.display()
            );
            std::fs::write(&configuration, text).expect("a configuration");
            let users = format!("\"{}\" \"\"\n\"{}\" \"\"\n", place.owner(), place.app());
            std::fs::write(directory.join("users"), users).expect("a list of users");
            let mut command = Vec::new();
            if let Some((uid, gid)) = unprivileged(directory) {
                for path in [directory.to_owned(), configuration.clone()] {
                    chown(path, Some(uid), Some(gid)).expect("its user owns its directory");
                }
                command.push("setpriv".to_owned());
                command.push(format!("--reuid={uid}"));
                command.push(format!("--regid={gid}"));
                command.push("--clear-groups".to_owned());
            }
            command.push(program.display().to_string());
            command.push(configuration.display().to_string());
            command
        });
        service.wait_until("PgBouncer", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            _service: service,
            port,
        }
    }

    /// The URL of a database of the server, through the pooler.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join("pgbouncer"))
        .find(|program| program.exists())
        .expect("PgBouncer is not installed: `make setup` in driftline's repository installs it")
}
