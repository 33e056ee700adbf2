//! A second server, made from a copy of a running one.

use std::path::Path;
use std::process::Command;

use super::postgres::{Cluster, programs, unprivileged};
use super::service::{Service, free_port};

/// A copy of a running server: a standby until it is promoted.
#[derive(Debug)]
pub struct Replica {
    service: Service,
    /// Where it listens.
    pub port: u16,
}

impl Replica {
    /// What is written after the copy was made is not on it.
    pub fn of(cluster: &Cluster) -> Self {
        Self::copied(cluster, false)
    }

    /// A hot standby, which follows the server and can be read from.
    pub fn following(cluster: &Cluster) -> Self {
        let replica = Self::copied(cluster, true);
        let reads = || replica.answers("SELECT pg_is_in_recovery()");
        replica.service.wait_until("the standby", reads);
        replica
    }

    fn copied(cluster: &Cluster, follows: bool) -> Self {
        let port = free_port();
        let service = Service::start("replica", |directory| {
            let data = directory.join("data");
            let backup = Command::new(programs().join("pg_basebackup"))
                .args([
                    "-h",
                    "127.0.0.1",
                    "-U",
                    "postgres",
                    "-p",
                    &cluster.port().to_string(),
                    "-c",
                    "fast",
                ])
                .args(follows.then_some("-R"))
                .args(["--no-sync", "-X", "fetch", "-D"])
                .arg(&data)
                .output()
                .unwrap();
            assert!(
                backup.status.success(),
                "{}",
                String::from_utf8_lossy(&backup.stderr)
            );
            std::fs::write(data.join("standby.signal"), "").unwrap();
            let mut words = Vec::new();
            if let Some((uid, gid)) = unprivileged(directory) {
                give(&data, uid, gid);
                words = vec![
                    "setpriv".to_owned(),
                    format!("--reuid={uid}"),
                    format!("--regid={gid}"),
                    "--clear-groups".to_owned(),
                ];
            }
            let (program, data) = (programs().join("postgres"), data.display().to_string());
            words.extend([program.display().to_string(), "-D".to_owned(), data.clone()]);
            words.extend(["-k".to_owned(), data, "-p".to_owned(), port.to_string()]);
            for option in [
                "listen_addresses=127.0.0.1",
                "fsync=off",
                "max_connections=300",
            ] {
                words.extend(["-c".to_owned(), option.to_owned()]);
            }
            words
        });
        Self { service, port }
    }

    /// Ends its being a standby, on a timeline of its own.
    pub fn promote(&self) {
        let promoted = || self.answers("SELECT pg_promote()");
        self.service.wait_until("the replica", promoted);
    }

    fn answers(&self, question: &str) -> bool {
        let port = self.port.to_string();
        let ask = Command::new(programs().join("psql"))
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-qAtc"])
            .arg(question)
            .output()
            .unwrap();
        ask.status.success()
    }
}

/// Gives a directory and everything in it to a user.
fn give(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid, gid);
        }
    }
}
