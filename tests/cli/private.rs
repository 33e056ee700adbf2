//! What is written is for nobody else to read, and what somebody else wrote is not run.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::session::Session;

fn modes(directory: &Path, wrong: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let found = path.metadata().unwrap();
        let expected = if found.is_dir() { 0o700 } else { 0o600 };
        if found.mode() & 0o777 != expected {
            wrong.push(format!("{} {:o}", path.display(), found.mode() & 0o777));
        }
        if found.is_dir() {
            modes(&path, wrong);
        }
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[test]
fn what_is_made_is_private() {
    let session = Session::new();
    session.manifest(1);
    set_permissions(session.path("m.json"), Permissions::from_mode(0o600)).unwrap();
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.quietly("audit run");
    session.must("repair --plan repair.json");
    session.must("recover --all-tenants --plan recover.json");
    session.must("drill --all-tenants");
    let mut open = session.command(&["replicate"]);
    let mut replicating = open.spawn().unwrap();
    // While it runs, the files beside the database are there.
    let wal = session.path(".driftline/driftline.db-wal");
    for _ in 0..200 {
        if wal.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(wal.exists());
    let mut wrong = Vec::new();
    modes(session.directory(), &mut wrong);
    replicating.kill().unwrap();
    replicating.wait().unwrap();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_is_there_keeps_its_mode() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    let index = session.path(".driftline/snapshots/acme/index.json");
    let database = session.path(".driftline/driftline.db");
    session.write(
        "plan.json",
        "old and much longer than what takes its place".repeat(99),
    );
    let plan = session.path("plan.json");
    for path in [&index, &database, &plan] {
        set_permissions(path, Permissions::from_mode(0o640)).unwrap();
    }
    session.manifest(2);
    session.must("manifest create --tenant acme --file m.json --wait-shadowed");
    session.must("repair --plan plan.json");
    for path in [&index, &database, &plan] {
        assert_eq!(mode(path), 0o640, "{}", path.display());
    }
    session.must("repair --apply plan.json");
}

#[test]
fn a_program_runs_only_from_a_configuration_that_is_ones_own() {
    let session = Session::new();
    session.manifest(1);
    session.must("manifest create --tenant acme --file m.json");
    session.write("driftline.toml", "[audit]\nsource = \"exec:./observe\"\n");
    session.write(
        "observe",
        "#!/bin/sh\ntouch ran\necho '{\"resources\":{}}'\n",
    );
    set_permissions(session.path("observe"), Permissions::from_mode(0o755)).unwrap();
    let (file, ran) = (session.path("driftline.toml"), session.path("ran"));
    let trusted = |options: &str| {
        let run = session.quietly(&format!("{options} drift check --all-tenants"));
        assert!([0, 2, 3].contains(&run.code), "{}", run.stderr);
        assert!(ran.exists(), "{options}: {}", run.stderr);
        std::fs::remove_file(&ran).unwrap();
    };
    let refused = |why: &str| {
        for command in ["drift check --all-tenants", "audit run", "audit serve"] {
            let run = session.quietly(command);
            assert_eq!(run.code, 4, "{command}: {}", run.stderr);
            assert!(run.stderr.contains(why), "{command}: {}", run.stderr);
            assert!(
                run.stderr.contains("--config driftline.toml"),
                "{}",
                run.stderr
            );
            assert!(!ran.exists(), "{command}");
        }
        // Whatever runs no program goes on.
        session.must("status");
        let other = session.quietly("drift check --tenant acme --actual m.json");
        assert_ne!(other.code, 4, "{}", other.stderr);
        trusted("--config driftline.toml");
    };
    set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    trusted("");
    for mode in [0o646, 0o664] {
        set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        refused("can be written by other users");
    }
    set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    // Giving a file away takes root.
    if chown(&file, Some(65_534), None).is_ok() {
        refused("belongs to another user");
    }
}
