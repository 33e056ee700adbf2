//! Where a page is run: a directory, a database and a bucket of its own, and an environment that its commands share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::proxy;
use crate::replica::Replica;
use crate::support::root;
use driftline_conformance::services::Cluster;
use driftline_conformance::services::localstack;
use driftline_conformance::services::postgres::programs;

/// Seconds after which a command hangs.
const LONGEST: &str = "120";

/// Nothing of it is left behind.
pub struct Site {
    directory: TempDir,
    // Dropping it ends the second server.
    replica: Option<Replica>,
}

/// How a command ended.
pub struct Outcome {
    pub code: i32,
    /// What it printed, without spaces at the ends of lines.
    pub lines: Vec<String>,
}

impl Site {
    pub fn new(page: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("driftline-runbook-")
            .tempdir()
            .unwrap();
        let (state, work) = (
            directory.path().join("state"),
            directory.path().join("work"),
        );
        std::fs::create_dir(&state).unwrap();
        std::fs::create_dir(&work).unwrap();
        let second = ["runbooks/failover-behind.md", "runbooks/server-moved.md"];
        let replica = second.contains(&page).then(Replica::prepare);
        let name = page.to_lowercase().replace(['-', '/', '.'], "_");
        let database = format!("driftline_{name}");
        let site = Self { directory, replica };
        let text = site.variables(&database);
        std::fs::write(state.join("environment"), text).unwrap();
        let made = site.run("createdb --owner driftline \"$PGDATABASE\"");
        assert_eq!(made.code, 0, "{}", made.lines.join("\n"));
        site
    }

    /// What the tree of pages asks for, and what the hidden programs need.
    fn variables(&self, database: &str) -> String {
        let (path, port) = (|name: &str| self.directory.path().join(name), server());
        let upstream = localstack().endpoint();
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let endpoint = proxy::start(upstream.clone(), path("state/bucket-is-down"));
        let fresh = || format!("s3://{}/driftline/", localstack().fresh_bucket());
        let driftline = PathBuf::from(env!("CARGO_BIN_EXE_driftline"));
        let binaries = [
            root().join("tests/runbooks/bin"),
            programs(),
            "/usr/bin".into(),
            "/bin".into(),
        ];
        let binaries = [driftline.parent().unwrap().to_owned()]
            .into_iter()
            .chain(binaries);
        let mut variables = vec![
            (
                "PATH",
                std::env::join_paths(binaries)
                    .unwrap()
                    .into_string()
                    .unwrap(),
            ),
            ("HOME", path("work").display().to_string()),
            ("LC_ALL", "C".to_owned()),
            ("STATE", path("state").display().to_string()),
            ("DRIFTLINE_BY", "oncall".to_owned()),
            (
                "DRIFTLINE_DATABASE_URL",
                format!("postgres://driftline@127.0.0.1:{port}/{database}"),
            ),
            ("DRIFTLINE_SNAPSHOTS_URL", fresh()),
            ("NEW_SNAPSHOTS_URL", fresh()),
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", port.to_string()),
            ("PGUSER", "postgres".to_owned()),
            ("PGDATABASE", database.to_owned()),
            ("AWS_ENDPOINT_URL_S3", endpoint),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ];
        if let Some(replica) = &self.replica {
            let directory = replica.service.directory.display().to_string();
            let url = format!("postgres://driftline@127.0.0.1:{}/{database}", replica.port);
            variables.extend([
                ("NEW_DATABASE_URL", url),
                ("REPLICA_DIRECTORY", directory),
                ("REPLICA_OWNER", replica.owner.clone()),
                ("REPLICA_PORT", replica.port.to_string()),
            ]);
        }
        let export = |(name, value): (&str, String)| format!("export {name}='{value}'\n");
        variables.into_iter().map(export).collect()
    }

    /// Runs a script. What it exports is there for the next one.
    pub fn run(&self, script: &str) -> Outcome {
        let state = self.directory.path().join("state");
        let begin = "exec 2>&1\n. ./environment\ntrap 'export -p >\"$STATE/environment\"' EXIT\ncd ../work\n";
        let file = state.join("script");
        std::fs::write(&file, format!("{begin}{script}\n")).unwrap();
        let output = Command::new("timeout")
            .args([LONGEST, "sh"])
            .arg(&file)
            .current_dir(&state)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).expect("text in UTF-8");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            lines: text
                .lines()
                .map(|line| line.trim_end().to_owned())
                .collect(),
        }
    }
}

/// The port of the server that all pages share, with the role that owns their databases.
fn server() -> u16 {
    static READY: OnceLock<u16> = OnceLock::new();
    *READY.get_or_init(|| {
        let url = Cluster::shared().admin();
        let made = Command::new(program("psql"))
            .args([
                &url,
                "-qc",
                "CREATE ROLE driftline LOGIN NOSUPERUSER NOBYPASSRLS",
            ])
            .status()
            .unwrap();
        assert!(made.success());
        let address = url.split('/').nth(2).unwrap();
        address.split(':').nth(1).unwrap().parse().unwrap()
    })
}

/// A client beside the server's programs, or on the path.
fn program(name: &str) -> PathBuf {
    let beside = programs().join(name);
    if Path::new(&beside).exists() {
        beside
    } else {
        name.into()
    }
}
