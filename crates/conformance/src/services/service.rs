//! A child process that lives as long as this test process, however that ends.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running service. Its directory goes with it.
#[derive(Debug)]
pub struct Service {
    // Its standard input is the pipe that keeps the service alive.
    _child: Child,
    /// What it runs in.
    pub directory: PathBuf,
}

impl Service {
    /// Starts `command` in the background with a fresh directory, whose log is `directory/log`.
    pub fn start(name: &str, command: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::Builder::new()
            .prefix(&format!("driftline-{name}-"))
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory")
            .keep();
        let arguments = command(&directory);
        let child = Command::new("sh")
            .args(["-c", include_str!("until-eof.sh"), "until-eof"])
            .arg(&directory)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service's supervisor starts");
        Self {
            _child: child,
            directory,
        }
    }

    /// Waits until `ready` says so; fails with the service's log after a minute.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real service starts in real time"
    )]
    pub fn wait_until(&self, what: &str, mut ready: impl FnMut() -> bool) {
        let started = Instant::now();
        while !ready() {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "{what} is not ready after a minute; its log:\n{}",
                std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Service {
    /// Sends a signal to the service itself.
    pub fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.directory.join("pid")).expect("a running service");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("the service runs");
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}
