//! A second server, for a failover or an upgrade: a page copies the first one into its directory, and promotes the copy when the first is
//! lost.

use driftline_conformance::services::postgres::{programs, unprivileged};
use driftline_conformance::services::{Service, free_port};

/// A server that starts when a file `promote` is there, with what is in `data` then.
pub struct Replica {
    pub service: Service,
    pub port: u16,
    /// `UID:GID` of the server, if it is not the test's.
    pub owner: String,
}

impl Replica {
    pub fn prepare() -> Self {
        let port = free_port();
        let mut owner = String::new();
        let service = Service::start("replica", |directory| {
            let (bin, directory) = (programs().display().to_string(), directory.display());
            let user = unprivileged(directory.to_string().as_ref()).map_or_else(
                String::new,
                |(uid, gid)| {
                    owner = format!("{uid}:{gid}");
                    format!("setpriv --reuid={uid} --regid={gid} --clear-groups")
                },
            );
            let script = format!(
                "until [ -e {directory}/promote ]; do sleep 0.1; done
                 exec {user} {bin}/postgres -D {directory}/data -k {directory}/data -p {port} \
                 -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300"
            );
            vec!["sh".to_owned(), "-c".to_owned(), script]
        });
        Self {
            service,
            port,
            owner,
        }
    }
}
