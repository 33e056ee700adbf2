//! A row of the database that is not what was committed: nothing of it is served, and every reader says so.

use crate::session::Session;

fn session(waits: &str) -> Session {
    let session = Session::new();
    for roles in 1..=2 {
        session.manifest(roles);
        session.must(&format!(
            "manifest create --tenant acme --file m.json {waits}"
        ));
    }
    session.write("r.json", r#"{"roles":{"role-1":"x-1"}}"#);
    session.must(&format!(
        "apply record --tenant acme --version 1 --file r.json {waits}"
    ));
    session
}

#[test]
fn the_buckets_proven_copy_is_served_and_said() {
    let session = session("--wait-shadowed");
    let reads = [
        "manifest get --tenant acme",
        "manifest get --tenant acme --version 1",
        "manifest diff --tenant acme 1 2",
        "apply show --tenant acme",
        "apply show --tenant acme --version 1",
    ];
    let before: Vec<_> = reads.iter().map(|read| session.quietly(read)).collect();
    session.tamper("UPDATE entry SET content = CAST(replace(CAST(content AS TEXT), 'role-1', 'role-X') AS BLOB)");
    for (read, before) in reads.iter().zip(before) {
        let run = session.quietly(read);
        assert_eq!(
            (run.code, &run.stdout),
            (before.code, &before.stdout),
            "{read}"
        );
        let said = "the bucket's proven copy is served instead";
        assert!(run.stderr.contains(said), "{read}: {}", run.stderr);
    }
    let meta = session.must("manifest get --tenant acme --version 1 --meta -o json");
    let meta = meta.json();
    assert_eq!(meta["source"], "bucket");
    assert_eq!(meta["damagedRow"]["recorded"], meta["checksum"]);
    assert_eq!(meta["damagedRow"]["stream"], "manifests");
    let applied = session.must("apply show --tenant acme -o json").json();
    assert_eq!(applied["damagedRow"]["seq"], 1);
    let stats = session.must("stats --tenant acme -o json").json();
    assert_eq!(stats["damagedReads"], 1);
    let drift = session.quietly("drift check --tenant acme -o json").json();
    assert_eq!(drift["damagedRows"].as_array().unwrap().len(), 3, "{drift}");
    // What was said to do brings the rows back.
    session.must("repair --tenant acme --plan plan.json");
    session.must("repair --apply plan.json");
    let run = session.must("manifest get --tenant acme");
    assert_eq!(run.stderr, "");
}

#[test]
fn without_a_good_copy_nothing_is_served() {
    let mut session = session("");
    std::fs::remove_dir_all(session.path(".driftline/snapshots")).unwrap();
    session.tamper("UPDATE entry SET content = CAST('{}' AS BLOB)");
    for read in [
        "manifest get --tenant acme",
        "manifest get --tenant acme --version 1 -o json",
        "manifest diff --tenant acme 1 2",
        "apply show --tenant acme",
        "drift check --tenant acme",
    ] {
        let run = session.run(read);
        assert_eq!((run.code, run.stdout.is_empty()), (9, true), "{read}");
    }
    session.assert("rotten_rows");
}

#[test]
fn a_row_that_cannot_be_read_at_all_is_served_from_the_bucket() {
    let session = session("--wait-shadowed");
    let before = session.must("manifest get --tenant acme --version 1");
    session.tamper("UPDATE entry SET message = 'a' || char(10) WHERE stream = 0 AND seq = 1");
    let run = session.must("manifest get --tenant acme --version 1");
    assert_eq!(run.stdout, before.stdout);
    assert!(run.stderr.contains("cannot be read"), "{}", run.stderr);
}

#[test]
fn a_head_that_is_damaged_takes_no_more_than_the_rows_that_are_there() {
    let session = session("--wait-shadowed");
    session.tamper("UPDATE tenant SET manifests_head = 70000000000000000");
    for verify in [
        "verify",
        "verify --read-data",
        "verify --tenant acme -o ndjson",
    ] {
        let run = session.quietly(verify);
        assert_eq!(run.code, 9, "{verify}: {}", run.stderr);
        assert!(
            run.text()
                .contains("more rows are lost up to 70000000000000000")
        );
    }
}
