//! What serves waits for its database, and says why once.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::session::Session;
use crate::support::postgres::{Reached as _, run};
use driftline_conformance::services::{Cluster, Database};

/// A command at work, and what it said so far.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    fn start(session: &Session, line: &str) -> Self {
        let words: Vec<_> = line.split(' ').collect();
        let mut child = session.command(&words).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, into) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                into.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn until(&mut self, words: &str) {
        let started = Instant::now();
        while !self.said().contains(words) {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "it ended: {}",
                self.said()
            );
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "not said: {words}: {}",
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn end(mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn limit(place: &Database, connections: i32) {
    let mut admin = place.connect("postgres").await;
    let role = place.app();
    run(
        &mut admin,
        format!("ALTER ROLE {role} CONNECTION LIMIT {connections}"),
    )
    .await;
    if connections == 0 {
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        );
        run(&mut admin, end).await;
    }
}

#[tokio::test]
async fn a_server_without_room_is_waited_for_at_the_start_and_in_between() {
    let place = Cluster::shared().database();
    place.migrate().await;
    let mut session = Session::new();
    session.manifest(1);
    let app = format!("{}?acquire-timeout=1", place.url(&place.app()));
    let mut writer = Session::new();
    writer.manifest(1);
    writer.set("DRIFTLINE_DATABASE_URL", &place.url(&place.owner()));
    let bucket = format!("file://{}", session.path("bucket").display());
    writer.set("DRIFTLINE_SNAPSHOTS_URL", &bucket);
    writer.must("manifest create --tenant acme --file m.json");
    session.set("DRIFTLINE_DATABASE_URL", &app);
    session.set("DRIFTLINE_SNAPSHOTS_URL", &bucket);
    limit(&place, 0).await;
    let mut replicator = Running::start(&session, "replicate");
    let mut auditor = Running::start(&session, "audit serve");
    for running in [&mut replicator, &mut auditor] {
        running.until("waiting for the database").await;
        // Tried again more than once.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let said = running.said();
        assert_eq!(
            said.matches("too many connections for role").count(),
            1,
            "{said}"
        );
        assert!(running.child.try_wait().unwrap().is_none(), "{said}");
    }
    limit(&place, -1).await;
    replicator.until("Ctrl-C ends it").await;
    auditor.until("Ctrl-C ends it").await;
    limit(&place, 0).await;
    replicator.until("shadowing is held up").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let said = replicator.said();
    // The first reason is that the session was ended.
    assert!(said.matches("shadowing is held up").count() <= 2, "{said}");
    limit(&place, -1).await;
    replicator.until("shadowing goes on").await;
    assert_eq!(replicator.end(), 130);
    assert_eq!(auditor.end(), 130);
}

#[tokio::test]
async fn what_no_retry_mends_ends_it_at_once() {
    let place = Cluster::shared().database();
    let mut session = Session::new();
    let app = place.url(&place.app());
    for (code, url, words) in [
        (
            1,
            place.url("nobody_there"),
            "role \"nobody_there\" does not exist",
        ),
        (
            6,
            format!("{}/nowhere", app.rsplit_once('/').unwrap().0),
            "database \"nowhere\" does not exist",
        ),
    ] {
        session.set("DRIFTLINE_DATABASE_URL", &url);
        for line in ["replicate", "audit serve", "status"] {
            let run = session.quietly(line);
            assert_eq!(run.code, code, "{line}: {}", run.stderr);
            assert!(run.stderr.contains(words), "{line}: {}", run.stderr);
        }
    }
}
