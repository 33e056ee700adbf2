//! Pipes, signals, and logs.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use tokio::time::Instant;

use crate::session::Session;

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until the command says this on stderr.
fn wait_for(child: &mut Child, text: &str) {
    let stderr = child.stderr.as_mut().unwrap();
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert_eq!(
            stderr.read(&mut byte).unwrap(),
            1,
            "it ended with {}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
}

/// Waits until the command catches SIGINT, which would end it in the default way before.
fn wait_for_handlers(child: &Child) {
    let started = Instant::now();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0 {
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it catches no signal"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    let lines = [
        "manifest history --tenant acme",
        "manifest history --tenant acme -o ndjson",
        "manifest get --tenant acme",
        "status -o json",
        "completions bash",
        "--help",
    ];
    for line in lines {
        let mut child = session
            .command(&line.split(' ').collect::<Vec<_>>())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{line}: {}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
}

#[test]
fn a_replicator_shadows_what_others_write_and_ends_on_a_signal() {
    for wanted in [Signal::TERM, Signal::INT] {
        let session = Session::new();
        session.manifest(1);
        let mut child = session.command(&["replicate"]).spawn().unwrap();
        wait_for(&mut child, "Ctrl-C ends it");
        let created = session
            .must("manifest create --tenant acme --file m.json --wait-shadowed -o json")
            .json();
        assert_eq!(created["shadowed"], true);
        let started = Instant::now();
        signal(&child, wanted);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn an_import_that_is_interrupted_finishes_its_line() {
    use std::io::Write as _;
    let session = Session::new();
    let arguments = ["manifest", "import", "--tenant", "acme", "--file", "-"];
    let mut child = session
        .command(&arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{{\"content\":{{\"schemaVersion\":\"1.0\"}}}}").unwrap();
    let started = Instant::now();
    while session.quietly("stats --tenant acme").code != 0 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the first line was not imported"
        );
    }
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "imported 1 version of acme, 0 were there, head 1\n");
    drop(input);
}

#[test]
fn an_empty_stdin_can_be_interrupted() {
    let session = Session::new();
    for line in [
        "manifest create --tenant acme --file -",
        "manifest import --tenant acme --file -",
    ] {
        let arguments: Vec<_> = line.split(' ').collect();
        let mut child = session
            .command(&arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        wait_for_handlers(&child);
        signal(&child, Signal::INT);
        let started = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{line}");
        assert!(started.elapsed() < Duration::from_secs(5), "{line}");
        drop(input);
    }
}

#[test]
fn eight_writers_share_one_file() {
    let session = Session::new();
    session.manifest(1);
    let create = ["manifest", "create", "--tenant", "acme", "--file", "m.json"];
    let running: Vec<_> = (0..8)
        .map(|_| session.command(&create).spawn().unwrap())
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    session.must("replicate --drain");
    let stats = session.must("stats --tenant acme -o json").json();
    assert_eq!(
        (&stats["latestVersion"], &stats["shadowedVersions"]),
        (&8.into(), &8.into())
    );
}

#[test]
fn only_data_goes_to_stdout_and_quiet_is_quiet() {
    let session = Session::new();
    session.manifest(1);
    let run = session.must("-q manifest create --tenant acme --file m.json -o json");
    assert_eq!(
        (run.json()["version"].clone(), &*run.stderr),
        (1.into(), "")
    );
    let run = session.must("-v -o json manifest create --tenant acme --file m.json");
    assert_eq!(run.json()["version"], 2);
    for line in run.stderr.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
    let run = session.must("manifest create --tenant acme --file m.json");
    assert!(!run.text().contains('\u{1b}') && !run.stderr.contains('\u{1b}'));
}
