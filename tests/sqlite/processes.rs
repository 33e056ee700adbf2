//! Several processes on one file. A child is this test binary again, told by a variable which part to play.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use driftline::domain::{BucketId, Epoch, Seq, Stream};
use driftline::ports::RecoveryStore;

use crate::open;
use driftline_conformance::fixture::*;

const PART: &str = "DRIFTLINE_TEST_SQLITE_PART";

/// The part of this process: nothing in the test itself, a name in a child.
fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Starts `test` as a child in `directory`.
fn child(directory: &Path, test: &str, part: &str) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .current_dir(directory)
        .env(PART, part)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child")
}

fn succeeded(child: Child) -> String {
    let output = child.wait_with_output().expect("its output");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// The numbers that a child says were acknowledged.
fn acknowledged(line: &str) -> Option<u64> {
    line.rsplit_once("acknowledged ")?.1.trim().parse().ok()
}

#[tokio::test]
async fn processes_open_a_fresh_file_and_write_to_it_at_once() {
    const EACH: u64 = 25;
    let acme = tenant("acme");
    if let Some(name) = part() {
        let db: Db = open(Path::new("new/db")).await.unwrap();
        db.claim(None, BucketId(uuid::Uuid::from_u128(7)), Epoch::FIRST)
            .await
            .unwrap();
        for round in 0..EACH {
            let meta = commit(&db, &acme, manifest(&format!("{name} {round}"))).await;
            println!("acknowledged {}", meta.seq);
        }
        println!("database {}", db.identity().await.unwrap().id);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let test = "processes::processes_open_a_fresh_file_and_write_to_it_at_once";
    let children: Vec<Child> = (0..4)
        .map(|name| child(directory.path(), test, &name.to_string()))
        .collect();
    let outputs: Vec<String> = children.into_iter().map(succeeded).collect();
    let db: Db = open(&directory.path().join("new/db")).await.unwrap();
    let identity = format!("database {}", db.identity().await.unwrap().id);
    let mut numbers = Vec::new();
    for output in &outputs {
        assert!(
            output.contains(&identity),
            "one file has one identity: {identity}\n{output}"
        );
        numbers.extend(output.lines().filter_map(acknowledged));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=4 * EACH).collect::<Vec<_>>());
    assert_whole(&db, &acme, Stream::Manifests).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    let acme = tenant("acme");
    if part().is_some() {
        let db: Db = open(Path::new("db")).await.unwrap();
        claimed(&db).await;
        for round in 0..100_000 {
            let meta = commit(&db, &acme, manifest(&round.to_string())).await;
            println!("acknowledged {}", meta.seq);
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut victim = child(
        directory.path(),
        "processes::what_was_acknowledged_survives_a_killed_process",
        "victim",
    );
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let last = lines
        .by_ref()
        .map_while(Result::ok)
        .filter_map(|line| acknowledged(&line))
        .nth(50)
        .unwrap();
    victim.kill().unwrap();
    // What it said between our last look and its death counts too.
    let last = lines
        .map_while(Result::ok)
        .filter_map(|line| acknowledged(&line))
        .last()
        .unwrap_or(last);
    victim.wait().unwrap();
    let db: Db = open(&directory.path().join("db")).await.unwrap();
    let head = db.tenant(&acme).await.unwrap().unwrap().heads[Stream::Manifests];
    assert!(head.seq >= Seq::new(last), "{} of {last}", head.seq);
    assert_whole(&db, &acme, Stream::Manifests).await;
    commit(&db, &acme, manifest("next")).await;
}

#[tokio::test]
async fn a_relative_path_is_a_file_whatever_it_looks_like() {
    let names = ["file:x?mode=memory", ":memory:", "plain"];
    if part().is_some() {
        for name in names {
            open(Path::new(name)).await.unwrap();
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let test = "processes::a_relative_path_is_a_file_whatever_it_looks_like";
    succeeded(child(directory.path(), test, "opener"));
    for name in names {
        assert!(directory.path().join(name).is_file(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn independent_pools_open_a_fresh_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let path = directory.path().join("db");
        opening.spawn(async move { open(&path).await.unwrap().identity().await.unwrap() });
    }
    let identities = opening.join_all().await;
    assert!(
        identities.windows(2).all(|pair| pair[0] == pair[1]),
        "{identities:?}"
    );
}
